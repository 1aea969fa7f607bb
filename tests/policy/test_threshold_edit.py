"""New thresholds in a policy file: exactly the numbers' characters change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import PolicyError
from guard.policy.decimals import written
from guard.policy.load import SHIPPED_DIR, parse_policy
from guard.policy.threshold_edit import set_thresholds

_TEXT = """\
# threshold: 0.5 in a comment
version: 1
name: p   # a name
rules:
  - {id: a, category: hate, threshold: 0.5, action: block}   # threshold: 0.9
  # between
  - id: b
    threshold:   .75    # block style, spaces
    category: hate
    action: rewrite
    message: {en: "threshold: 0.5", zh: 阈值}
  - {"threshold" : 1, 'id': "c", action: allow, category: pii}
"""


def _set(text: str, **thresholds: float) -> str:
    return set_thresholds(text.encode(), "p.yaml", thresholds).decode()


def test_comments_order_and_layout_survive() -> None:
    """Flow and block style, quoted keys, numbers in comments and messages."""
    changed = _set(_TEXT, a=0.8125, b=0.9, c=0.25)
    expected = (
        _TEXT.replace("threshold: 0.5, action: block", "threshold: 0.8125, action: block")
        .replace(".75 ", "0.90 ")
        .replace('"threshold" : 1,', '"threshold" : 0.25,')
    )
    assert changed == expected


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.rstrip()])
def test_line_ends_and_a_byte_order_mark_survive(change) -> None:  # type: ignore[no-untyped-def]
    """Bytes in and out: nothing of a file's own is made uniform."""
    text = change(_TEXT)
    assert _set(text, b=0.5) == text.replace(".75", "0.50")


def test_rules_that_do_not_change_keep_their_characters() -> None:
    """0.50 stays 0.50 and .75 stays .75."""
    assert _set(_TEXT, a=0.5, b=0.75) == _TEXT
    assert _set(_TEXT) == _TEXT


@given(st.lists(st.floats(0, 1), min_size=30, max_size=30))
@settings(deadline=None)
def test_the_default_policy(values: list[float]) -> None:
    """Whatever the thresholds, only they differ, and they are read back as they were given."""
    text = (SHIPPED_DIR / "default.yaml").read_text(encoding="utf-8")
    policy = parse_policy(text, "default.yaml")
    wanted = {rule.id: value for rule, value in zip(policy.rules, values, strict=False)}
    changed = _set(text, **wanted)
    again = parse_policy(changed, "default.yaml")
    assert {rule.id: rule.threshold for rule in again.rules} == wanted
    number = re.compile(r"(?<=threshold: )[0-9.]+")
    assert number.sub("N", changed) == number.sub("N", text)
    assert {written(value) for value in values} >= set(number.findall(changed)) - set(number.findall(text))


def test_an_anchor_stays_before_its_number() -> None:
    """Only the number is replaced."""
    text = _TEXT.replace("threshold: 0.5, action: block", "threshold: &t 0.5, action: block")
    assert _set(text, a=0.75) == text.replace("&t 0.5", "&t 0.75")


def test_two_rules_that_share_a_number_are_refused() -> None:
    """With an alias one cannot change without the other; both to the same number can."""
    text = _TEXT.replace("0.5, action: block", "&t 0.5, action: block").replace(".75 ", "*t ")
    with pytest.raises(PolicyError, match="write the threshold as a plain number of its own"):
        _set(text, a=0.75)
    with pytest.raises(PolicyError, match=r"p\.yaml:\d+:\d+: the threshold of b cannot be changed on its own"):
        _set(text, a=0.75, b=0.25)
    assert _set(text, a=0.75, b=0.75) == text.replace("&t 0.5", "&t 0.75")


def test_a_rule_that_the_file_has_not_is_refused() -> None:
    """It must stand in another file."""
    with pytest.raises(PolicyError, match="no rule d in this file"):
        _set(_TEXT, d=0.5)


def test_an_inherited_threshold_is_changed_where_it_stands(tmp_path: Path) -> None:
    """A file is never given a rule that it did not have: the message names the file that has the threshold."""
    (tmp_path / "base.yaml").write_text(
        "version: 1\nname: base\nrules:\n"
        "  - {id: a, category: hate, threshold: 0.5, action: block}\n"
        "  - {id: b, category: violence, threshold: 0.5, action: block}\n"
    )
    child = b"version: 1\nname: child\nextends: base.yaml\nrules: [{id: b, threshold: 0.6}, {id: a, shadow: true}]\n"
    file = str(tmp_path / "child.yaml")
    assert set_thresholds(child, file, {"b": 0.7}) == child.replace(b"0.6", b"0.70")
    with pytest.raises(PolicyError) as caught:
        set_thresholds(child, file, {"a": 0.7, "b": 0.7})
    assert "base.yaml" in str(caught.value) and "the threshold of a stands in" in str(caught.value)
