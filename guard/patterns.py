"""Patterns that somebody writes: RE2 and nothing else.

RE2 takes time that is linear in the text whatever the pattern, so who writes a policy cannot stop the guard with a slow
one. A pattern sees the NORMALISED text.
"""

from __future__ import annotations

from typing import Any

import re2

from guard.normalize import normalize

#: What :func:`compile_pattern` raises of a pattern that is none.
Unreadable: type[Exception] = re2.error
#: Code points of the longest pattern.
MAX_PATTERN = 200

# A pattern that is found in one of these would be found in every text.
_EVERYWHERE = ("", "a", "你", " ", "a 1 中", *".,;:!?'\"()-/。，！？")


class BadPattern(ValueError):
    """A pattern that cannot be used: ``what`` is wrong with it, and the ``cure``."""

    def __init__(self, what: str, cure: str) -> None:
        self.what, self.cure = what, cure
        super().__init__(f"{what} ({cure})")


def checked_pattern(pattern: str) -> str:
    """A pattern that can be used.

    Raises:
        BadPattern: It is no RE2, is found in every text, or asks for what normalised texts do not have.
    """
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"a pattern of {len(pattern)} characters", f"write at most {MAX_PATTERN}, or several patterns")
    if (plain := normalize(pattern).text) != pattern:
        raise BadPattern("a pattern with characters that normalised texts do not have", f"write {plain}")
    try:
        compiled = compile_pattern(pattern)
    except re2.error as error:
        raise BadPattern(f"not a pattern of RE2: {_reason(error)}", "see github.com/google/re2/wiki/Syntax") from None
    for sample in _EVERYWHERE:
        for match in compiled.finditer(sample):
            if match.start() == match.end():
                raise BadPattern("a pattern that matches the empty text", "write + in place of *, or a word around it")
            if len(sample) == 1 and not sample.isalnum():
                raise BadPattern("a pattern that matches punctuation or space alone", "write what has to stand there")
    return pattern


def compile_pattern(pattern: str, *, any_case: bool = False) -> Any:
    """A checked pattern, ready to be searched for.

    Args:
        pattern: See :func:`checked_pattern`.
        any_case: Match whatever the case.

    Raises:
        Unreadable: It is no pattern of RE2, or too large a one.
    """
    options = re2.Options()
    options.case_sensitive = not any_case
    options.log_errors = False
    return re2.compile(pattern, options)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "it cannot be read"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
