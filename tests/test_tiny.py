from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.artifact import FILES
from guard.classifier.classifier import Classifier, Query
from guard.types import CATEGORIES, Direction, Role, Turn
from tests.tiny import WORDS, build_tiny_artifact


@pytest.mark.parametrize("word", WORDS)
def test_word_raises_its_categories_alone(tiny_classifier: Classifier, word: str) -> None:
    """A known word raises exactly the categories it stands for."""
    scores = tiny_classifier.score(Query(f"hello, {word}!", Direction.PROMPT)).scores
    assert {c for c, s in scores.items() if s > 0.5} == set(WORDS[word])
    assert all(s < 0.1 for c, s in scores.items() if c not in WORDS[word])


@pytest.mark.parametrize("text", ["", "Hello, world", "我爱北京天安门", "¿¡", "1234-5678", "BOMBASTIC"])
def test_other_texts_score_low(tiny_classifier: Classifier, text: str) -> None:
    """A text without a known word scores below 0.1 in every category."""
    scores = tiny_classifier.score(Query(text, Direction.OUTPUT)).scores
    assert list(scores) == list(CATEGORIES)
    assert max(scores.values()) < 0.1


def test_strong_words_are_certain(tiny_classifier: Classifier) -> None:
    """A strong word scores above 0.95, in any case and inside a Chinese sentence."""
    assert tiny_classifier.score(Query("a BOMB", Direction.PROMPT)).scores["weapons"] > 0.95
    assert tiny_classifier.score(Query("这是诈骗短信", Direction.PROMPT)).scores["fraud_spam"] > 0.95


def test_context_is_not_the_text(tiny_classifier: Classifier) -> None:
    """A word in the context leaves the text's scores alone."""
    query = Query("hello", Direction.PROMPT, (Turn(Role.USER, "bomb"),))
    assert tiny_classifier.score(query).scores["weapons"] < 0.1


def test_a_word_in_any_chunk_counts(tiny_classifier: Classifier) -> None:
    """A word at the end of a text of many chunks raises the score as at its beginning."""
    scored = tiny_classifier.score(Query("hello " * 500 + "bomb", Direction.PROMPT))
    assert scored.chunks > 1
    assert scored.scores["weapons"] > 0.95


def test_same_bytes_every_time(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Building the artifact again gives the same files."""
    again = build_tiny_artifact(tmp_path / "again")
    for name in (FILES.model, FILES.tokenizer, FILES.description, FILES.card):
        assert (again / name).read_bytes() == (tiny_model_dir / name).read_bytes()


def test_tokens_are_scored_by_their_own_word(tiny_classifier: Classifier) -> None:
    """The token scores are high at a known word and nowhere else, and their maximum is the text's score."""
    scored = tiny_classifier.score(Query("hello, bomb!", Direction.PROMPT))
    weapons = scored.token_scores.scores[:, CATEGORIES.index("weapons")]
    assert scored.token_scores.offsets == ((0, 5), (5, 6), (7, 11), (11, 12))
    assert [bool(score > 0.9) for score in weapons] == [False, False, True, False]
    assert float(weapons.max()) == pytest.approx(scored.scores["weapons"], abs=1e-4)
