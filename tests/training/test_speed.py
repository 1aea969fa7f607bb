from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from guard.classifier.artifact import FILES, TokenLimits
from guard.classifier.chunker import Chunker
from training.speed import (
    Operations,
    cases,
    export_encoder,
    gemm_graph,
    main,
    ratio_interval,
    take_turns,
    to_markdown,
)

LIMITS = TokenLimits(chunk=40, overlap=10)


def test_operations_are_those_of_the_architecture(tiny_encoder: Path, tmp_path: Path) -> None:
    """Linear layers grow with the length, attention with its square; int8 layers count as float ones do."""
    graph, vocabulary = export_encoder(str(tiny_encoder), tmp_path)
    operations = Operations(graph)
    width, wide, layers = 64, 128, 2
    for tokens in (5, 32):
        ids = np.arange(tokens).reshape(1, -1) % vocabulary
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        linear = 2 * tokens * layers * (4 * width * width + 2 * width * wide)
        assert operations.count([feed]) == linear + layers * 4 * tokens * tokens * width
        assert operations.count([feed, feed]) == 2 * operations.count([feed])


def test_the_encoder_is_exported_with_mean_pooling_in_int8(tiny_encoder: Path, tmp_path: Path) -> None:
    """Padding moves nothing but the scale of the rounding, and the weights are int8."""
    graph, _ = export_encoder(str(tiny_encoder), tmp_path)
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    ids = np.array([[2, 9, 11, 3]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    padded = {name: np.pad(value, ((0, 0), (0, 3))) for name, value in feed.items()}
    alone, beside = session.run(["vector"], feed)[0], session.run(["vector"], padded)[0]
    assert alone.shape == (1, 64)
    np.testing.assert_allclose(alone, beside, atol=0.05)
    assert b"MatMulInteger" in graph.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [graph.name]


def test_both_graphs_get_the_same_number_of_tokens(tiny_model_dir: Path) -> None:
    """A text longer than a chunk is cut as in serving, and stands there once more as one sequence."""
    file = tiny_model_dir / FILES.tokenizer
    served, whole = (Chunker.from_file(file, limits) for limits in (LIMITS, TokenLimits(chunk=1000, overlap=0)))
    found = cases(served, whole, 20, [4, 43, 44, 103])
    assert [(case.tokens, case.as_served, len(case.ours)) for case in found] == [
        *[(4, True, 1), (43, True, 1), (44, True, 2), (44, False, 1), (103, True, 3), (103, False, 1)]
    ]
    for case in found:
        assert [feed["input_ids"].shape for feed in case.other] == [(1, case.tokens)]
        assert max(feed["input_ids"].max() for feed in case.other) < 20
        if len(case.ours) == 1:
            assert case.ours[0]["input_ids"].shape == (1, case.tokens)
        # What chunks share is scored twice; three tokens of each are the template's.
        text = sum(feed["input_ids"].shape[1] - 3 for feed in case.ours) - 10 * (len(case.ours) - 1)
        assert text == case.tokens - 3
    with pytest.raises(ValueError, match="a text of 3 tokens"):
        cases(served, whole, 20, [3])


def test_turns_alternate() -> None:
    """Neither of two calls is always the first, and each runs once untimed before it is timed."""
    log = ""

    def note(letter: str) -> None:
        nonlocal log
        log += letter

    groups = [[lambda: note("a"), lambda: note("b")], [lambda: note("c")]]
    found = take_turns(groups, 3)
    assert log == "aabbcc" + "bbaacc" + "aabbcc"
    assert [times.shape for times in found] == [(2, 3), (1, 3)]
    assert all((times > 0).all() for times in found)


def test_the_interval_is_of_pairs() -> None:
    """What slows both of a pair down leaves their ratio alone; what moves one of them widens the interval."""
    random = np.random.default_rng(3)
    other = random.gamma(9.0, 1.0, 80)
    np.testing.assert_allclose(ratio_interval(1.5 * other, other), (1.5, 1.5))
    low, high = ratio_interval(1.5 * random.permutation(other), other)
    assert low < 1.5 < high
    assert ratio_interval(other, other[::-1].copy()) == ratio_interval(other, other[::-1].copy())


def test_the_product_that_is_timed_is_a_product() -> None:
    """Of uint8 around 128 and int8."""
    session = ort.InferenceSession(gemm_graph(4, 8, 3), providers=["CPUExecutionProvider"])
    assert (session.run(None, {"a": np.full((4, 8), 128, np.uint8)})[0] == 0).all()
    by_one = session.run(None, {"a": np.full((4, 8), 129, np.uint8)})[0]
    by_two = session.run(None, {"a": np.full((4, 8), 130, np.uint8)})[0]
    assert by_one.shape == (4, 3) and by_one.any()
    np.testing.assert_array_equal(by_two, 2 * by_one)


def test_a_run_writes_the_document(
    tiny_model_dir: Path, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to the JSON file and the table; the figures of a row belong together."""
    output = tmp_path / "deep" / "speed.json"
    arguments = ["--artifact", str(tiny_model_dir), "--encoder", str(tiny_encoder), "--output", str(output)]
    assert main([*arguments, "--repeats", "2", "--tokens", "8", "60", "160"]) == 0
    document = json.loads(output.read_text("utf-8"))
    assert [(row["tokens"], row["as_served"], row["runs"]) for row in document["rows"]] == [
        *[(8, True, 1), (60, True, 1), (160, True, 2), (160, False, 1)]
    ]
    for row in document["rows"]:
        assert row["ratio"] == pytest.approx(row["ours_ms"] / row["minilm_ms"])
        assert row["texts_per_s"] == pytest.approx(1000 / row["ours_ms"])
        # The tiny graph looks words up and multiplies nothing.
        assert row["operations"] == row["gops"] == row["share_of_peak"] == 0
    assert document["gemm_peak_gops"] == max(product["gops"] for product in document["gemm"]) > 0
    assert document["target"]["reached"] is (document["rows"][1]["ratio"] <= document["target"]["ratio"])
    assert [entry["lang"] for entry in document["languages"]] == ["en", "zh"]
    printed = capsys.readouterr().out
    assert "| 160, one sequence | 1 |" in printed
    assert to_markdown(document) in printed


def test_bad_input_is_named(tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No artifact, no encoder: exit code 2, a message, and no file."""
    output = tmp_path / "speed.json"
    assert main(["--artifact", str(tmp_path / "none"), "--output", str(output)]) == 2
    assert "no artifact.json" in capsys.readouterr().err
    missing = str(tmp_path / "no-encoder")
    assert main(["--artifact", str(tiny_model_dir), "--encoder", missing, "--output", str(output)]) == 2
    assert "no-encoder" in capsys.readouterr().err
    assert not output.exists()
