"""What the slices of a stream have shown so far, and the decision about the whole that follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from guard.language import OTHER
from guard.policy.allow import is_evidence
from guard.policy.policy import Policy
from guard.types import Action, Decision, Detection, FiredRule, Rewrite, Span, Timings
from guard.window import Slice


@dataclass(slots=True)
class Tally:
    """What the slices of a stream have shown so far."""

    action: Action = Action.ALLOW
    rules: dict[str, FiredRule] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    #: What terms have to say, and one slice at least did not.
    silent: set[str] = field(default_factory=set)
    detections: dict[tuple[str, Span, str], Detection] = field(default_factory=dict)
    model: str = ""
    chunks: int = 0
    language: str = OTHER
    degraded: bool = False
    timings: Timings = field(default_factory=Timings)
    transforms: dict[str, None] = field(default_factory=dict)
    rewrites: list[Rewrite] = field(default_factory=list)

    def add(self, piece: Slice, decision: Decision, until: int) -> None:
        """Count a slice; what was found behind ``until`` will be found again, unless this was the last slice."""
        self.action = max(self.action, decision.action, key=lambda action: action.strength)
        for rule in decision.rules:
            if rule.id not in self.rules or rule.score > self.rules[rule.id].score:
                self.rules[rule.id] = rule
        if self.model and not (self.degraded or decision.degraded):
            self.silent.update(filter(is_evidence, self.scores.keys() ^ decision.scores.keys()))
        for category, score in decision.scores.items():
            self.scores[category] = max(score, self.scores.get(category, score))
        for found in decision.detections:
            if found.span.start < until or decision.message:
                span = found.span.moved(piece.start)
                self.detections[found.category, span, found.source] = replace(found, span=span)
        self.transforms.update(dict.fromkeys(decision.transforms))
        self.model = decision.model
        self.chunks += decision.chunks
        if self.language == OTHER:
            self.language = decision.language
        self.degraded = self.degraded or decision.degraded
        mine, new = self.timings, decision.timings
        self.timings = Timings(
            mine.queue + new.queue, mine.tokenise + new.tokenise, mine.infer + new.infer, mine.decide + new.decide
        )

    def decision(self, last: Decision | None, *, policy: Policy, model: str, tokens: int, request_id: str) -> Decision:
        """The decision about the whole stream.

        Args:
            last: That of the slice that ended the stream; None if it came to its end.
            policy: Of the stream.
            model: Identity of the model, in case that no slice was scored.
            tokens: Of all text that came.
            request_id: Of the stream.
        """
        order = {rule.id: index for index, rule in enumerate(policy.rules)}
        return Decision(
            action=self.action,
            output_text=last.output_text if last else "",
            rules=tuple(sorted(self.rules.values(), key=lambda rule: order[rule.id])),
            scores={name: score for name, score in self.scores.items() if name not in self.silent},
            detections=tuple(self.detections.values()),
            policy=policy.identity,
            model=self.model or model,
            chunks=self.chunks,
            tokens=tokens,
            language=last.language if last else self.language,
            degraded=self.degraded,
            timings=self.timings,
            request_id=request_id,
            message=last is not None,
            transforms=tuple(self.transforms),
            rewrites=tuple(self.rewrites),
        )
