"""Terms in a policy: inline, in files and as patterns; every mistake with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guard.errors import PolicyError
from guard.normalize import normalize
from guard.policy.load import load_policy, parse_policy
from guard.policy.policy import Operator, Policy
from guard.policy.term_lists import MAX_TERMS
from guard.policy.terms import Hit
from tests.policy.build import HEAD, policy_of


def _policy(directory: Path, body: str) -> Path:
    path = directory / "p.yaml"
    path.write_text(f"version: 1\nname: p\n{body}", encoding="utf-8")
    return path


def _problems(path: Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    return [str(problem).replace(f"{path.parent}{os.sep}", "") for problem in caught.value.problems]


def _hits(policy: Policy, text: str) -> tuple[Hit, ...]:
    assert policy.terms is not None
    return policy.terms.find(normalize(text).text)


def test_a_policy_without_terms_looks_for_none() -> None:
    """Without terms there is nothing to look through a text for."""
    policy = policy_of("id: a, category: hate, threshold: 0.5, action: block")
    assert policy.terms is None
    assert (policy.rules[0].term_category, policy.rules[0].allow_terms, policy.rules[0].allow_category) == ("", "", "")


def test_terms_from_everywhere_are_one_list(tmp_path: Path) -> None:
    """Words, files and patterns of a rule are one category, named with the rule's id and the list's fingerprint."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "brands.txt").write_bytes("\ufeff# brands\r\n\r\nRival Corp\r\n  对手\r\n".encode())
    rule = "{id: r, terms: [acme, {file: lists/brands.txt}, {pattern: 'x[0-9]+'}], action: rewrite}"
    policy = load_policy(_policy(tmp_path, f"rules:\n  - {rule}\n"))
    (r,) = policy.rules
    assert r.category == r.term_category and r.term_category.startswith("term.r.")
    assert (r.threshold, r.rewrite) == (1.0, Operator.MASK)
    text = "ACME, rival  corp, 對手 and x12"
    found = [text[hit.start : hit.end] for hit in _hits(policy, text)]
    assert found == ["ACME", "rival  corp", "對手", "x12"]
    assert policy.sources == (str(tmp_path / "p.yaml"), str(tmp_path / "lists" / "brands.txt"))


def test_a_category_may_have_terms_beside_it() -> None:
    """A rule may have both, and then a term is as good as a score."""
    (rule,) = policy_of("id: r, category: hate, threshold: 0.5, terms: [foo], action: block").rules
    assert (rule.category, rule.threshold) == ("hate", 0.5)
    assert rule.matches("hate") and rule.matches(rule.term_category) and not rule.matches("term.r")


def test_the_revision_and_the_category_follow_the_list(tmp_path: Path) -> None:
    """A changed list is another revision and another category; another order is the same category."""
    path = _policy(tmp_path, "rules: [{id: r, terms: [{file: t.txt}], action: block}]\n")
    seen = []
    for words in ("a\nb\n", "b\na\n", "a\nb\nc\n"):
        (tmp_path / "t.txt").write_text(words)
        policy = load_policy(path)
        seen.append((policy.revision, policy.rules[0].term_category))
    assert seen[0][0] != seen[1][0] and seen[0][1] == seen[1][1]
    assert seen[2][1] != seen[0][1]


def test_rules_with_the_same_allow_terms_share_a_list() -> None:
    """An allow-term that is for many rules is found once."""
    rules = (
        "id: a, category: hate, threshold: 0.5, action: block",
        "id: b, category: violence, threshold: 0.5, action: block",
    )
    policy = parse_policy(
        HEAD + "".join(f"  - {{{r}}}\n" for r in rules) + "allow: [{terms: [foo], rules: [a, b]}]\n", "p"
    )
    a, b = policy.rules
    assert a.allow_terms == b.allow_terms and a.allow_category != b.allow_category
    assert [hit.category for hit in _hits(policy, "foo")] == [a.allow_terms]
    assert policy.columns == ("hate", a.allow_category, "violence", b.allow_category)


def test_terms_of_a_base_are_read_from_its_directory(tmp_path: Path) -> None:
    """A path is that of the file in which it stands."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "t.txt").write_text("foo\n")
    (tmp_path / "base" / "base.yaml").write_text(
        "version: 1\nname: b\nrules: [{id: r, terms: [{file: t.txt}], action: block}]\n"
    )
    (tmp_path / "t.txt").write_text("bar\n")
    policy = load_policy(_policy(tmp_path, "extends: base/base.yaml\n"))
    assert [hit.start for hit in _hits(policy, "bar foo")] == [4]


def test_mistakes_in_inline_terms_come_at_once(tmp_path: Path) -> None:
    """Every wrong term has its place and its cure."""
    body = """rules:
  - {id: a, action: block}
  - {id: b, terms: [], action: block}
  - {id: c, terms: foo, action: block}
  - {id: d, terms: ['', '...', 8964, null], action: block}
  - {id: e, terms: [Foo, bar, ｆｏｏ], action: block}
  - {id: f, terms: [{pattern: '('}, {pattern: 'a*'}, {pattrn: x}, {file: a.txt, pattern: b}, {}], action: block}
  - {id: g, terms: [{file: nope.txt}], threshold: 0.5, action: block}
  - {id: h, category: hate, terms: [x], action: block}
allow:
  - {terms: [y], rules: [hh]}
  - {terms: [y]}
  - {rules: [h]}
  - {terms: [y], rules: []}
"""
    assert _problems(_policy(tmp_path, body)) == [
        "p.yaml:4:5: a rule with neither a threshold nor terms (add category and threshold, or terms)",
        "p.yaml:5:20: terms is empty (write at least one entry)",
        "p.yaml:6:20: terms must be a list (write - before each entry, or [ ])",
        "p.yaml:7:21: an empty term (write a word, or remove it)",
        "p.yaml:7:25: a term of punctuation alone (write a word, or a pattern)",
        "p.yaml:7:32: an entry of terms must be text (put it in quotes)",
        "p.yaml:7:38: there is no value (give one, or remove it)",
        "p.yaml:8:31: ｆｏｏ stands in this list already (remove one of them)",
        "p.yaml:9:31: not a pattern of RE2: missing ): ( (see github.com/google/re2/wiki/Syntax)",
        "p.yaml:9:47: a pattern that matches the empty text (write + in place of *, or a word around it)",
        "p.yaml:9:55: unknown key pattrn (did you mean pattern?)",
        "p.yaml:9:67: neither a file nor a pattern, or both (write one of them; a word stands alone)",
        "p.yaml:9:74: a.txt: cannot be read: No such file or directory (a path from )",
        "p.yaml:9:94: neither a file nor a pattern, or both (write one of them; a word stands alone)",
        "p.yaml:10:5: an entry of rules has no category (add category: ...)",
        "p.yaml:10:28: nope.txt: cannot be read: No such file or directory (a path from )",
        "p.yaml:11:5: an entry of rules has no threshold (add threshold: ...)",
        "p.yaml:13:26: there is no rule hh (did you mean h?)",
        "p.yaml:14:5: an entry of allow has no rules (add rules: ...)",
        "p.yaml:15:5: an entry of allow has no terms (add terms: ...)",
        "p.yaml:16:25: rules is empty (write at least one entry)",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"ok\n...\nok\n  OK\n",
            [
                "t.txt:2:1: a term of punctuation alone",
                "t.txt:3:1: ok stands on line 1 already",
                "t.txt:4:3: OK stands on line 1 already",
            ],
        ),
        (b"", ["t.txt:1:1: no term in it"]),
        (b"# only\n\n", ["t.txt:1:1: no term in it"]),
        (b"ok\n\xff\n", ["t.txt:2:1: not valid UTF-8"]),
        (b"x" * (1024 * 1024 + 1), ["p.yaml:3:32: t.txt: larger than 1 MiB"]),
        (b"a" * 300, ["t.txt:1:1: a term of 300 characters"]),
    ],
)
def test_mistakes_in_a_file_of_terms_have_their_lines(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    """A list is checked line by line, and each mistake is named in the list's own file."""
    (tmp_path / "t.txt").write_bytes(data)
    found = _problems(_policy(tmp_path, "rules: [{id: r, terms: [{file: t.txt}], action: block}]\n"))
    assert [line.partition(" (")[0] for line in found] == expected


def test_a_file_of_another_kind_does_not_flood(tmp_path: Path) -> None:
    """After the first mistakes of a list the others are counted."""
    (tmp_path / "t.txt").write_text("...\n" * 1000)
    found = _problems(_policy(tmp_path, "rules: [{id: r, terms: [{file: t.txt}], action: block}]\n"))
    assert len(found) == 21 and "980 more mistakes in this file" in found[-1]


def test_there_is_a_bound_on_terms(tmp_path: Path) -> None:
    """A policy with more terms than it may have is refused, with their number."""
    (tmp_path / "t.txt").write_text("".join(f"w{i}\n" for i in range(MAX_TERMS + 1)))
    found = _problems(_policy(tmp_path, "rules: [{id: r, terms: [{file: t.txt}], action: block}]\n"))
    assert found == [
        f"p.yaml:1:1: {MAX_TERMS + 1} terms (at most {MAX_TERMS} in one policy; a pattern may do for many)"
    ]


def test_terms_have_their_place() -> None:
    """Terms and conditions at the top of a policy are refused with the place where they belong."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(
            HEAD + "  - {id: a, category: hate, threshold: 0.5, action: block}\nterms: [x]\nwhen: {}\n", "p.yaml"
        )
    assert [str(problem) for problem in caught.value.problems] == [
        "p.yaml:6:1: terms does not stand here (write them in a rule, on which they fire, or under allow)",
        "p.yaml:7:1: when does not stand here (write it in a rule)",
    ]
