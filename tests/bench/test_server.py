from __future__ import annotations

import math
import os
from pathlib import Path

import grpc
import numpy as np
import pytest

from guard.classifier.artifact import FILES, ActivationScales, read_artifact
from guard.classifier.chunker import Chunker
from guard.normalize import normalize
from guard.recognizers import detect
from tests.bench.load import Answer, Client, Served, request
from tests.bench.load_texts import even, mixed
from tests.bench.page import write_between
from tests.bench.processes import Usage, peer, sidecar
from tests.bench.soak import Soak
from tests.bench.tables import Ratio, ratio_table, rounds
from tests.tiny import build_tiny_artifact

_CORES = sorted(os.sched_getaffinity(0))[:1]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny artifact whose texts may share runs."""
    return build_tiny_artifact(tmp_path_factory.mktemp("models") / "static", ActivationScales.STATIC, rounded=True)


@pytest.fixture(scope="module")
def chunker(artifact: Path) -> Chunker:
    """Its tokenizer."""
    described = read_artifact(artifact)
    return Chunker.from_file(described.path(FILES.tokenizer), described.limits)


def test_texts_have_the_lengths_that_are_said(chunker: Chunker) -> None:
    """Even texts have exactly their tokens, mixed ones are lognormal, and no recognizer finds anything in them."""
    assert {chunker.count(text) for text in even(chunker, 6, tokens=20)} == {20}
    texts = mixed(chunker, 400)
    lengths = [math.log(chunker.count(text)) for text in texts]
    assert math.exp(float(np.median(lengths))) == pytest.approx(45, rel=0.2)
    assert float(np.std(lengths)) == pytest.approx(math.log(250 / 45) / 2.326, rel=0.2)
    assert not any(detect(normalize(text)) for text in texts)


def test_a_sidecar_is_measured_beside_the_bare_loop(artifact: Path, chunker: Chunker) -> None:
    """Closed and open loads are answered, health meanwhile, and the bare loop has a time for every text."""
    texts = even(chunker, 12, tokens=20)
    with sidecar(_CORES, model=artifact, cache_entries=0) as server, Client(server.address) as client:
        served = client.closed([request(text) for text in texts], 4)
        assert len(served.ms()) == 12 and served.rate > 0
        opened = client.opened([request(text) for text in texts], rate=50, seconds=0.5, deadline=60)
        assert opened.answers and all(answer.scored for answer in opened.answers)
        assert opened.health and max(opened.health) < math.inf
        usage = server.usage()
        assert usage.peak >= usage.resident > 0 and usage.threads > 1 and usage.files > 3
        assert server.end() == 0
    with peer(_CORES, "bare", artifact) as loop:
        assert loop is not None
        assert len(loop.times(texts)) == 12 and len(loop.times(["hello " * 300])) == 1


def test_what_was_not_scored_does_not_count() -> None:
    """Refused, failed and degraded calls are no throughput."""
    ok, full = grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED
    served = Served((Answer(1.0, ok), Answer(2.0, ok, degraded=True), Answer(3.0, full)), seconds=2.0)
    assert served.rate == 0.5 and served.ms() == [1.0]
    assert [answer.refused for answer in served.answers] == [False, False, True]


def test_a_ratio_is_the_median_of_its_rounds(tmp_path: Path) -> None:
    """Bounds hold from above or from below; the table stands between its markers and nothing else changes."""
    slow = rounds("slow", "3 ms", "2 ms", [1.0, 1.5, 9.0], at_most=1.2)
    fast = rounds("fast", "3/s", "2/s", [1.5], at_least=1.1)
    assert (slow.ratio, slow.reached, fast.reached) == (1.5, False, True)
    assert Ratio("x", "", "", math.inf, math.inf, math.inf, 1, at_most=True).reached is False
    shown = ratio_table([slow, fast])
    assert "| **no** |" in shown and "| 1.50 (1.25-5.25) | ≤ 1.2 |" in shown
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n", encoding="utf-8")
    write_between(page, "x", shown)
    assert page.read_text(encoding="utf-8") == f"a\n<!-- x: begin -->\n{shown}\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="no place"):
        write_between(page, "y", shown)


def test_a_soak_names_what_has_grown() -> None:
    """A heap that breathes is sound; more threads, files or memory, a wrong answer or a bad end are not."""
    soak = Soak(1.0, begin=Usage(100, 100, 9, 10), end=Usage(105, 130, 10, 11), status=0)
    assert soak.faults == [] and "Faults: none" in soak.markdown()
    soak.end, soak.status = Usage(200, 200, 12, 20), 1
    soak.wrong["text: InternalError"] = 2
    assert soak.faults == [
        "text: InternalError: 2",
        "memory has grown",
        "threads have grown",
        "open files have grown",
        "exit status 1",
    ]
