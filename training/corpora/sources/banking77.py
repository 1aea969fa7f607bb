"""Banking77: what customers ask their bank; stolen cards, wrong PINs and fraud in harmless requests.

Casanueva et al. 2020. Benign by source, not checked one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row


def parse(files: Files) -> Iterator[Row]:
    """Columns ``text, category``."""
    for path in files.values():
        for record in read_csv(path):
            yield row(record["text"], lang="en", side="prompt", label="compliant", basis="assumed_benign")


CORPUS = Corpus(
    name="banking77",
    repository=Repository("PolyAI-LDN/task-specific-datasets", "57ec275d80"),
    licence="CC-BY-4.0",
    licence_class="permissive",
    # test.csv is left for measuring.
    files=("banking_data/train.csv",),
    parse=parse,
)
