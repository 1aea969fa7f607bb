"""How long a call may take, checked before it is made: gRPC would answer nonsense with a deadline that has passed."""

from __future__ import annotations

import math

from guard.errors import InvalidInput


def checked_timeout(timeout: float | None) -> float | None:
    """Seconds that a call may take, or None for whoever does not say.

    Raises:
        InvalidInput: No number, not finite, or not above 0; the field is ``timeout``.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise InvalidInput.of("timeout", "not a number", "give seconds, such as 10")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise InvalidInput.of("timeout", f"{timeout:g}: must be above 0, and finite", "give seconds, such as 10")
    return timeout
