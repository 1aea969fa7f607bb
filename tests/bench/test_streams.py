from __future__ import annotations

import random
from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.normalize import normalize
from guard.policy.store import PolicyStore
from guard.recognizers import detect
from tests.bench.stream_texts import HARMFUL_CHINESE, HARMFUL_ENGLISH, bank_card, email, id_card, phone
from tests.bench.streams import CountingEngine, Planted, deltas, kinds, line, plant, policies, run, table


@pytest.fixture(scope="module")
def engine(tiny_model_dir: Path) -> CountingEngine:
    """The measured engine over the tiny model."""
    loaded = Classifier.load(tiny_model_dir)
    return CountingEngine(loaded, PolicyStore(policies([8])))


@pytest.mark.parametrize("chinese", [False, True])
def test_a_planted_violation_stands_where_it_is_said(chinese: bool) -> None:
    """The place of a violation holds it, and the deltas are the text."""
    draw = random.Random(1)
    for _, source in kinds(chinese).values():
        planted = plant(draw, source, chinese)
        found = planted.text[planted.start : planted.end]
        if source is None:
            assert found == ""
        elif not callable(source):
            assert found in source
            assert found.startswith((*HARMFUL_CHINESE, *HARMFUL_ENGLISH))
        assert "".join(deltas(draw, planted.text, chinese)) == planted.text


@pytest.mark.parametrize(
    ("invent", "category"),
    [(phone, "pii.phone"), (email, "pii.email"), (bank_card, "pii.bank_card"), (id_card, "pii.id_card")],
)
def test_invented_data_is_what_it_is_called(invent: object, category: str) -> None:
    """The recognizers take what is invented for what it stands for, so a leak would be one."""
    assert callable(invent)
    draw = random.Random(2)
    for _ in range(50):
        text = invent(draw)
        assert [(d.category, d.span.start, d.span.end) for d in detect(normalize(text))] == [(category, 0, len(text))]


def test_what_happened_is_counted(engine: CountingEngine) -> None:
    """A masked number is on time; a harmless stream is not acted on; the table has a line for each kind."""
    text = "hello world " * 20 + "mail a@example.com or " + "hello world " * 20
    start = text.index("a@")
    ran = run(engine, Planted(text, start, start + 13), [text], "rewrite-8")
    assert ran.acted and ran.whole and ran.leaked == 0
    assert ran.characters == len(text) and ran.slices > 1 and ran.read > ran.tokens
    calm = run(engine, Planted("hello", 0, 0), ["hel", "lo"], "rewrite-8")
    assert not calm.acted and calm.slices == 1
    lines = [line("personal data, masked", 8, [ran]), line("nothing", 8, [calm])]
    assert (lines[0].on_time, lines[0].missed, lines[1].missed) == (1, 0, 1)
    assert table(lines).count("\n") == 3


def test_a_leak_is_counted(engine: CountingEngine) -> None:
    """Characters of a violation that leave as they were are leaked: here the place is in a harmless text."""
    ran = run(engine, Planted("hello world", 6, 11), ["hello world"], "rewrite-8")
    assert ran.leaked == 5
