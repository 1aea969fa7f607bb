"""McNemar's test: did a change make decisions better, or only different?"""

from __future__ import annotations

from math import erfc, sqrt

#: Up to so many changed records the binomial is summed exactly; beyond, chi-square differs in the fourth digit at most.
_EXACT_UP_TO = 1000


def mcnemar(gains: int, losses: int) -> float:
    """Two-sided p-value of "a change is as likely to mend a decision as to break one" (McNemar 1947).

    Only records whose decision became right or wrong say anything; those that stayed right or wrong do not.

    Args:
        gains: Records that were decided wrongly before and rightly after, >= 0.
        losses: Records that were decided rightly before and wrongly after, >= 0.

    Returns:
        A probability, [0..1]; 1 where nothing changed, 0 where it is too small for a float. Exact binomial up to
        1000 changes, then chi-square with one degree of freedom and the continuity correction of Edwards (1948).

    Raises:
        ValueError: A count is negative.
    """
    if gains < 0 or losses < 0:
        raise ValueError("counts are 0 or more")
    changed = gains + losses
    if not changed:
        return 1.0
    if changed > _EXACT_UP_TO:
        statistic = max(0, abs(gains - losses) - 1) ** 2 / changed
        return erfc(sqrt(statistic / 2))
    tail, ways = 0, 1
    for successes in range(min(gains, losses) + 1):
        tail += ways
        ways = ways * (changed - successes) // (successes + 1)
    # Whole numbers to the end: a quotient of large ones is still rounded only once.
    return min(1.0, 2 * tail / (1 << changed))
