"""SWSR: sexism in Weibo comments, labelled by people (Jiang et al. 2022).

Most positives are microaggressions, and negatives may still be rude: a borderline corpus. ``target`` says
whether a person (I) or a group (G) is meant; a person is harassed, a group is hated, sexism is both.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row


def parse(files: Files) -> Iterator[Row]:
    """Columns ``comment_text, label, category, target`` among others."""
    for path in files.values():
        for record in read_csv(path):
            sexist = record["label"] == "1"
            categories = ["hate"] if sexist else []
            if sexist and record["target"] == "I":
                categories.append("harassment")
            if sexist and record["category"] == "SO":
                categories.append("sexual")
            yield row(
                record["comment_text"],
                lang="zh",
                side="content",
                label="noncompliant" if sexist else "compliant",
                categories=categories,
                about=("hate", "harassment"),
            )


CORPUS = Corpus(
    name="swsr",
    repository=Repository("aggiejiang/SWSR", "7b320184da8f9dd6d366dfe726c6b3e12ac92f77"),
    licence="MIT",
    licence_class="permissive",
    files=("SexComment.csv",),
    parse=parse,
)
