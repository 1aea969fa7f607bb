"""US Social Security numbers: nine digits as 3-2-4, by the ranges that the SSA issues (no checksum exists).

The first group is not 000, 666 or from 900 on, the second not 00, the third not 0000, and the two numbers that
were printed in advertisements are left out. With dashes the form speaks for itself; with spaces or without
anything between the digits a word such as SSN must stand near by.

Found:
    - SSN: [123-45-6789]
    - 社会安全号码 [219-45-6789]
    - my social security number is [536 90 4399]
    - Social Security No. [536904399]
    - [536-90-4399] is on the form
    - 她的社安号是[536-90-4399]

Not found:
    - SSN 000-45-6789
    - SSN 666-45-6789
    - SSN 912-45-6789
    - SSN 123-00-6789
    - SSN 123-45-0000
    - SSN 078-05-1120
    - 536904399 bytes were sent
    - 536 90 4399
    - order 536-90-4399
    - part no. 536-90-4399
    - 2023-11-0512
    - 1536-90-4399
    - 536-90-43991
    - ISBN 978-7-302-51234-5
    - 013-536-90-4399
"""

from __future__ import annotations

import re

from guard.recognizers.labels import context, names_reference, near
from guard.recognizers.match import Match

_LABELLED = 0.95
_BARE_LABELLED = 0.85
_DASHED = 0.6

_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_])(?<![0-9][-.])(?!000|666|9)[0-9]{3}([ \u2010\u2013-]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}"
    r"(?![0-9A-Za-z_]|[-.][0-9])"
)
_CONTEXT = context("社会安全|社会保险|社保号|社安", "ssn|ss#|social security|tax ?id|taxpayer")
# Numbers of advertisements, void ever since.
_VOID = frozenset({"078051120", "219099999"})


class Ssn:
    """Finds US Social Security numbers. Stateless."""

    name = "ssn"
    category = "pii.id_card"
    patterns = (_NUMBER,)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text, in order."""
        return [Match(m.start(), m.end(), score) for m in _NUMBER.finditer(text) if (score := _score(text, m))]


def _score(text: str, match: re.Match[str]) -> float:
    if re.sub("[^0-9]", "", match[0]) in _VOID:
        return 0.0
    if near(_CONTEXT, text, *match.span()):
        return _LABELLED if match[1] else _BARE_LABELLED
    dashed = match[1] not in {"", " "}
    return _DASHED if dashed and not names_reference(text, match.start()) else 0.0
