"""Sentences of a white-supremacist forum, hateful or not, labelled by people (de Gibert et al. 2018).

Share-alike. Its compliant sentences stand without their thread; the label is about hate only.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_METADATA = "annotations_metadata.csv"
_LABELS = {
    "hate": ("noncompliant", ("hate",)),
    "noHate": ("compliant", ()),
    # "relation" needs its neighbours to be hateful, "idk/skip" is not English or not decidable.
    "relation": ("ambiguous", ("hate",)),
    "idk/skip": ("ambiguous", ()),
}


def parse(files: Files) -> Iterator[Row]:
    """Columns ``file_id, label`` in the metadata; one text file a sentence."""
    texts = {name.rsplit("/", 1)[-1].removesuffix(".txt"): path for name, path in files.items()}
    for record in read_csv(files[_METADATA]):
        label, categories = _LABELS[record["label"]]
        text = texts[record["file_id"]].read_text(encoding="utf-8")
        yield row(text, lang="en", side="content", label=label, categories=categories, about=("hate",))


CORPUS = Corpus(
    name="vicomtech",
    repository=Repository("Vicomtech/hate-speech-dataset", "b802137e83"),
    licence="CC-BY-SA-3.0-ES",
    licence_class="sharealike",
    files=(_METADATA, "all_files/*.txt"),
    parse=parse,
)
