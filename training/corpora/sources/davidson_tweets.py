"""Tweets labelled hate speech, offensive language or neither (Davidson et al. 2017).

Offensive words alone decide nothing here (ambiguous). The corpus is known to over-label African American
English (Sap et al. 2019); it is a small share of the mixture.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_CLASSES = {
    "0": ("noncompliant", ("hate",)),
    "1": ("ambiguous", ("harassment",)),
    "2": ("compliant", ()),
}


def parse(files: Files) -> Iterator[Row]:
    """Columns ``class, tweet`` among others."""
    for path in files.values():
        for record in read_csv(path):
            label, categories = _CLASSES[record["class"]]
            yield row(
                record["tweet"],
                lang="en",
                side="content",
                label=label,
                categories=categories,
                about=("hate", "harassment"),
            )


CORPUS = Corpus(
    name="davidson_tweets",
    repository=Repository("t-davidson/hate-speech-and-offensive-language", "cb50f7e9eb"),
    licence="MIT",
    licence_class="permissive",
    files=("data/labeled_data.csv",),
    parse=parse,
)
