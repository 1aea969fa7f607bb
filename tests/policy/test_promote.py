"""Rules that leave the shadow: exactly the word changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import PolicyError
from guard.policy.load import load_policy
from guard.policy.promote import promote

_TEXT = """\
# shadow: true in a comment
version: 1
name: p
rules:
  - {id: a, category: hate, threshold: 0.5, action: block, shadow: true}   # shadow: true
  - id: b
    shadow:   true    # watched since May
    category: crime
    threshold: .75
    action: rewrite
    message: {en: "shadow: true"}
  - {"shadow" : True, 'id': "c", action: allow, category: pii, threshold: 1}
  - {id: d, category: hate, threshold: 0.9, action: block}
"""


def _promote(text: str, *rules: str) -> str:
    return promote(text.encode(), "p.yaml", rules).decode()


def test_comments_order_and_layout_survive() -> None:
    """In flow style, in block style, with quoted keys."""
    assert _promote(_TEXT, "a") == _TEXT.replace("block, shadow: true}", "block, shadow: false}")
    assert _promote(_TEXT, "b", "c") == _TEXT.replace("  true    #", "  false    #").replace(": True,", ": false,")


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.rstrip()])
def test_line_ends_and_a_byte_order_mark_survive(change) -> None:  # type: ignore[no-untyped-def]
    """Nothing of a file's own is made uniform."""
    text = change(_TEXT)
    assert _promote(text, "b") == text.replace("  true    #", "  false    #")


def test_what_cannot_be_changed_is_refused() -> None:
    """A rule that there is not, two rules that share the word; a rule that is not in shadow stays as it is."""
    with pytest.raises(PolicyError, match="no rule x in this file"):
        _promote(_TEXT, "x")
    shared = _TEXT.replace("block, shadow: true", "block, shadow: &s true").replace("  true    #", "  *s    #")
    with pytest.raises(PolicyError, match="write shadow: true or false in the rule itself"):
        _promote(shared, "a")
    assert _promote(_TEXT, "d") == _TEXT
    assert _promote(shared, "a", "b") == shared.replace("&s true", "&s false")


def test_a_rule_of_a_file_that_is_extended(tmp_path: Path) -> None:
    """The file and line that hold the word are named; a rule that says it itself is changed here."""
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    base.write_text(_TEXT)
    own.write_text("version: 1\nname: own\nextends: base.yaml\nrules:\n  - {id: b, shadow: true}\n")
    with pytest.raises(PolicyError, match=r"the shadow of a stands in .*base\.yaml:5 \(promote it there, or write"):
        promote(own.read_bytes(), str(own), ["a"])
    own.write_bytes(promote(own.read_bytes(), str(own), ["b"]))
    assert [rule.id for rule in load_policy(own).rules if rule.shadow] == ["a", "c"]
    assert base.read_text() == _TEXT
