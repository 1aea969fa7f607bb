"""The project's own contrast set: short texts in pairs that differ in one turn.

Public corpora confound topic with label: role play occurs in them only as a jailbreak, "kill" only as a
threat, a harmful request only with a harmful answer. These files hold the other half. They are written by
hand and kept small, so that a person can read all of them:

- ``sentences/<theme>.jsonl``: one text a line;
- ``templates/<theme>.jsonl``: a text (and context) with ``{slot}`` places and the alternatives of each slot;
- ``exchanges.jsonl``: a request with safe and, where the request is harmful, harmful answers;
- ``answers.jsonl``: refusals and compliances that name no topic. A compliance is paired with harmful and with
  harmless requests, so that only the context tells which of the two it is;
- ``wrappers.jsonl``: frames with a ``{request}`` place: ``neutral`` ones (a scene, a role, an order of form), which
  leave the judgement to the request inside, and ``jailbreak`` ones, which try to switch a model's rules off.

Nothing is drawn at random: the same files give the same rows, in the same order, with the same ids.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

THEMES: tuple[str, ...] = (
    "scary_words",
    "role_play",
    "sensitive_topics",
    "answers",
    "rare_categories",
    "context",
    "personal_data",
    "requests_en",
    "requests_zh",
    "outputs_en",
    "outputs_zh",
    "posts",
    "injection",
    "knowledge",
    "values",
    "hijack",
    "calm_outputs",
    "chats_en",
    "chats_zh",
    "borderline",
    "security_en",
    "security_zh",
    "crime_en",
    "crime_zh",
    "groups_en",
    "groups_zh",
    "frames",
    "tasks_en",
    "tasks_zh",
    "edge_en",
    "edge_zh",
    "pretexts_en",
    "pretexts_zh",
    "short_en",
    "short_zh",
    "sober_en",
    "sober_zh",
    "sounds_en",
    "sounds_zh",
    "implicit_en",
    "implicit_zh",
    "answers_en",
    "answers_zh",
    "persona",
    "schemes",
    "systems",
    "everyday",
    "quiz_en",
    "quiz_zh",
    "groups_q_en",
    "groups_q_zh",
    "chores_en",
    "chores_zh",
    "dilemmas_en",
    "dilemmas_zh",
    "plain_harm_en",
    "plain_harm_zh",
    "duels_law_en",
    "duels_law_zh",
    "duels_tech_en",
    "duels_tech_zh",
    "duels_people_en",
    "duels_people_zh",
    "duels_health_en",
    "duels_health_zh",
)
#: A template gives at most so many texts: variety comes from many templates, not from many nouns.
MAX_EXPANSIONS = 12
#: Topic-free refusals and compliances that are added to each harmful request.
_REFUSALS_EACH = 3
_COMPLIANCES_EACH = 2

_HERE = Path(__file__).parent

ContrastRow: TypeAlias = dict[str, Any]


def contrast_rows() -> list[ContrastRow]:
    """Reads and expands the whole set.

    Returns:
        Rows with the keys ``id`` (stable under reordering of the files), ``lang`` (``en`` | ``zh``), ``side``
        (``prompt`` | ``response`` | ``content``), ``text``, ``context`` (None, the request as a string, or a
        list of ``{"role", "text"}``), ``label`` (``compliant`` | ``noncompliant``), ``categories`` (empty for
        a compliant row), ``about`` (``["all"]``) and ``theme`` (one of :data:`THEMES`).

    Raises:
        ValueError: A line is no JSON object; names the file and the line.
        KeyError: A line lacks a field.
    """
    rows: list[ContrastRow] = []
    for theme in THEMES:
        sentences = _read(_HERE / "sentences" / f"{theme}.jsonl")
        rows.extend(_row(theme, entry, entry["text"], entry.get("context")) for entry in sentences)
        templates = _HERE / "templates" / f"{theme}.jsonl"
        for entry in _read(templates) if templates.exists() else ():
            rows.extend(_expand(theme, entry))
    rows.extend(_exchange_rows())
    return rows


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A frame for requests.

    Attributes:
        lang: ``en`` or ``zh``.
        jailbreak: True if the frame itself tries to switch a model's rules off.
        before: The text before the request.
        after: The text behind it.
    """

    lang: str
    jailbreak: bool
    before: str
    after: str


def wrappers() -> list[Wrapper]:
    """The frames that requests are put into.

    Raises:
        ValueError: A line is no JSON object, or has not exactly one ``{request}``; names the file.
    """
    out: list[Wrapper] = []
    for entry in _read(_HERE / "wrappers.jsonl"):
        parts = entry["text"].split("{request}")
        if len(parts) != 2:
            raise ValueError("wrappers.jsonl: a text needs exactly one {request}")
        out.append(Wrapper(entry["lang"], entry["kind"] == "jailbreak", *parts))
    return out


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of a file, one a line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}:{number}: not JSON ({error.msg})") from error
        if not isinstance(entry, dict):
            raise ValueError(f"{path.name}:{number}: not a JSON object")
        yield entry


def _row(theme: str, entry: Mapping[str, Any], text: str, context: Any) -> ContrastRow:
    """One row; ``entry`` gives language, side, label and categories."""
    key = json.dumps([entry["side"], context, text], ensure_ascii=False)
    return {
        "id": f"contrast-{theme}-{entry['lang']}-{_digest(key)[:12]}",
        "lang": entry["lang"],
        "side": entry["side"],
        "text": text,
        "context": context,
        "label": entry["label"],
        "categories": list(entry["categories"]),
        "about": ["all"],
        "theme": theme,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _expand(theme: str, entry: Mapping[str, Any]) -> Iterator[ContrastRow]:
    """The rows of a template: all fillings of its slots, or :data:`MAX_EXPANSIONS` of them."""
    for filling in _fillings(entry["slots"]):
        yield _row(theme, entry, _fill(entry["text"], filling), _fill(entry.get("context"), filling))


def _fillings(slots: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Fillings that use every alternative about equally often; ties go by a hash, so order carries no pattern."""
    waiting = [dict(zip(slots, values, strict=True)) for values in product(*slots.values())]
    waiting.sort(key=lambda filling: _digest(json.dumps(filling, ensure_ascii=False)))
    used: Counter[tuple[str, str]] = Counter()
    chosen: list[dict[str, str]] = []
    while waiting and len(chosen) < MAX_EXPANSIONS:
        best = min(waiting, key=lambda filling: sum(used[item] for item in filling.items()))
        waiting.remove(best)
        used.update(best.items())
        chosen.append(best)
    return chosen


def _fill(value: Any, filling: Mapping[str, str]) -> Any:
    """Fills the slots of a text or of every turn; other braces (code, placeholders) stay as they are."""
    if isinstance(value, list):
        return [{"role": turn["role"], "text": _fill(turn["text"], filling)} for turn in value]
    if isinstance(value, str):
        for slot, words in filling.items():
            value = value.replace("{" + slot + "}", words)
    return value


def _exchange_rows() -> Iterator[ContrastRow]:
    """Each request as a prompt, its own answers, and topic-free answers dealt out in turn."""
    pools: dict[tuple[str, str], list[str]] = {}
    for answer in _read(_HERE / "answers.jsonl"):
        pools.setdefault((answer["lang"], answer["kind"]), []).append(answer["text"])
    for (lang, kind), texts in pools.items():
        if kind == "refusal":  # a stream's first words may have no request beside them
            yield from (_answer(lang, None, text, []) for text in texts)
    dealt: Counter[tuple[str, str]] = Counter()

    def deal(lang: str, kind: str, count: int) -> list[str]:
        pool, start = pools[lang, kind], dealt[lang, kind]
        dealt[lang, kind] += count
        return [pool[(start + step) % len(pool)] for step in range(count)]

    for exchange in _read(_HERE / "exchanges.jsonl"):
        lang, request, harm = exchange["lang"], exchange["request"], exchange["categories"]
        label = "noncompliant" if harm else "compliant"
        yield _row("answers", {**exchange, "side": "prompt", "label": label}, request, None)
        if harm:
            safe = exchange["safe"] + deal(lang, "refusal", _REFUSALS_EACH)
            harmful = exchange["harmful"] + deal(lang, "compliance", _COMPLIANCES_EACH)
        else:
            safe, harmful = exchange["safe"] + deal(lang, "compliance", 1), []
        yield from (_answer(lang, request, text, []) for text in safe)
        yield from (_answer(lang, request, text, harm) for text in harmful)


def _answer(lang: str, request: str | None, text: str, categories: list[str]) -> ContrastRow:
    """A response row: noncompliant if it has categories."""
    label = "noncompliant" if categories else "compliant"
    return _row("answers", {"lang": lang, "side": "response", "label": label, "categories": categories}, text, request)
