"""What is wrong with an option of the server, in guard's own words: what was given, and what would be legal.

The kinds are pydantic's names for its errors; :mod:`guard.server.settings` hands them over as plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guard.errors import Violation

_NOT_WHOLE = frozenset({"int_parsing", "int_parsing_size", "int_type", "int_from_float"})
_NO_NUMBER = frozenset({"float_parsing", "float_type"})
_OUT_OF_RANGE = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"})
_NO_SWITCH = frozenset({"bool_parsing", "bool_type"})
_HELP = "see guard serve --help"
_SHOWN = 60


def option_violation(
    field: str, kind: str, given: object, context: Mapping[str, object], bounds: Iterable[object], default: object
) -> Violation:
    """One broken option.

    Args:
        field: The option or the variable, as it was given.
        kind: The kind of the error.
        given: The refused value.
        context: What the error knows besides; ``expected`` is a list of words in quotes.
        bounds: Constraints of the option, any of them with ``ge``, ``gt`` or ``le``.
        default: What is in force where the option is not given.
    """
    shown = repr(str(given)[:_SHOWN])
    if kind in _NOT_WHOLE:
        return Violation(field, f"not a whole number: {shown}", _range(bounds))
    if kind in _NO_NUMBER:
        return Violation(field, f"not a number: {shown}", _range(bounds))
    if kind in _OUT_OF_RANGE:
        return Violation(field, f"{str(given)[:_SHOWN]} is out of range", _range(bounds))
    if kind in _NO_SWITCH:
        return Violation(field, f"neither true nor false: {shown}", "true or false")
    if kind == "literal_error":
        legal = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        return Violation(field, f"unknown value: {shown}", f"one of {legal}")
    if kind == "string_pattern_mismatch":
        return Violation(field, f"not in its form: {shown}", f"such as {default}")
    if kind == "too_short":
        return Violation(field, "empty", "give at least one, or leave it out")
    return Violation(field, f"not legal: {shown}", _HELP)


def _range(bounds: Iterable[object]) -> str:
    known = {
        name: bound
        for found in bounds
        for name in ("ge", "gt", "le")
        if (bound := getattr(found, name, None)) is not None
    }
    if "ge" in known and "le" in known:
        return f"{known['ge']} to {known['le']}"
    least = [f"at least {known['ge']}"] if "ge" in known else [f"above {known['gt']}"] if "gt" in known else []
    most = [f"at most {known['le']}"] if "le" in known else []
    return ", ".join((*least, *most)) or _HELP
