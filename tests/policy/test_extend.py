"""Policies that extend others: what is inherited, what is changed, and where a mistake stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guard.errors import PolicyError
from guard.policy.load import SHIPPED_DIR, load_policy, parse_policy
from guard.policy.policy import Mode, Operator, RewriteOptions, Streaming, When
from guard.policy.store import PolicyStore
from guard.types import Action, Direction

_BASE = """\
version: 1
name: base
description: the base
calibrated_for: m@0123456789ab
metadata: {owner: somebody, version: "7"}
mode: shadow
on_error: allow
message: {en: base words, zh: 基础}
streaming: {step: 48, context: 32}
rules:
  - {id: hate, direction: prompt, category: hate, threshold: 0.5, action: block, message: {en: no hate}}
  - {id: card, category: pii.bank_card, threshold: 0.5, action: rewrite, rewrite: mask}
allow:
  - {terms: [foo], rules: [hate]}
"""
_CHILD = "version: 1\nname: child\nextends: base.yaml\n"


def _write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory / "child.yaml"


def _problems(path: Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    return [str(problem).replace(f"{path.parent}{os.sep}", "") for problem in caught.value.problems]


def test_everything_but_what_a_file_says_about_itself_is_inherited(tmp_path: Path) -> None:
    """Rules, messages, sizes, mode, on_error, allow-terms and the model come from the base; the metadata does not."""
    policy = load_policy(_write(tmp_path, base=_BASE, child=_CHILD))
    base = load_policy(tmp_path / "base.yaml")
    assert (policy.name, policy.description, policy.owner, policy.release) == ("child", "", "", "")
    assert (base.owner, base.release) == ("somebody", "7")
    assert (policy.mode, policy.on_error, policy.message) == (Mode.SHADOW, Action.ALLOW, base.message)
    assert (policy.calibrated_for, policy.streaming) == ("m@0123456789ab", Streaming(step=48, context=32))
    assert policy.rules == base.rules and policy.rules[0].allow_terms
    assert policy.sources == (str(tmp_path / "child.yaml"), str(tmp_path / "base.yaml"))


def test_how_to_rewrite_and_by_whom_is_inherited(tmp_path: Path) -> None:
    """Operators with their options, their messages and the language model come from the base, each as a whole."""
    base = _BASE.replace("rewrite: mask", "rewrite: {operator: partial, keep: 2}, message: {en: covered}")
    base += "llm: {base_url: 'http://localhost:8000/v1', model: small, key_env: KEY}\n"
    same = _CHILD + "rules:\n  - {id: card, threshold: 0.7}\n  - {id: hate, action: rewrite, rewrite: llm}\n"
    policy = load_policy(_write(tmp_path, base=base, child=same))
    hate, card = policy.rules
    assert (card.rewrite, card.options, card.message) == (Operator.PARTIAL, RewriteOptions(keep=2), {"en": "covered"})
    assert hate.rewrite is Operator.LLM and policy.llm is not None and policy.llm.key_env == "KEY"
    own = _CHILD + "llm: {base_url: 'https://example.com/v1', model: other}\n"
    llm = load_policy(_write(tmp_path, base=base, child=own)).llm
    # A key is for the endpoint that it was named with.
    assert llm is not None and (llm.model, llm.key_env) == ("other", None)


def test_a_rule_is_changed_key_by_key_and_others_are_added(tmp_path: Path) -> None:
    """A rule of a known id keeps what is not said and its place; one of another id follows behind."""
    child = f"""{_CHILD}mode: enforce
message: {{zh: 别的}}
streaming: {{step: 8}}
rules:
  - {{id: new, category: violence, threshold: 0.4, action: block}}
  - {{id: card, action: block, message: {{zh: 卡}}}}
  - {{id: hate, threshold: 0.7, shadow: true, when: {{lang: zh}}}}
allow:
  - {{terms: [bar], rules: [new]}}
"""
    policy = load_policy(_write(tmp_path, base=_BASE, child=child))
    hate, card, new = policy.rules
    assert [rule.id for rule in policy.rules] == ["hate", "card", "new"]
    assert (hate.direction, hate.category, hate.threshold, hate.message) == (
        Direction.PROMPT,
        "hate",
        0.7,
        {"en": "no hate"},
    )
    assert hate.shadow and hate.when == When((), frozenset({"zh"}))
    # How to rewrite goes with the action that it belonged to.
    assert (card.action, card.rewrite, card.message) == (Action.BLOCK, None, {"zh": "卡"})
    assert (new.action, new.rewrite) == (Action.BLOCK, None)
    assert (policy.mode, policy.message) == (Mode.ENFORCE, {"zh": "别的"})
    assert policy.streaming == Streaming(step=8, context=32)
    assert hate.allow_terms and new.allow_terms and hate.allow_terms != new.allow_terms
    assert load_policy(tmp_path / "base.yaml").rules[1].rewrite is Operator.MASK


def test_a_chain_across_directories(tmp_path: Path) -> None:
    """Paths are those of the file that has them, at every step, and may lead out of a directory."""
    files = {
        "child": "version: 1\nname: child\nextends: deep/middle.yaml\n",
        "deep/middle": "version: 1\nname: middle\nextends: ../base.yaml\nrules: [{id: hate, threshold: 0.6}]\n",
        "base": _BASE,
    }
    policy = load_policy(_write(tmp_path, **files))
    assert [rule.threshold for rule in policy.rules] == [0.6, 0.5]
    assert [Path(source).name for source in policy.sources] == ["child.yaml", "middle.yaml", "base.yaml"]
    absolute = f"version: 1\nname: child\nextends: {tmp_path / 'base.yaml'}\n"
    assert load_policy(_write(tmp_path, child=absolute)).rules == load_policy(tmp_path / "base.yaml").rules


def test_a_policy_that_ships_is_extended_by_name() -> None:
    """A name without an ending is that of a policy that ships, wherever the file stands."""
    policy = parse_policy("version: 1\nname: mine\nextends: default\n", "/nowhere/mine.yaml")
    default = load_policy(SHIPPED_DIR / "default.yaml")
    assert policy.rules == default.rules and policy.calibrated_for == default.calibrated_for


def test_a_change_below_changes_the_revision(tmp_path: Path) -> None:
    """The revision is that of all that the policy is made of."""
    path = _write(tmp_path, base=_BASE, child=_CHILD)
    before = load_policy(path).revision
    assert load_policy(path).revision == before
    _write(tmp_path, base=_BASE + "# a word\n")
    assert load_policy(path).revision != before


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"child": _CHILD.replace("base", "child")}, "child.yaml -> child.yaml"),
        (
            {"child": _CHILD, "base": _BASE + "extends: other.yaml\n", "other": _BASE + "extends: base.yaml\n"},
            "base.yaml -> other.yaml -> base.yaml",
        ),
        ({"child": _CHILD, "base": _BASE + "extends: ./child.yaml\n"}, "child.yaml -> base.yaml -> child.yaml"),
    ],
)
def test_a_circle_is_named(tmp_path: Path, files: dict[str, str], circle: str) -> None:
    """Policies that extend each other are refused, with the files that form the circle."""
    problems = _problems(_write(tmp_path, **files))
    assert any(problem.endswith(f"extends goes in a circle: {circle} (remove one of them)") for problem in problems)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("nope.yaml", "3:10: nope.yaml: cannot be read: No such file or directory (a path from "),
        ("./defalt", "3:10: ./defalt: cannot be read: No such file or directory (a path from "),
        ("defalt", "3:10: no policy named defalt ships (did you mean default?)"),
        ("x", "3:10: no policy named x ships (a file such as ./x.yaml, or one of default, "),
        ("[base.yaml]", "3:10: extends must be text (put it in quotes)"),
        ("' '", "3:10: a blank text (write it, or remove the key)"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, written: str, problem: str) -> None:
    """A base that is not there is refused where it is named."""
    found = _problems(_write(tmp_path, child=f"version: 1\nname: child\nextends: {written}\n"))
    assert any(line.startswith(f"child.yaml:{problem}") for line in found)


def test_mistakes_stand_where_they_were_written(tmp_path: Path) -> None:
    """All mistakes of all files come at once, each in its file, those of the policy itself first."""
    base = _BASE.replace("action: block", "action: blok").replace("category: pii.bank_card", "category: hate")
    base = base.replace("rewrite: mask", "rewrite: partial")
    child = (
        f"{_CHILD}modes: x\nrules:\n  - {{id: hate, threshold: 2}}\n  - {{id: hat, shadow: true}}\n  - {{id: hate}}\n"
    )
    assert _problems(_write(tmp_path, base=base, child=child)) == [
        "child.yaml:4:1: unknown key modes (did you mean mode?)",
        "child.yaml:6:27: threshold is out of range (a number from 0 to 1)",
        "child.yaml:7:10: no inherited rule hat (did you mean hate?)",
        "child.yaml:8:5: a rule with neither a threshold nor terms (add category and threshold, or terms)",
        "child.yaml:8:5: an entry of rules has no action (add action: ...)",
        "child.yaml:8:10: rule id hate is used twice (first on line 6) (give each rule an id of its own)",
        "base.yaml:11:75: action is not one of allow, rewrite, block (did you mean block?)",
        "base.yaml:12:74: partial leaves the end of a value, and hate is found in sentences "
        "(write rewrite: drop_sentence, mask or template)",
    ]


def test_a_base_that_cannot_be_read_is_told_with_the_rest(tmp_path: Path) -> None:
    """What is no YAML below does not hide what is wrong above."""
    problems = _problems(_write(tmp_path, base="rules: [", child=_CHILD + "mod: x\n"))
    assert problems[0] == "child.yaml:4:1: unknown key mod (did you mean mode?)"
    assert any(problem.startswith("base.yaml:") and "not valid YAML" in problem for problem in problems)


def test_a_directory_names_each_mistake_once(tmp_path: Path) -> None:
    """A broken base that others extend is told once."""
    _write(tmp_path, base=_BASE.replace("0.5", "5"), child=_CHILD, other=_CHILD.replace("child", "other"))
    with pytest.raises(PolicyError) as caught:
        PolicyStore.load(tmp_path)
    assert len(caught.value.problems) == len(set(caught.value.problems)) == 2


def test_a_mistake_that_is_changed_above_is_still_one(tmp_path: Path) -> None:
    """A base must be a sound policy of its own, whatever the file changes."""
    base = _BASE.replace("threshold: 0.5, action: block", "threshold: 5, action: block")
    child = _CHILD + "rules: [{id: hate, threshold: 0.5}]\n"
    assert _problems(_write(tmp_path, base=base, child=child)) == [
        "base.yaml:11:62: threshold is out of range (a number from 0 to 1)"
    ]


_STAFF = "recognizers:\n  - {name: staff, patterns: ['E[0-9]{4}'], score: 0.9}\n"
_OWN_RULE = "rules: [{id: staff, category: custom.staff, threshold: 0.5, action: rewrite}]\n"


def test_recognizers_are_inherited_and_changed_by_name(tmp_path: Path) -> None:
    """A recognizer of a known name keeps what is not said and its place; one of another name follows behind."""
    child = _CHILD + _OWN_RULE
    inherited = load_policy(_write(tmp_path, base=_BASE + _STAFF, child=child)).recognizers
    assert [(own.name, own.score) for own in inherited] == [("staff", 0.9)]
    changed = (
        f"{child}recognizers:\n  - {{name: member, patterns: ['M[0-9]+']}}\n"
        "  - {name: staff, score: 0.4, context: [badge]}\n"
    )
    staff, member = load_policy(_write(tmp_path, child=changed)).recognizers
    assert (staff.category, staff.score, staff.context) == ("custom.staff", 0.4, ("badge",))
    assert (member.category, member.score) == ("custom.member", 0.9)
    assert [match.start for match in staff.find("E1234 at the badge")] == [0]


def test_a_rule_on_a_recognizer_that_is_inherited_nowhere(tmp_path: Path) -> None:
    """Names are those of the file and all that it extends, and mistakes stand where they were written."""
    child = _CHILD + "recognizers: [{name: member}]\n" + _OWN_RULE.replace("custom.staff", "custom.staf")
    problems = _problems(_write(tmp_path, base=_BASE + _STAFF, child=child))
    assert problems == [
        "child.yaml:4:15: an entry of recognizers has no patterns (add patterns: ...)",
        "child.yaml:5:31: no recognizer of the policy finds custom.staf (did you mean custom.staff?)",
    ]


def test_a_mistyped_id_of_an_inherited_entry_is_told_as_such(tmp_path: Path) -> None:
    """An entry that lacks what one of its own has, and has nearly an inherited name, is a typing error, told alone."""
    middle = _CHILD.replace("child", "middle") + "rules: [{id: tenants, terms: [x], action: block}]\n"
    child = (
        _CHILD.replace("base.yaml", "middle.yaml")
        + "rules:\n  - {id: crad, threshold: 2}\n  - {id: tenant, action: rewrite, rewrite: mask}\n"
        + "  - {id: hate-2, category: hate, threshold: 0.5}\n  - {id: elsewhere, threshold: 0.5}\n"
        + "recognizers: [{name: staf, score: 0.3}]\n"
    )
    assert _problems(_write(tmp_path, base=_BASE + _STAFF, middle=middle, child=child)) == [
        "child.yaml:5:10: no inherited rule crad (did you mean card?)",
        "child.yaml:5:27: threshold is out of range (a number from 0 to 1)",
        "child.yaml:6:10: no inherited rule tenant (did you mean tenants?)",
        # These may be rules of their own.
        "child.yaml:7:5: an entry of rules has no action (add action: ...)",
        "child.yaml:8:5: an entry of rules has no action (add action: ...)",
        "child.yaml:8:5: an entry of rules has no category (add category: ...)",
        "child.yaml:9:22: no inherited recognizer staf (did you mean staff?)",
    ]


def test_a_mistyped_id_is_told_once_through_a_chain(tmp_path: Path) -> None:
    """A mistake below is that of its own file, whoever extends it."""
    middle = _CHILD.replace("child", "middle") + "rules: [{id: hte, threshold: 0.9}]\n"
    child = _CHILD.replace("base.yaml", "middle.yaml") + "rules: [{id: card, threshold: 0.9}]\n"
    assert _problems(_write(tmp_path, base=_BASE, middle=middle, child=child)) == [
        "middle.yaml:4:14: no inherited rule hte (did you mean hate?)"
    ]
