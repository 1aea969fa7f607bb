from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from guard.types import CATEGORIES
from training import mean
from training.network import GuardNetwork, load_encoder, load_network, save_network


def _trained(directory: Path, backbone: Path, seed: int, heldout: list[str], rows: dict[str, int]) -> Path:
    """What a training leaves, with weights that nobody trained."""
    torch.manual_seed(seed)
    network = GuardNetwork(load_encoder(str(backbone)), 64, len(CATEGORIES))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_network(network, directory)
    AutoTokenizer.from_pretrained(backbone).save_pretrained(directory)
    document = {"rows_by_source": rows, "positives": {"hate": seed}, "heldout": heldout}
    (directory / "mixture.json").write_text(json.dumps(document), encoding="utf-8")
    return directory


def test_the_mean_of_three_networks_is_a_network(tiny_encoder: Path, tmp_path: Path) -> None:
    """Every weight is the mean of the three, encoder and head; the folder is one that export and calibration read."""
    models = [_trained(tmp_path / str(seed), tiny_encoder, seed, ["a"], {"own": seed}) for seed in (1, 2, 3)]
    mean.main([*map(str, models), "--output", str(tmp_path / "mean")])
    states = [load_network(model, len(CATEGORIES)).state_dict() for model in models]
    for name, value in load_network(tmp_path / "mean", len(CATEGORIES)).state_dict().items():
        expected = (states[0][name] + states[1][name] + states[2][name]) / 3
        assert torch.allclose(value, expected, atol=1e-6), name
        assert not torch.equal(value, states[0][name]), name
    assert (tmp_path / "mean" / "tokenizer.json").read_bytes() == (models[0] / "tokenizer.json").read_bytes()
    assert json.loads((tmp_path / "mean" / "metrics.json").read_text(encoding="utf-8"))["models"] == 3


def test_only_what_all_held_out_is_held_out(tiny_encoder: Path, tmp_path: Path) -> None:
    """A row that one of them may have learnt from calibrates nothing; sources are those of any."""
    one = _trained(tmp_path / "one", tiny_encoder, 1, ["a", "b", "c"], {"own": 5, "posts": 7})
    two = _trained(tmp_path / "two", tiny_encoder, 2, ["b", "c", "d"], {"own": 6, "news": 2})
    mean.main([str(one), str(two), "--output", str(tmp_path / "mean")])
    assert json.loads((tmp_path / "mean" / "mixture.json").read_text(encoding="utf-8")) == {
        "rows_by_source": {"own": 6, "posts": 7, "news": 2},
        "positives": {"hate": 2},
        "heldout": ["b", "c"],
    }


def test_what_is_no_trained_network_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    """A bare encoder, and a network with another vocabulary, are named; nothing is written."""
    one = _trained(tmp_path / "one", tiny_encoder, 1, [], {})
    with pytest.raises(SystemExit, match=r"tiny_encoder.*: no head\.pt, mixture\.json"):
        mean.main([str(one), str(tiny_encoder), "--output", str(tmp_path / "mean")])
    two = _trained(tmp_path / "two", tiny_encoder, 2, [], {})
    (two / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit, match="another vocabulary"):
        mean.main([str(one), str(two), "--output", str(tmp_path / "mean")])
    assert not (tmp_path / "mean").exists()
