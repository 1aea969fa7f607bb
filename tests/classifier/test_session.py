from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SCORE = """
import sys
from pathlib import Path
from guard.classifier.classifier import Classifier, Query
from guard.types import Direction
classifier = Classifier.load(Path(sys.argv[1]))
assert classifier.score(Query("hello", Direction.PROMPT)).scores
"""


def test_scoring_leaves_no_trace_at_home(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Loading and scoring write nothing into the home directory: the runtime's reporting of usage is off."""
    hidden = ("XDG_", "ORT_", "HOME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", _SCORE, str(tiny_model_dir)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
