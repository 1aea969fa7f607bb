"""What thresholds are chosen for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Aim(StrEnum):
    """What is asked of the thresholds."""

    MAX_FPR = "max_fpr"
    MIN_RECALL = "min_recall"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Goal:
    """What thresholds are chosen for.

    Attributes:
        aim: A bound on false alarms, under which recall is maximised; a bound on recall, under which false alarms
            are minimised; or the least cost.
        bound: The bound, 0..1; not read for a cost.
        fp: What a false alarm costs, >= 0; read for a cost only.
        fn: What a missed text costs, >= 0.
    """

    aim: Aim
    bound: float = 0.0
    fp: float = 1.0
    fn: float = 1.0
