"""Typed access to a decoded JSON object that collects every mistake instead of stopping at the first.

A broken field yields a harmless value of its type and a violation; the caller builds its object from the
values and then calls :meth:`Fields.raise_broken`, so a reader sees all mistakes of a line at once and the
code that reads stays one expression a field. Values are never quoted: they may be screened text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from guard.errors import InvalidInput, Violation

_SHA256 = re.compile(r"[0-9a-f]{64}")
_EPOCH = datetime.fromtimestamp(0, UTC)


class Fields:
    """One JSON object under examination. Short-lived and not shared between threads."""

    def __init__(self, value: Mapping[str, object], *, prefix: str = "", found: list[Violation] | None = None) -> None:
        self._value = value
        self._prefix = prefix
        self._found: list[Violation] = [] if found is None else found

    def broken(self, name: str, reason: str, cure: str) -> None:
        """Note a mistake in a field."""
        self._found.append(Violation(self._prefix + name, reason, cure))

    def raise_broken(self) -> None:
        """Raise everything noted so far as one InvalidInput; nothing if all is well."""
        if self._found:
            raise InvalidInput(self._found)

    def string(self, name: str, *, empty: bool = True) -> str:
        """A required string."""
        value = self._value.get(name)
        if isinstance(value, str) and (value or empty):
            return value
        self.broken(name, self._missing(name, "not a string" if empty else "not a non-empty string"), "give a string")
        return ""

    def string_or_none(self, name: str) -> str | None:
        """A string, null, or nothing."""
        return None if self._value.get(name) is None else self.string(name)

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """A required string out of ``allowed``; the first of them where it is broken."""
        value = self._value.get(name)
        if isinstance(value, str) and value in allowed:
            return value
        self.broken(name, self._missing(name, "not one of the known values"), f"one of {', '.join(allowed)}")
        return allowed[0]

    def one_of_or_none(self, name: str, allowed: Sequence[str]) -> str | None:
        """As :meth:`one_of`, or null, or nothing."""
        return None if self._value.get(name) is None else self.one_of(name, allowed)

    def count(self, name: str) -> int:
        """A required whole number, 0 or more."""
        value = self._value.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        self.broken(name, self._missing(name, "not a whole number >= 0"), "give a whole number >= 0")
        return 0

    def count_or_none(self, name: str) -> int | None:
        """As :meth:`count`, or null, or nothing."""
        return None if self._value.get(name) is None else self.count(name)

    def flag(self, name: str) -> bool:
        """A required true or false."""
        value = self._value.get(name)
        if isinstance(value, bool):
            return value
        self.broken(name, self._missing(name, "neither true nor false"), "give true or false")
        return False

    def flag_or_none(self, name: str) -> bool | None:
        """As :meth:`flag`, or null, or nothing."""
        return None if self._value.get(name) is None else self.flag(name)

    def probability(self, name: str) -> float:
        """A required number in [0, 1]."""
        value = self._value.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        self.broken(name, self._missing(name, "not a number in [0, 1]"), "give a probability")
        return 0.0

    def time(self, name: str) -> datetime:
        """A required ISO 8601 time with its zone, as UTC."""
        try:
            value = datetime.fromisoformat(self.string(name))
        except ValueError:
            value = _EPOCH.replace(tzinfo=None)
        if value.tzinfo is not None:
            return value.astimezone(UTC)
        if isinstance(self._value.get(name), str):
            self.broken(name, "not an ISO 8601 time with a zone", "such as 2026-01-31T12:00:00Z")
        return _EPOCH

    def sha256(self, name: str) -> str:
        """A required SHA-256 in lower-case hex."""
        value = self._value.get(name)
        if isinstance(value, str) and _SHA256.fullmatch(value):
            return value
        self.broken(name, self._missing(name, "not a SHA-256 in hex"), "give 64 hexadecimal digits")
        return ""

    def mapping(self, name: str) -> Mapping[str, object]:
        """A required object of anything."""
        value = self._value.get(name)
        if isinstance(value, dict):
            return value
        self.broken(name, self._missing(name, "not an object"), "give an object")
        return {}

    def scores(self, name: str) -> Mapping[str, float]:
        """A required object of probabilities."""
        inner = Fields(self.mapping(name), prefix=f"{self._prefix}{name}.", found=self._found)
        return {key: inner.probability(key) for key in inner._value}

    def strings_by_name(self, name: str) -> Mapping[str, str]:
        """A required object of strings."""
        inner = Fields(self.mapping(name), prefix=f"{self._prefix}{name}.", found=self._found)
        return {key: inner.string(key) for key in inner._value}

    def strings_or_none(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, null, or nothing."""
        value = self._value.get(name)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.broken(name, "not a list of strings", "give a list of strings")
        return None

    def objects(self, name: str) -> list[Fields]:
        """A required list of objects; their fields are named ``name[0].field``."""
        value = self._value.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.broken(name, self._missing(name, "not a list of objects"), "give a list of objects")
            return []
        return [Fields(v, prefix=f"{self._prefix}{name}[{i}].", found=self._found) for i, v in enumerate(value)]

    def objects_or_none(self, name: str) -> list[Fields] | None:
        """Like :meth:`objects`; None where it is null or missing."""
        return None if self._value.get(name) is None else self.objects(name)

    def _missing(self, name: str, reason: str) -> str:
        return reason if name in self._value else "missing"
