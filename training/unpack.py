"""Before a training on texts of one's own: an artifact as a network that can be trained further.

Usage:
    python -m training.unpack --artifact guard/models/default --output runs/NAME/start
    python -m training.train --backbone runs/NAME/start --data corpora/clean --data mine --steps 1000 --output ...

What ``training.export`` did is undone: int8 becomes float again, what was divided out of an activation goes back into
the weights, channels that were set apart return to their product. The rounding stays, and with it the difference of
scores between the artifact and the network that it came from. The result is a directory as ``training.train`` writes
it. Which rows were held out of the corpora that the artifact learnt from it does not say, so none of them calibrates
what is trained from it: held out are then the sources that no training reads, and a twentieth of each new one.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from transformers import BertConfig, BertModel

from guard.classifier.artifact import FILES, Artifact, read_artifact
from guard.classifier.chunker import Chunker
from guard.classifier.session import Session
from guard.errors import ArtifactError
from guard.types import CATEGORIES
from training.export import Scores, mean_difference, parity_chunks, torch_scores
from training.network import GuardNetwork, save_network
from training.run import Run

#: Largest mean difference of a score between the artifact and the network, of texts and of tokens.
_TOLERANCE = 0.02
_PARITY_TEXTS = 200
_SMALLEST = 1e-6
_EMBEDDINGS = "encoder.embeddings"
_WORDS = f"{_EMBEDDINGS}.word_embeddings.weight"
_PLAIN = ("position_embeddings", "token_type_embeddings")
_LAYER = "encoder.encoder.layer."


class _Graph:
    """The parts of a graph by their names."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path).graph
        self.tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.nodes: dict[str, NodeProto] = {node.name: node for node in graph.node}
        self._made: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}

    def stored(self, name: str) -> NDArray[np.float32] | None:
        """A tensor that the graph holds, in float, also where it holds it in integers; None if it is computed."""
        while name in self._made and self._made[name].op_type == "Identity":
            name = self._made[name].input[0]  # of equal tensors one is stored
        name = name.removesuffix("_quantized")
        names = [f"{name}_{part}" for part in ("quantized", "zero_point", "scale")]
        if all(part in self.tensors for part in names):
            steps, zero, scale = (self.tensors[part].astype(np.float32) for part in names)
            return np.asarray((steps - zero) * scale, dtype=np.float32)
        found = self.tensors.get(name)
        return None if found is None else np.asarray(found, dtype=np.float32)

    def needed(self, name: str) -> NDArray[np.float32]:
        """A stored tensor in float.

        Raises:
            KeyError: The graph holds none of this name.
        """
        found = self.stored(name)
        if found is None:
            raise KeyError(name)
        return found

    def parameters(self) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        """What the nodes of the network's modules hold: place of the module, ``weight`` or ``bias``, and the tensor.

        By nodes and not by the tensors' names, because equal tensors are stored once. Weights of products are
        [inputs, outputs].
        """
        for name, node in self.nodes.items():
            place = ".".join(name.split("/")[2:-1])
            tensors = [self.stored(tensor) for tensor in node.input]
            if node.op_type == "MatMulIntegerToFloat":
                # Left, right, their scales and zero points, and the bias unless another node adds it.
                found = {"weight": tensors[1], "bias": next(iter(tensors[6:]), None)}
            elif node.op_type == "MatMul":
                found = {"weight": tensors[1]}
            elif node.op_type == "LayerNormalization":
                found = {"weight": tensors[1], "bias": tensors[2]}
            elif node.op_type == "Add":
                found = {"bias": next((tensor for tensor in tensors if tensor is not None), None)}
            else:
                continue
            yield from ((place, kind, tensor) for kind, tensor in found.items() if tensor is not None)

    def head_size(self) -> int:
        """Channels of one attention head."""
        shape = self.nodes["/network/encoder/encoder/layer.0/attention/self/inner/Concat"]
        last = self._made[shape.input[-1]]
        return int(numpy_helper.to_array(last.attribute[0].t).item())

    def epsilon(self) -> float:
        """What the layers' normalisation adds to a variance."""
        node = next(node for node in self.nodes.values() if node.op_type == "LayerNormalization")
        return next(float(a.f) for a in node.attribute if a.name == "epsilon")


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage.

    Raises:
        SystemExit: The artifact is damaged, is none of ``training.export``, or the network does not score as it does.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="model directory: the released one, or your own")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        artifact = read_artifact(args.artifact)
    except ArtifactError as error:
        raise SystemExit(f"--artifact: {error}") from None
    network = unpacked(args.artifact / FILES.model)
    texts, tokens = differences(network, args.artifact, artifact)
    if max(texts, tokens) > _TOLERANCE:
        raise SystemExit(
            f"{args.artifact}: the network's scores differ from the artifact's by {texts:.4f} on average, of tokens by "
            f"{tokens:.4f} (at most {_TOLERANCE}); nothing was written"
        )
    run = Run.start(args.output, {"artifact": artifact.identity})
    save_network(network, args.output)
    shutil.copy(args.artifact / FILES.tokenizer, args.output / "tokenizer.json")
    mixture = {
        "rows_by_source": {source.name: source.rows for source in artifact.sources},
        "positives": dict.fromkeys(artifact.unsupported, 0),
        "heldout": [],
    }
    (args.output / "mixture.json").write_text(json.dumps(mixture, indent=1) + "\n", encoding="utf-8")
    run.finish({"mean_difference": round(texts, 6), "token_difference": round(tokens, 6)})


def unpacked(path: Path) -> GuardNetwork:
    """The network of a graph that ``training.export`` wrote, in float.

    Raises:
        SystemExit: It is another kind of graph.
    """
    graph = _Graph(path)
    try:
        weights = _weights(graph)
        encoder = BertModel(_configuration(graph, weights), add_pooling_layer=False)
        network = GuardNetwork(encoder, int(encoder.config.hidden_size), len(CATEGORIES))
        network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    except (LookupError, RuntimeError, StopIteration, ValueError) as error:
        reason = f"{type(error).__name__} {str(error)[:200]}"
        raise SystemExit(f"{path}: not a graph of this training.export: {reason} (unpack what it wrote)") from None
    _balance(network)
    return network.eval()


def differences(network: GuardNetwork, directory: Path, artifact: Artifact) -> tuple[float, float]:
    """Mean differences of raw scores between a network and an artifact on contrast texts: of texts, of tokens."""
    chunker = Chunker.from_file(directory / FILES.tokenizer, artifact.limits)
    session = Session(directory / FILES.model, columns=len(CATEGORIES))
    chunks = parity_chunks(chunker, _PARITY_TEXTS)
    found = torch_scores(Scores(network).eval(), chunks)
    expected = [raw for chunk in chunks for raw in session.run([chunk])]
    texts = mean_difference([raw.scores for raw in found], [raw.scores for raw in expected])
    return texts, mean_difference([raw.token_scores for raw in found], [raw.token_scores for raw in expected])


def _weights(graph: _Graph) -> dict[str, NDArray[np.float32]]:
    """Weights by the names that they have in the network."""
    out = {f"{_EMBEDDINGS}.{part}.weight": graph.needed(f"network.{_EMBEDDINGS}.{part}.weight") for part in _PLAIN}
    scales = graph.needed(f"network.{_WORDS}.scales")
    out[_WORDS] = graph.needed(f"network.{_WORDS}.rows") * scales
    # Channels that stand apart come last: they return to the rest of their product.
    for place, kind, tensor in sorted(graph.parameters(), key=lambda found: found[0].endswith(".apart")):
        name = f"{_name(place)}.{kind}"
        if kind == "weight" and tensor.ndim == 2:
            # A linear layer holds its weights the other way round.
            tensor = _undivided(graph, place, tensor).T.copy()
        if place.endswith(".apart"):
            out[name][:, graph.tensors[f"network.{place.removesuffix('.apart')}.channels"]] = tensor
        else:
            out[name] = tensor
    return out


def _undivided(graph: _Graph, place: str, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights [inputs, outputs] as they were before their inputs were divided."""
    parts = place.split(".")
    for end in range(1, len(parts) + 1):
        inverse = graph.stored(f"network.{'.'.join(parts[:end])}.inverse")
        if inverse is not None:
            weights = weights * inverse[:, None]
    return weights


def _name(place: str) -> str:
    """A place in the exported network without the modules that the export put around it."""
    return ".".join(part for part in place.split(".") if part not in {"inner", "apart"})


def _configuration(graph: _Graph, weights: Mapping[str, NDArray[np.float32]]) -> BertConfig:
    words, hidden = weights[_WORDS].shape
    layers = {name.removeprefix(_LAYER).split(".")[0] for name in weights if name.startswith(_LAYER)}
    return BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=len(layers),
        num_attention_heads=hidden // graph.head_size(),
        intermediate_size=len(weights[f"{_LAYER}0.intermediate.dense.bias"]),
        max_position_embeddings=len(weights[f"{_EMBEDDINGS}.position_embeddings.weight"]),
        type_vocab_size=len(weights[f"{_EMBEDDINGS}.token_type_embeddings.weight"]),
        layer_norm_eps=graph.epsilon(),
    )


@torch.no_grad()
def _balance(network: GuardNetwork) -> None:
    """Give the values of an attention and the product behind them weights of one size again, channel by channel.

    The export moved a factor from the one to the other; in exact arithmetic it says nothing, but a training step would
    move the one too much and the other too little.
    """
    layers: Any = network.encoder.encoder.layer  # type: ignore[union-attr]  # HF's parts are untyped
    for layer in layers:
        value, behind = layer.attention.self.value, layer.attention.output.dense
        behind_size, own_size = behind.weight.norm(dim=0), value.weight.norm(dim=1)
        factors = (behind_size.clamp_min(_SMALLEST) / own_size.clamp_min(_SMALLEST)).sqrt()
        value.weight *= factors.unsqueeze(1)
        value.bias *= factors
        behind.weight /= factors


if __name__ == "__main__":
    main()
