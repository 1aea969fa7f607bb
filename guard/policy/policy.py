"""A policy as the engine uses it: checked values, no file format.

Everything here is immutable; a policy is loaded once, shared by all threads and replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from guard.llm import Endpoint
from guard.policy.terms import TermMatcher
from guard.recognizers.custom import Custom
from guard.types import Action, Direction, PolicyInfo
from guard.types import Operator as Operator


class Mode(StrEnum):
    """Whether a policy acts on what it finds, or only reports it."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """How an operator does its work.

    Attributes:
        text: What stands in the place of a masked span or a dropped sentence; None for one ``*`` a character, or
            nothing.
        keep: Characters that ``partial`` leaves at the end of a span.
    """

    text: str | None = None
    keep: int = 4


@dataclass(frozen=True, slots=True)
class When:
    """For which texts a rule is there: all that is named must hold.

    Attributes:
        tags: Name of a tag -> its values; a text without the tag has none of them.
        languages: ``zh``, ``en``, ``other``; empty for all of them.
    """

    tags: tuple[tuple[str, frozenset[str]], ...] = ()
    languages: frozenset[str] = frozenset()

    def holds(self, language: str, tags: Mapping[str, str]) -> bool:
        """True if a text of this language, with these tags, is meant."""
        if self.languages and language not in self.languages:
            return False
        return all(tags.get(name) in values for name, values in self.tags)


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition and what follows from it.

    Attributes:
        id: Unique in the policy.
        direction: The direction it applies to; None for both.
        category: What it looks at; a parent (``pii``) matches its children (``pii.phone``). Of a rule that has
            terms alone it is :attr:`term_category`.
        threshold: It fires at ``score >= threshold``, 0..1.
        action: What it asks for; ``allow`` reports only.
        rewrite: The operator of a rewrite rule; None on every other rule.
        message: Text per language (``zh``, ``en``) for the one who wrote the screened text; may be empty.
        shadow: True if the rule only reports and does not act.
        when: For which texts it is there; None for all.
        term_category: The category of its own terms, which score 1 where one is found and 0 where none is; empty if
            it has none.
        allow_terms: What its allow-terms are where they stand in a text; empty if it has none.
        allow_category: Their name among the scores: what the rule is decided by, its allow-terms taken out; empty if
            it has none.
        options: How the operator works.
    """

    id: str
    direction: Direction | None
    category: str
    threshold: float
    action: Action
    rewrite: Operator | None = None
    message: Mapping[str, str] = field(default_factory=dict)
    shadow: bool = False
    when: When | None = None
    term_category: str = ""
    allow_terms: str = ""
    allow_category: str = ""
    options: RewriteOptions = RewriteOptions()

    @property
    def answers(self) -> bool:
        """True if, where it acts, the message stands for the text."""
        return self.action is Action.BLOCK or (
            self.action is Action.REWRITE and self.rewrite in {None, Operator.TEMPLATE}
        )

    def applies_to(self, direction: Direction) -> bool:
        """True if texts of this direction are the rule's business."""
        return self.direction is None or self.direction is direction

    def concerns(self, direction: Direction, language: str, tags: Mapping[str, str]) -> bool:
        """True if texts of this direction and language, with these tags, are the rule's business."""
        return self.applies_to(direction) and (self.when is None or self.when.holds(language, tags))

    def matches(self, category: str) -> bool:
        """True if the category is the rule's, a child of it, or that of its terms."""
        # Asked for every rule and every category of every text.
        if category.startswith(self.category) and category[len(self.category) :][:1] in ("", "."):
            return True
        return bool(self.term_category) and category == self.term_category


@dataclass(frozen=True, slots=True)
class Streaming:
    """Sizes of a stream's hold-back window.

    Attributes:
        lookahead: Model tokens that text is screened together with before it leaves; at least 1.
        context: Model tokens before a slice that are screened with it once more.
        step: Model tokens that a slice brings; larger is cheaper, smaller releases earlier.
        max_hold: Seconds without new text after which what may leave does so without waiting for a whole step.
    """

    lookahead: int = 32
    context: int = 64
    step: int = 24
    max_hold: float = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """A loaded policy.

    Attributes:
        name: What callers ask for.
        version: Version of the policy language.
        revision: First 12 hex digits of the sha256 of the file's bytes, and of those of the files that it names.
        description: For people; may be empty.
        mode: In shadow the policy reports every rule that fires and allows every text.
        on_error: Block or allow what could not be screened; see :attr:`failure_action`.
        message: Text per language where the rules that fired have none of their own.
        rules: In the file's order.
        path: The file it came from.
        calibrated_for: The model whose scores the thresholds were set on: ``name@revision``, or a name that
            stands for all its revisions; None if the file does not say.
        streaming: Sizes of a stream's window.
        owner: Who answers for it, for people; may be empty.
        release: The version that its people give it; may be empty.
        terms: Finds the terms of all rules; None if no rule has any.
        sources: The files that it was made from: its own, those that it extends, lists of terms.
        recognizers: The policy's own, which run beside the built-in ones.
        llm: The language model that rewrites for its rules; None if none does.
    """

    name: str
    version: int
    revision: str
    description: str
    mode: Mode
    on_error: Action
    message: Mapping[str, str]
    rules: tuple[Rule, ...]
    path: str
    calibrated_for: str | None = None
    streaming: Streaming = field(default_factory=Streaming)
    owner: str = ""
    release: str = ""
    terms: TermMatcher | None = None
    sources: tuple[str, ...] = ()
    recognizers: tuple[Custom, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every name that a rule looks for among scores and detections, once."""
        named = (name for rule in self.rules for name in (rule.category, rule.term_category, rule.allow_category))
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def tags(self) -> frozenset[str]:
        """Every tag that a rule asks for."""
        return frozenset(name for rule in self.rules if rule.when for name, _ in rule.when.tags)

    llm: Endpoint | None = None

    @property
    def identity(self) -> str:
        """``name@revision``, as decisions and records carry it."""
        return f"{self.name}@{self.revision}"

    @property
    def failure_action(self) -> Action:
        """What to do with a text that could not be screened; a policy in shadow never stops one."""
        return Action.ALLOW if self.mode is Mode.SHADOW else self.on_error

    def mismatch(self, model: str) -> str | None:
        """What to tell whoever lets the policy decide on scores that its thresholds were not set on.

        A threshold is a place on one model's scale: on another model's scores the same number stops more or
        less than it was chosen to. That is worth a word and no refusal, since trying a model is legitimate.

        Args:
            model: ``name@revision`` of the scores.

        Returns:
            One line with both models and the cure; None if they agree or the policy names no model.
        """
        if self.calibrated_for in {None, model, model.partition("@")[0]}:
            return None
        return (
            f"policy {self.identity}: its thresholds were set on {self.calibrated_for}, the scores are of {model} "
            f"(see what changes with guard policy diff, set them anew, then write calibrated_for: {model})"
        )

    def info(self, default: bool) -> PolicyInfo:
        """The policy as ``info`` reports it.

        Args:
            default: True if it decides where no policy is asked for.
        """
        return PolicyInfo(
            name=self.name,
            revision=self.revision,
            mode=self.mode.value,
            description=self.description,
            rules=len(self.rules),
            default=default,
            owner=self.owner,
            version=self.release,
        )
