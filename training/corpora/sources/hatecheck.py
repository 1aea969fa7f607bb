"""HateCheck: functional tests for hate speech detection (Röttger et al. 2021). A benchmark: never trained on."""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row


def parse(files: Files) -> Iterator[Row]:
    """Columns ``functionality, test_case, label_gold`` among others."""
    for path in files.values():
        for record in read_csv(path):
            hateful = {"hateful": True, "non-hateful": False}[record["label_gold"]]
            categories = ("hate", "violence") if record["functionality"].startswith("threat_") else ("hate",)
            yield row(
                record["test_case"],
                lang="en",
                side="content",
                label="noncompliant" if hateful else "compliant",
                categories=categories if hateful else (),
                about=("hate",),
                basis="design",
            )


CORPUS = Corpus(
    name="hatecheck",
    repository=Repository("paul-rottger/hatecheck-data", "d84302298ceeb34f4b0dde2d8a1f4932c2caa612"),
    licence="CC-BY-4.0",
    licence_class="permissive",
    files=("test_suite_cases.csv",),
    parse=parse,
    purpose="bench",
)
