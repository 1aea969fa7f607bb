"""``guard policy explain`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

_POLICY = """\
version: 1
name: mine
rules:
  - {id: weapons, category: weapons, threshold: 0.5, action: block}
  - {id: phone, direction: output, category: pii.phone, threshold: 0.5, action: rewrite}
  - {id: shop, category: hate, threshold: 0.5, action: block, when: {tags: {tenant: shop}}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file."""
    path = tmp_path / "mine.yaml"
    path.write_text(_POLICY)
    return path


def test_a_blocked_text(command: Command, policy: Path, tiny_model_dir: Path) -> None:
    """Steps, scores with margins, the rule that decided, and what another action takes."""
    outcome = command("policy", "explain", policy, "a ｂomb\u200b", "--model", tiny_model_dir)
    assert (outcome.code, outcome.err) == (0, "")
    rows = [line.split() for line in outcome.out.splitlines()]
    assert "action   block, by weapons" in outcome.out
    assert ["invisible", "characters", "removed", "[6,", "7)", "U+200B", "nothing"] in rows
    assert ["forms", "folded", "[2,", "3)", "ｂ", "b"] in rows
    assert ["weapons", "block", "weapons", "0.982", "0.500", "+0.482", "yes", "[2,", "6)", "ｂomb"] in rows
    assert ["allow", "weapons", "below", "0.500", "(it", "scores", "0.982)"] in rows
    assert "not asked, because of the direction: phone" in outcome.out
    assert "not asked, because of the tags: shop" in outcome.out


def test_an_answer_with_context_and_tags(command: Command, policy: Path, tiny_model_dir: Path) -> None:
    """From standard input; everything for programs."""
    more = ("--direction", "output", "--context", "hello", "--tag", "tenant=shop", "--model", tiny_model_dir)
    outcome = command("policy", "explain", policy, "-", *more, stdin=b"call 138 0013 8000\n")
    assert "text     output, en, " in outcome.out and ", after 1 turn\n" in outcome.out
    assert "output   call *************\n" in outcome.out
    (found,) = command("policy", "explain", policy, "call 138 0013 8000", *more, "--format", "json").json()
    assert (found["action"], found["decided_by"], found["turns"]) == ("rewrite", ["phone"], 1)
    assert found["detections"][0]["span"] == {"start": 5, "end": 18}
    assert {rule["id"]: rule["not_asked"] for rule in found["rules"]}["shop"] == ""


def test_long_texts_show_their_chunks(command: Command, policy: Path, tiny_model_dir: Path) -> None:
    """Each with its place and what is highest in it."""
    outcome = command("policy", "explain", policy, "hello " * 150 + "bomb", "--model", tiny_model_dir)
    assert "151 tokens in 2 chunks" in outcome.out
    assert any(line.split()[:1] == ["2"] and "weapons 0.98" in line for line in outcome.out.splitlines())


def test_a_text_alone_is_explained_by_the_default_policy(
    command: Command, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """One argument that is no policy is the text, however long; one that is a policy has none."""
    for text in ("hello", "hello there. " * 400):
        outcome = command("policy", "explain", text, "--model", tiny_model_dir)
        assert outcome.code == 0 and outcome.out.startswith("policy   default@")
    for arguments in ((), ("strict",), (tmp_path,)):
        outcome = command("policy", "explain", *arguments)
        assert outcome.code == 2 and outcome.err.startswith("guard: TEXT: missing (give a policy and a text, ")
    assert "no such file: none.yaml" in command("policy", "explain", "none.yaml").err


def test_usage(command: Command, policy: Path, tiny_model_dir: Path) -> None:
    """Texts, tags and policies that are none are refused."""
    blank = command("policy", "explain", policy, " ", "--model", tiny_model_dir)
    assert (blank.code, blank.err.startswith("guard: text: blank")) == (2, True)
    tag = command("policy", "explain", policy, "hello", "--tag", "tenant")
    assert (tag.code, tag.err.startswith("guard: --tag: 'tenant' is not NAME=VALUE")) == (2, True)
    assert command("policy", "explain", policy.with_name("none.yaml"), "hello").code == 2
