"""The contrast set keeps its promises: valid, unique, short, paired and free of the demo's texts."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from guard.types import CATEGORIES, NONCOMPLIANT
from training import contrast
from training.contrast import MAX_EXPANSIONS, THEMES, Wrapper, _fillings, contrast_rows, wrappers

KEYS = {"id", "lang", "side", "text", "context", "label", "categories", "about", "theme"}
#: What the demonstration screens; a model must not have been trained on it.
DEMO_TEXTS = (
    "How to kill a Linux process",
    "如何杀死一个 Linux 进程",
    "我爱北京天安门",
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The whole set, read once."""
    return contrast_rows()


@pytest.fixture(scope="module")
def frames() -> list[Wrapper]:
    """The frames, read once."""
    return wrappers()


def _squeezed(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return (row["side"], json.dumps(row["context"], ensure_ascii=False), _squeezed(row["text"]) or row["text"])


def test_every_row_is_valid(rows: list[dict[str, Any]]) -> None:
    """Every row has exactly the agreed keys with legal values, and categories if and only if it is noncompliant."""
    legal = (set(CATEGORIES) - {NONCOMPLIANT}) | {"other"}
    for row in rows:
        assert set(row) == KEYS, row["id"]
        assert row["lang"] in {"en", "zh"}, row["id"]
        assert row["side"] in {"prompt", "response", "content"}, row["id"]
        assert row["label"] in {"compliant", "noncompliant"}, row["id"]
        assert row["theme"] in THEMES and row["about"] == ["all"], row["id"]
        assert set(row["categories"]) <= legal, row["id"]
        assert bool(row["categories"]) == (row["label"] == "noncompliant"), row["id"]


def test_texts_are_short_and_whole(rows: list[dict[str, Any]]) -> None:
    """No text or turn is blank, longer than 700 characters, or left with an unfilled slot."""
    for row in rows:
        context = row["context"]
        turns = [turn["text"] for turn in context] if isinstance(context, list) else [context] if context else []
        for text in [row["text"], *turns]:
            assert text.strip() and len(text) <= 900, row["id"]
            assert not re.search(r"\{s\d+\}", text) and not re.search(r"<[^<>]*\|", text), row["id"]


def test_context_is_a_request_or_turns(rows: list[dict[str, Any]]) -> None:
    """A context is absent, a request of a response, or a list of turns by user and assistant."""
    for row in rows:
        if isinstance(row["context"], str):
            assert row["side"] == "response", row["id"]
        elif row["context"] is not None:
            assert row["context"], row["id"]
            for turn in row["context"]:
                assert set(turn) == {"role", "text"} and turn["role"] in {"user", "assistant"}, row["id"]


def test_ids_are_unique_and_stable(rows: list[dict[str, Any]]) -> None:
    """Ids are unique, and reading the files again gives the same rows in the same order."""
    assert len({row["id"] for row in rows}) == len(rows)
    assert contrast_rows() == rows


def test_no_text_occurs_twice(rows: list[dict[str, Any]]) -> None:
    """No text occurs twice on one side under one context, punctuation and case aside."""
    counts = Counter(map(_key, rows))
    assert [key for key, count in counts.items() if count > 1] == []


def test_a_text_without_context_has_one_label(rows: list[dict[str, Any]]) -> None:
    """One text has two labels only where a context tells them apart."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["context"] is None:
            labels[_squeezed(row["text"]) or row["text"]].add(row["label"])
    assert [text for text, found in labels.items() if len(found) > 1] == []


def test_some_answers_are_decided_by_their_context(rows: list[dict[str, Any]]) -> None:
    """In both languages, several answers occur with both labels, under different contexts."""
    labels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["side"] == "response":
            labels[row["lang"], row["text"]].add(row["label"])
    both = Counter(lang for (lang, _), found in labels.items() if len(found) == 2)
    assert both["en"] >= 10 and both["zh"] >= 10


def test_both_labels_in_every_theme_and_language(rows: list[dict[str, Any]]) -> None:
    """Every theme has compliant and noncompliant texts, in both languages or in the one that it is named after."""
    found = {(row["theme"], row["lang"], row["label"]) for row in rows}
    languages = {t: (t[-2:],) if t.endswith(("_en", "_zh")) else ("en", "zh") for t in THEMES}
    assert found == {(t, la, lb) for t in THEMES for la in languages[t] for lb in ("compliant", "noncompliant")}
    assert {t[:-3] for t in THEMES if t.endswith("_en")} == {t[:-3] for t in THEMES if t.endswith("_zh")}


def test_languages_and_labels_are_balanced(rows: list[dict[str, Any]]) -> None:
    """Neither language has less than 45 %, and between half and 70 % of each language is compliant."""
    for lang in ("en", "zh"):
        own = [row for row in rows if row["lang"] == lang]
        assert len(own) >= 0.45 * len(rows)
        assert 0.5 <= sum(row["label"] == "compliant" for row in own) / len(own) <= 0.7


def test_every_category_occurs_in_both_languages(rows: list[dict[str, Any]]) -> None:
    """Each of the product's categories has prompts in both languages."""
    found = {(c, row["lang"]) for row in rows if row["side"] == "prompt" for c in row["categories"]}
    assert {(c, lang) for c in CATEGORIES if c != NONCOMPLIANT for lang in ("en", "zh")} <= found


def test_demo_texts_are_absent(rows: list[dict[str, Any]]) -> None:
    """No text the demonstration shows occurs in the set, spacing, punctuation and case aside."""
    everything = [_squeezed(json.dumps([row["text"], row["context"]], ensure_ascii=False)) for row in rows]
    for demo in map(_squeezed, DEMO_TEXTS):
        assert not any(demo in text for text in everything)


def test_frames_hold_one_request_and_are_of_both_kinds(frames: list[Wrapper]) -> None:
    """A frame has one place for a request and words around it; both kinds occur in both languages, as often."""
    counts = Counter((frame.lang, frame.jailbreak) for frame in frames)
    assert counts.keys() == {(lang, jailbreak) for lang in ("en", "zh") for jailbreak in (False, True)}
    assert min(counts.values()) >= 0.7 * max(counts.values())
    for frame in frames:
        words = frame.before + frame.after
        # Frames may be code or JSON, and so hold braces; a name in braces is a placeholder that nothing would fill.
        assert words.strip() and not re.search(r"\{\w*\}", words), frame
        assert bool(re.search("[\u4e00-\u9fff]", words)) == (frame.lang == "zh"), frame


def test_no_frame_occurs_twice(frames: list[Wrapper]) -> None:
    """No frame occurs twice, punctuation and case aside; none shows what the demonstration screens."""
    squeezed = [_squeezed(frame.before) + "|" + _squeezed(frame.after) for frame in frames]
    assert [frame for frame, count in Counter(squeezed).items() if count > 1] == []
    assert not any(_squeezed(demo) in frame for demo in DEMO_TEXTS for frame in squeezed)


@pytest.mark.parametrize("text", ["no place", "{request} and {request}"])
def test_a_frame_without_one_place_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame with no place for a request, or with two, is refused with its file."""
    line = json.dumps({"lang": "en", "kind": "neutral", "text": text})
    (tmp_path / "wrappers.jsonl").write_text(line + "\n", encoding="utf-8")
    monkeypatch.setattr(contrast, "_HERE", tmp_path)
    with pytest.raises(ValueError, match=r"wrappers\.jsonl"):
        wrappers()


def test_a_template_gives_few_texts_that_use_every_alternative() -> None:
    """A template with many fillings gives at most the limit, all different, each alternative used."""
    slots = {"a": [f"a{n}" for n in range(6)], "b": [f"b{n}" for n in range(4)], "c": ["x", "y"]}
    chosen = _fillings(slots)
    assert len(chosen) == MAX_EXPANSIONS
    assert len({tuple(sorted(filling.items())) for filling in chosen}) == MAX_EXPANSIONS
    assert {item for filling in chosen for item in filling.items()} == {(s, v) for s in slots for v in slots[s]}
