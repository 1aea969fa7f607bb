"""CounselChat: what people ask therapists, and what these answer: grave words in harmless texts.

A question about suicide or self-harm is a cry for help: it is left undecided (ambiguous).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from guard.types import Role, Turn
from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_GRAVE = ("suicid", "self-harm", "kill myself", "end my life")


def parse(files: Files) -> Iterator[Row]:
    """Columns ``questionTitle, questionText, answerText`` among others; a question recurs with every answer."""
    for path in files.values():
        for record in read_csv(path):
            question = (record["questionText"] or record["questionTitle"]).strip()
            grave = any(word in f"{record['questionTitle']} {question}".casefold() for word in _GRAVE)
            yield row(
                question,
                lang="en",
                side="prompt",
                label="ambiguous" if grave else "compliant",
                categories=("self_harm",) if grave else (),
                basis="assumed_benign",
            )
            answer = row(record["answerText"], lang="en", side="response", label="compliant", basis="assumed_benign")
            yield replace(answer, context=(Turn(Role.USER, question),) if question else ())


CORPUS = Corpus(
    name="counsel_chat",
    repository=Repository("nbertagnolli/counsel-chat", "e202e19c50"),
    licence="MIT (repository); texts of counselchat.com",
    licence_class="permissive",
    files=("data/20200325_counsel_chat.csv",),
    parse=parse,
)
