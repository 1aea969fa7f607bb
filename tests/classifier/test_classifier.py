from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.artifact import DEFAULT_MODEL_DIR, FILES, Platt, TokenLimits, write_artifact
from guard.classifier.chunker import Chunk
from guard.classifier.classifier import Classifier, Query, Scored, _join
from guard.classifier.session import Raw, Session
from guard.errors import ArtifactError, InvalidInput
from guard.types import CATEGORIES, Direction, Role, Turn

_TEXT = st.lists(st.sampled_from(["hello", "bomb", "kill", "scam", "炸", "你好", "world."]), max_size=300).map(" ".join)
_QUERY = st.builds(Query, _TEXT, st.sampled_from(Direction))


@pytest.fixture
def directory(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact that a test may change."""
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def _scores(result: Scored | InvalidInput) -> list[float]:
    assert isinstance(result, Scored)
    return list(result.scores.values())


@settings(max_examples=30)
@given(st.lists(_QUERY, max_size=12))
def test_a_batch_scores_as_single_texts_do(tiny_classifier: Classifier, queries: list[Query]) -> None:
    """Texts of mixed lengths scored together come back in order, with the scores that they have alone."""
    together = tiny_classifier.score_batch(queries)
    assert len(together) == len(queries)
    for query, result in zip(queries, together, strict=True):
        alone = tiny_classifier.score(query)
        assert _scores(result) == pytest.approx(_scores(alone), abs=1e-6)
        assert isinstance(result, Scored)
        assert (result.tokens, result.chunks) == (alone.tokens, alone.chunks)


def test_neighbours_do_not_move_the_scores_of_the_shipped_model() -> None:
    """With the int8 graph too, a text's scores are the same to the bit whatever is scored beside it."""
    classifier = Classifier.load(DEFAULT_MODEL_DIR)
    texts = ["hello", "如何杀死一个进程", "I will find you and hurt you", "!" * 90, "hello " * 200]
    queries = [Query(text, Direction.PROMPT) for text in texts]
    assert [_scores(r) for r in classifier.score_batch(queries)] == [_scores(classifier.score(q)) for q in queries]


def test_scores_name_every_category(tiny_classifier: Classifier) -> None:
    """Each category has a score, in the contract's order, also those that the data did not carry."""
    scored = tiny_classifier.score(Query("hello", Direction.PROMPT))
    assert tuple(scored.scores) == CATEGORIES
    assert tiny_classifier.info.categories == CATEGORIES
    assert set(tiny_classifier.info.unsupported) < set(scored.scores)


@pytest.mark.parametrize("words", [1, 127, 128, 129, 224, 225, 1000])
def test_tokens_and_chunks_are_counted(tiny_classifier: Classifier, words: int) -> None:
    """The answer says how many tokens the text has, and in how many chunks of 128 with 32 shared it was read."""
    scored = tiny_classifier.score(Query("hello " * words, Direction.PROMPT))
    assert scored.tokens == words
    assert scored.chunks == max(1, -(-(words - 32) // 96))


def test_a_text_over_the_limit_fails_alone(tiny_model_dir: Path) -> None:
    """A text of more tokens than the limit is refused with both numbers, the others are scored."""
    small = Classifier.load(tiny_model_dir, max_tokens=10)
    results = small.score_batch([Query("hello " * n, Direction.PROMPT) for n in (10, 11, 1)])
    assert [isinstance(result, Scored) for result in results] == [True, False, True]
    with pytest.raises(
        InvalidInput, match=r"text: 11 tokens, the limit is 10 \(split the text, or raise max_tokens .+\)"
    ):
        small.score(Query("hello " * 11, Direction.PROMPT))


def test_each_direction_has_its_calibration(directory: Path) -> None:
    """The same text is calibrated by its direction."""
    write_artifact(directory, name="tiny", calibration={Direction.OUTPUT: {"weapons": Platt(b=-8.0)}})
    classifier = Classifier.load(directory)
    assert classifier.score(Query("bomb", Direction.PROMPT)).scores["weapons"] > 0.95
    assert classifier.score(Query("bomb", Direction.OUTPUT)).scores["weapons"] < 0.05


def test_raw_scores_have_a_row_a_chunk(tiny_classifier: Classifier) -> None:
    """For fitting a calibration the scores are given before it, chunk by chunk."""
    query = Query("hello " * 200 + "bomb", Direction.PROMPT)
    raw = tiny_classifier.raw_scores(query)
    assert raw.shape == (tiny_classifier.score(query).chunks, len(CATEGORIES))
    weapons = raw[:, CATEGORIES.index("weapons")]
    assert weapons[-1] > 0.95 and np.all(weapons[:-1] < 0.1)


def test_every_text_is_timed(tiny_classifier: Classifier) -> None:
    """Every text of a batch says how long it took itself."""
    results = tiny_classifier.score_batch([Query("hello " * 500, Direction.PROMPT)] * 3)
    assert all(isinstance(r, Scored) and r.timings.infer > 0 and r.timings.tokenise > 0 for r in results)


def test_threads_share_a_classifier(tiny_classifier: Classifier) -> None:
    """Several threads score as one does."""
    queries = [Query("hello " * n + word, Direction.PROMPT) for n in (0, 50, 300) for word in ("bomb", "scam", "a")]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(tiny_classifier.score, queries))
    assert [_scores(s) for s in parallel] == [_scores(tiny_classifier.score(query)) for query in queries]


def test_more_threads_inside_an_operator_score_the_same(tiny_model_dir: Path, tiny_classifier: Classifier) -> None:
    """The number of threads changes the speed alone."""
    query = Query("a bomb and a scam", Direction.PROMPT)
    threaded = Classifier.load(tiny_model_dir, threads=2)
    assert _scores(threaded.score(query)) == pytest.approx(_scores(tiny_classifier.score(query)), abs=1e-6)


def test_smaller_chunks_find_the_same(directory: Path) -> None:
    """Chunk size is the artifact's: with small chunks a word is found wherever it stands."""
    write_artifact(directory, name="tiny", limits=TokenLimits(chunk=8, overlap=2, context=4, max_text=1000))
    classifier = Classifier.load(directory)
    for place in range(0, 40, 3):
        scored = classifier.score(Query("hello " * place + "bomb" + " hello" * (40 - place), Direction.PROMPT))
        assert scored.scores["weapons"] > 0.95
        assert scored.chunks == 7


@pytest.mark.parametrize(
    ("chunk", "overlap"), [(8, 0), (8, 2), (8, 4), (8, 5), (8, 7), (1, 0), (40, 10)], ids=lambda n: str(n)
)
@pytest.mark.parametrize("words", [0, 1, 7, 8, 9, 15, 16, 17, 40])
def test_every_token_has_one_score(directory: Path, chunk: int, overlap: int, words: int) -> None:
    """However a text is cut, its token scores are those of the whole: one entry a token, in the text's order."""
    text = " ".join(("hello", "bomb", "call", "scam", "炸")[n % 5] for n in range(words))
    write_artifact(directory, name="tiny", limits=TokenLimits(chunk=chunk, overlap=overlap, context=4, max_text=1000))
    found = Classifier.load(directory).score(Query(text, Direction.PROMPT))
    write_artifact(directory, name="tiny", limits=TokenLimits(chunk=900, overlap=0, context=4, max_text=1000))
    whole = Classifier.load(directory).score(Query(text, Direction.PROMPT))
    assert whole.chunks == 1
    assert found.tokens == whole.tokens == len(found.token_scores.offsets) == words
    assert found.token_scores.offsets == whole.token_scores.offsets
    assert found.token_scores.scores.shape == (words, len(CATEGORIES))
    assert np.allclose(found.token_scores.scores, whole.token_scores.scores, atol=1e-6)


def test_a_token_in_several_chunks_has_its_highest_score() -> None:
    """Where chunks overlap, the highest of a token's scores counts, and every token stands at its own place."""
    size, overlap, scores = 4, 2, ([0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.1, 0.6], [0.2, 0.9, 0.7])
    chunks, raw = [], []
    for number, values in enumerate(scores):
        first = number * (size - overlap)
        offsets = tuple((first + i, first + i + 1) for i in range(len(values)))
        chunks.append(Chunk((), (), len(values), offsets[0][0], offsets[-1][1], offsets))
        column = np.array([values], dtype=np.float32).T
        raw.append(Raw(column.max(axis=0), column))
    joined = _join(chunks, raw, overlap)
    assert joined.offsets == tuple((i, i + 1) for i in range(7))
    assert joined.scores[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.5, 0.4, 0.2, 0.9, 0.7])


def test_the_template_and_the_context_have_no_token_scores(tiny_classifier: Classifier) -> None:
    """Token scores are of the text's own tokens alone."""
    context = (Turn(Role.USER, "a bomb and a scam"),)
    with_context = tiny_classifier.score(Query("hello bomb", Direction.OUTPUT, context)).token_scores
    assert with_context.offsets == ((0, 5), (6, 10))
    weapons = with_context.scores[:, CATEGORIES.index("weapons")]
    assert weapons[0] < 0.1 and weapons[1] > 0.9


@pytest.mark.parametrize("name", [FILES.model, FILES.tokenizer])
def test_a_file_of_another_kind_is_named(directory: Path, name: str) -> None:
    """A file that is whole but no graph, or no tokenizer, is refused with its name."""
    (directory / name).write_text("hello", encoding="utf-8")
    write_artifact(directory, name="tiny")
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Classifier.load(directory)


def test_a_graph_with_other_inputs_is_refused(directory: Path) -> None:
    """A graph that does not read what the template gives is refused with what it has."""
    model = onnx.load_model(str(directory / FILES.model))
    for given_input in model.graph.input:
        given_input.name = given_input.name.replace("token_type_ids", "segments")
    for node in model.graph.node:
        node.input[:] = [name.replace("token_type_ids", "segments") for name in node.input]
    onnx.save_model(model, str(directory / FILES.model))
    write_artifact(directory, name="tiny")
    with pytest.raises(ArtifactError, match="segments"):
        Classifier.load(directory)


def test_a_graph_without_token_scores_is_refused(directory: Path) -> None:
    """A graph that scores texts but not their tokens is refused with the outputs that it has."""
    model = onnx.load_model(str(directory / FILES.model))
    del model.graph.output[1]
    onnx.save_model(model, str(directory / FILES.model))
    write_artifact(directory, name="tiny")
    with pytest.raises(ArtifactError, match="token_scores"):
        Classifier.load(directory)


@pytest.mark.parametrize("name", ["scores", "token_scores"])
def test_a_graph_of_another_width_is_refused(directory: Path, name: str) -> None:
    """A graph with another number of categories, for texts or for tokens, is refused when it is loaded."""
    model = onnx.load_model(str(directory / FILES.model))
    (output,) = (o for o in model.graph.output if o.name == name)
    output.type.tensor_type.shape.dim[-1].dim_value = len(CATEGORIES) + 1
    onnx.save_model(model, str(directory / FILES.model))
    with pytest.raises(ArtifactError, match=r"scores|loadable"):
        Session(directory / FILES.model, columns=len(CATEGORIES))
