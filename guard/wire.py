"""Between guard's types and the messages of ``guard.v1``, in both directions and nothing else.

What comes from the wire is checked here as far as the wire is concerned: enum numbers that say nothing or that
this version does not know are refused with the field named. Whether a text is blank, too long or asks for an
unknown policy is the engine's question. Errors have a file of their own, ``guard/status.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.errors import MOST_VIOLATIONS, InvalidInput, Violation
from guard.types import (
    CATEGORIES,
    Action,
    Content,
    Decision,
    Detection,
    Direction,
    FiredRule,
    Info,
    Limits,
    ModelInfo,
    Operator,
    Origin,
    PolicyInfo,
    Rewrite,
    Role,
    Span,
    Timings,
    Turn,
)
from guard.v1 import guard_pb2 as pb

_DIRECTIONS = {pb.DIRECTION_PROMPT: Direction.PROMPT, pb.DIRECTION_OUTPUT: Direction.OUTPUT}
_ORIGINS = {pb.ORIGIN_USER: Origin.USER, pb.ORIGIN_TOOL: Origin.TOOL, pb.ORIGIN_DOCUMENT: Origin.DOCUMENT}
_ROLES = {
    pb.ROLE_USER: Role.USER,
    pb.ROLE_ASSISTANT: Role.ASSISTANT,
    pb.ROLE_SYSTEM: Role.SYSTEM,
    pb.ROLE_TOOL: Role.TOOL,
}
_ACTIONS = {pb.ACTION_ALLOW: Action.ALLOW, pb.ACTION_REWRITE: Action.REWRITE, pb.ACTION_BLOCK: Action.BLOCK}
_DIRECTION_NUMBERS = {v: k for k, v in _DIRECTIONS.items()}
_ORIGIN_NUMBERS = {v: k for k, v in _ORIGINS.items()}
_ROLE_NUMBERS = {v: k for k, v in _ROLES.items()}
_ACTION_NUMBERS = {v: k for k, v in _ACTIONS.items()}
_CATEGORY_ORDER = {name: i for i, name in enumerate(CATEGORIES)}


def content_to_proto(content: Content) -> pb.Content:
    """A content as its message.

    Raises:
        InvalidInput: A string holds a lone surrogate, which no UTF-8 can carry.
    """
    try:
        return pb.Content(
            text=content.text,
            direction=_DIRECTION_NUMBERS[content.direction],
            context=[pb.Turn(role=_ROLE_NUMBERS[turn.role], text=turn.text) for turn in content.context],
            origin=_ORIGIN_NUMBERS[content.origin],
            policy=content.policy,
            request_id=content.request_id,
            tags=content.tags,
        )
    except UnicodeEncodeError:
        raise InvalidInput.of("content", "invalid UTF-8: a lone surrogate", "send well-formed Unicode text") from None


def content_from_proto(message: pb.Content) -> Content:
    """A content from its message.

    Raises:
        InvalidInput: An enum number is unspecified where it must be said, or unknown; every one is named, but of many
            turns the first ones, with the number of the rest.
    """
    found: list[Violation] = []
    direction = _DIRECTIONS.get(message.direction, Direction.PROMPT)
    if message.direction not in _DIRECTIONS:
        found.append(_enum_violation("direction", message.direction, Direction))
    origin = _ORIGINS.get(message.origin, Origin.USER)
    if message.origin not in _ORIGINS and message.origin != pb.ORIGIN_UNSPECIFIED:
        found.append(_enum_violation("origin", message.origin, Origin))
    broken = [(i, turn.role) for i, turn in enumerate(message.context) if turn.role not in _ROLES]
    found += [_enum_violation(f"context[{i}].role", role, Role) for i, role in broken[:MOST_VIOLATIONS]]
    if len(broken) > MOST_VIOLATIONS:
        found.append(Violation("context", f"and {len(broken) - MOST_VIOLATIONS} more without a role", _one_of(Role)))
    if found:
        raise InvalidInput(found)
    return Content(
        text=message.text,
        direction=direction,
        context=tuple(Turn(_ROLES[turn.role], turn.text) for turn in message.context),
        origin=origin,
        policy=message.policy,
        request_id=message.request_id,
        tags=dict(message.tags),
    )


def opening_to_proto(content: Content) -> pb.StreamOpen:
    """What a stream begins with, from a content whose text is of no account.

    Raises:
        InvalidInput: A string holds a lone surrogate.
    """
    message = content_to_proto(content)
    return pb.StreamOpen(
        direction=message.direction,
        context=message.context,
        origin=message.origin,
        policy=message.policy,
        request_id=message.request_id,
        tags=message.tags,
    )


def opening_from_proto(message: pb.StreamOpen) -> Content:
    """What a stream begins with, as a content without text.

    Raises:
        InvalidInput: As :func:`content_from_proto`.
    """
    return content_from_proto(
        pb.Content(
            direction=message.direction,
            context=message.context,
            origin=message.origin,
            policy=message.policy,
            request_id=message.request_id,
            tags=message.tags,
        )
    )


def _enum_violation(field: str, number: int, known: Iterable[str]) -> Violation:
    reason = f"unknown value {number}" if number else "not given"
    return Violation(field, reason, _one_of(known))


def _one_of(known: Iterable[str]) -> str:
    return f"one of {', '.join(known)}"


def decision_to_proto(decision: Decision) -> pb.Decision:
    """A decision as its message."""
    timings = decision.timings
    return pb.Decision(
        action=_ACTION_NUMBERS[decision.action],
        output_text=decision.output_text,
        rules=[
            pb.FiredRule(
                id=rule.id,
                category=rule.category,
                score=rule.score,
                threshold=rule.threshold,
                action=_ACTION_NUMBERS[rule.action],
                shadow=rule.shadow,
            )
            for rule in decision.rules
        ],
        scores=decision.scores,
        detections=[
            pb.Detection(
                category=found.category,
                span=pb.Span(start=found.span.start, end=found.span.end),
                score=found.score,
                source=found.source,
            )
            for found in decision.detections
        ],
        policy=decision.policy,
        model=decision.model,
        chunks=decision.chunks,
        tokens=decision.tokens,
        language=decision.language,
        degraded=decision.degraded,
        timings=pb.Timings(
            queue_us=timings.queue, tokenise_us=timings.tokenise, infer_us=timings.infer, decide_us=timings.decide
        ),
        request_id=decision.request_id,
        message=decision.message,
        transforms=decision.transforms,
        rewrites=[
            pb.Rewrite(
                span=pb.Span(start=done.span.start, end=done.span.end),
                operator=done.operator,
                category=done.category,
                replacement=done.replacement,
            )
            for done in decision.rewrites
        ],
    )


def decision_from_proto(message: pb.Decision) -> Decision:
    """A decision from its message; an action that this version does not know counts as block."""
    timings = message.timings
    return Decision(
        action=_ACTIONS.get(message.action, Action.BLOCK),
        output_text=message.output_text,
        rules=tuple(
            FiredRule(r.id, r.category, r.score, r.threshold, _ACTIONS.get(r.action, Action.BLOCK), r.shadow)
            for r in message.rules
        ),
        # A protobuf map has no order: put the categories back into the contract's.
        scores={name: message.scores[name] for name in sorted(message.scores, key=_category_order)},
        detections=tuple(
            Detection(d.category, Span(d.span.start, d.span.end), d.score, d.source) for d in message.detections
        ),
        policy=message.policy,
        model=message.model,
        chunks=message.chunks,
        tokens=message.tokens,
        language=message.language,
        degraded=message.degraded,
        timings=Timings(timings.queue_us, timings.tokenise_us, timings.infer_us, timings.decide_us),
        request_id=message.request_id,
        message=message.message,
        transforms=tuple(message.transforms),
        rewrites=tuple(
            Rewrite(Span(r.span.start, r.span.end), _operator(r.operator), r.category, r.replacement)
            for r in message.rewrites
        ),
    )


def _operator(name: str) -> Operator:
    """An operator by its name; one that this version does not know has covered its place somehow."""
    return Operator(name) if name in set(Operator) else Operator.MASK


def _category_order(name: str) -> tuple[int, str]:
    return _CATEGORY_ORDER.get(name, len(_CATEGORY_ORDER)), name


def info_to_proto(info: Info) -> pb.GetInfoResponse:
    """What is loaded, as the answer to GetInfo."""
    return pb.GetInfoResponse(
        version=info.version,
        model=pb.ModelInfo(
            name=info.model.name,
            revision=info.model.revision,
            categories=info.model.categories,
            unsupported=info.model.unsupported,
            normalizer_version=info.model.normalizer_version,
        ),
        policies=[
            pb.PolicyInfo(
                name=policy.name,
                revision=policy.revision,
                mode=policy.mode,
                description=policy.description,
                rules=policy.rules,
                default=policy.default,
                owner=policy.owner,
                version=policy.version,
            )
            for policy in info.policies
        ],
        limits=pb.Limits(
            max_tokens=info.limits.max_tokens,
            chunk_tokens=info.limits.chunk_tokens,
            max_batch_items=info.limits.max_batch_items,
            max_message_bytes=info.limits.max_message_bytes,
        ),
    )


def info_from_proto(message: pb.GetInfoResponse) -> Info:
    """What is loaded, from the answer to GetInfo."""
    model, limits = message.model, message.limits
    return Info(
        version=message.version,
        model=ModelInfo(
            model.name, model.revision, tuple(model.categories), tuple(model.unsupported), model.normalizer_version
        ),
        policies=tuple(
            PolicyInfo(p.name, p.revision, p.mode, p.description, p.rules, p.default, p.owner, p.version)
            for p in message.policies
        ),
        limits=Limits(limits.max_tokens, limits.chunk_tokens, limits.max_batch_items, limits.max_message_bytes),
    )
