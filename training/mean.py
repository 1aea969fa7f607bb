"""After the last trainings: the mean of the weights of networks that began as one.

Usage:
    python -m training.mean runs/NAME/polish3 runs/NAME/polish4 --output runs/NAME/mean

Networks trained further from the same weights, on other draws of the corpora, lie in one basin: the mean of their
weights is one network of the same size, often better than each of them (Wortsman et al. 2022, model soups). The result
is a directory as ``training.train`` writes it. Only rows that every one of them held out count as held out.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guard.types import CATEGORIES
from training.network import load_network, save_network
from training.run import Run


def mean_of(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensor by tensor; what is no floating-point number is the first one's.

    Args:
        states: State dictionaries of equal keys and shapes, at least one.
    """
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def joined(mixtures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the networks learnt from, as one ``mixture.json``.

    Args:
        mixtures: Those of the networks, at least one.

    Returns:
        ``rows_by_source`` and ``positives`` with the highest count of each; ``heldout`` with what all of them held out:
        a row outside the draw of one may be within another's training.
    """
    out: dict[str, Any] = {}
    for part in ("rows_by_source", "positives"):
        names = dict.fromkeys(name for mixture in mixtures for name in mixture[part])
        out[part] = {name: max(mixture[part].get(name, 0) for mixture in mixtures) for name in names}
    out["heldout"] = sorted(set.intersection(*(set(mixture["heldout"]) for mixture in mixtures)))
    return out


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage.

    Raises:
        SystemExit: A directory is no trained network, or their vocabularies differ.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="what training.train wrote")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    first = args.models[0]
    for model in args.models:
        absent = [name for name in ("head.pt", "mixture.json", "tokenizer.json") if not (model / name).is_file()]
        if absent:
            raise SystemExit(f"{model}: no {', '.join(absent)} (name what training.train wrote)")
        if (model / "tokenizer.json").read_bytes() != (first / "tokenizer.json").read_bytes():
            raise SystemExit(f"{model}: another vocabulary than {first} (train both from the same weights)")
    run = Run.start(args.output, {"models": [str(model) for model in args.models]})
    network = load_network(first, len(CATEGORIES))
    network.load_state_dict(mean_of([load_network(model, len(CATEGORIES)).state_dict() for model in args.models]))
    save_network(network, args.output)
    shutil.copy(first / "tokenizer.json", args.output / "tokenizer.json")
    mixture = joined([json.loads((model / "mixture.json").read_text(encoding="utf-8")) for model in args.models])
    text = json.dumps(mixture, indent=1, ensure_ascii=False)
    (args.output / "mixture.json").write_text(text + "\n", encoding="utf-8")
    run.finish({"models": len(args.models), "heldout": len(mixture["heldout"])})


if __name__ == "__main__":
    main()
