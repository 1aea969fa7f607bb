from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.classifier.artifact import FILES
from guard.types import CATEGORIES
from training import export, unpack, vocab
from training.network import GuardNetwork, load_encoder, load_network, save_network
from training.train import load_backbone

_HIDDEN = 64


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves, with weights that nobody trained: a channel stands out, and the head looks somewhere."""
    directory = tmp_path_factory.mktemp("model")
    vocab.main(["--backbone", str(tiny_encoder), "--unihan", str(directory / "none"), "--output", str(directory)])
    torch.manual_seed(0)
    network = GuardNetwork(load_encoder(str(directory)), _HIDDEN, len(CATEGORIES))
    layers: Any = network.encoder.encoder.layer  # type: ignore[union-attr]  # HF's parts are untyped
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.normal_(std=0.25)
                module.bias.normal_(std=0.1)
        layers[0].intermediate.dense.bias[3] = 25.0
        layers[0].output.dense.weight[:2, 3] = 8.0
    save_network(network, directory)
    mixture = {
        "rows_by_source": {"posts": 3, "contrast": 7},
        "positives": {"hate": 500, "weapons": 2},
        "heldout": ["a"],
    }
    (directory / "mixture.json").write_text(json.dumps(mixture), encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def artifact(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its artifact, in int8."""
    directory = tmp_path_factory.mktemp("artifact")
    export.main(["--model", str(model), "--name", "m", "--parity-texts", "60", "--output", str(directory)])
    return directory


def test_an_artifact_becomes_the_network_that_it_came_from(model: Path, artifact: Path, tmp_path: Path) -> None:
    """Every weight within what int8 rounds off, and a training reads it as one of its own."""
    unpack.main(["--artifact", str(artifact), "--output", str(tmp_path)])
    old, new = (load_network(path, len(CATEGORIES)).state_dict() for path in (model, tmp_path))
    assert old.keys() == new.keys()
    for name, weight in old.items():
        if ".attention.self.value." in name:
            continue  # of one size with those behind, compared as the two together
        found = new[name]
        if name.endswith("attention.output.dense.weight"):
            value = name.replace("output.dense", "self.value")
            weight, found = weight @ old[value], found @ new[value]
        assert (weight - found).abs().mean() <= 0.15 * weight.abs().mean(), name
    tokenizer, encoder = load_backbone(str(tmp_path))
    was, had = load_backbone(str(model))
    assert tokenizer.to_str() == was.to_str()
    heads = [network.config.num_attention_heads for network in (encoder, had)]  # type: ignore[union-attr]
    assert heads == [2, 2]
    assert json.loads((tmp_path / "mixture.json").read_text(encoding="utf-8")) == {
        "rows_by_source": {"contrast": 7, "posts": 3},
        "positives": {"weapons": 0},
        "heldout": [],
    }


def test_a_training_step_moves_both_sides_of_an_attention_alike(artifact: Path) -> None:
    """A channel's values and the weights behind them are of one size, whatever the export moved between them."""
    layers: Any = unpack.unpacked(artifact / FILES.model).encoder.encoder.layer  # type: ignore[union-attr]
    for layer in layers:
        behind = layer.attention.output.dense.weight.norm(dim=0)
        assert torch.allclose(layer.attention.self.value.weight.norm(dim=1), behind, rtol=1e-4)


def test_other_graphs_and_damaged_ones_are_refused(
    model: Path, artifact: Path, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its cause; nothing is written."""
    output = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"model\.onnx: not a graph of this training\.export"):
        unpack.main(["--artifact", str(tiny_model_dir), "--output", str(output)])
    with pytest.raises(SystemExit, match=r"artifact, no network \(make it one: python -m training\.unpack\)"):
        load_backbone(str(artifact))
    with pytest.raises(SystemExit, match=r"--artifact: .*no artifact\.json"):
        unpack.main(["--artifact", str(model), "--output", str(output)])
    monkeypatch.setattr(unpack, "_TOLERANCE", -1.0)
    with pytest.raises(SystemExit, match=r"differ from the artifact's by 0\.0\d+ on average.*nothing was written"):
        unpack.main(["--artifact", str(artifact), "--output", str(output)])
    assert not output.exists()
