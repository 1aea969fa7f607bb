"""Why a policy decides one text as it does, and what would have to change for another action: pure.

Everything comes from one decision: the scores of its chunks, what every rule made of them, how far each is from its
threshold, and the least that another action takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from guard.normalize import steps
from guard.policy.evaluate import Outcome, decided_score, evaluate, rule_score
from guard.policy.explained import Change, ChunkPart, Condition, Explanation, Need, RuleView
from guard.policy.policy import Mode, Policy, Rule
from guard.types import Action, Content, Decision, Span


def explain(policy: Policy, content: Content, decision: Decision, chunks: Sequence[ChunkPart]) -> Explanation:
    """Explain a decision.

    Args:
        policy: It decided.
        content: What was screened.
        decision: What came of it.
        chunks: How the classifier read the text.

    Raises:
        InternalError: A score is not a finite number.
    """
    # What the rules ask for, whether or not the policy acts on it.
    enforced = replace(policy, mode=Mode.ENFORCE)
    outcome = evaluate(
        enforced,
        content.direction,
        decision.scores,
        decision.detections,
        language=decision.language,
        tags=content.tags,
    )
    silent = policy.mode is Mode.SHADOW
    again = not decision.degraded and not silent and decision.action is not outcome.action
    views = [_view(rule, content, decision, outcome, chunks) for rule in policy.rules]
    views.sort(key=lambda view: (bool(view.not_asked), 2.0 if view.margin is None else -view.margin))
    return Explanation(
        policy=decision.policy,
        model=decision.model,
        direction=content.direction,
        language=decision.language,
        turns=len(content.context),
        tokens=decision.tokens,
        action=decision.action,
        output_text=decision.output_text,
        message=decision.message,
        decided_by=_decided_by(decision, outcome, again=again),
        degraded=decision.degraded,
        second_screening=again,
        shadow_mode=silent,
        steps=steps(content.text),
        chunks=tuple(chunks),
        scores=dict(sorted(decision.scores.items(), key=lambda item: -item[1])),
        detections=decision.detections,
        rules=tuple(views),
        changes=() if decision.degraded else tuple(_changes(policy, decision, outcome, views, again=again)),
    )


def _decided_by(decision: Decision, outcome: Outcome, *, again: bool) -> tuple[str, ...]:
    if decision.degraded or decision.action is Action.ALLOW:
        return ()
    if again:
        # The second screening fired what the first one had not, or again what it had masked for.
        first = {fired.id for fired in outcome.rules}
        new = [fired.id for fired in decision.rules if fired.id not in first and not fired.shadow]
        return tuple(new) or tuple(rule.id for rule in outcome.acting)
    return tuple(rule.id for rule in outcome.acting)


def _view(rule: Rule, content: Content, decision: Decision, outcome: Outcome, chunks: Sequence[ChunkPart]) -> RuleView:
    score = decided_score(rule, decision.scores, decision.detections)
    whole = rule_score(rule, decision.scores, decision.detections)
    category = _highest(rule, decision) or rule.category
    number, peak = _chunk(category, score, chunks)
    return RuleView(
        id=rule.id,
        action=rule.action,
        shadow=rule.shadow,
        category=category,
        score=score,
        threshold=rule.threshold,
        margin=None if score is None else score - rule.threshold,
        fired=any(fired.id == rule.id for fired in outcome.rules),
        lifted=score is not None and whole is not None and score < rule.threshold <= whole,
        not_asked=_not_asked(rule, content, decision.language),
        chunk=number,
        peak=peak,
    )


def _highest(rule: Rule, decision: Decision) -> str | None:
    found = [(score, category) for category, score in decision.scores.items() if rule.matches(category)]
    found += [(place.score, place.category) for place in decision.detections if rule.matches(place.category)]
    return max(found)[1] if found else None


def _chunk(category: str, score: float | None, chunks: Sequence[ChunkPart]) -> tuple[int | None, Span | None]:
    """The chunk whose score is the text's; none for what recognizers, terms or allow-terms have decided."""
    having = [(chunk.scores[category], number) for number, chunk in enumerate(chunks) if category in chunk.scores]
    if not having or score is None:
        return None, None
    highest, number = max(having, key=lambda item: item[0])
    if abs(highest - score) > 1e-6:
        return None, None
    return number + 1, chunks[number].peaks.get(category)


def _not_asked(rule: Rule, content: Content, language: str) -> str:
    if not rule.applies_to(content.direction):
        return "direction"
    if rule.when is None or rule.when.holds(language, content.tags):
        return ""
    return "lang" if rule.when.languages and language not in rule.when.languages else "tags"


def _changes(
    policy: Policy, decision: Decision, outcome: Outcome, views: Sequence[RuleView], *, again: bool
) -> Iterator[Change]:
    asked = [view for view in views if not view.not_asked]
    for action in Action:
        if action is decision.action:
            continue
        if again and action is Action.REWRITE:
            # What is left after masking was not scored here: nothing can be said about it.
            yield Change(action, ())
            continue
        yield Change(action, _conditions(policy, action, outcome, asked))


def _conditions(policy: Policy, action: Action, outcome: Outcome, asked: Sequence[RuleView]) -> tuple[Condition, ...]:
    """The least that leads to an action: stronger rules that fire must not, and one that asks for it must."""
    live = [view for view in asked if view.fired and not view.shadow]
    out = [_condition(Need.FALL, view) for view in live if view.action.strength > action.strength]
    if policy.mode is Mode.SHADOW and action is not Action.ALLOW:
        out.append(Condition(Need.ENFORCE))
    if action is Action.ALLOW or any(view.action is action for view in live):
        return tuple(out)
    asking = [view for view in asked if view.action is action]
    silent = [view for view in asking if view.fired and view.shadow]
    if silent:
        return (*out, _condition(Need.ACT, silent[0]))
    near = next((view for view in asking if not view.shadow and not view.fired), None)
    return (*out, _condition(Need.REACH, near)) if near else ()


def _condition(need: Need, view: RuleView) -> Condition:
    return Condition(need, view.id, view.score, view.threshold)
