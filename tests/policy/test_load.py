"""Policy files: what a sound one becomes, and how a broken one is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from guard.errors import InvalidInput, PolicyError
from guard.policy.load import SHIPPED_DIR, load_policy, parse_policy, policy_files, resolve_policy
from guard.policy.policy import Mode, Operator, Streaming
from guard.types import CATEGORIES, RECOGNIZER_CATEGORIES, Action, Direction, PolicyInfo
from tests.policy.build import HEAD, policy_of, text_of

_RULE = "id: a, category: hate, threshold: 0.5, action: block"


def _problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).removeprefix("p.yaml:") for problem in caught.value.problems]


def _problem(*rules: str) -> str:
    (problem,) = _problems(text_of(rules))
    return problem


def test_every_key_reaches_the_policy() -> None:
    """A policy carries what its file says."""
    policy = parse_policy(
        """
version: 1
name: all-keys
description: everything
mode: shadow
on_error: allow
message: {zh: 不行, en: "no"}
rules:
  - {id: r1, direction: output, category: pii.phone, threshold: 1, action: rewrite, rewrite: mask, shadow: true}
  - {id: r2, direction: prompt, category: hate, threshold: 0.25, action: rewrite, message: {en: rule words}}
""",
        "p.yaml",
    )
    assert (policy.name, policy.version, policy.description) == ("all-keys", 1, "everything")
    assert (policy.mode, policy.on_error, policy.path) == (Mode.SHADOW, Action.ALLOW, "p.yaml")
    assert policy.message == {"zh": "不行", "en": "no"}
    first, second = policy.rules
    assert (first.id, first.direction, first.category, first.threshold) == ("r1", Direction.OUTPUT, "pii.phone", 1.0)
    assert (first.action, first.rewrite, first.shadow) == (Action.REWRITE, Operator.MASK, True)
    assert (second.rewrite, second.message, second.shadow) == (Operator.TEMPLATE, {"en": "rule words"}, False)


def test_defaults_are_the_documented_ones() -> None:
    """What is left out takes its default."""
    policy = parse_policy(f"version: 1\nname: p\nrules: [{{{_RULE}}}]\n", "p.yaml")
    (rule,) = policy.rules
    assert (policy.description, policy.mode, policy.on_error, policy.message) == ("", Mode.ENFORCE, Action.BLOCK, {})
    assert (rule.direction, rule.rewrite, rule.message, rule.shadow) == (None, None, {}, False)


@pytest.mark.parametrize(
    ("keys", "operator"),
    [
        ("category: pii.email", Operator.MASK),
        ("category: pii", Operator.MASK),
        ("category: pii, message: {en: x}", Operator.TEMPLATE),
        ("category: pii, message: {en: x}, rewrite: mask", Operator.MASK),
        ("category: pii, rewrite: template", Operator.TEMPLATE),
        ("category: hate", Operator.TEMPLATE),
    ],
)
def test_a_rewrite_rule_masks_where_it_can_unless_it_has_words(keys: str, operator: Operator) -> None:
    """The default operator is mask for personal data without a message, else template."""
    assert policy_of(f"id: a, threshold: 0.5, action: rewrite, {keys}").rules[0].rewrite is operator


def test_every_category_of_the_contract_is_legal() -> None:
    """Rules may name all classifier categories and all recognizer categories."""
    names = (*CATEGORIES, *RECOGNIZER_CATEGORIES)
    policy = policy_of(*(f"id: r-{name}, category: {name}, threshold: 0.5, action: block" for name in names))
    assert [rule.category for rule in policy.rules] == list(names)


def test_all_mistakes_of_a_file_come_at_once_in_its_order() -> None:
    """One reading shows every mistake with line, column and cure."""
    text = """version: 2
nam: x
name: default
mode: shadw
on_error: rewrite
terms: []
recognizers: x
message: {}
rules:
  - {id: a, category: violance, threshold: 1.5, action: block, rewrite: mask}
  - {id: a, category: hate, threshold: true, action: rewrit, when: {lang: cz}}
  - id: "a b"
    category: hate
    threshold:
    action: rewrite
    rewrite: partial
    rewrite: template
    shadow: yes
  - foo
"""
    assert _problems(text) == [
        "1:10: version 2 is not one that this guard reads (write version: 1)",
        "2:1: unknown key nam (did you mean name?)",
        "4:7: mode is not one of enforce, shadow (did you mean shadow?)",
        "5:11: on_error is not one of block, allow (write one of them)",
        "6:1: terms does not stand here (write them in a rule, on which they fire, or under allow)",
        "7:14: recognizers must be a list (write - before each entry, or [ ])",
        "8:10: a message without a text (write zh, en or both)",
        "10:23: unknown category violance (did you mean violence?)",
        "10:44: threshold is out of range (a number from 0 to 1)",
        "10:64: rewrite on a rule whose action is block (remove it, or write action: rewrite)",
        "11:10: rule id a is used twice (first on line 10) (give each rule an id of its own)",
        "11:40: threshold must be a number (a number from 0 to 1, without quotes)",
        "11:54: action is not one of allow, rewrite, block (did you mean rewrite?)",
        "11:75: an entry of lang is not one of zh, en, other (write one of them)",
        "12:9: id is not a legal name (1 to 64 letters, digits, dots, hyphens or underscores of ASCII)",
        "14:5: threshold has no value (give one, or remove it)",
        "16:14: partial leaves the end of a value, and hate is found in sentences "
        "(write rewrite: drop_sentence, mask or template)",
        "17:5: duplicate key rewrite (first on line 16) (keep one of them)",
        "18:13: shadow must be true or false (write true or false, without quotes)",
        "19:5: an entry of rules must be a mapping (write key: value pairs)",
    ]


@pytest.mark.parametrize("value", ["-0.01", "1.01", ".nan", ".inf", "1e400", "2"])
def test_a_threshold_lies_between_0_and_1(value: str) -> None:
    """No number outside of 0..1 is a threshold."""
    assert "threshold is out of range" in _problem(f"id: a, category: hate, threshold: {value}, action: block")


@pytest.mark.parametrize("value", ["true", "'0.5'", "high", "[0.5]", "{a: 1}"])
def test_a_threshold_is_a_number_as_written(value: str) -> None:
    """Nothing is converted to a threshold: no truth value, no text."""
    assert "threshold must be a number" in _problem(f"id: a, category: hate, threshold: {value}, action: block")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("violance", "violence"), ("self-harm", "self_harm"), ("Hate", "hate"), ("pii.idcard", "pii.id_card")],
)
def test_an_unknown_category_is_refused_with_the_closest_one(written: str, meant: str) -> None:
    """A typing mistake in a category must not switch its rule off."""
    problem = _problem(f"id: a, category: {written}, threshold: 0.5, action: block")
    assert problem == f"5:23: unknown category {written} (did you mean {meant}?)"


def test_an_unknown_category_like_no_other_is_answered_with_the_list() -> None:
    """Where nothing is close, the cure names what there is."""
    problem = _problem("id: a, category: zzzz, threshold: 0.5, action: block")
    assert all(category in problem for category in (*CATEGORIES, *RECOGNIZER_CATEGORIES))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("lookahead: 0", "lookahead is not a whole number in its range (1 to 512, without quotes)"),
        ("lookahead: 513", "lookahead is not a whole number in its range (1 to 512, without quotes)"),
        ("lookahead: 32.0", "lookahead is not a whole number in its range (1 to 512, without quotes)"),
        ("context: -1", "context is not a whole number in its range (0 to 512, without quotes)"),
        ("context: '64'", "context is not a whole number in its range (0 to 512, without quotes)"),
        ("step: 7", "step is not a whole number in its range (8 to 512, without quotes)"),
        ("step: true", "step is not a whole number in its range (8 to 512, without quotes)"),
        ("max_hold: 61", "max_hold is not a number in its range (0.05 to 60, without quotes)"),
        ("max_hold: .nan", "max_hold is not a number in its range (0.05 to 60, without quotes)"),
        ("ahead: 3", "unknown key ahead (did you mean lookahead?)"),
    ],
)
def test_sizes_of_a_stream_are_bounded(written: str, problem: str) -> None:
    """A size that would let text leave unscreened, or cost without end, is refused with its range."""
    (found,) = _problems(f"{HEAD}  - {{{_RULE}}}\nstreaming: {{{written}}}\n")
    assert found.split(" ", 1)[1] == problem


def test_sizes_of_a_stream_are_taken_as_written() -> None:
    """What a policy says about streams is loaded; what it does not say has its default."""
    text = f"{HEAD}  - {{{_RULE}}}\n"
    assert parse_policy(text, "p.yaml").streaming == Streaming(32, 64, 24, 0.5)
    written = parse_policy(text + "streaming: {lookahead: 1, context: 0, max_hold: 2}\n", "p.yaml").streaming
    assert written == Streaming(lookahead=1, context=0, step=24, max_hold=2.0)


@pytest.mark.parametrize("key", ["category", "threshold", "action", "id"])
def test_a_rule_says_everything_that_matters(key: str) -> None:
    """Nobody gets a threshold or an action by default."""
    rest = ", ".join(part for part in _RULE.split(", ") if not part.startswith(key))
    assert _problem(rest) == f"5:5: an entry of rules has no {key} (add {key}: ...)"


@pytest.mark.parametrize(("action", "operator"), [("allow", "mask"), ("block", "template")])
def test_only_a_rewrite_rule_has_an_operator(action: str, operator: str) -> None:
    """An operator on another action is a contradiction."""
    problem = _problem(f"id: a, category: pii, threshold: 0.5, action: {action}, rewrite: {operator}")
    assert f"rewrite on a rule whose action is {action}" in problem


def test_an_unknown_operator_is_refused() -> None:
    """Only mask and template are operators."""
    problem = _problem("id: a, category: pii, threshold: 0.5, action: rewrite, rewrite: maks")
    assert problem.endswith(
        "rewrite is not one of partial, replace, mask, llm, drop_sentence, template (did you mean mask?)"
    )


def test_an_allow_rule_is_legal() -> None:
    """A rule may report only."""
    assert policy_of("id: a, category: hate, threshold: 0.5, action: allow").rules[0].action is Action.ALLOW


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "1:1: the file must be a mapping (write key: value pairs)"),
        ("just words\n", "1:1: the file must be a mapping (write key: value pairs)"),
        ("version: 1\nname: p\n", "1:1: the file has no rules (add rules: ...)"),
        ("version: 1\nname: p\nrules: []\n", "3:8: rules is empty (write at least one entry)"),
        ("version: 1\nname: p\nrules: {a: 1}\n", "3:8: rules must be a list (write - before each entry, or [ ])"),
        (f"name: p\nrules: [{{{_RULE}}}]\n", "1:1: the file has no version (add version: ...)"),
        (f"version: 1\nrules: [{{{_RULE}}}]\n", "1:1: the file has no name (add name: ...)"),
        (f"version: 1\nname: 1\nrules: [{{{_RULE}}}]\n", "2:7: name must be text (put it in quotes)"),
        (f"version: true\nname: p\nrules: [{{{_RULE}}}]\n", "1:10: version True is not one that this guard reads"),
        (f"version: 1.0\nname: p\nrules: [{{{_RULE}}}]\n", "1:10: version 1.0 is not one that this guard reads"),
        (f"version: 1\nname: a@b\nrules: [{{{_RULE}}}]\n", "2:7: name is not a legal name"),
        (f"version: 1\nname: p\nmessage: hi\nrules: [{{{_RULE}}}]\n", "3:10: message must be a mapping"),
        (f"version: 1\nname: p\nmessage: {{en: ' '}}\nrules: [{{{_RULE}}}]\n", "3:15: a blank text"),
        (
            f"version: 1\nname: p\nmessage: {{fr: x}}\nrules: [{{{_RULE}}}]\n",
            "3:11: unknown key fr (known here: zh, en)",
        ),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(text: str, expected: str) -> None:
    """Each wrong shape has its own line, place and cure."""
    assert _problems(text)[0].startswith(expected)


def test_a_policy_without_rules_would_allow_everything_and_is_refused() -> None:
    """An empty list of rules is a mistake, not a permissive policy."""
    assert len(_problems("version: 1\nname: p\nrules: []\n")) == 1


def test_the_revision_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    """Any change of the file changes the revision, a comment's too; the same bytes have the same one."""
    file = tmp_path / "p.yaml"
    data = (HEAD + f"  - {{{_RULE}}}\n").encode()
    file.write_bytes(data)
    policy = load_policy(file)
    assert policy.revision == hashlib.sha256(data).hexdigest()[:12]
    assert policy.identity == f"p@{policy.revision}"
    assert parse_policy(data.decode(), "elsewhere").revision == policy.revision
    file.write_bytes(data + b"# note\n")
    assert load_policy(file).revision != policy.revision


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    """An editor's habits do not break a policy."""
    file = tmp_path / "p.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + f"  - {{{_RULE}}}\n").replace("\n", "\r\n").encode())
    assert load_policy(file).message == {"en": "policy words", "zh": "政策的话"}


def test_a_missing_policy_file_is_named(tmp_path: Path) -> None:
    """The message says which file could not be read."""
    with pytest.raises(PolicyError, match=r"nope\.yaml:1:1: cannot be read: No such file"):
        load_policy(tmp_path / "nope.yaml")


_MODEL = "m@0123456789ab"


@pytest.mark.parametrize("named", ["m", _MODEL])
def test_a_model_that_the_thresholds_were_set_on_is_no_mismatch(named: str) -> None:
    """A policy may name a model with its revision, or all revisions of a name."""
    policy = parse_policy(f"calibrated_for: {named}\n" + text_of([_RULE]), "p.yaml")
    assert policy.calibrated_for == named
    assert policy.mismatch(_MODEL) is None


@pytest.mark.parametrize("named", ["m@000000000000", "other", "m-2", "other@0123456789ab"])
def test_another_model_than_the_thresholds_were_set_on_is_named_with_a_cure(named: str) -> None:
    """The line names the policy, both models and what to do."""
    policy = parse_policy(f"calibrated_for: {named}\n" + text_of([_RULE]), "p.yaml")
    line = policy.mismatch(_MODEL) or ""
    assert line.startswith(f"policy {policy.identity}: ")
    assert f"set on {named}, the scores are of {_MODEL} (" in line
    assert line.endswith(f"then write calibrated_for: {_MODEL})")


def test_a_policy_that_names_no_model_goes_with_every_model() -> None:
    """The key is optional, and without it there is nothing to warn of."""
    policy = policy_of(_RULE)
    assert policy.calibrated_for is None and policy.mismatch(_MODEL) is None


@pytest.mark.parametrize("named", ["'@0123456789ab'", "m@latest", "two words", "m@0123456789AB", "''"])
def test_what_is_no_model_is_refused(named: str) -> None:
    """A revision is twelve hexadecimal digits, as decisions carry it."""
    (problem,) = _problems(f"calibrated_for: {named}\n" + text_of([_RULE]))
    assert problem.startswith("1:17: ") and "guard info" in problem


def test_lone_surrogates_in_memory_are_invalid_utf8() -> None:
    """A string that no file could hold is refused like the bytes it would be."""
    assert "not valid UTF-8" in _problems("name: \ud800")[0]


def test_info_reports_the_policy() -> None:
    """Info carries name, revision, mode, description, number of rules and whether it is the default."""
    policy = policy_of(_RULE, mode="shadow")
    assert policy.info(default=True) == PolicyInfo("p", policy.revision, "shadow", "", 1, True)


@pytest.mark.parametrize(("mode", "action"), [("enforce", Action.BLOCK), ("shadow", Action.ALLOW)])
def test_a_policy_in_shadow_never_stops_a_text_that_failed(mode: str, action: Action) -> None:
    """on_error holds only where the policy acts."""
    assert policy_of(_RULE, mode=mode).failure_action is action


def test_a_shipped_policy_is_found_by_its_name() -> None:
    """``default`` names the policy that ships."""
    assert resolve_policy("default") == SHIPPED_DIR / "default.yaml"


def test_a_policy_is_found_by_its_path(tmp_path: Path) -> None:
    """A path that exists is taken as it is, a directory too."""
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD)
    assert resolve_policy(str(file)) == file
    assert resolve_policy(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("defualt", "no such policy"),
        ("", "no such policy"),
        ("no/such.yaml", "no such file"),
        ("a.yaml", "no such file"),
    ],
)
def test_an_unknown_policy_names_those_that_ship(given: str, reason: str) -> None:
    """A name or path that leads nowhere is invalid input in the field policy."""
    with pytest.raises(InvalidInput) as caught:
        resolve_policy(given)
    (violation,) = caught.value.violations
    assert violation.field == "policy" and reason in violation.reason and "default" in violation.cure


def test_tests_and_hidden_files_are_no_policies(tmp_path: Path) -> None:
    """A directory's policies are its visible YAML files that are not tests."""
    for name in ("b.yaml", "a.yml", "a_test.yaml", ".hidden.yaml", "notes.md"):
        (tmp_path / name).write_text("x")
    (tmp_path / "dir.yaml").mkdir()
    assert [file.name for file in policy_files(tmp_path)] == ["a.yml", "b.yaml"]
