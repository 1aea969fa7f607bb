"""``guard policy explain``: why a text is decided as it is, and what another action would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from guard.cli.options import DirectionOption, Format, FormatOption, ModelOption
from guard.cli.output import printable, shortened, show, styled, write_line
from guard.cli.policy_report import json_line, section
from guard.cli.screen import content_of
from guard.errors import InvalidInput
from guard.types import DEFAULT_POLICY, Direction

if TYPE_CHECKING:
    from guard.policy.explained import Change, Condition, Explanation, RuleView
    from guard.types import Span

_SHOWN_CHANGES = 5
_SHOWN_RULES = 20
_TEXT_CELLS = 40
_STEP_NAMES = {
    "removed": "invisible characters removed",
    "folded": "forms folded",
    "simplified": "traditional to simplified",
}


def explain(
    policy: Annotated[
        str | None, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships; else default.")
    ] = None,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text, or - to read standard input.")] = None,
    direction: DirectionOption = Direction.PROMPT,
    context: Annotated[
        str | None, typer.Option(help="What came before: one user turn, or a JSON list of {role, text}.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A tag of the text.")] = None,
    model: ModelOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Explain one decision: what was read, what every rule made of it, and what another action would take.

    Shows what normalisation changed, the pieces that the model read, each rule's score against its threshold, the
    places that were found, the rules behind the action, and the least that would lead to each of the others.

    Exit codes: 0 fine, 2 bad usage or input.
    """
    if policy is None or text is None:
        policy, text = DEFAULT_POLICY, _lone_text(policy)
    content = content_of(text, direction, context, tags=_tags(tag or ()))
    # Imported here: the other commands start without its weight.
    from guard.sdk.local import Guard

    with Guard(model=model, policy=policy) as guard:
        found = guard.explain(content.text, content.direction, content.context, tags=content.tags)
    if format_ is Format.JSON:
        write_line(json_line(found, ()))
    else:
        _show(found, content.text)


def _lone_text(given: str | None) -> str:
    """The only argument, if it is a text."""
    from guard.policy.load import resolve_policy

    if given is not None:
        try:
            resolve_policy(given)
        except InvalidInput:
            if given.endswith((".yaml", ".yml")):
                raise
            return given
    raise InvalidInput.of("TEXT", "missing", "give a policy and a text, or a text alone")


def _tags(given: Sequence[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise InvalidInput.of("--tag", f"{pair[:60]!r} is not NAME=VALUE", "such as --tag tenant=shop")
        out[name] = value
    return out


def _show(found: Explanation, text: str) -> None:
    turns = f", after {found.turns} turn{'s' * (found.turns != 1)}" if found.turns else ""
    pieces = len(found.chunks)
    write_line(f"policy   {found.policy}")
    write_line(f"model    {found.model}")
    write_line(
        f"text     {found.direction.value}, {found.language}, {found.tokens} token{'s' * (found.tokens != 1)} in "
        f"{pieces} chunk{'s' * (pieces != 1)}{turns}"
    )
    _show_action(found)
    if found.output_text != text:
        write_line(f"{'message' if found.message else 'output':9}{printable(found.output_text)}")
    section(
        ("normalisation", "at", "from", "to"),
        (
            (_STEP_NAMES[step.name], _place(change.span), _visible(change.before), _visible(change.after))
            for step in found.steps
            for change in step.changes[:_SHOWN_CHANGES]
        ),
        left=("normalisation", "at", "from", "to"),
    )
    hidden = sum(max(0, len(step.changes) - _SHOWN_CHANGES) for step in found.steps)
    if hidden:
        write_line(f"... {hidden} more changes with --format json")
    if pieces > 1:
        section(
            ("chunk", "place", "tokens", "highest"),
            (
                (number, _place(chunk.span), chunk.tokens, _highest(chunk.scores))
                for number, chunk in enumerate(found.chunks, start=1)
            ),
            left=("place", "highest"),
        )
    _show_rules(found, text)
    section(
        ("found", "at", "score", "by"),
        ((place.category, _place(place.span), f"{place.score:.3f}", place.source) for place in found.detections),
        left=("found", "at", "by"),
    )
    section(
        ("to get", "what would have to change"),
        ((change.action.value, _words(change, found)) for change in found.changes),
        left=("to get", "what would have to change"),
    )


def _show_action(found: Explanation) -> None:
    why = f"by {', '.join(found.decided_by)}" if found.decided_by else "no rule that acts has fired"
    if found.degraded:
        why = "the text could not be scored; the policy's on_error decided"
    elif found.shadow_mode:
        why = "the policy is in shadow and reports only"
    elif found.second_screening:
        why = f"the masked text was screened again, and still fired {', '.join(found.decided_by)}"
    show(Text.assemble("action   ", styled(found.action), f", {why}"))


def _show_rules(found: Explanation, text: str) -> None:
    asked = [rule for rule in found.rules if not rule.not_asked]
    section(
        ("rule", "action", "category", "score", "threshold", "margin", "fired", "strongest at"),
        (
            (
                rule.id,
                f"{rule.action.value}{' (shadow)' * rule.shadow}",
                rule.category,
                "-" if rule.score is None else f"{rule.score:.3f}",
                f"{rule.threshold:.3f}",
                "-" if rule.margin is None else f"{rule.margin:+.3f}",
                "yes" if rule.fired else "lifted" if rule.lifted else "no",
                _strongest(rule, text),
            )
            for rule in asked[:_SHOWN_RULES]
        ),
        left=("rule", "action", "category", "fired", "strongest at"),
    )
    if len(asked) > _SHOWN_RULES:
        write_line(f"... {len(asked) - _SHOWN_RULES} more rules with --format json")
    for why in ("direction", "lang", "tags"):
        others = [rule.id for rule in found.rules if rule.not_asked == why]
        if others:
            write_line(f"not asked, because of the {why}: {shortened(', '.join(others), 100)}")


def _strongest(rule: RuleView, text: str) -> str:
    """The token that the model finds strongest, with its place, for rules that fire or nearly do."""
    if rule.peak is None or rule.score is None or rule.score < rule.threshold / 2:
        return ""
    return f"{_place(rule.peak)} {shortened(text[rule.peak.start : rule.peak.end], _TEXT_CELLS)}"


def _words(change: Change, found: Explanation) -> str:
    if change.possible:
        return "; ".join(map(_condition, change.conditions))
    if found.second_screening:
        return "what the mask leaves must fire no rule"
    return f"no rule that asks for it is asked about {found.direction.value}s like this"


def _condition(condition: Condition) -> str:
    score = "no score" if condition.score is None else f"{condition.score:.3f}"
    return {
        "fall": f"{condition.rule} below {condition.threshold:.3f} (it scores {score})",
        "reach": f"{condition.rule} at {condition.threshold:.3f} (it scores {score})",
        "act": f"{condition.rule} out of shadow (guard policy promote)",
        "enforce": "mode: enforce",
    }[condition.need.value]


def _highest(scores: Mapping[str, float]) -> str:
    category, score = max(scores.items(), key=lambda item: item[1])
    return f"{category} {score:.3f}"


def _place(span: Span) -> str:
    return f"[{span.start}, {span.end})"


def _visible(text: str) -> str:
    """Characters that a terminal shows, and the numbers of those that it does not."""
    shown = "".join(c if c.isprintable() and not c.isspace() else f"U+{ord(c):04X} " for c in text[:12])
    return (shown.strip() or "nothing") + "..." * (len(text) > 12)
