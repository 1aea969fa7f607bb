"""COLD: offensive language towards race, gender and region in Weibo and Zhihu posts, labelled by people.

Deng et al. 2022. Label 0 includes talk against bias, so its compliant posts are good hard negatives. The label
says nothing about other kinds of content.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_LABELS = {"0": ("compliant", ()), "1": ("noncompliant", ("hate",))}


def parse(files: Files) -> Iterator[Row]:
    """Columns ``split, topic, label, TEXT``; the test file adds ``fine-grained-label``."""
    for path in files.values():
        for record in read_csv(path):
            label, categories = _LABELS[record["label"]]
            yield row(
                record["TEXT"],
                lang="zh",
                side="content",
                label=label,
                categories=categories,
                about=("hate", "harassment"),
            )


CORPUS = Corpus(
    name="cold",
    repository=Repository("thu-coai/COLDataset", "a0c55a945497ab58e94aef491180e1cf88ffb864"),
    licence="Apache-2.0",
    licence_class="permissive",
    # test.csv is a benchmark: left out.
    files=("COLDataset/train.csv", "COLDataset/dev.csv"),
    parse=parse,
)
