from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.cache import ScoreCache
from guard.classifier.classifier import Query, Scored, TokenScores
from guard.types import Direction, Role, Timings, Turn

_TEXT = st.text("ab", max_size=3)
_QUERY = st.builds(
    Query,
    _TEXT,
    st.sampled_from(Direction),
    st.lists(st.builds(Turn, st.sampled_from(Role), _TEXT), max_size=2).map(tuple),
)


def _scored(score: float, tokens: int = 1) -> Scored:
    token_scores = TokenScores(((0, 1),), np.zeros((1, 14), np.float32))
    return Scored({"hate": score}, token_scores, tokens, 1, Timings(queue=1, tokenise=2, infer=3))


@given(st.lists(st.tuples(_QUERY, st.text("rs", max_size=2)), unique=True, max_size=20))
def test_different_questions_have_different_keys(asked: list[tuple[Query, str]]) -> None:
    """Text, direction, every turn of the context and the model's revision tell two questions apart."""
    cache = ScoreCache(8)
    keys = [cache.key(query, revision) for query, revision in asked]
    assert len(set(keys)) == len(asked)
    assert keys == [cache.key(query, revision) for query, revision in asked]


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=60))
def test_it_is_a_bounded_lru(entries: int, steps: list[tuple[bool, int]]) -> None:
    """As many scores are kept as it may, those asked for or stored most recently; hits and misses are counted."""
    cache = ScoreCache(entries)
    model: OrderedDict[int, float] = OrderedDict()
    hits = misses = 0
    for store, number in steps:
        key = cache.key(Query(str(number), Direction.PROMPT), "r")
        if store:
            cache.put(key, _scored(number))
            model[number] = number
            model.move_to_end(number)
            while len(model) > entries:
                model.popitem(last=False)
            continue
        found = cache.get(key)
        assert (found.scores["hate"] if found else None) == model.get(number)
        if found:
            model.move_to_end(number)
        hits, misses = hits + (found is not None), misses + (found is None)
    assert (len(cache), cache.hits, cache.misses) == (len(model), hits, misses)


def test_what_is_found_took_no_time() -> None:
    """Cached scores do not carry the time that they once took."""
    cache = ScoreCache(1)
    key = cache.key(Query("hello", Direction.PROMPT), "r")
    cache.put(key, _scored(0.5))
    found = cache.get(key)
    assert found is not None and found.timings.total == 0


def test_it_holds_no_text_and_no_guessable_key() -> None:
    """Nothing in it is a text, and another process has other keys for the same one."""
    one, other = ScoreCache(4), ScoreCache(4)
    query = Query("secretword", Direction.PROMPT, (Turn(Role.USER, "secretturn"),))
    one.put(one.key(query, "r"), _scored(0.5))
    assert one.key(query, "r") != other.key(query, "r")
    assert b"secret" not in pickle.dumps(one._scored)


def test_long_texts_are_not_kept() -> None:
    """The scores of a long text take the room of many short ones and are not kept."""
    cache = ScoreCache(4)
    key = cache.key(Query("long", Direction.PROMPT), "r")
    cache.put(key, _scored(0.5, tokens=257))
    assert len(cache) == 0


def test_a_lone_surrogate_has_a_key() -> None:
    """Whatever the normaliser leaves in a text, it can be remembered."""
    cache = ScoreCache(1)
    assert cache.key(Query("\ud800", Direction.PROMPT), "r") != cache.key(Query("\udfff", Direction.PROMPT), "r")
