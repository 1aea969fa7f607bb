"""Which policy decides where a caller names none: a short list of tags and policies beside the policies.

A list and not a key of each policy, because the order then says what happens to content that two of them match. The
first route whose tags all fit decides; a caller that names a policy is past all this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.errors import Problem
from guard.policy.schema import RouteFile
from guard.policy.source import Document, Loc, read_bytes, read_document
from guard.policy.suggest import did_you_mean
from guard.policy.validate import validate


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the list.

    Attributes:
        tags: Tag -> its values, one of which the content must have; at least one tag.
        policy: Name of the policy that decides then.
    """

    tags: Mapping[str, frozenset[str]]
    policy: str

    def fits(self, tags: Mapping[str, str]) -> bool:
        """True if the content has all of the tags."""
        return all(tags.get(name) in values for name, values in self.tags.items())

    def covers(self, other: Route) -> bool:
        """True if whatever fits the other route fits this one."""
        return all(name in other.tags and other.tags[name] <= values for name, values in self.tags.items())


@dataclass(frozen=True, slots=True)
class Routes:
    """The whole list; empty where there is no file.

    Attributes:
        routes: In the file's order.
        default: Name of the policy where no route fits; empty if the file does not say.
    """

    routes: tuple[Route, ...] = ()
    default: str = ""

    def policy(self, tags: Mapping[str, str]) -> str:
        """Name of the policy for content with these tags; :attr:`default` if no route fits."""
        return next((route.policy for route in self.routes if route.fits(tags)), self.default)


def load_routes(path: Path, policies: Sequence[str]) -> Routes:
    """Load and check a file of routes.

    Args:
        path: ``routes.yaml``.
        policies: Names that a route may give.

    Raises:
        PolicyError: It cannot be read, or it has mistakes: all of them, ``file:line:column: what (cure)``.
    """

    def cross_check(document: Document) -> list[Problem]:
        return [*_unknown(document, policies), *_unreachable(document)]

    entry = validate(read_document(read_bytes(path), str(path)), RouteFile, cross_check)
    routes = tuple(Route(_values(route.tags), route.policy) for route in entry.routes)
    return Routes(routes, entry.default or "")


def _values(tags: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(values) for name, values in tags.items()}


def _unknown(document: Document, policies: Sequence[str]) -> Iterator[Problem]:
    for loc, name in _names(document):
        if isinstance(name, str) and name not in policies:
            what = f"no policy named {name} beside it"
            yield document.problem(loc, what, did_you_mean(name, policies) or f"one of {', '.join(sorted(policies))}")


def _names(document: Document) -> Iterator[tuple[Loc, object]]:
    if isinstance(document.value, dict):
        yield ("default",), document.value.get("default")
    for index, route in _entries(document):
        yield ("routes", index, "policy"), route.get("policy")


def _unreachable(document: Document) -> Iterator[Problem]:
    """Routes behind one that takes all that fits them; without this they would sit there and do nothing."""
    before: list[tuple[int, Route]] = []
    for index, entry in _entries(document):
        tags = entry.get("tags")
        if not isinstance(tags, dict) or not tags:
            continue
        route = Route({str(name): _some(value) for name, value in tags.items()}, "")
        for first, other in before:
            if other.covers(route):
                what = f"never reached: the route on line {document.values['routes', first].line} fits all that it fits"
                yield document.problem(("routes", index), what, "put it before that one, or remove it")
                break
        before.append((index, route))


def _some(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset({str(value)})


def _entries(document: Document) -> Iterator[tuple[int, dict[str, object]]]:
    routes = document.value.get("routes") if isinstance(document.value, dict) else None
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict):
            yield index, route
