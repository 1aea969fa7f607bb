"""Training texts composed from parts, so that what matters is learnt apart from what stands around it.

Public corpora are short and pure: a text is harmful or it is not. Real texts hide one harmful sentence among
harmless ones, put a request into a scene, or answer it. Five kinds are composed here from rows of the mixture:

- answers: a refusal under any harmful request is compliant, agreeing without a topic of its own is judged by the
  request, a harmful post stays noncompliant as an answer;
- planted: one harmful text in a harmless one, or among loose sentences; its place is known, and teaches the token
  scores;
- harmless: the same shapes without harm, with texts that only look harmful in the place of the plant;
- wrapped: requests inside frames; a neutral frame leaves the request's label, a jailbreak frame adds its own;
- encoded: harmless texts in base64 and the like, alone or beside a sentence, so that odd characters are no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from guard.types import NONCOMPLIANT, Role, Turn
from training.contrast import Wrapper
from training.corpora import ALL, COMPLIANT, Row
from training.evasion import disguise, encode

_T = TypeVar("_T")
LANGUAGES = ("en", "zh")
_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?。！？]+[”\"'’)）]?")
_GAP = {"en": " ", "zh": ""}
#: Longest plant and sentence, in code points: a plant fits into one chunk, and that chunk is the one that is read.
_LONGEST = {"en": (220, 160), "zh": (90, 70)}
_SHORTEST = {"en": 12, "zh": 5}
#: Sentences around a plant, at most.
_MOST_AROUND = 7
#: How much of a text is encoded, in code points, from and to.
_ENCODED = {"en": (8, 160), "zh": (4, 60)}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many texts of each kind, per language."""

    refusals: int = 2500
    agreements: int = 700
    posts: int = 800
    planted: int = 4000
    harmless: int = 4000
    wrapped: int = 1600
    jailbreaks: int = 1400
    encoded: int = 1200
    disguised: float = 0.06


def compose(
    train: Sequence[Row],
    own: Sequence[Row],
    frames: Sequence[Wrapper],
    rng: np.random.Generator,
    counts: Counts | None = None,
) -> list[Row]:
    """All composed rows.

    Args:
        train: Rows of the mixture.
        own: The contrast rows.
        frames: The wrappers.
        rng: Decides.
        counts: How many of each.
    """
    counts = counts or Counts()
    out: list[Row] = []
    for lang in LANGUAGES:
        rows = [row for row in train if row.lang == lang]
        out += answers(rows, [row for row in own if row.lang == lang], rng, counts)
        passages = harmless_passages(rows, lang)
        out += planted(rows, passages, lang, counts.planted, rng)
        out += harmless(rows, passages, lang, counts.harmless, rng)
        out += wrapped(rows, [frame for frame in frames if frame.lang == lang], counts, rng)
        out += encoded(rows, passages, lang, counts.encoded, rng)
    whole = [*train, *out]
    return out + disguised(whole, round(len(whole) * counts.disguised), rng)


def answers(rows: Sequence[Row], own: Sequence[Row], rng: np.random.Generator, counts: Counts) -> list[Row]:
    """Outputs composed so that what the answer does with its request decides; all of one language."""
    prompts = {
        label: [r for r in rows if r.side == "prompt" and r.label == label and r.about_all]
        for label in (COMPLIANT, NONCOMPLIANT)
    }
    given = [r for r in own if r.side == "response"]
    refusals = [r for r in given if r.label == COMPLIANT and not r.context]
    agreeing = {r.text for r in given if r.label == COMPLIANT} & {r.text for r in given if r.label != COMPLIANT}
    agreements = [r for r in given if r.text in agreeing]
    posts = [r for r in rows if r.side == "content" and r.label == NONCOMPLIANT]
    return [
        *_pair(refusals, prompts[NONCOMPLIANT], COMPLIANT, counts.refusals, rng),
        *_pair(agreements, prompts[NONCOMPLIANT], NONCOMPLIANT, counts.agreements, rng),
        *_pair(agreements, prompts[COMPLIANT], COMPLIANT, counts.agreements, rng),
        *_pair(posts, prompts[COMPLIANT], NONCOMPLIANT, counts.posts, rng),
    ]


def _pair(
    given: Sequence[Row], prompts: Sequence[Row], label: str, count: int, rng: np.random.Generator
) -> Iterable[Row]:
    """``count`` answers under random prompts; the label is given, the categories are the prompt's or the answer's."""
    for number in range(count if given and prompts else 0):
        answer, prompt = _any(given, rng), _any(prompts, rng)
        harmful = () if label == COMPLIANT else (prompt if prompt.label != COMPLIANT else answer).categories
        yield replace(
            answer,
            id=f"composed-{answer.id}-{label}-{number}",
            source="composed",
            side="response",
            context=(Turn(Role.USER, prompt.text[:600]),),
            label=label,
            categories=harmful,
            about=(ALL,) if label == COMPLIANT else answer.about,
        )


def harmless_passages(rows: Iterable[Row], lang: str) -> list[tuple[str, ...]]:
    """Sentences of moderate length of compliant texts that speak about everything, in order; each text once."""
    shortest, longest = _SHORTEST[lang], _LONGEST[lang][1]
    found: dict[tuple[str, ...], None] = {}
    for row in rows:
        if row.label == COMPLIANT and row.about_all and row.side != "prompt" and row.source != "contrast":
            whole = (match.strip() for match in _SENTENCE.findall(row.text[:1500]))
            passage = tuple(sentence for sentence in whole if shortest <= len(sentence) <= longest)
            if passage:
                found[passage] = None
    return list(found)


def planted(
    rows: Sequence[Row], passages: Sequence[tuple[str, ...]], lang: str, count: int, rng: np.random.Generator
) -> list[Row]:
    """Harmful texts among harmless sentences, of every side alike; ``planted`` says where."""
    return _among(rows, passages, lang, count, rng, harmful=True)


def harmless(
    rows: Sequence[Row], passages: Sequence[tuple[str, ...]], lang: str, count: int, rng: np.random.Generator
) -> list[Row]:
    """The shape of :func:`planted` without harm; half of the plants are contrast texts, which only look harmful."""
    return _among(rows, passages, lang, count, rng, harmful=False)


def _among(
    rows: Sequence[Row],
    passages: Sequence[tuple[str, ...]],
    lang: str,
    count: int,
    rng: np.random.Generator,
    *,
    harmful: bool,
) -> list[Row]:
    label = NONCOMPLIANT if harmful else COMPLIANT
    fitting = [
        r
        for r in rows
        if r.label == label and len(r.text) <= _LONGEST[lang][0] and not r.planted and (harmful or r.about_all)
    ]
    contrast = [r for r in fitting if r.source == "contrast"]
    out: list[Row] = []
    for side in ("prompt", "response", "content"):
        plants = [r for r in fitting if r.side == side]
        tricky = [r for r in contrast if r.side == side]
        for _ in range(count // 3 if plants and passages else 0):
            plant = _any(tricky if tricky and not harmful and rng.random() < 0.5 else plants, rng)
            parts = _host(passages, rng)
            before = int(rng.integers(0, len(parts) + 1))
            gap = "\n" if rng.random() < 0.15 else _GAP[lang]
            head = gap.join(parts[:before]) + (gap if before else "")
            tail = (gap if parts[before:] else "") + gap.join(parts[before:])
            out.append(
                replace(
                    plant,
                    id=f"composed-{plant.id}-among-{label}-{len(out)}",
                    source="composed",
                    text=head + plant.text.strip() + tail,
                    planted=((len(head), len(head) + len(plant.text.strip())),) if harmful else (),
                )
            )
    return out


def _host(passages: Sequence[tuple[str, ...]], rng: np.random.Generator) -> Sequence[str]:
    """What a plant stands among: a part of one text, or, as often, sentences that have nothing to do with each other.

    In a text of one piece the plant is what does not belong; among loose sentences nothing does, and only its meaning
    tells.
    """
    count = int(rng.integers(1, _MOST_AROUND + 1))
    if rng.random() < 0.5:
        return [_any(_any(passages, rng), rng) for _ in range(count)]
    # The longest of a few, because most texts of the corpora have only one or two sentences.
    passage = max((_any(passages, rng) for _ in range(4)), key=len)
    start = int(rng.integers(max(1, len(passage) - count + 1)))
    return passage[start : start + count]


def wrapped(rows: Sequence[Row], frames: Sequence[Wrapper], counts: Counts, rng: np.random.Generator) -> list[Row]:
    """Requests inside frames, all of one language."""
    prompts = {
        label: [
            r for r in rows if r.side == "prompt" and r.label == label and len(r.text) < 400 and not r.planted
            and r.source != "jailbreak_templates" and "jailbreak" not in r.categories
            and (label == NONCOMPLIANT or r.about_all)
        ]
        for label in (COMPLIANT, NONCOMPLIANT)
    }  # fmt: skip
    out: list[Row] = []
    plan = [(False, COMPLIANT, counts.wrapped), (False, NONCOMPLIANT, counts.wrapped)]
    plan += [(True, NONCOMPLIANT, counts.jailbreaks), (True, COMPLIANT, counts.jailbreaks // 2)]
    for jailbreak, label, count in plan:
        kind = [frame for frame in frames if frame.jailbreak is jailbreak]
        for _ in range(count if kind and prompts[label] else 0):
            frame, request = _any(kind, rng), _any(prompts[label], rng)
            inner = request.text.strip()
            categories, about = request.categories, request.about
            if jailbreak:
                categories = tuple(dict.fromkeys([*categories, "jailbreak"]))
            known = not jailbreak and label == NONCOMPLIANT
            out.append(
                replace(
                    request,
                    id=f"composed-{request.id}-in-{'jailbreak' if jailbreak else 'frame'}-{len(out)}",
                    source="composed",
                    text=frame.before + inner + frame.after,
                    label=NONCOMPLIANT if jailbreak else label,
                    categories=categories,
                    about=about,
                    planted=((len(frame.before), len(frame.before) + len(inner)),) if known else (),
                )
            )
    return out


def encoded(
    rows: Sequence[Row], passages: Sequence[tuple[str, ...]], lang: str, count: int, rng: np.random.Generator
) -> list[Row]:
    """Harmless texts that nobody can read before they are decoded; every third beside a sentence that one can."""
    plain = [row for row in rows if row.label == COMPLIANT and row.about_all and not row.planted]
    out: list[Row] = []
    for number in range(count if plain else 0):
        row = _any(plain, rng)
        text = encode(row.text.strip()[: int(rng.integers(*_ENCODED[lang]))], rng)
        if passages and rng.random() < 1 / 3:
            sentence = _any(_any(passages, rng), rng)
            text = f"{sentence}\n{text}" if rng.random() < 0.5 else f"{text} {sentence}"
        if text.strip():
            out.append(replace(row, id=f"encoded-{row.id}-{number}", source="encoded", text=text))
    return out


def disguised(rows: Sequence[Row], count: int, rng: np.random.Generator) -> list[Row]:
    """Some rows once more, as an evader would write them."""
    plain = [row for row in rows if row.lang in LANGUAGES and not row.planted]
    out: list[Row] = []
    for number in range(count if plain else 0):
        row = _any(plain, rng)
        text = disguise(row.text, row.lang, rng)
        if text != row.text and text.strip():
            out.append(replace(row, id=f"disguised-{row.id}-{number}", source="disguised", text=text))
    return out


def _any(items: Sequence[_T], rng: np.random.Generator) -> _T:
    return items[int(rng.integers(len(items)))]
