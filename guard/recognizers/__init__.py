"""Recognizers: patterns with checks for what has a form of its own. One file each, listed here.

They read the NORMALISED text, as the classifier does, so full-width digits and zero-width characters between
them change nothing. A recognizer's file begins with its page: what it finds and, as important, what looks like
it and is not found; a test reads the examples from there (brackets stand around what is found, a ``~`` is left out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from guard.normalize import Normalized
from guard.recognizers.address_cn import AddressCn
from guard.recognizers.api_key import ApiKey
from guard.recognizers.bank_card import BankCard
from guard.recognizers.cloud_key import CloudKey
from guard.recognizers.email import Email
from guard.recognizers.iban import Iban
from guard.recognizers.id_card import IdCard
from guard.recognizers.ip import Ip
from guard.recognizers.jwt import Jwt
from guard.recognizers.match import Match
from guard.recognizers.national_id import NationalId
from guard.recognizers.passport import Passport
from guard.recognizers.phone import Phone
from guard.recognizers.plate_cn import PlateCn
from guard.recognizers.private_key import PrivateKey
from guard.recognizers.ssn import Ssn
from guard.recognizers.url import Url
from guard.types import CUSTOM, Detection

__all__ = ["RECOGNIZERS", "Match", "Recognizer", "detect"]


class Recognizer(Protocol):
    """Finds one category in a text. Stateless, so that threads may share it."""

    @property
    def name(self) -> str:
        """What detections name as their source."""
        ...

    @property
    def category(self) -> str:
        """What its matches are."""
        ...

    @property
    def patterns(self) -> Sequence[Any]:
        """What a match is found by: each lies in a match of one of these, which may be wider."""
        ...

    def find(self, text: str) -> list[Match]:
        """Every match in a normalised text."""
        ...


#: Every built-in recognizer by its name.
RECOGNIZERS: Mapping[str, Recognizer] = {
    recognizer.name: recognizer
    for recognizer in (
        Email(),
        Phone(),
        IdCard(),
        Ssn(),
        NationalId(),
        BankCard(),
        Iban(),
        Ip(),
        AddressCn(),
        PlateCn(),
        Passport(),
        PrivateKey(),
        Jwt(),
        CloudKey(),
        ApiKey(),
        Url(),
    )
}

_Found = tuple[Recognizer, Match]

# What lies inside of another thing or around it and is still itself: a phone number in an address's name, a host in
# a link, and whatever a policy looks for on its own. All others read the same characters, and one reading is right.
_SHARING = ("pii.email", "url", CUSTOM + ".")


def detect(normalized: Normalized, own: Sequence[Recognizer] = ()) -> tuple[Detection, ...]:
    """Run every recognizer over a text.

    Where two readings of the same characters overlap the stronger stays (the higher score, then the longer): an
    identity number holds neither a card nor a phone number.

    Args:
        normalized: The text with its way back.
        own: The policy's own recognizers, which run beside the built-in ones.

    Returns:
        Detections in the order of the text, with spans of the ORIGINAL.
    """
    found = [(r, match) for r in (*RECOGNIZERS.values(), *own) for match in r.find(normalized.text)]
    found.sort(key=lambda pair: pair[1].start)
    kept: list[_Found] = []
    cluster: list[_Found] = []
    end = 0
    # Only neighbours can overlap: a text full of numbers must not cost the square of their count.
    for recognizer, match in found:
        if cluster and match.start >= end:
            kept.extend(_strongest(cluster))
            cluster = []
        cluster.append((recognizer, match))
        end = max(end, match.end)
    kept.extend(_strongest(cluster))
    return tuple(Detection(r.category, normalized.original_span(m.start, m.end), m.score, r.name) for r, m in kept)


def _strongest(cluster: list[_Found]) -> list[_Found]:
    """What stays of overlapping matches, in the order of the text."""
    kept: list[_Found] = []
    for recognizer, match in sorted(cluster, key=lambda f: (-f[1].score, f[1].start - f[1].end, f[1].start)):
        if not any(_excludes(other, taken, recognizer, match) for other, taken in kept):
            kept.append((recognizer, match))
    return sorted(kept, key=lambda f: (f[1].start, f[1].end))


def _excludes(first: Recognizer, taken: Match, second: Recognizer, match: Match) -> bool:
    if match.start >= taken.end or taken.start >= match.end:
        return False
    return first.category == second.category or not (_shares(first) or _shares(second))


def _shares(recognizer: Recognizer) -> bool:
    return recognizer.category.startswith(_SHARING)
