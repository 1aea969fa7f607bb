"""CLINC150: commands to an assistant in 150 intents, and out-of-scope ones (Larson et al. 2019).

Benign by source, not checked one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_SPLITS = ("train", "val", "oos_train", "oos_val")


def parse(files: Files) -> Iterator[Row]:
    """One JSON object: split -> list of [text, intent]; the test splits are left for measuring."""
    for path in files.values():
        document = json.loads(path.read_text(encoding="utf-8"))
        for split in _SPLITS:
            for text, _ in document[split]:
                yield row(text, lang="en", side="prompt", label="compliant", basis="assumed_benign")


CORPUS = Corpus(
    name="clinc150",
    repository=Repository("clinc/oos-eval", "828f8093932c8fe6ca7936c3d2e52903b1c523de"),
    licence="CC-BY-3.0",
    licence_class="permissive",
    files=("data/data_full.json",),
    parse=parse,
)
