from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.normalize import normalize
from guard.policy.load import parse_policy
from tests.bench import evasion_texts as written
from tests.bench.disguises import DISGUISES
from tests.bench.evasion import Cost, Judge, Text, cost, line, own_texts, page, replaced

_POLICY = "version: 1\nname: p\nrules: [{id: w, category: weapons, threshold: 0.9, action: block}]\n"
_TEXTS = [Text("call the world process bomb", "en", True), Text("hello to the world process", "en", False)]


@pytest.fixture(scope="module")
def judge(tiny_model_dir: Path) -> Judge:
    """The tiny classifier and a policy that knows bombs."""
    return Judge(Classifier.load(tiny_model_dir), parse_policy(_POLICY, "p.yaml"))


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_changes_the_texts_it_is_for(name: str) -> None:
    """In each of its languages a disguise changes a text, always in the same way."""
    kind = DISGUISES[name]
    for lang in kind.languages:
        texts = written.ENGLISH if lang == "en" else written.CHINESE
        changed = [kind.change(text) for text in texts]
        assert changed != list(texts) and changed == [kind.change(text) for text in texts]
        assert all(normalize(text).text for text in changed)


def test_a_disguise_is_measured(judge: Judge) -> None:
    """Recall and false alarms are counted before and after, with one reading and with two."""
    found = line("leet", True, _TEXTS, DISGUISES["leet"].change, judge)
    assert found is not None
    assert (found.texts, found.recall_clean, found.recall_first, found.recall) == (2, 1, 0, 1)
    assert (found.alarms_clean, found.alarms_first, found.alarms) == (0, 0, 0)
    assert found.lost == 0 and found.read == 1 and found.ece < found.ece_first
    assert line("none", True, _TEXTS, lambda text: text, judge) is None


def test_the_page_shows_every_line(judge: Judge) -> None:
    """The figures stand between the markers of a page, one row a disguise, those without a rule in italics."""
    lines = [found for exact in (True, False) if (found := line("x", exact, _TEXTS, str.upper, judge))]
    shown = page(lines, Cost(10, 0.1, 0.01, 25.0), "m@1")
    assert "| x | en | 2 |" in shown and "| *x* | en | 2 |" in shown and "25 microseconds" in shown
    text = "a\n<!-- evasion: begin -->\nold\n<!-- evasion: end -->\nb\n"
    assert replaced(text, "new") == "a\n<!-- evasion: begin -->\nnew\n<!-- evasion: end -->\nb\n"


def test_own_benign_texts_are_read_once() -> None:
    """None of the benign texts that were written for the benchmark gets a second reading."""
    found = cost(own_texts())
    assert found.read == 0 and found.texts == len(written.BENIGN_ENGLISH) + len(written.BENIGN_CHINESE)
