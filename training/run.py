"""What every stage writes about itself: configuration, data hashes, metrics, checkpoints that resume."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

#: Where a stage leaves what it needs to go on.
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a stage in its output directory."""

    directory: Path
    began: float

    @classmethod
    def start(cls, directory: Path, config: Mapping[str, Any], data: Iterable[Path] = ()) -> Run:
        """Create the directory and write ``run.json`` with the sha256 of every data file.

        A stage that is complete begins anew. One that was stopped goes on, but only with the options and the data that
        it began with.

        Raises:
            SystemExit: A data path does not exist, or the directory holds the checkpoint of another run.
        """
        directory.mkdir(parents=True, exist_ok=True)
        hashes: dict[str, str] = {}
        for path in data:
            if not path.exists():
                raise SystemExit(f"{path}: no such file or directory (check the data path)")
            for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
                with file.open("rb") as handle:
                    hashes[file.name] = hashlib.file_digest(handle, "sha256").hexdigest()
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
        document = {"arguments": plain, "data_sha256": hashes, "torch": torch.__version__}
        text = json.dumps(document, indent=2, default=str, ensure_ascii=False)
        _check_resumed(directory, json.loads(text))
        if (directory / "metrics.json").exists():
            for name in ("metrics.json", "log.txt"):
                (directory / name).unlink(missing_ok=True)
        (directory / "run.json").write_text(text + "\n", encoding="utf-8")
        return cls(directory, time.time())

    def log(self, message: str) -> None:
        """One line with the elapsed minutes, on stderr and in ``log.txt``."""
        line = f"[{(time.time() - self.began) / 60:6.1f} min] {message}"
        print(line, file=sys.stderr, flush=True)
        with (self.directory / "log.txt").open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``; its presence says that the stage is complete."""
        self.log("finishing")
        document = {**metrics, "minutes": round(minutes_of((self.directory / "log.txt").read_text("utf-8")), 1)}
        (self.directory / "metrics.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        self.log(f"done: {document}")


def _check_resumed(directory: Path, document: Mapping[str, Any]) -> None:
    """Refuse to go on with a checkpoint of other options or other data; where the directory lies does not matter."""
    file = directory / "run.json"
    if not (directory / CHECKPOINT).exists() or not file.exists():
        return
    began = json.loads(file.read_text(encoding="utf-8"))
    names = (began["arguments"].keys() | document["arguments"].keys()) - {"output"}
    changed = [name for name in sorted(names) if began["arguments"].get(name) != document["arguments"].get(name)]
    changed += ["data (their content)"] if began["data_sha256"] != document["data_sha256"] else []
    if changed:
        raise SystemExit(
            f"{directory}: a run was stopped here that began with other options: {', '.join(changed)} (give them as "
            f"they were, or another --output; without {CHECKPOINT} it begins anew)"
        )


def minutes_of(log: str) -> float:
    """Minutes that a stage worked, over all its starts: each start of a log counts up from zero."""
    total = last = 0.0
    for stamp in re.findall(r"^\[ *([0-9.]+) min\]", log, flags=re.MULTILINE):
        if float(stamp) < last:
            total += last
        last = float(stamp)
    return total + last


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A resumable state in one file, replaced atomically."""

    path: Path

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state; a crash while writing leaves the previous one."""
        temporary = self.path.with_suffix(".tmp")
        torch.save(dict(state), temporary)
        os.replace(temporary, self.path)

    def load(self) -> dict[str, Any] | None:
        """The last state, or None if there is none."""
        if not self.path.exists():
            return None
        state: dict[str, Any] = torch.load(self.path, weights_only=True)
        return state

    def clear(self) -> None:
        """Remove the file once its stage is complete."""
        self.path.unlink(missing_ok=True)


def seed_everything(seed: int) -> None:
    """Fix Python's, NumPy's and PyTorch's generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rate(step: int, total: int) -> float:
    """Learning-rate factor: linear warm-up over 6 %, and linearly down to 2 %."""
    warmup = max(1, total * 6 // 100)
    return min((step + 1) / warmup, max(0.02, 1 - step / max(1, total)))


def length_batches(
    lengths: list[int], batch: int, seed: int, pool: int = 50, max_tokens: int | None = None
) -> list[list[int]]:
    """Batches of like lengths in random order: shuffle, sort within pools of ``pool`` batches, shuffle batches.

    Args:
        lengths: One length per item.
        batch: Items of a batch, at most.
        seed: Determines the order.
        pool: Batches per pool; 1 gives no sorting.
        max_tokens: Bound on items times the longest length of a batch; a single item may exceed it.

    Returns:
        Lists of item indices that together hold each item once.
    """
    order = np.random.default_rng(seed).permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), batch * pool):
        current: list[int] = []
        for item in sorted(order[start : start + batch * pool].tolist(), key=lambda i: lengths[i]):
            if len(current) == batch or (max_tokens and current and (len(current) + 1) * lengths[item] > max_tokens):
                batches.append(current)
                current = []
            current.append(item)
        batches.append(current)
    np.random.default_rng(seed + 1).shuffle(batches)
    return batches
