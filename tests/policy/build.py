"""Short spellings of policies and records for the tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guard.policy.load import parse_policy
from guard.policy.policy import Policy
from guard.records import Record
from guard.types import Action, Direction

#: A policy's text up to its rules: four lines.
HEAD = "version: 1\nname: p\nmessage: {en: policy words, zh: 政策的话}\nrules:\n"


def policy_of(*rules: str, mode: str = "enforce") -> Policy:
    """A policy of rules in flow style, without their braces."""
    return parse_policy(text_of(rules) + f"mode: {mode}\n", "p.yaml")


def text_of(rules: Sequence[str]) -> str:
    """The text of a policy with these rules."""
    return HEAD + "".join(f"  - {{{rule}}}\n" for rule in rules)


def record_of(record_id: str, scores: Mapping[str, float], **fields: Any) -> Record:
    """A record of a prompt with these scores; ``text`` fills its hash, too, and stays with it."""
    text = fields.get("text") or record_id
    plain = Record(
        id=record_id,
        request_id="",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        direction=Direction.PROMPT,
        lang="en",
        action=Action.ALLOW,
        text=None,
        output_text=None,
        text_hash=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        tokens=1,
        chunks=1,
        rules=(),
        scores=scores,
        detections=(),
        policy="p@0123456789ab",
        model="m@0123456789ab",
    )
    return replace(plain, **fields)


def file_of(path: Path, *lines: Record | str) -> Path:
    """Write records, or lines as they are, to a file of records."""
    path.write_bytes("".join(f"{line.to_json()}\n" if isinstance(line, Record) else line for line in lines).encode())
    return path
