"""The 175 seed tasks of Self-Instruct (Wang et al. 2023): requests with answers, written by people.

Benign by source.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from guard.types import Role, Turn
from training.corpora.corpus import Corpus, Files, row
from training.corpora.fetch import Repository
from training.corpora.row import Row


def parse(files: Files) -> Iterator[Row]:
    """JSONL of {instruction, instances: [{input, output}]}; the first instance is taken."""
    for path in files.values():
        for line in path.read_text(encoding="utf-8").splitlines():
            task = json.loads(line)
            example = task["instances"][0]
            request = "\n".join(part for part in (task["instruction"].strip(), example["input"].strip()) if part)
            yield row(request, lang="en", side="prompt", label="compliant", basis="assumed_benign")
            answer = row(example["output"], lang="en", side="response", label="compliant", basis="assumed_benign")
            yield replace(answer, context=(Turn(Role.USER, request),))


CORPUS = Corpus(
    name="self_instruct_seeds",
    repository=Repository("tatsu-lab/stanford_alpaca", "761dc5bfbd"),
    licence="Apache-2.0",
    licence_class="permissive",
    files=("seed_tasks.jsonl",),
    parse=parse,
)
