from __future__ import annotations

import random

import pytest

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.store import PolicyStore
from guard.types import Action, Span
from tests.bench.rewriting import KINDS, Looked, Planted, line, look, measure, plant, policies, table


@pytest.fixture(scope="module")
def engine(tiny_classifier: Classifier) -> Engine:
    """An engine over the tiny model with the measured policies."""
    return Engine(tiny_classifier, PolicyStore(policies()))


@pytest.mark.parametrize("chinese", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_plants_stand_where_they_are_said(kind: str, chinese: bool) -> None:
    """A composite has as many plants as its kind says, and no mark of its making is left."""
    planted = plant(random.Random(1), kind, chinese)
    assert "\0" not in planted.text
    assert (KINDS[kind][1] == 0) is (planted.plants == ())
    assert len(planted.plants) <= KINDS[kind][1]
    assert all(0 <= span.start < span.end <= len(planted.text) for span in planted.plants)


def test_what_was_taken_is_counted(engine: Engine) -> None:
    """Characters of plants and of others are told apart, and what comes out passes anew."""
    text = "Hello world, how is it? The hateword. Call 13800138000. How is my process?"
    start = text.index("The hateword.")
    looked = look(engine, Planted(text, (Span(start, start + 13),)))
    assert (looked.action, looked.passes) == (Action.REWRITE, True)
    assert (looked.hit, looked.covered, looked.planted) == (12, 12 + 11, 12)


def test_shares_are_of_what_was_found() -> None:
    """Blocked texts count as found and not as rewritten; a kind of which nothing was found has no shares."""
    looked = [Looked(Action.REWRITE, True, 8, 10, 16, 92, 3.0), Looked(Action.BLOCK, False, 0, 0, 0, 0, 5.0)]
    one = line("a sentence", "en", [*looked, Looked(Action.ALLOW, False, 0, 0, 0, 0, 0.0)])
    assert (one.found, one.rewritten, one.precision, one.recall) == (2 / 3, 0.5, 0.8, 0.5)
    assert (one.passes, one.kept) == (1.0, 90 / 92)
    nothing = line("nothing", "en", [Looked(Action.ALLOW, False, 0, 0, 0, 0, 0.0)])
    assert (nothing.found, nothing.rewritten, nothing.kept, nothing.added_median) == (0.0, None, None, None)
    assert table([one, nothing]).count("\n") == 3


def test_it_measures_every_kind(engine: Engine) -> None:
    """A line for each kind and language."""
    lines = measure(engine, 1)
    assert [(one.kind, one.language) for one in lines] == [(kind, lang) for kind in KINDS for lang in ("en", "zh")]
