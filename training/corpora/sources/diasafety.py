"""DiaSafety: replies in dialogues that are unsafe in their context, in five classes (Sun et al. 2022).

Replies of people and of small dialogue models, judged together with what they answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from guard.types import Role, Turn
from training.corpora.corpus import Corpus, Files, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Toxicity Agreement": ("harassment",),
    "Offending User": ("harassment",),
    "Biased Opinion": ("hate",),
    "Risk Ignorance": ("self_harm",),
    "Unauthorized Expertise": ("other",),
}


def parse(files: Files) -> Iterator[Row]:
    """Lists of {context, response, category, label: Safe | Unsafe}."""
    for path in files.values():
        for item in json.loads(path.read_text(encoding="utf-8")):
            categories = _CATEGORIES[item["category"]]
            unsafe = {"Safe": False, "Unsafe": True}[item["label"]]
            reply = row(
                item["response"],
                lang="en",
                side="response",
                label="noncompliant" if unsafe else "compliant",
                categories=categories if unsafe else (),
            )
            yield replace(reply, context=(Turn(Role.USER, item["context"].strip()),))


CORPUS = Corpus(
    name="diasafety",
    repository=Repository("thu-coai/DiaSafety", "5106a041b1c7e36f30e02a97c44897a7f2057278"),
    licence="Apache-2.0",
    licence_class="permissive",
    files=tuple(f"DiaSafety_dataset/{split}.json" for split in ("train", "val", "test")),
    parse=parse,
)
