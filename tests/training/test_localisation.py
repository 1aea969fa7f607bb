from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from guard.classifier.classifier import Query
from guard.types import NONCOMPLIANT, Direction, Role, Turn
from training.composites import Composite, composites, harmless_paragraphs
from training.corpora import Row
from training.localisation import TokenScore, evaluate, locate, summarise, to_markdown

ENGLISH = "The kite is red. It flies at 3.5 metres! Is the wind strong? We had tea (and cake.) Then it rained."
CHINESE = "风筝是红色的。它飞得很高！今天风大吗？我们喝了茶。后来下雨了。"


def row(name: str, text: str, **changes: object) -> Row:
    """A compliant prompt."""
    made = Row(id=name, source="calm", lang="en", side="prompt", text=text, label="compliant")
    return replace(made, **changes)  # type: ignore[arg-type]  # the caller names fields of Row


def plant(name: str, text: str, **changes: object) -> Row:
    """A noncompliant post."""
    return row(
        name, text, **{"source": "posts", "side": "content", "label": NONCOMPLIANT, "categories": ("hate",)} | changes
    )


PLANTS = [
    plant("p1", "you hateword people"),
    plant("p2", "all hateword of them!"),
    plant("p3", "坏坏坏坏坏坏", lang="zh"),
]
HOSTS = [row("h1", ENGLISH), row("h2", ENGLISH.replace("kite", "ball")), row("h3", CHINESE, lang="zh")]


@pytest.mark.parametrize(
    ("lang", "direction", "known"), [("en", Direction.PROMPT, "hateword"), ("zh", Direction.PROMPT, "坏")]
)
def test_the_plant_stands_where_the_composite_says(lang: str, direction: Direction, known: str) -> None:
    """The text is the paragraph's sentences with one plant between them, which the span covers with its stop."""
    made = composites(PLANTS, HOSTS, lang, direction, count=30)
    assert len(made) == 30
    for composite in made:
        text = composite.query.text
        assert known in text[composite.start : composite.end]
        assert known not in text[: composite.start] + text[composite.end :]
        assert text[composite.end - 1] in ".!。"
        assert (composite.start, composite.end) in composite.sentences
        assert len(composite.sentences) == 6
        assert "".join("".join(text[a:b] for a, b in composite.sentences).split()) == "".join(text.split())
    assert {c.sentences.index((c.start, c.end)) for c in made} == set(range(6))
    assert made == composites(PLANTS, HOSTS, lang, direction, count=30)


def test_what_cannot_be_planted_is_left_out() -> None:
    """Compliant, long and several sentences are no plants; short texts no paragraphs; without either there is none."""
    unfit = [row("a", "a calm line"), plant("b", "very " * 60 + "long"), plant("c", "One hateword. Another one.")]
    assert composites(unfit, HOSTS, "en", Direction.PROMPT, count=5) == []
    assert composites(PLANTS, [row("d", "Short. Text. Here.")], "en", Direction.PROMPT, count=5) == []
    assert composites(PLANTS, HOSTS, "en", Direction.OUTPUT, count=5) == []


def test_a_planted_answer_brings_its_request() -> None:
    """An answer is harmful as an answer; a post among an answer's sentences leaves that answer's request."""
    asked, other = ((Turn(Role.USER, text),) for text in ("a bad thing", "about kites"))
    answer = plant("r", "mix the hateword with it", side="response", context=asked)
    host = row("h", ENGLISH, side="response", context=other)
    assert {c.query.context for c in composites([answer], [host], "en", Direction.OUTPUT, count=3)} == {asked}
    assert {c.query.context for c in composites(PLANTS, [host], "en", Direction.OUTPUT, count=3)} == {other}
    assert composites([answer], [host], "en", Direction.PROMPT, count=3) == []


def test_paragraphs_come_from_harmless_sources() -> None:
    """A compliant text of a source with violations may be about them, and a limited label says too little."""
    mixed = row("m", ENGLISH, source="posts")
    limited = row("l", ENGLISH, about=("hate",))
    assert harmless_paragraphs([*PLANTS, *HOSTS, mixed, limited]) == HOSTS
    assert harmless_paragraphs([*PLANTS, *HOSTS], {"h1"}) == HOSTS[:1]


COMPOSITE = Composite("en", Query("aa bb. cc dd. ee ff.", Direction.PROMPT), 7, 13, ((0, 6), (7, 13), (14, 20)))


def tokens(*scores: float) -> list[TokenScore]:
    """One token a word of the composite, the stops left out."""
    places = [(0, 2), (3, 5), (7, 9), (10, 12), (14, 16), (17, 19)]
    return [(start, end, score) for (start, end), score in zip(places, scores, strict=True)]


def test_places_are_compared_by_tokens_and_sentences() -> None:
    """The ranking is over all tokens, the pointing is of the highest token, a sentence has its mean."""
    right = locate(COMPOSITE, tokens(0.1, 0.2, 0.9, 0.8, 0.1, 0.3))
    assert right is not None
    assert (right.auroc, right.pointed, right.sentence, right.sentences) == (1.0, True, True, 3)
    assert right.tokens == pytest.approx(1 / 3)
    beside = locate(COMPOSITE, tokens(0.1, 0.2, 0.7, 0.8, 0.1, 0.9))
    assert beside is not None
    assert (beside.auroc, beside.pointed, beside.sentence) == (0.75, False, True)
    wrong = locate(COMPOSITE, tokens(0.9, 0.9, 0.0, 0.0, 0.9, 0.9))
    assert wrong is not None
    assert (wrong.auroc, wrong.pointed, wrong.sentence) == (0.0, False, False)
    assert locate(COMPOSITE, []) is None
    assert locate(COMPOSITE, [(7, 9, 0.5)]) is None


def test_a_summary_has_means_and_what_chance_gives() -> None:
    """All texts first, then language and direction; texts that cannot be judged do not count."""

    def by_word(query: Query) -> list[TokenScore]:
        """Knows the English plants and points at everything else in Chinese."""
        words = [(i, i + 8, 0.9) for i in range(len(query.text)) if query.text.startswith("hateword", i)]
        rest = [(i, i + 1, 0.2 if char in "坏。" else 0.6) for i, char in enumerate(query.text) if char.isalpha()]
        return words + rest

    texts = [
        c for lang in ("en", "zh") for c in composites(PLANTS, HOSTS, lang, Direction.PROMPT, count=10)
    ]  # fmt: skip
    whole, english, chinese = evaluate(texts, by_word)
    assert (whole.lang, english.lang, chinese.lang, whole.texts) == ("*", "en", "zh", 20)
    assert (english.pointing, chinese.pointing, chinese.sentence) == (1.0, 0.0, 0.0)
    assert whole.pointing == 0.5
    assert whole.token_auroc == pytest.approx(np.mean([english.token_auroc, chinese.token_auroc]))
    assert english.blind_sentence == pytest.approx(1 / 6)
    assert not whole.reached
    assert summarise([]) == []
    assert evaluate(texts, lambda _: []) == []


def test_the_document_is_printed() -> None:
    """One line a group."""
    group = {
        "lang": "zh",
        "direction": "output",
        "texts": 9,
        "token_auroc": 0.9,
        "pointing": 0.8,
        "sentence": 0.7,
        "blind_pointing": 0.2,
        "blind_sentence": 0.1,
    }
    markdown = to_markdown({"model": "m@1", "reached": False, "groups": [group]})
    assert "| zh | output | 9 | 0.900 | 0.800 | 0.700 | 0.200 | 0.100 |" in markdown
