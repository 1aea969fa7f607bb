from __future__ import annotations

from typing import Any

import pytest

from training.bench.targets import POOLS, TARGETS, Target, measure


def line(source: str, **figures: float | None) -> dict[str, Any]:
    """A line of a table's document."""
    return {"side": "prompt", "lang": "en", "source": source, **figures}


def table(*lines: dict[str, Any], **more: object) -> dict[str, Any]:
    """A document with these lines by source."""
    return {"lines": list(lines), "families": [], **more}


RECALL = Target("reach", "prompt", "en", ("a", "b"), "recall", 0.5)


def test_several_sources_count_alike() -> None:
    """The measure is the mean over the sources, in each column of thresholds."""
    document = table(line("a", recall=0.9, policy_recall=0.2), line("b", recall=0.3, policy_recall=0.4))
    (found,) = measure(document, [RECALL])
    assert found.policy == pytest.approx(0.3)
    assert found.point == pytest.approx(0.6)
    assert (found.by_policy, found.by_point) == (False, True)


def test_a_source_that_is_missing_leaves_the_target_open() -> None:
    """A mean over fewer sources would be another measure; one that a line does not have counts as missing."""
    for document in (table(line("a", recall=0.9)), table(line("a", recall=0.9), line("b", recall=None))):
        (found,) = measure(document, [RECALL])
        assert (found.point, found.by_point) == (None, None)


def test_less_is_better_for_false_alarms() -> None:
    """False alarms are reached from below, the border included; rankings from above."""
    alarms = Target("reach", "prompt", "en", ("a",), "fpr", 0.03)
    ranking = Target("reach", "prompt", "en", ("a",), "auroc", 0.85)
    document = table(line("a", fpr=0.04, policy_fpr=0.03, auroc=0.85))
    first, second = measure(document, [alarms, ranking])
    assert (first.by_policy, first.by_point) == (True, False)
    assert (second.by_policy, second.by_point) == (True, True)


def test_a_target_may_name_its_thresholds() -> None:
    """Where the target says which thresholds count, the other column is empty."""
    document = table(line("a", fpr=0.01, policy_fpr=0.02))
    by_policy, by_point = measure(
        document, [Target("must", "prompt", "en", ("a",), "fpr", 0.03, column=column) for column in ("policy", "point")]
    )
    assert (by_policy.policy, by_policy.point) == (0.02, None)
    assert (by_point.policy, by_point.point) == (None, 0.01)


def test_lines_lost_are_counted_where_there_is_a_baseline() -> None:
    """Without a baseline nothing was lost or won."""
    losses = Target("must", "", "", (), "losses", 0)
    (lost,) = measure(table(summary={"losses": 2}), [losses])
    assert (lost.policy, lost.by_policy) == (2, False)
    (unknown,) = measure(table(summary=None), [losses])
    assert unknown.by_policy is None


def test_sources_that_were_trained_on_are_named() -> None:
    """A value says which of its sources the model saw."""
    (found,) = measure(table(line("a"), line("b"), unseen=["b"]), [RECALL])
    assert found.seen == ("a",)
    assert measure(table(), [RECALL])[0].seen is None


def test_targets_are_well_formed() -> None:
    """Every target names known measures and columns; a pool that one asks for is tabulated."""
    assert {t.measure for t in TARGETS} <= {"auroc", "auprc", "recall", "fpr", "f1", "losses"}
    assert {t.column for t in TARGETS} <= {"both", "policy", "point"}
    starred = {s for t in TARGETS for s in t.sources if s.startswith("*")}
    assert starred == {"*unseen", "*benign"} | {f"*{pool.name}" for pool in POOLS}
    assert len({(t.kind, t.side, t.lang, t.sources, t.measure) for t in TARGETS}) == len(TARGETS)
