"""What policy and case files may contain: the pydantic models, and the JSON Schema made from them.

Every key that a policy may have stands here once. ``python -m guard.policy.schema`` prints the JSON Schema
that editors use; it is committed as ``policies/policy.schema.json``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from guard.patterns import BadPattern, checked_pattern
from guard.policy.suggest import did_you_mean
from guard.policy.terms import TermMistake, folded_term
from guard.recognizers import RECOGNIZERS
from guard.recognizers.checksums import CHECKSUMS
from guard.types import BUILT_IN_CATEGORIES, CUSTOM, Operator, is_category

#: Version of the policy language that this guard reads.
POLICY_VERSION = 1

#: A model as decisions name it (``name@revision``), or its name alone for every revision.
_MODEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(@[0-9a-f]{12})?$"

#: What a policy's own recognizer may be called.
_OWN_NAME = r"^[a-z][a-z0-9_]{0,47}$"

#: Type of the errors raised here: their context holds ``what`` and ``cure`` in full.
MISTAKE = "mistake"


def _mistake(what: str, cure: str) -> PydanticCustomError:
    return PydanticCustomError(MISTAKE, "{what} ({cure})", {"what": what, "cure": cure})


def _legal_category(name: str) -> str:
    if not is_category(name):
        cure = did_you_mean(name, BUILT_IN_CATEGORIES) or f"one of {', '.join(BUILT_IN_CATEGORIES)}"
        raise _mistake(f"unknown category {name}", cure)
    return name


def _free_name(name: str) -> str:
    if not re.fullmatch(_OWN_NAME, name):
        raise _mistake(f"{name} is not a recognizer's name", "1 to 48 of a-z, 0-9 and _, beginning with a letter")
    if name in RECOGNIZERS:
        raise _mistake(f"a recognizer named {name} is built in", "give this one a name of its own")
    return name


def _legal_checksum(name: str) -> str:
    if name not in CHECKSUMS:
        cure = did_you_mean(name, CHECKSUMS) or f"one of {', '.join(CHECKSUMS)}"
        raise _mistake(f"unknown checksum {name}", cure)
    return name


def _legal_version(value: object) -> object:
    if type(value) is not int or value != POLICY_VERSION:
        what = f"version {value} is not one that this guard reads"
        raise _mistake(what, f"write version: {POLICY_VERSION}")
    return value


def _legal_model(identity: str) -> str:
    if not re.fullmatch(_MODEL, identity):
        what = f"{identity} is not a model"
        raise _mistake(what, "write name@revision as `guard info` shows it, or the name alone")
    return identity


def _not_blank(text: str) -> str:
    if not text.strip():
        raise _mistake("a blank text", "write it, or remove the key")
    return text


def _legal_term(text: str) -> str:
    try:
        folded_term(text)
    except TermMistake as mistake:
        raise _mistake(mistake.what, mistake.cure) from None
    return text


def _legal_pattern(text: str) -> str:
    try:
        return checked_pattern(text)
    except BadPattern as mistake:
        raise _mistake(mistake.what, mistake.cure) from None


def _within(name: str, least: float, most: float, *, whole: bool = True) -> BeforeValidator:
    """What a policy counts in: a number, refused with both of its bounds."""

    def check(value: object) -> object:
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not (number and least <= float(str(value)) <= most):
            kind = "a whole number" if whole else "a number"
            raise _mistake(f"{name} is not {kind} in its range", f"{least:g} to {most:g}, without quotes")
        return value

    return BeforeValidator(check)


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _kind_of_term(value: object) -> str:
    return _ENTRY if isinstance(value, dict) else _WORD


def _legal_operator(value: object) -> object:
    if not isinstance(value, str) or value not in set(Operator):
        cure = did_you_mean(value, list(Operator)) if isinstance(value, str) else ""
        raise _mistake(f"rewrite is not one of {', '.join(Operator)}", cure or "write one of them")
    return Operator(value)


def _as_operator(value: object) -> object:
    return {"operator": value} if isinstance(value, str) else value


def _legal_base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        sound = sound and parts.username is None and parts.port != 0
    except ValueError:
        sound = False
    if not (sound and url.isascii() and url.isprintable() and " " not in url):
        raise _mistake("base_url is not one of an endpoint", "write it like http://localhost:8000/v1, without a key")
    return url


def _with_text(prompt: str) -> str:
    if "{text}" not in prompt:
        raise _mistake("a prompt without {text}", "say where the text stands")
    return prompt


def _as_turns(value: object) -> object:
    return [{"role": "user", "text": value}] if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Category = Annotated[
    str,
    AfterValidator(_legal_category),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"enum": list(BUILT_IN_CATEGORIES)}, {"pattern": rf"^{CUSTOM}(\.[a-z][a-z0-9_]{{0,47}})?$"}],
        }
    ),
]
OwnName = Annotated[str, AfterValidator(_free_name), WithJsonSchema({"type": "string", "pattern": _OWN_NAME})]
Pattern = Annotated[str, AfterValidator(_legal_pattern)]
ChecksumName = Annotated[
    str, AfterValidator(_legal_checksum), WithJsonSchema({"type": "string", "enum": list(CHECKSUMS)})
]
Model = Annotated[str, AfterValidator(_legal_model), WithJsonSchema({"type": "string", "pattern": _MODEL})]
OperatorName = Annotated[
    Operator, BeforeValidator(_legal_operator), WithJsonSchema({"type": "string", "enum": list(Operator)})
]
Text = Annotated[str, AfterValidator(_not_blank)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Language: TypeAlias = Literal["zh", "en", "other"]

# Names of the two kinds of a term inside of pydantic's places, where no key looks like them.
_WORD, _ENTRY = "#word", "#entry"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that a model refuses, still without its place in a file.

    Attributes:
        kind: The error's type: pydantic's name for it, or :data:`MISTAKE`.
        loc: Keys and indexes to the value.
        given: The refused value.
        context: What the error knows besides (bounds, legal values, ``what`` and ``cure``).
    """

    kind: str
    loc: tuple[str | int, ...]
    given: object
    context: Mapping[str, object]


class Entry(BaseModel):
    """No unknown keys, no conversions: what is written is what is meant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    #: Keys of the language that stand in another place, and which one.
    elsewhere: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def read(cls, value: object) -> Self | list[Mistake]:
        """The model, or every mistake in the value."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            return [Mistake(e["type"], _plain(e["loc"]), e["input"], e.get("ctx", {})) for e in error.errors()]


def _plain(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """A place as the file has it."""
    return tuple(part for part in loc if part not in {_WORD, _ENTRY})


class MessageEntry(Entry):
    """A message per language; one that lacks a language is shown in the other."""

    zh: Text | None = Field(None, description="Shown to who writes Chinese.")
    en: Text | None = Field(None, description="Shown to everybody else.")

    @model_validator(mode="after")
    def _some_language(self) -> MessageEntry:
        if self.zh is None and self.en is None:
            raise _mistake("a message without a text", "write zh, en or both")
        return self

    def texts(self) -> dict[str, str]:
        """Language -> text, for the languages that there are."""
        return {key: text for key, text in (("zh", self.zh), ("en", self.en)) if text is not None}


class WhenEntry(Entry):
    """For which texts a rule is there; all that is named must hold."""

    tags: dict[str, Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]] | None = Field(
        None, min_length=1, description="Tag -> a value, or a list of them; a text without the tag has none."
    )
    lang: Annotated[list[Language], BeforeValidator(_as_list), Field(min_length=1)] | None = Field(
        None, description="A language of the text, or a list of them."
    )

    @model_validator(mode="after")
    def _some_condition(self) -> WhenEntry:
        if self.tags is None and self.lang is None:
            raise _mistake("a condition on nothing", "write tags, lang or both")
        return self


class TermEntry(Entry):
    """Terms from elsewhere: a file of them, or a pattern."""

    file: Text | None = Field(None, description="One term a line, # begins a comment; from this file's directory.")
    pattern: Pattern | None = Field(
        None, description="A regular expression of RE2, whatever the case; it brings its own word borders."
    )

    @model_validator(mode="after")
    def _one_source(self) -> TermEntry:
        if (self.file is None) is (self.pattern is None):
            raise _mistake("neither a file nor a pattern, or both", "write one of them; a word stands alone")
        return self


Term: TypeAlias = Annotated[
    Annotated[str, AfterValidator(_legal_term), Tag(_WORD)] | Annotated[TermEntry, Tag(_ENTRY)],
    Discriminator(_kind_of_term),
]


class RewriteEntry(Entry):
    """An operator with its options."""

    operator: OperatorName = Field(description="How to rewrite.")
    text: str | None = Field(None, description="What stands for a masked place, or for a dropped sentence.")
    keep: Annotated[int, _within("keep", 1, 16)] = Field(
        4, ge=1, le=16, description="Characters that partial leaves at the end."
    )

    @model_validator(mode="after")
    def _fitting(self) -> RewriteEntry:
        if "keep" in self.model_fields_set and self.operator is not Operator.PARTIAL:
            raise _mistake(f"keep with the operator {self.operator}", "only partial has it; remove it")
        if self.text is not None and self.operator not in {Operator.MASK, Operator.DROP_SENTENCE}:
            raise _mistake(f"text with the operator {self.operator}", "only mask and drop_sentence have it; remove it")
        return self


HowToRewrite = Annotated[
    RewriteEntry, BeforeValidator(_as_operator, json_schema_input_type=OperatorName | RewriteEntry)
]


class RuleEntry(Entry):
    """One rule: it fires at score >= threshold, or on a term; all that fire count, the strongest action wins."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "operator": "write it as rewrite, such as rewrite: mask",
        "keep": "write it under rewrite, such as rewrite: {operator: partial, keep: 3}",
        "text": 'write it under rewrite, such as rewrite: {operator: mask, text: "**"}',
    }

    id: Name = Field(description="Unique in the policy; stands in decisions, logs and metrics.")
    direction: Literal["prompt", "output", "both"] = Field("both", description="Which texts the rule looks at.")
    when: WhenEntry | None = Field(None, description="Which of them by tags and language; default: all.")
    category: Category | None = Field(
        None, description="What it looks at; a parent (pii) matches its children (pii.phone)."
    )
    threshold: Probability | None = Field(None, description="Fires at score >= threshold.")
    terms: list[Term] | None = Field(None, min_length=1, description="Words on which it fires, whatever the scores.")
    action: Literal["allow", "rewrite", "block"] = Field(description="What to do; allow only reports.")
    rewrite: HowToRewrite | None = Field(
        None,
        description="How to rewrite: mask, partial and replace change the found places, drop_sentence takes their "
        "sentences out, llm has a language model rewrite, template answers with the message instead. Default: mask for "
        "terms alone and what recognizers find, if the rule has no message, else template.",
    )
    message: MessageEntry | None = Field(None, description="Shown instead of the text; default: the policy's.")
    shadow: bool = Field(False, description="Report the rule when it fires, but do not act on it.")


class AllowEntry(Entry):
    """Terms that say nothing against a text, for some rules."""

    terms: list[Term] = Field(min_length=1, description="The text is judged without them.")
    rules: list[str] = Field(min_length=1, description="By which rules; all others never see it.")


class MetadataEntry(Entry):
    """For people."""

    owner: Text | None = Field(None, description="Who answers for the policy.")
    version: Text | None = Field(None, description="The version that its people give it.")


class StreamingEntry(Entry):
    """How much of a stream is held back and screened at once, in tokens of the model."""

    lookahead: Annotated[int, _within("lookahead", 1, 512)] = Field(
        32, ge=1, le=512, description="Tokens that text is screened together with before it leaves."
    )
    context: Annotated[int, _within("context", 0, 512)] = Field(
        64, ge=0, le=512, description="Tokens that have left already and are screened again, before the held ones."
    )
    step: Annotated[int, _within("step", 8, 512)] = Field(
        24, ge=8, le=512, description="New tokens per screening; larger costs less, smaller lets text leave earlier."
    )
    max_hold: Annotated[float, _within("max_hold", 0.05, 60, whole=False)] = Field(
        0.5, ge=0.05, le=60, description="Seconds without new text after which no whole step is waited for."
    )


class RecognizerEntry(Entry):
    """A recognizer of the policy's own; what it finds is the category ``custom.<name>``."""

    name: OwnName = Field(description="Unique; rules name what it finds as custom.<name>.")
    patterns: list[Pattern] = Field(min_length=1, description="RE2 patterns, at least one; they see normalised text.")
    checksum: ChecksumName | None = Field(None, description="What the letters and digits of a match must satisfy.")
    context: list[Text] = Field(
        default_factory=list, description="Words; a match without one of them near by scores half."
    )
    score: Probability = Field(0.9, description="How sure a match is.")


class LlmEntry(Entry):
    """A language model of yours that rewrites texts for rules with ``rewrite: llm``; no rule has it by itself."""

    base_url: Annotated[str, AfterValidator(_legal_base_url)] = Field(
        description="Where an OpenAI-compatible API is, up to /chat/completions."
    )
    model: Text = Field(description="The model's name there.")
    prompt: Annotated[Text, AfterValidator(_with_text)] | None = Field(
        None, description="What the model is told; {text}, {language} and {categories} are filled in."
    )
    timeout: Annotated[float, _within("timeout", 0.1, 120, whole=False)] = Field(
        10, ge=0.1, le=120, description="Seconds for the whole call; afterwards the next harder operator decides."
    )
    max_tokens: Annotated[int, _within("max_tokens", 1, 32768)] = Field(
        1024, ge=1, le=32768, description="Tokens of the answer; one that is cut off counts as none."
    )
    key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")] | None = Field(
        None, description="The environment variable that holds the key; the key itself never stands in a policy."
    )


class PolicyFile(Entry):
    """A guard policy: which scores of which categories lead to which action."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "terms": "write them in a rule, on which they fire, or under allow",
        "when": "write it in a rule",
    }

    version: Annotated[
        int, BeforeValidator(_legal_version), WithJsonSchema({"type": "integer", "const": POLICY_VERSION})
    ] = Field(description="Version of the policy language.")
    name: Name = Field(description="What callers ask for; unique among the policies that are loaded together.")
    calibrated_for: Model | None = Field(
        None, description="The model whose scores the thresholds were set on; another one warns."
    )
    extends: Text | None = Field(
        None, description="A policy to start from: a file (base.yaml), or one that ships (default)."
    )
    description: str = Field("", description="For people.")
    metadata: MetadataEntry | None = Field(None, description="For people; guard info shows it.")
    mode: Literal["enforce", "shadow"] = Field("enforce", description="shadow: report every rule, allow every text.")
    on_error: Literal["block", "allow"] = Field("block", description="What to do with a text that cannot be screened.")
    message: MessageEntry | None = Field(None, description="Shown where a rule has none; default: a built-in one.")
    streaming: StreamingEntry | None = Field(None, description="Sizes of a stream's window; default: its defaults.")
    allow: list[AllowEntry] | None = Field(
        None, min_length=1, description="Terms that are no reason for some rules: the cure for a false positive."
    )
    recognizers: list[RecognizerEntry] = Field(default_factory=list, description="Patterns of the policy's own.")
    llm: LlmEntry | None = Field(None, description="A language model that rewrites; default: none is asked.")
    rules: list[RuleEntry] = Field(min_length=1, description="At least one.")


class RouteEntry(Entry):
    """Content that has all of these tags is decided by this policy."""

    tags: dict[Text, Annotated[list[Text], Field(min_length=1), BeforeValidator(_as_list)]] = Field(min_length=1)
    policy: Name


class RouteFile(Entry):
    """Which policy decides where a caller names none; the first route that fits."""

    version: Annotated[int, BeforeValidator(_legal_version)]
    default: Name | None = None
    routes: list[RouteEntry] = Field(default_factory=list)


class TurnEntry(Entry):
    """One turn of a case's context."""

    role: Literal["user", "assistant", "system", "tool"]
    text: Text


class Expectation(Entry):
    """What a case expects of the decision."""

    action: Literal["allow", "rewrite", "block"]
    rules: list[str] = Field(default_factory=list)
    output: str | None = None


class CaseEntry(Entry):
    """One case: a text, or scores alone, and what is expected."""

    name: Text
    text: Text | None = None
    scores: dict[Category, Probability] | None = None
    direction: Literal["prompt", "output"] = "prompt"
    context: Annotated[list[TurnEntry], BeforeValidator(_as_turns)] = Field(default_factory=list)
    lang: Language | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    expect: Expectation


class CaseFile(Entry):
    """The cases of one policy."""

    cases: list[CaseEntry] = Field(min_length=1)


_ENTRY_UNDER: Mapping[str, type[Entry]] = {
    "rules": RuleEntry,
    "when": WhenEntry,
    "terms": TermEntry,
    "allow": AllowEntry,
    "metadata": MetadataEntry,
    "rewrite": RewriteEntry,
    "llm": LlmEntry,
    "message": MessageEntry,
    "streaming": StreamingEntry,
    "recognizers": RecognizerEntry,
    "cases": CaseEntry,
    "routes": RouteEntry,
    "context": TurnEntry,
    "expect": Expectation,
}


def entry_at(top: type[Entry], loc: tuple[str | int, ...]) -> type[Entry]:
    """The model of the mapping at a place of a file whose top level is ``top``."""
    keys = [part for part in loc if isinstance(part, str)]
    return _ENTRY_UNDER.get(keys[-1], top) if keys else top


class _EditorSchema(GenerateJsonSchema):
    """An optional key is one that may be left out; the loader refuses null, so the schema does not offer it."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        out = super().default_schema(schema)
        if out.get("default", ...) is None:
            del out["default"]
        return out


#: What only a policy that starts from nothing has to say.
_WHOLE: Mapping[str, Any] = {
    "if": {"not": {"required": ["extends"]}},
    "then": {
        "required": ["rules"],
        "properties": {
            "recognizers": {"items": {"required": ["patterns"]}},
            "rules": {
                "items": {
                    "required": ["action"],
                    "anyOf": [{"required": ["category", "threshold"]}, {"required": ["terms"]}],
                }
            },
        },
    },
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a policy file."""
    schema = PolicyFile.model_json_schema(schema_generator=_EditorSchema)
    schema["required"].remove("rules")
    schema["$defs"]["RuleEntry"]["required"].remove("action")
    schema["$defs"]["RecognizerEntry"]["required"].remove("patterns")
    for name, key in (("WhenEntry", "tags"), ("WhenEntry", "lang")):
        _one_or_several(schema["$defs"][name]["properties"][key])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **_WHOLE}


def _one_or_several(schema: dict[str, Any]) -> None:
    """A list of one may be written without its brackets."""
    several = schema.get("additionalProperties")
    if several is not None:
        schema["additionalProperties"] = {"anyOf": [several["items"], several]}
    else:
        alone = {key: schema.pop(key) for key in ("items", "minItems", "type")}
        schema["anyOf"] = [alone["items"], alone]


def json_schema_text() -> str:
    """:func:`json_schema` as it is committed."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema_text())
