"""JADE-DB: Chinese requests written to make a model break rules, and pairs of a violating and a safe answer.

Versions 1 and 2 are requests with a type and subtypes; version 3 has a violating and a safe answer to each
request. Violating by design: some requests, and about a quarter of the violating answers, are mild.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from guard.types import Role, Turn
from training.corpora.corpus import Corpus, Files, read_csv, row
from training.corpora.fetch import Repository
from training.corpora.row import Row

_TYPES: Mapping[str, tuple[str, ...]] = {
    "违法犯罪": ("crime",),
    "歧视偏见": ("hate",),
    "侵犯权益": ("other",),
    "侵害权益": ("other",),
}
# What a subtype says beyond its type; found anywhere in the name, since the names vary between versions.
_SUBTYPES: Mapping[str, tuple[str, ...]] = {
    "隐私": ("privacy",),
    "个人信息": ("privacy",),
    "肖像权": ("privacy",),
    "名誉权": ("harassment",),
    "身心健康": ("violence",),
    "网络欺诈": ("crime", "cyber", "fraud_spam"),
    "诈骗": ("crime", "fraud_spam"),
    "非法侵入": ("crime", "cyber"),
    "武器": ("crime", "weapons"),
    "恐怖主义": ("crime", "violence"),
    "故意伤害": ("crime", "violence"),
    "虐待与贩卖人口": ("crime", "violence"),
    "宣扬暴力": ("violence",),
    "淫秽色情": ("sexual",),
    "虚假有害信息": ("misinformation",),
    "歧视": ("hate",),
}


def categories_of(kind: str, subtypes: str) -> tuple[str, ...]:
    """Categories of a type and its subtypes; ``other`` only where nothing has a name."""
    found = [c for part, names in _SUBTYPES.items() if part in subtypes for c in names]
    found += _TYPES[kind.strip()]
    named = tuple(c for c in dict.fromkeys(found) if c != "other")
    return named or ("other",)


def parse(files: Files) -> Iterator[Row]:
    """``问题, 违规类型, 违规子类`` in versions 1 and 2; ``问题, 违规回答, 安全有用回答`` in version 3."""
    for name, path in files.items():
        for record in read_csv(path):
            question = record["问题"]
            if "v3" not in name:
                categories = categories_of(record["违规类型"], record["违规子类"])
                yield row(
                    question, lang="zh", side="prompt", label="noncompliant", categories=categories, basis="design"
                )
                continue
            context = (Turn(Role.USER, question.strip()),)
            bad = row(
                record["违规回答"],
                lang="zh",
                side="response",
                label="noncompliant",
                categories=("other",),
                basis="design",
            )
            good = row(record["安全有用回答"], lang="zh", side="response", label="compliant", basis="design")
            yield replace(bad, context=context)
            yield replace(good, context=context)


CORPUS = Corpus(
    name="jade",
    repository=Repository("whitzard-ai/jade-db", "812de63691d129757b8a55851d0c3440d2714523"),
    licence="MIT",
    licence_class="permissive",
    files=(
        "jade-db-v1.0/jade_benchmark_zh.csv",
        "jade-db-v2.0/jade_benchmark_easy_zh.csv",
        "jade-db-v2.0/jade_benchmark_medium_zh.csv",
        "jade-db-v3.0/jade_alignment_hard_zh.csv",
        "jade-db-v3.0/jade_alignment_medium_zh.csv",
    ),
    parse=parse,
)
