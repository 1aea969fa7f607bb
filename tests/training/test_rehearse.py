"""Masked-token rehearsal: what is hidden, and that a stopped run loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training import rehearse, vocab
from training.network import load_encoder
from training.rehearse import MaskedTokens, hide, read_paragraphs
from training.run import rate

_TEXTS = (
    "The ferry leaves at nine and comes back at noon.",
    "a cup of tea",
    "雨停了，孩子们跑到院子里。",
    "How do you make it?",
    "河边有一座旧桥。",
    "Bread needs flour, water, salt and time.",
)


@pytest.fixture(scope="module")
def backbone(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with the bilingual vocabulary."""
    directory = tmp_path_factory.mktemp("backbone")
    none = str(directory / "none")
    vocab.main(["--backbone", str(tiny_encoder), "--unihan", none, "--output", str(directory / "v")])
    return directory / "v"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paragraphs of two sources, and a restricted one."""
    rows = [
        {"text": f"{text} {number}", "source": f"s{number % 2}", "licence_class": "permissive"}
        for number in range(8)
        for text in _TEXTS
    ]
    rows.append({"text": "never read", "source": "s0", "licence_class": "restricted"})
    path = tmp_path_factory.mktemp("plain") / "plain.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _hidden(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Many random tokens, which of them are ordinary, what is read instead, and the places to guess."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, 1000, (200, 500), generator=generator)
    ordinary = torch.rand(ids.shape, generator=generator) < 0.8
    return ids, ordinary, *hide(ids, ordinary, 4, 1000, generator)


def test_about_one_token_in_seven_is_hidden() -> None:
    """15 % of the ordinary tokens are to be guessed: 80 % of them masked, 10 % replaced, 10 % as they were."""
    ids, ordinary, read, places = _hidden()
    assert float(places.sum() / ordinary.sum()) == pytest.approx(0.15, abs=0.005)
    masked, kept = read[places] == 4, read[places] == ids[places]
    assert float(masked.float().mean()) == pytest.approx(0.8, abs=0.01)
    assert float(kept.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert int(read.min()) >= 4 and int(read.max()) < 1000


def test_special_tokens_are_never_hidden() -> None:
    """What is not ordinary is read as it is and never guessed, and so is every token that was not chosen."""
    ids, ordinary, read, places = _hidden()
    assert not (places & ~ordinary).any()
    assert torch.equal(read[~places], ids[~places])


def test_what_is_hidden_is_decided_by_the_generator() -> None:
    """The same generator hides the same tokens, another one others."""
    first, again, other = _hidden(), _hidden(), _hidden(1)
    assert torch.equal(first[2], again[2]) and torch.equal(first[3], again[3])
    assert not torch.equal(first[3], other[3])


def test_only_hidden_places_are_guessed(backbone: Path) -> None:
    """There is one row of logits a hidden token, over the whole vocabulary; a batch that hides none has no row."""
    encoder = load_encoder(str(backbone))
    size = encoder.get_input_embeddings().num_embeddings  # type: ignore[operator]  # nn.Module hides the HF class
    model = MaskedTokens(encoder, 64, torch.ones(size))
    ids = torch.tensor([[2, 5, 20, 21, 3], [2, 6, 22, 3, 0]])
    places = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    assert model(ids, (ids != 0).long(), places).shape == (3, size)
    assert model(ids, (ids != 0).long(), torch.zeros_like(places)).shape == (0, size)


def test_paragraphs_are_taken_from_every_source(plain: Path) -> None:
    """A source gives at most its share, restricted paragraphs are not read, and the seed decides."""
    texts = read_paragraphs(plain, 5, seed=0)
    assert len(texts) == 10 and "never read" not in texts
    assert texts == read_paragraphs(plain, 5, seed=0) != read_paragraphs(plain, 5, seed=1)
    assert len(read_paragraphs(plain, 999, seed=0)) == 48


def _run(backbone: Path, plain: Path, output: Path, batch: int = 4) -> dict[str, Tensor]:
    options = ["--batch", str(batch), "--lr", "1e-3", "--output", str(output)]
    rehearse.main(["--backbone", str(backbone), "--plain", str(plain), *options])
    return dict(load_encoder(str(output)).state_dict())


def test_a_killed_rehearsal_resumes_to_the_same_result(
    backbone: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping after a checkpoint and starting again gives the weights and figures of an uninterrupted run."""
    monkeypatch.setattr(rehearse, "_CHECKPOINT_SECONDS", 0.0)
    straight = _run(backbone, plain, tmp_path / "straight")

    def killed(step: int, total: int) -> float:
        if step == 7:
            raise KeyboardInterrupt
        return rate(step, total)

    monkeypatch.setattr(rehearse, "rate", killed)
    with pytest.raises(KeyboardInterrupt):
        _run(backbone, plain, tmp_path / "resumed")
    assert (tmp_path / "resumed" / "checkpoint.pt").exists()
    monkeypatch.setattr(rehearse, "rate", rate)
    resumed = _run(backbone, plain, tmp_path / "resumed")
    for name, value in straight.items():
        assert torch.allclose(value, resumed[name], atol=1e-5), name
    figures = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("straight", "resumed")]
    for name in ("steps", "cross_entropy", "right"):
        assert figures[0][name] == pytest.approx(figures[1][name], abs=1e-3)
    assert not (tmp_path / "resumed" / "checkpoint.pt").exists()


def test_rehearsal_leaves_a_backbone_that_differs(backbone: Path, plain: Path, tmp_path: Path) -> None:
    """The encoder has learnt something and keeps its tokenizer, and no short text makes its weights infinite."""
    before, after = load_encoder(str(backbone)).state_dict(), _run(backbone, plain, tmp_path, batch=1)
    assert any(not torch.equal(before[name], after[name]) for name in after)
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["cross_entropy"] == metrics["cross_entropy"]  # a number: no batch was without a figure
    kept = [Tokenizer.from_file(str(path / "tokenizer.json")).get_vocab() for path in (backbone, tmp_path)]
    assert kept[0] == kept[1]
