"""Recognizers of a policy's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.errors import PolicyError
from guard.normalize import normalize
from guard.patterns import BadPattern, checked_pattern, compile_pattern
from guard.policy.load import parse_policy
from guard.policy.policy import Operator, Policy
from guard.policy.store import PolicyStore
from guard.recognizers import RECOGNIZERS, detect
from guard.types import Action, Content, Detection, Direction, Span

_RULE = "{id: a, category: custom, threshold: 0.5, action: rewrite}"


def _policy(*recognizers: str, rules: str = _RULE) -> Policy:
    entries = "".join(f"  - {{{entry}}}\n" for entry in recognizers)
    return parse_policy(f"version: 1\nname: p\nrecognizers:\n{entries}rules:\n  - {rules}\n", "p.yaml")


def _found(policy: Policy, text: str) -> list[tuple[str, str, float]]:
    found = detect(normalize(text), policy.recognizers)
    return [(d.category, text[d.span.start : d.span.end], d.score) for d in found if d.category.startswith("custom")]


def _problems(*recognizers: str, rules: str = _RULE) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _policy(*recognizers, rules=rules)
    return [str(problem).removeprefix("p.yaml:") for problem in caught.value.problems]


def test_a_pattern_finds_its_category() -> None:
    """A match has the category of its recognizer's name and the score that the policy gives."""
    policy = _policy(r"name: staff, patterns: ['\bE[0-9]{4}\b', '\bF[0-9]{4}\b'], score: 0.7")
    assert _found(policy, "E1234和F9876，但GE1234不是") == [
        ("custom.staff", "E1234", 0.7),
        ("custom.staff", "F9876", 0.7),
    ]


def test_places_are_those_of_the_original() -> None:
    """A pattern sees the text normalised; what is found is the original's, whatever its width and script."""
    policy = _policy("name: contract, patterns: ['合同[0-9]{4}'], score: 0.8")
    text = "😀\u200b見合同１２\u200b３４號"
    assert detect(normalize(text), policy.recognizers) == (Detection("custom.contract", Span(3, 10), 0.8, "contract"),)


def test_a_checksum_decides() -> None:
    """Of the numbers that match only sound ones are found; separators do not count."""
    policy = _policy(r"name: member, patterns: ['\b88[0-9]{2}-?[0-9]{6}\b'], checksum: luhn")
    assert _found(policy, "8812-345679 8812345670") == [("custom.member", "8812-345679", 0.9)]


def test_without_a_word_near_by_a_match_scores_half() -> None:
    """Context words are looked for before and behind, in any case and width."""
    policy = _policy(r"name: staff, patterns: ['\bE[0-9]{4}\b'], context: [工號, Ｂadge]")
    assert [score for _, _, score in _found(policy, "工号E1234")] == [0.9]
    assert [score for _, _, score in _found(policy, "E1234 is her BADGE")] == [0.9]
    assert [score for _, _, score in _found(policy, "E1234 is a part")] == [0.45]
    assert [score for _, _, score in _found(policy, f"badge {'x ' * 40} E1234")] == [0.45]


def test_it_stands_beside_the_built_in_ones() -> None:
    """The same characters may be both, since a policy wants what it asks for."""
    policy = _policy("name: mobile, patterns: ['138[0-9]{8}']")
    found = detect(normalize("手机13812345678"), policy.recognizers)
    assert {d.category for d in found} == {"pii.phone", "custom.mobile"}


def test_the_engine_rewrites_what_a_policy_looks_for(tiny_classifier: Classifier) -> None:
    """A rule on the category masks its places, in that policy alone."""
    policy = _policy(r"name: staff, patterns: ['\bE[0-9]{4}\b']")
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    decision = engine.screen(Content("ask E1234 today", Direction.OUTPUT))
    assert (decision.action, decision.output_text) == (Action.REWRITE, "ask ***** today")
    assert policy.rules[0].rewrite is Operator.MASK


def test_terms_beside_it(tiny_classifier: Classifier) -> None:
    """A rule may have terms beside what a recognizer finds, and allow-terms that lift a place of it."""
    recognizers = r"recognizers: [{name: staff, patterns: ['\bE[0-9]{4}\b']}]"
    rule = "{id: a, category: custom.staff, threshold: 0.5, terms: [acme], action: rewrite}"
    allow = "allow: [{terms: [E0000], rules: [a]}]"
    policy = parse_policy(f"version: 1\nname: p\n{recognizers}\n{allow}\nrules: [{rule}]\n", "p.yaml")
    screen = Engine(tiny_classifier, PolicyStore([policy])).screen
    assert screen(Content("E1234 of Acme")).output_text == "***** of ****"
    assert screen(Content("such as E0000")).action is Action.ALLOW
    assert screen(Content("E1234, such as E0000")).output_text.startswith("*****,")


def test_every_mistake_comes_at_once() -> None:
    """Names, patterns, checksums, words, scores and categories are all checked in one reading."""
    assert _problems(
        "name: phone, patterns: ['1']",
        "name: Staff No, patterns: ['(']",
        "name: a, patterns: ['x*', '(?=x)', '\uff11\uff12', '\\b'], checksum: lun",
        "name: a, patterns: [], context: [' '], score: 2",
        "patterns: ['1'], pattern: '2'",
        rules="{id: a, category: custom.b, threshold: 0.5, action: block}",
    ) == [
        "4:12: a recognizer named phone is built in (give this one a name of its own)",
        "5:12: Staff No is not a recognizer's name (1 to 48 of a-z, 0-9 and _, beginning with a letter)",
        "5:33: not a pattern of RE2: missing ): ( (see github.com/google/re2/wiki/Syntax)",
        "6:26: a pattern that matches the empty text (write + in place of *, or a word around it)",
        "6:32: not a pattern of RE2: invalid perl operator: (?= (see github.com/google/re2/wiki/Syntax)",
        "6:41: a pattern with characters that normalised texts do not have (write 12)",
        "6:47: a pattern that matches the empty text (write + in place of *, or a word around it)",
        "6:64: unknown checksum lun (did you mean luhn?)",
        "7:12: recognizer a is defined twice (first on line 6) (give each recognizer a name of its own)",
        "7:25: patterns is empty (write at least one entry)",
        "7:39: a blank text (write it, or remove the key)",
        "7:52: score is out of range (a number from 0 to 1)",
        "8:5: an entry of recognizers has no name (add name: ...)",
        "8:23: unknown key pattern (did you mean patterns?)",
        "10:23: no recognizer of the policy finds custom.b (did you mean custom.a?)",
    ]


@pytest.mark.parametrize("category", ["custom", "custom.x", "custom.", "custom.X Y"])
def test_a_rule_needs_a_recognizer(category: str) -> None:
    """A rule on a category that nothing finds is refused, so that a typing mistake switches nothing off."""
    with pytest.raises(PolicyError, match="no recognizer of the policy finds"):
        parse_policy(
            f"version: 1\nname: p\nrules:\n  - {{id: a, category: {category}, threshold: 0.5, action: block}}\n",
            "p.yaml",
        )


@pytest.mark.parametrize("value", ["x", "{}", "[x]", "[[]]", "[{name: 1, patterns: x}]", "3"])
def test_other_shapes_are_refused(value: str) -> None:
    """Whatever stands there instead of a list of recognizers is a mistake with its place."""
    with pytest.raises(PolicyError):
        parse_policy(f"version: 1\nname: p\nrecognizers: {value}\nrules:\n  - {_RULE}\n", "p.yaml")


def test_the_names_of_built_in_recognizers_are_taken() -> None:
    """A detection's source says which recognizer it was."""
    for name in RECOGNIZERS:
        assert "is built in" in _problems(f"name: {name}, patterns: ['1']")[0]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_a_mistake(pattern: str) -> None:
    """What compiles never matches an empty place in a short text; nothing else escapes."""
    try:
        compiled = compile_pattern(checked_pattern(pattern))
    except BadPattern:
        return
    assert all(m.end() > m.start() for m in compiled.finditer("a 1 中"))
