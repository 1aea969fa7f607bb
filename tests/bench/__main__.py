"""Everything that is measured, in one run: the sidecar under load, the model beside another encoder, and streams.

Usage: ``python -m tests.bench [--artifact DIR] [--effort F] [--output FILE.json] [--readme README.md]``. It prints one
table of ratios, then the details. Some fifteen minutes on an idle machine; ``--effort 0.1`` is a tenth of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from tests.bench import page, server, streams
from tests.bench.tables import Ratio

_ROOT = Path(__file__).resolve().parent.parent.parent
_BUSY = 0.5


def speed(artifact: Path, effort: float) -> dict[str, Any] | None:
    """What ``training.speed`` finds, in a process of its own because it needs PyTorch; None where that is missing."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "speed.json"
        command = [sys.executable, "-m", "training.speed", "--artifact", str(artifact), "--output", str(output)]
        command += ["--tokens", "60", "128", "--repeats", str(max(3, round(100 * effort)))]
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.DEVNULL, check=False)
        found: dict[str, Any] | None = json.loads(output.read_text("utf-8")) if done.returncode == 0 else None
        return found


def beside_encoder(found: dict[str, Any]) -> Ratio:
    """The ratio of ``training.speed`` that was asked for."""
    target = found["target"]
    (row,) = (row for row in found["rows"] if row["tokens"] == target["tokens"] and row["as_served"])
    what = f"one run of {target['tokens']} tokens, beside all-MiniLM-L6-v2 in int8"
    low, high = row["ratio_interval"]
    ours, other = f"{row['ours_ms']:.2f} ms", f"{row['minilm_ms']:.2f} ms"
    return Ratio(what, ours, other, row["ratio"], low, high, target["ratio"], at_most=True)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description="Everything that is measured.")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_MODEL_DIR, help="model directory (default: shipped)")
    parser.add_argument("--effort", type=float, default=1.0, help="1 is a quarter of an hour")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--readme", type=Path, help="file whose tables are replaced")
    given = parser.parse_args()
    report = server.measure(given.artifact, server.Effort.of(given.effort))
    encoder = speed(given.artifact, given.effort)
    if encoder:
        report.ratios.append(beside_encoder(encoder))
    else:
        report.notes.append("The comparison with another encoder was left out (pip install -e '.[train]').")
    if report.load_before > _BUSY:
        report.notes.append(f"The machine was busy before the run (load {report.load_before:.1f}).")
    sys.stdout.write(report.markdown() + "\n\n")
    sys.stdout.flush()
    lines = streams.measure(max(2, round(60 * given.effort)), streams.LOOKAHEADS)
    sys.stdout.write(streams.table(lines) + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        document = {"server": asdict(report), "speed": encoder, "streams": [asdict(line) for line in lines]}
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if given.readme:
        page.write_between(given.readme, "bench", report.markdown())
        page.write_between(given.readme, "streams", streams.table(lines))


if __name__ == "__main__":
    main()
