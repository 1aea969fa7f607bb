"""The parts of a model card beside the benchmarks: calibration, int8, places within a text, speed, errors, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.classifier.classifier import Classifier, Query
from guard.normalize import normalize
from guard.policy.evaluate import evaluate
from guard.policy.policy import Policy
from guard.types import Action, Direction, Role, Turn
from training.card import plot
from training.card import text as card_text
from training.card.text import Example
from training.localisation import MIN_AUROC, MIN_POINTING
from training.markdown import rate, sections, table, yes
from training.mistakes import CAUSES
from training.quantisation import MAX_LOSS, MIN_AGREEMENT

#: Largest calibration error on sources that nothing was fitted on.
MAX_ECE = 0.05

_NOT_MEASURED = "Not measured."
# Where a calibration figure was taken: prefix of its name in the artifact's metrics -> what that is.
_PLACES: Mapping[str, str] = {
    "unseen": "sources that neither training nor calibration has seen",
    "heldout": "held-out rows that the calibration was fitted on",
}


def calibration(metrics: Mapping[str, float], reliability: Mapping[str, Any] | None, model: str) -> str:
    """Calibration error per place and group, and the diagram.

    Args:
        metrics: Of the artifact: ``unseen_ece``, ``unseen_zh_ece``, ``heldout_prompt_ece`` and so on.
        reliability: ``reliability.json``, if there is one.
        model: Identity of the described model.
    """
    rows = []
    for name, value in metrics.items():
        place, _, group = name.removesuffix("_ece").partition("_")
        if name.endswith("_ece") and place in _PLACES:
            stem = name.removesuffix("_ece")
            texts, auroc = metrics.get(f"{stem}_rows"), metrics.get(f"{stem}_auroc")
            reached = yes(value <= MAX_ECE) if place == "unseen" else ""
            shown = "" if texts is None else int(texts)
            rows.append((_PLACES[place], group or "all", shown, rate(value), reached, rate(auroc)))
    rows.sort(key=lambda row: row[0] != _PLACES["unseen"])
    return sections(
        "How far the score of `noncompliant` is a probability: expected calibration error (15 bins of equal width).",
        table(("measured on", "group", "texts", "ECE", f"<= {MAX_ECE}", "AUROC"), rows) if rows else _NOT_MEASURED,
        _diagrams(reliability, model) if reliability else "",
    )


def _diagrams(document: Mapping[str, Any], model: str) -> str:
    parts = [measured_with(document, model)]
    if document.get("sources"):
        parts.append(f"Reliability over {', '.join(document['sources'])}:")
    for group in document["groups"]:
        parts.append(f"{group['name']}: {group['texts']} texts, ECE {group['ece']:.3f}")
        parts.append(plot.reliability(group["bins"]))
    return sections(*parts)


def quantisation(document: Mapping[str, Any] | None, model: str) -> str:
    """What int8 costs against float32."""
    if document is None:
        return _NOT_MEASURED
    rows = [
        (
            *("all" if c["side"] == "*" else f"{c['side']} {c['lang']}", c["texts"], c["positives"]),
            *(rate(c["float_auprc"], 4), rate(c["int8_auprc"], 4), rate(c["loss"], 2)),
            *(rate(c["agreement"], 4), rate(c["mean_difference"], 4)),
        )
        for c in document["families"]
    ]
    limit = document.get("limit_per_source")
    head = (
        "family",
        "texts",
        "violations",
        "AUPRC fp32",
        "AUPRC int8",
        "loss, points",
        "equal decisions",
        "mean difference",
    )
    return sections(
        measured_with(document, model),
        f"The same texts through the trained network in float32 and through the graph that ships; policy "
        f"`{document['policy']}`{f', at most {limit} texts of a source' if limit else ''}. At most {MAX_LOSS} points "
        f"of AUPRC lost on every family and {MIN_AGREEMENT:.0%} equal decisions: {yes(document['lossless'])}.",
        table(head, rows),
    )


def localisation(document: Mapping[str, Any] | None, model: str) -> str:
    """How well token scores find a planted sentence."""
    if document is None:
        return _NOT_MEASURED
    names = ("token_auroc", "pointing", "sentence", "blind_pointing", "blind_sentence")
    rows = [
        (
            "all" if s["lang"] == "*" else f"{s['direction']} {s['lang']}",
            s["texts"],
            *(rate(s[name]) for name in names),
        )
        for s in document["groups"]
    ]
    head = ("family", "texts", "token AUROC", "pointing", "sentence", "pointing, blind", "sentence, blind")
    return sections(
        measured_with(document, model),
        "One noncompliant sentence planted among harmless ones: AUROC of the token scores against the planted tokens, "
        "whether the highest token lies in the plant (pointing), and whether the sentence with the highest mean is the "
        f"plant; blind is what chance gives. Token AUROC >= {MIN_AUROC} and pointing >= {MIN_POINTING}: "
        f"{yes(document['reached'])}.",
        table(head, rows),
    )


#: Key of a row in ``speed.json`` -> what it is called, and its form.
_SPEED: Mapping[str, tuple[str, str]] = {
    "runs": ("runs", "{:.0f}"),
    "ours_ms": ("ms", "{:.2f}"),
    "minilm_ms": ("MiniLM, ms", "{:.2f}"),
    "ratio": ("ratio", "{:.3f}"),
    "texts_per_s": ("texts/s", "{:.1f}"),
    "gops": ("GOP/s", "{:.0f}"),
    "share_of_peak": ("share of peak", "{:.2f}"),
}


def speed(document: Mapping[str, Any] | None, model: str) -> str:
    """Time of one text, beside the encoder that the model came from."""
    if document is None:
        return _NOT_MEASURED
    used = {key: value for key, value in _SPEED.items() if any(row.get(key) is not None for row in document["rows"])}
    rows = [
        (
            f"{row['tokens']}" + ("" if row.get("as_served", True) else ", one sequence"),
            *("" if row.get(key) is None else form.format(row[key]) for key, (_, form) in used.items()),
        )
        for row in document["rows"]
    ]
    place = ", ".join(str(document[key]) for key in ("device",) if document.get(key))
    notes = [
        "One text at a time on one thread, medians, in turns with all-MiniLM-L6 in int8 (exported with the same "
        f"settings) in one process{', on ' + place if place else ''}. Of two machines only the ratio and the share of "
        "the peak can be compared."
    ]
    peak, share = document.get("gemm_peak_gops"), document.get("share_of_peak")
    if peak is not None:
        notes.append(f"The int8 matrix product alone reaches {peak:.0f} GOP/s there.")
    if share is not None:
        notes.append(f"The model reaches {share:.0%} of it.")
    target = document.get("target")
    if target and target.get("reached") is not None:
        notes.append(
            f"At most {target['ratio']:g} times MiniLM's time at {target['tokens']} tokens: {yes(target['reached'])}."
        )
    return sections(
        measured_with(document, model),
        " ".join(notes),
        table(["tokens", *(name for name, _ in used.values())], rows),
        _languages(document.get("languages", ())),
    )


def _languages(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            *(entry["lang"], entry["texts"], entry["characters"], f"{entry['tokens_per_character']:.3f}"),
            *(f"{entry['ms_per_text']:.2f}", f"{entry['ms_per_100_characters']:.2f}"),
        )
        for entry in entries
    ]
    head = ("lang", "texts", "characters", "tokens a character", "ms a text", "ms a 100 characters")
    return sections("Texts of equal meaning in both languages:", table(head, rows)) if rows else ""


#: Key of a cause in ``mistakes.json`` -> what it is called.
_MISTAKES: Mapping[str, str] = {
    "false_alarms_en": "false alarms, en",
    "false_alarms_zh": "zh",
    "misses_en": "misses, en",
    "misses_zh": "zh",
}


def mistakes(analyses: Sequence[Mapping[str, Any]]) -> str:
    """Causes of mistakes that were read, and what was done about them; one analysis a model, oldest first."""
    parts = []
    for analysis in analyses:
        causes = sorted(analysis["causes"], key=lambda cause: -int(cause["count"]))
        used = [key for key in _MISTAKES if any(key in cause for cause in causes)]
        weighed = any("share" in cause for cause in causes)
        rows = [
            (
                *(cause["cause"], cause["count"], *(cause.get(key, "") for key in used)),
                *([f"{cause['share']:.0%}" if "share" in cause else ""] if weighed else []),
                cause.get("note") or CAUSES.get(cause["cause"], ""),
            )
            for cause in causes
        ]
        share = ["share of all"] if weighed else []
        done = analysis.get("done")
        parts.append(
            sections(
                f"{_read(analysis)} of `{analysis['model']}`, read one by one, by cause:",
                table(("cause", "read", *(_MISTAKES[key] for key in used), *share, "what that is"), rows),
                f"What was done about it: {done}" if done else "",
            )
        )
    return sections(*parts, card_text.DONE) if parts else "No mistakes were read."


def _read(analysis: Mapping[str, Any]) -> str:
    """How many mistakes were read, and of how many where that is known."""
    if "read" not in analysis:
        return f"{analysis['texts']} mistakes"
    return f"{analysis['read']} of {analysis['mistakes']} mistakes among {analysis['texts']} held-out texts"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a model and a policy make of an example; recognizers take no part.

    Attributes:
        example: The text and what it should be.
        action: What the policy decides.
        category: The category with the highest score.
        score: That score, 0..1.
    """

    example: Example
    action: Action
    category: str
    score: float

    @property
    def fails(self) -> bool:
        """Whether the decision is not the one that is wanted."""
        return (self.action is Action.ALLOW) != self.example.allow


def decide(examples: Sequence[Example], classifier: Classifier, policy: Policy) -> list[Decided]:
    """Decide the examples as serving would, recognizers apart.

    Raises:
        InvalidInput: An example cannot be scored.
    """
    out = []
    for example in examples:
        direction = Direction(example.direction)
        context = (Turn(Role.USER, normalize(example.context).text),) if example.context else ()
        scored = classifier.score(Query(normalize(example.text).text, direction, context))
        category = max(scored.scores, key=lambda name: scored.scores[name])
        action = evaluate(policy, direction, scored.scores, ()).action
        out.append(Decided(example, action, category, scored.scores[category]))
    return out


def examples(decided: Sequence[Decided]) -> str:
    """Those examples that this model gets wrong; empty if there is none."""
    rows = [
        (
            *(d.example.direction, d.example.text, "allow" if d.example.allow else "stop"),
            *(d.action.value, d.category, rate(d.score)),
        )
        for d in decided
        if d.fails
    ]
    if not rows:
        return ""
    note = "Mild examples, as this model and the default policy decide them:"
    return sections(note, table(("direction", "text", "should", "does", "top category", "score"), rows))


def measured_with(document: Mapping[str, Any], model: str) -> str:
    """A warning where figures are of another model or revision."""
    other = document.get("model", model)
    return "" if other == model else f"**Measured with `{other}`, not with this revision.**"
