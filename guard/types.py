"""The values that every part of guard speaks: content in, decision out.

Frozen dataclasses with slots and no behaviour beyond small derivations, so that a decision can cross
threads, be compared in tests and be written to a log without anybody changing it on the way.
Offsets are code points of the ORIGINAL text everywhere; scores are calibrated probabilities in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: The category that means "any of the others, or something without a name here".
NONCOMPLIANT = "noncompliant"

#: Every classifier category, in the contract's order. All are legal in policy rules.
CATEGORIES: tuple[str, ...] = (
    "hate",
    "harassment",
    "violence",
    "sexual",
    "sexual_minors",
    "self_harm",
    "weapons",
    "crime",
    "cyber",
    "privacy",
    "misinformation",
    "fraud_spam",
    "jailbreak",
    NONCOMPLIANT,
)

#: Personal data, the parent first. All are legal in policy rules; a parent matches its children.
PII_CATEGORIES: tuple[str, ...] = (
    "pii",
    "pii.email",
    "pii.phone",
    "pii.id_card",
    "pii.bank_card",
    "pii.iban",
    "pii.ip",
    "pii.address_cn",
    "pii.plate_cn",
    "pii.passport",
)

#: Credentials, the parent first.
SECRET_CATEGORIES: tuple[str, ...] = (
    "secret",
    "secret.private_key",
    "secret.jwt",
    "secret.cloud_key",
    "secret.api_key",
)

#: Every category that a built-in recognizer finds places of.
RECOGNIZER_CATEGORIES: tuple[str, ...] = (*PII_CATEGORIES, *SECRET_CATEGORIES, "url")

#: Every category that a rule or a truth can name, but for those of a policy's own recognizers.
BUILT_IN_CATEGORIES: tuple[str, ...] = (*CATEGORIES, *RECOGNIZER_CATEGORIES)

#: Parent of what a policy's own recognizers find: ``custom.<name>``.
CUSTOM = "custom"

#: How names begin, among scores and detections, that a policy's own terms leave there.
TERM_PREFIX = "term."
#: As above, of its allow-terms.
ALLOW_PREFIX = "allow."

#: Default name of a policy where none is asked for.
DEFAULT_POLICY = "default"

#: Where a sidecar listens, and a client looks for it, unless told otherwise.
DEFAULT_ADDRESS = "127.0.0.1:50061"

#: Items of one ``ScreenBatch``.
MAX_BATCH_ITEMS = 256

#: Bytes of one gRPC message unless the server was told otherwise.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


#: Tokens of one run of the model, padding included: larger batches gain nothing.
MAX_BATCH_TOKENS = 512

#: Tokens that may wait in front of the model: three texts of the greatest length, or a quarter of a minute of one core.
MAX_QUEUE_TOKENS = 131072


def is_category(name: str) -> bool:
    """True if a rule may name it: a category of the classifier, of a built-in recognizer, or of a policy's own."""
    return name in BUILT_IN_CATEGORIES or name == CUSTOM or name.startswith(f"{CUSTOM}.")


class Direction(StrEnum):
    """Which way the text travels: to the model (prompt) or from it (output)."""

    PROMPT = "prompt"
    OUTPUT = "output"


#: Other words for a direction, as people and corpora have them.
DIRECTION_ALIASES: Mapping[str, Direction] = {"response": Direction.OUTPUT, "content": Direction.PROMPT}


class Origin(StrEnum):
    """Who wrote the text of a prompt: the user, a tool's result or a retrieved document."""

    USER = "user"
    TOOL = "tool"
    DOCUMENT = "document"


class Role(StrEnum):
    """Who spoke a turn of the context."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class Action(StrEnum):
    """What a policy does with a text; ordered by :attr:`strength`."""

    ALLOW = "allow"
    REWRITE = "rewrite"
    BLOCK = "block"

    @property
    def strength(self) -> int:
        """0 for allow, 1 for rewrite, 2 for block: the strongest action of the fired rules wins."""
        return _STRENGTH[self]


_STRENGTH = {Action.ALLOW: 0, Action.REWRITE: 1, Action.BLOCK: 2}


class Operator(StrEnum):
    """How a rewrite rule rewrites."""

    PARTIAL = "partial"
    REPLACE = "replace"
    MASK = "mask"
    LLM = "llm"
    DROP_SENTENCE = "drop_sentence"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of what came before the screened text."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """One text to screen, with everything the decision may depend on.

    Attributes:
        text: The text itself, original and unnormalised.
        direction: prompt (towards the model) or output (from it).
        context: What came before, oldest first; for an output the prompt it answers.
        origin: Where a prompt's text comes from.
        policy: Policy name; empty means the server's default.
        request_id: The caller's id, returned unchanged; empty means none.
        tags: Free labels (tenant, route ...) for policies, metrics and the decision log.
    """

    text: str
    direction: Direction = Direction.PROMPT
    context: tuple[Turn, ...] = ()
    origin: Origin = Origin.USER
    policy: str = ""
    request_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open range [start, end) in code points of the original text."""

    start: int
    end: int

    def moved(self, by: int) -> Span:
        """The same range, so many code points further on, or back if that is negative."""
        return Span(self.start + by, self.end + by)


@dataclass(frozen=True, slots=True)
class Detection:
    """A place in the text where a category was found.

    Attributes:
        category: A classifier category, or a recognizer's (``pii.phone``).
        span: Where, in code points of the original text.
        score: How sure the source is, 0..1.
        source: Name of the recognizer, or ``model``.
    """

    category: str
    span: Span
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One thing that a rewrite did.

    Attributes:
        span: What was rewritten, in code points of the original text.
        operator: How.
        category: What was found there.
        replacement: What stands there now; empty for a dropped sentence.
    """

    span: Span
    operator: Operator
    category: str
    replacement: str


@dataclass(frozen=True, slots=True)
class FiredRule:
    """A rule whose condition held, with the evidence.

    Attributes:
        id: The rule's id in its policy.
        category: The category that was compared (a parent rule names the child that fired).
        score: That category's score, 0..1.
        threshold: The rule's threshold, 0..1; the rule fires at ``score >= threshold``.
        action: What the rule asks for.
        shadow: True if the rule only reports and does not act.
    """

    id: str
    category: str
    score: float
    threshold: float
    action: Action
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Timings:
    """Microseconds a decision spent per phase."""

    queue: int = 0
    tokenise: int = 0
    infer: int = 0
    decide: int = 0

    @property
    def total(self) -> int:
        """Sum of the phases in microseconds."""
        return self.queue + self.tokenise + self.infer + self.decide


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be passed on, and why.

    Attributes:
        action: The strongest action of the rules that fired and are not in shadow.
        output_text: What may be passed on: the original, the rewritten text, or the policy's message.
        rules: Every rule that fired, shadow rules included.
        scores: EVERY category's calibrated score; empty only if the classifier failed (degraded). Beside them a
            policy with terms has ``term.*`` (1 where a rule's term was found, 0 where none was) and ``allow.*`` (what a
            rule was decided by, its allow-terms taken out).
        detections: Spans found by recognizers (and by the model where it localises).
        policy: ``name@revision`` of the policy that decided.
        model: ``name@revision`` of the classifier that scored.
        chunks: How many overlapping pieces the text was scored in.
        tokens: Model tokens of the text.
        language: ``zh``, ``en`` or ``other``.
        degraded: True if the text could not be screened and ``on_error`` decided.
        timings: Microseconds per phase.
        request_id: The caller's id, unchanged.
        message: True if ``output_text`` is the policy's message (of a block, or of a rewrite by template) and no
            part of the text: it is for the person to read and never for the model.
        transforms: Which disguises were undone (``leet``, ``base64`` ...) where the text as it stands would have been
            decided otherwise; see :data:`guard.unmask.TRANSFORMS`.
        rewrites: What a rewrite did, in the order of the text; spans do not overlap. Putting every replacement in the
            place of its span makes ``output_text`` of the original. Empty for every other action.
    """

    action: Action
    output_text: str
    rules: tuple[FiredRule, ...]
    scores: Mapping[str, float]
    detections: tuple[Detection, ...]
    policy: str
    model: str
    chunks: int
    tokens: int
    language: str
    degraded: bool = False
    timings: Timings = field(default_factory=Timings)
    request_id: str = ""
    message: bool = False
    transforms: tuple[str, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()

    @property
    def allowed(self) -> bool:
        """True if the original text may be passed on unchanged."""
        return self.action is Action.ALLOW


@dataclass(frozen=True, slots=True)
class PolicyInfo:
    """A loaded policy as ``info`` reports it."""

    name: str
    revision: str
    mode: str
    description: str
    rules: int
    default: bool
    owner: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The loaded classifier artifact as ``info`` reports it."""

    name: str
    revision: str
    categories: tuple[str, ...]
    unsupported: tuple[str, ...]
    normalizer_version: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one call may carry; above them a request is refused, never cut.

    Attributes:
        max_tokens: Model tokens of one text.
        chunk_tokens: Text tokens of one chunk.
        max_batch_items: Items of one ``ScreenBatch``.
        max_message_bytes: Bytes of one gRPC message.
    """

    max_tokens: int
    chunk_tokens: int
    max_batch_items: int = MAX_BATCH_ITEMS
    max_message_bytes: int = MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class Info:
    """Versions, model, policies and limits of a guard (in process or served)."""

    version: str
    model: ModelInfo
    policies: tuple[PolicyInfo, ...]
    limits: Limits
