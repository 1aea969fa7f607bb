r"""Why the model is wrong: a sheet of held-out mistakes for a person to read, and the counts of their causes.

    python -m training.mistakes draw --artifact runs/NAME/artifact --model runs/NAME/train --data DIR \\
        --policy policies/default.yaml --output runs/NAME/mistakes [--count 100] [--seed 0]
    python -m training.mistakes report --output runs/NAME/mistakes

``draw`` scores rows held out of the training, decides them by the policy and writes ``sheet.jsonl``, mistakes with
their texts, and ``draw.json``, how many there are of each kind. A person then writes ``causes.jsonl`` beside them, one
``{"id", "cause", "note"}`` a line; the causes are those of :data:`CAUSES`. ``report`` writes ``mistakes.json``, which
has counts and no text. The sheet is for the reader alone: it stays in the ignored ``runs/``.

A mistake is a decision that the row's label contradicts. A corpus about hate that calls a text compliant does not
contradict a rule about fraud, nor one about everything, so such a row is a false alarm only where a rule about hate
acts. Every kind (side, language, false alarm or miss) gets the same number of places, shared evenly by its sources:
the sheet shows rare kinds of mistakes too, and ``share`` in the report weighs them back to what the held-out rows have.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from guard.classifier.classifier import Classifier, Scored
from guard.errors import GuardError, InvalidInput
from guard.policy.evaluate import evaluate
from guard.policy.load import load_policy
from guard.policy.policy import Policy
from guard.types import Action, Turn
from training.corpora import ALL, COMPLIANT, Row, directions_of, read_parquet_dir
from training.corpora.splits import sample, split_key
from training.queries import query_of

#: What a mistake may come from, and how to tell; a mistake has one cause, the first that explains it.
CAUSES: Mapping[str, str] = {
    "label_wrong": "the corpus label is doubtful: a careful reader would side with the model",
    "needs_context": "only somebody who knows what came before, or who is meant, could tell",
    "scary_word": "a harmless text with alarming vocabulary",
    "implicit": "harm without any alarming word: insinuation, stereotype, agreement, a harmful aim in plain terms",
    "diluted": "one harmful sentence among harmless ones",
    "role_play_frame": "a persona, a story or rules of play around the request decide, rightly or wrongly",
    "spelling": "disguised, misspelt or slang words carry the meaning",
    "domain": "a register or a topic that the training never shows, or shows with the other label only",
    "other_language": "neither Chinese nor English, or mixed with another language",
    "quotation": "harmful words are quoted, reported or condemned, not meant",
    "answer_vs_request": "an answer judged by the request before it instead of by what it says",
    "borderline": "careful readers would disagree with each other",
    "threshold": "plain in meaning and ranked so: only the operating point lies on the wrong side of the score",
    "other": "none of these",
}

#: A false alarm is a compliant text that an action met, a miss a noncompliant one that was allowed.
FALSE_ALARM, MISS = "false_alarm", "miss"

#: A score this close to the threshold of its rule is near it.
_NEAR = 0.1

_SHEET, _DRAW, _CAUSES, _REPORT = "sheet.jsonl", "draw.json", "causes.jsonl", "mistakes.json"


@dataclass(frozen=True, slots=True)
class RuleScore:
    """A rule and the score it saw, both 0..1; it fires at ``score >= threshold``."""

    rule: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row that was decided against its label.

    Attributes:
        row: The row.
        kind: :data:`FALSE_ALARM` or :data:`MISS`.
        rules: Of a false alarm those that wrongly fired, of a miss the one that came nearest; highest first.
    """

    row: Row
    kind: str
    rules: tuple[RuleScore, ...]

    @property
    def stratum(self) -> str:
        """What the sheet is balanced over: ``side/language/kind``."""
        return f"{self.row.side}/{self.row.lang}/{self.kind}"

    @property
    def near(self) -> bool:
        """True if thresholds that lie 0.1 elsewhere would have been enough to decide otherwise."""
        return all(abs(rule.score - rule.threshold) <= _NEAR for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Found:
    """All mistakes among the scored rows, and how many rows of each label and stratum they come from."""

    texts: Mapping[str, int]
    mistakes: list[Mistake]


def mistake_of(row: Row, scores: Mapping[str, float], policy: Policy) -> Mistake | None:
    """The mistake that the policy makes of a row, or None.

    Args:
        row: Labelled compliant or noncompliant; a person's post is decided as a prompt.
        scores: Category -> calibrated probability, 0..1.
        policy: Decides.
    """
    direction = directions_of(row, training=False)[0]
    outcome = evaluate(policy, direction, scores, ())
    if row.label == COMPLIANT:
        acting = {rule.id for rule in outcome.acting} if outcome.action is not Action.ALLOW else set()
        wrong = [
            RuleScore(rule.id, rule.score, rule.threshold)
            for rule in outcome.rules
            if rule.id in acting and (ALL in row.about or rule.category in row.about)
        ]
        wrong.sort(key=lambda rule: -rule.score)
        return Mistake(row, FALSE_ALARM, tuple(wrong)) if wrong else None
    if outcome.action is not Action.ALLOW:
        return None
    silent = [
        RuleScore(rule.id, scores[rule.category], rule.threshold)
        for rule in policy.rules
        if rule.applies_to(direction) and rule.category in scores and not rule.shadow
    ]
    return Mistake(row, MISS, tuple(sorted(silent, key=lambda rule: rule.score - rule.threshold)[-1:]))


def find(rows: Sequence[Row], classifier: Classifier, policy: Policy) -> Found:
    """Score rows one by one; a text over the model's limit is left out."""
    texts: dict[str, int] = {}
    mistakes: list[Mistake] = []
    results = classifier.score_batch([query_of(row, directions_of(row, training=False)[0]) for row in rows])
    for row, scored in zip(rows, results, strict=True):
        if not isinstance(scored, Scored):
            continue
        kind = FALSE_ALARM if row.label == COMPLIANT else MISS
        stratum = f"{row.side}/{row.lang}/{kind}"
        texts[stratum] = texts.get(stratum, 0) + 1
        mistake = mistake_of(row, scored.scores, policy)
        if mistake is not None:
            mistakes.append(mistake)
    return Found(texts, mistakes)


def draw(mistakes: Sequence[Mistake], count: int, per_source: int, seed: int) -> list[Mistake]:
    """Choose mistakes to read: strata take turns, and within a stratum the source that was drawn least.

    Of the answers to one request one is drawn: more of them would say the same.

    Args:
        mistakes: Candidates.
        count: At most so many; fewer where the candidates are used up.
        per_source: At most so many of a source.
        seed: Determines the choice.
    """
    rng = np.random.default_rng(seed)
    waiting: dict[str, list[Mistake]] = {}
    for index in rng.permutation(len(mistakes)):
        waiting.setdefault(mistakes[index].stratum, []).append(mistakes[index])
    drawn: list[Mistake] = []
    of_source: dict[str, int] = {}
    requests: set[str] = set()
    while len(drawn) < count and waiting:
        for stratum in sorted(waiting):
            free = [
                m
                for m in waiting[stratum]
                if of_source.get(m.row.source, 0) < per_source and split_key(m.row) not in requests
            ]
            if not free:
                del waiting[stratum]
            elif len(drawn) < count:
                here = [m.row.source for m in drawn if m.stratum == stratum]
                # Sources that this stratum has not shown yet come first, then those that the sheet has least of.
                chosen = min(free, key=lambda m: (here.count(m.row.source), of_source.get(m.row.source, 0)))
                waiting[stratum] = free
                free.remove(chosen)
                requests.add(split_key(chosen.row))
                of_source[chosen.row.source] = of_source.get(chosen.row.source, 0) + 1
                drawn.append(chosen)
    return sorted(drawn, key=lambda m: m.stratum)


def sheet_line(mistake: Mistake) -> dict[str, Any]:
    """What the reader sees of a mistake."""
    row = mistake.row
    return {
        "id": row.id,
        "kind": mistake.kind,
        "source": row.source,
        "side": row.side,
        "lang": row.lang,
        "label": row.label,
        "categories": list(row.categories),
        "about": list(row.about),
        "rules": [{**asdict(rule), "score": round(rule.score, 3)} for rule in mistake.rules],
        "context": [{"role": _role(turn), "text": turn.text} for turn in row.context],
        "text": row.text,
    }


def _role(turn: Turn) -> str:
    return str(turn.role.value)


def read_causes(path: Path, ids: Iterable[str]) -> dict[str, str]:
    """Cause of every mistake of the sheet, by id.

    Args:
        path: JSONL with ``id`` and ``cause``; what else is there stays there.
        ids: The sheet's.

    Raises:
        InvalidInput: A line is no such object, its id is not on the sheet or came before, its cause is not one of
            :data:`CAUSES`, or a mistake has none; the first of these, with its line.
    """
    wanted = set(ids)
    found: dict[str, str] = {}
    # Only line feeds end a line: notes and texts may hold other characters that count as line ends.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            item = json.loads(line)
            name, cause = str(item["id"]), str(item["cause"])
        except (ValueError, KeyError, TypeError):
            raise InvalidInput.of(place, "no object with id and cause", 'write {"id": ..., "cause": ...}') from None
        if name not in wanted or name in found:
            reason = f"{name} is there already" if name in found else f"{name} is not on the sheet"
            raise InvalidInput.of(place, reason, "one line for each id of the sheet")
        if cause not in CAUSES:
            raise InvalidInput.of(place, f"unknown cause {cause!r}", f"one of {', '.join(CAUSES)}")
        found[name] = cause
    missing = sorted(wanted - set(found))
    if missing:
        raise InvalidInput.of(str(path), f"{len(missing)} mistakes without a cause: {missing[0]} ...", "add them")
    return found


def report(drawn: Mapping[str, Any], sheet: Sequence[Mapping[str, Any]], causes: Mapping[str, str]) -> dict[str, Any]:
    """The document of counts, without any text.

    Args:
        drawn: What ``draw.json`` has: model, policy, counts, and per stratum its texts, mistakes and near ones.
        sheet: The sheet's lines.
        causes: Cause by id.

    Returns:
        ``by_kind``: per stratum texts, mistakes, those near the threshold and how many were read; ``causes``: counts,
        most frequent first, and ``share``, the estimated share of all mistakes that were found, 0..1.
    """
    strata = {line["id"]: f"{line['side']}/{line['lang']}/{line['kind']}" for line in sheet}
    read = list(strata.values())
    by_kind = {name: {**counts, "read": read.count(name)} for name, counts in drawn["by_kind"].items()}
    weights = {name: kind["mistakes"] / kind["read"] for name, kind in by_kind.items() if kind["read"]}
    total = sum(weights[stratum] for stratum in read)

    def count(members: Sequence[Mapping[str, Any]], **wanted: str) -> int:
        return sum(all(line[key] == value for key, value in wanted.items()) for line in members)

    entries = []
    for cause in CAUSES:
        members = [line for line in sheet if causes[line["id"]] == cause]
        if members:
            entry = {
                "cause": cause,
                "count": len(members),
                "false_alarms": count(members, kind=FALSE_ALARM),
                "misses": count(members, kind=MISS),
                "false_alarms_en": count(members, kind=FALSE_ALARM, lang="en"),
                "false_alarms_zh": count(members, kind=FALSE_ALARM, lang="zh"),
                "misses_en": count(members, kind=MISS, lang="en"),
                "misses_zh": count(members, kind=MISS, lang="zh"),
                "share": round(sum(weights[strata[line["id"]]] for line in members) / total, 3),
            }
            entries.append(entry)
    return {
        **{key: drawn[key] for key in ("model", "policy", "texts", "mistakes")},
        "read": len(sheet),
        "by_kind": by_kind,
        "causes": sorted(entries, key=lambda entry: -int(entry["count"])),
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """The document of :func:`report` for people."""
    kinds = ("false_alarms_en", "false_alarms_zh", "misses_en", "misses_zh")
    lines = [
        f"{document['read']} of {document['mistakes']} mistakes among {document['texts']} held-out texts,"
        f" {document['model']}, policy {document['policy']}",
        "",
        "| cause | n | false alarms en | zh | misses en | zh | share of all mistakes |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in document["causes"]:
        counts = " | ".join(str(entry[kind]) for kind in kinds)
        lines.append(f"| {entry['cause']} | {entry['count']} | {counts} | {entry['share']:.0%} |")
    return "\n".join(lines) + "\n"


def _draw(args: argparse.Namespace) -> None:
    heldout = set(json.loads((args.model / "mixture.json").read_text(encoding="utf-8"))["heldout"])
    rows = sample(
        (r for path in args.data for r in read_parquet_dir(path) if r.id in heldout), args.per_group, by_label=True
    )
    classifier, policy = Classifier.load(args.artifact), load_policy(args.policy)
    found = find(rows, classifier, policy)
    lines = [sheet_line(m) for m in draw(found.mistakes, args.count, args.per_source, args.seed)]
    strata = [mistake.stratum for mistake in found.mistakes]
    near = [mistake.stratum for mistake in found.mistakes if mistake.near]
    drawn = {
        "model": classifier.artifact.identity,
        "policy": policy.identity,
        "seed": args.seed,
        "texts": sum(found.texts.values()),
        "mistakes": len(strata),
        "by_kind": {
            name: {"texts": texts, "mistakes": strata.count(name), "near": near.count(name)}
            for name, texts in sorted(found.texts.items())
        },
    }
    args.output.mkdir(parents=True, exist_ok=True)
    _write(args.output / _DRAW, drawn)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (args.output / _SHEET).write_text(text, encoding="utf-8")
    print(f"{len(lines)} of {len(strata)} mistakes among {drawn['texts']} texts: {args.output / _SHEET}")


def _report(args: argparse.Namespace) -> None:
    written = (args.output / _SHEET).read_text(encoding="utf-8").split("\n")
    sheet = [json.loads(line) for line in written if line]
    causes = read_causes(args.output / _CAUSES, (line["id"] for line in sheet))
    drawn = json.loads((args.output / _DRAW).read_text(encoding="utf-8"))
    document = report(drawn, sheet, causes)
    _write(args.output / _REPORT, document)
    print(to_markdown(document))


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="score held-out rows and write the sheet")
    drawing.add_argument("--artifact", type=Path, required=True, help="calibrated artifact")
    drawing.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    drawing.add_argument("--data", type=Path, action="append", required=True, help="the training's corpora")
    drawing.add_argument("--policy", type=Path, required=True, help="policy file; its thresholds decide")
    drawing.add_argument("--count", type=int, default=100, help="mistakes on the sheet")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--per-source", type=int, default=8, help="mistakes of one source on the sheet at most")
    drawing.add_argument(
        "--per-group", type=int, default=100, help="rows of a source, side, language and label to score at most"
    )
    reporting = commands.add_parser("report", help="count the causes that a person gave")
    for command in (drawing, reporting):
        command.add_argument("--output", type=Path, required=True, help="directory of the sheet and the report")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    args = _arguments(argv)
    try:
        (_draw if args.command == "draw" else _report)(args)
    except (GuardError, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
