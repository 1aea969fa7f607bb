from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InvalidInput, PolicyError
from guard.policy.routes import Route, Routes
from guard.policy.store import PolicyStore

_ROOT = Path(__file__).resolve().parents[2]
_ROUTES = """\
version: 1
default: base
routes:
  - {tags: {tenant: bank, route: [chat, voice]}, policy: strict}
  - {tags: {tenant: bank}, policy: bank}
"""
_VALUES = st.sampled_from(["a", "b", "c"])
_TAGS = st.dictionaries(st.sampled_from(["x", "y"]), _VALUES)
_ROUTE = st.builds(
    Route,
    st.dictionaries(st.sampled_from(["x", "y"]), st.frozensets(_VALUES, min_size=1), min_size=1),
    st.just("p"),
)


def _directory(path: Path, routes: str | None, *names: str, file: str = "routes.yaml") -> Path:
    for name in names or ("base", "bank", "strict"):
        rule = "{id: a, category: hate, threshold: 0.5, action: block}"
        (path / f"{name}.yaml").write_text(f"version: 1\nname: {name}\nrules: [{rule}]\n")
    if routes is not None:
        (path / file).write_text(routes)
    return path


@pytest.mark.parametrize(
    ("tags", "policy"),
    [
        ({}, "base"),
        ({"tenant": "shop"}, "base"),
        ({"tenant": "bank"}, "bank"),
        ({"tenant": "bank", "route": "mail"}, "bank"),
        ({"tenant": "bank", "route": "voice", "more": "x"}, "strict"),
        ({"route": "voice"}, "base"),
    ],
)
def test_tags_choose_the_policy(tmp_path: Path, tags: dict[str, str], policy: str) -> None:
    """The first route whose tags the content has decides; without one the default of the file does."""
    store = PolicyStore.load(_directory(tmp_path, _ROUTES))
    assert store.select("", tags).name == policy
    assert store.default.name == "base"


def test_a_name_wins_over_tags(tmp_path: Path) -> None:
    """Who names a policy gets it, whatever the tags say; an unknown name stays an error."""
    store = PolicyStore.load(_directory(tmp_path, _ROUTES))
    assert store.select("base", {"tenant": "bank"}).name == "base"
    with pytest.raises(InvalidInput, match=r"no policy named .bnak.; loaded: bank, base, strict .did you mean bank"):
        store.select("bnak", {"tenant": "bank"})


def test_without_a_file_nothing_is_routed(tmp_path: Path) -> None:
    """A directory without routes is decided by its default."""
    assert PolicyStore.load(_directory(tmp_path, None)).select("", {"tenant": "bank"}).name == "bank"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\ndefault: bse\n", "routes.yaml:2:10: no policy named bse beside it (did you mean base?)"),
        (
            "version: 1\nroutes:\n  - {tags: {tenant: a}, policy: x}\n",
            "routes.yaml:3:33: no policy named x beside it (one of bank, base, strict)",
        ),
        ("version: 1\nroutes:\n  - {tags: {}, policy: bank}\n", "routes.yaml:3:12: tags is empty"),
        ("version: 1\nroutes:\n  - {tag: {a: b}, policy: bank}\n", "unknown key tag (did you mean tags?)"),
        (
            "version: 1\nroutes:\n  - {tags: {tenant: 5}, policy: bank}\n",
            "routes.yaml:3:21: an entry of tenant must be text",
        ),
        ("version: 2\n", "routes.yaml:1:10: version 2 is not one that this guard reads"),
        (
            "version: 1\nroutes:\n  - {tags: {a: b}, policy: bank}\n  - {tags: {c: d, a: [b]}, policy: base}\n",
            "routes.yaml:4:5: never reached: the route on line 3 fits all that it fits",
        ),
        ("version: 1\nroutes: [", "not valid YAML"),
        ("", "the file is empty"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, text: str, said: str) -> None:
    """A broken file of routes keeps the directory from loading, and every mistake is named with its line."""
    with pytest.raises(PolicyError) as caught:
        PolicyStore.load(_directory(tmp_path, text))
    assert said in str(caught.value)


def test_two_files_of_routes_are_refused(tmp_path: Path) -> None:
    """Two files of routes would hide one another."""
    _directory(tmp_path, _ROUTES)
    with pytest.raises(PolicyError, match=r"routes\.yml:1:1: routes\.yaml stands beside it"):
        PolicyStore.load(_directory(tmp_path, _ROUTES, file="routes.yml"))


@given(st.lists(_ROUTE, max_size=4), _TAGS)
def test_a_covered_route_never_decides(routes: list[Route], tags: dict[str, str]) -> None:
    """A route that an earlier one covers decides about nothing, and the first that fits does."""
    named = [Route(route.tags, str(index)) for index, route in enumerate(routes)]
    chosen = Routes(tuple(named)).policy(tags)
    fitting = [route.policy for route in named if all(tags.get(k) in v for k, v in route.tags.items())]
    assert chosen == (fitting[0] if fitting else "")
    if chosen:
        assert not any(earlier.covers(named[int(chosen)]) for earlier in named[: int(chosen)])


def test_the_example_of_the_reference_chooses(tmp_path: Path) -> None:
    """The routes that policies/README.md shows are sound."""
    section = (_ROOT / "policies" / "README.md").read_text(encoding="utf-8").split("## Several policies")[1]
    example = section.split("```yaml\n")[1].split("```")[0]
    store = PolicyStore.load(_directory(tmp_path, example, "shop", "bank", "strict"))
    assert store.select("", {}).name == "shop"
    assert store.select("", {"tenant": "bank", "route": "chat"}).name == "strict"


def test_the_example_of_the_reference_serves_policies_that_ship(tmp_path: Path) -> None:
    """Three lines for each shipped policy, as policies/README.md shows them, make a directory of them."""
    section = (_ROOT / "policies" / "README.md").read_text(encoding="utf-8").split("## Several policies")[1]
    example = section.split("```yaml\n")[2].split("```")[0]
    for name in ("strict", "default"):
        (tmp_path / f"{name}.yaml").write_text(example.replace("strict", name), encoding="utf-8")
    store = PolicyStore.load(tmp_path)
    assert [policy.name for policy in store.infos()] == ["default", "strict"]
    assert store.default.rules == PolicyStore.load().default.rules
