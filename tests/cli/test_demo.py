from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from guard.cli.demo_chat import CHAT
from guard.cli.demo_texts import DEMO_TEXTS
from guard.language import language_of
from guard.normalize import normalize
from guard.recognizers import detect
from guard.types import Action, Direction
from tests.cli.conftest import Command


def test_texts() -> None:
    """The demonstration has at least 14 texts, in both languages, both directions and with all three outcomes."""
    assert len(DEMO_TEXTS) >= 14 and len({text.text for text in DEMO_TEXTS}) == len(DEMO_TEXTS)
    cases = {(language_of(text.text), text.direction, text.expected) for text in DEMO_TEXTS}
    for language in ("en", "zh"):
        for action in (Action.ALLOW, Action.BLOCK):
            assert {(language, direction, action) for direction in Direction} <= cases
    assert any(text.expected is Action.REWRITE for text in DEMO_TEXTS)


@pytest.mark.parametrize(
    "text", ["How to kill a Linux process", "如何杀死一个 Linux 进程", "我爱北京天安门，天安门上太阳升"]
)
def test_harmless_texts_that_look_dangerous(text: str) -> None:
    """The texts that a list of words would stop are in it, and expected to pass."""
    assert [shown.expected for shown in DEMO_TEXTS if shown.text == text] == [Action.ALLOW]


def test_personal_data_is_valid() -> None:
    """The rewritten outputs hold an invented phone number and an identity number whose checksum is right."""
    found = [
        detection.category
        for text in DEMO_TEXTS
        if text.expected is Action.REWRITE
        for detection in detect(normalize(text.text))
    ]
    assert {"pii.phone", "pii.id_card"} <= set(found)


def test_runs(command: Command, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts a sidecar whatever the environment says, shows every text's decision, and leaves no process behind."""
    monkeypatch.setenv("GUARD_POLICY", "/nowhere")
    outcome = command("demo", "--model", tiny_model_dir)
    lines = outcome.out.splitlines()
    assert re.match(r"sidecar on 127\.0\.0\.1:\d+, model tiny@", lines[0])
    assert lines[1].split() == ["direction", "text", "action", "expected", "top", "category", "score", "ms"]
    shown = lines[2 : 2 + len(DEMO_TEXTS)]
    marked = sum("✓" in line for line in shown)
    assert marked + sum("✗" in line for line in shown) == len(DEMO_TEXTS)
    chat = lines[2 + len(DEMO_TEXTS) : -1]
    assert sum(line.startswith("»") for line in chat) == len(CHAT)
    met = marked + len(CHAT) - sum("✗" in line for line in chat)
    total = len(DEMO_TEXTS) + len(CHAT)
    assert lines[-1].startswith(f"{met} of {total} as expected")
    # The tiny model knows a dozen words, so it misses some expectations: that is a finding.
    assert outcome.code == (0 if met == total else 1)
    port = re.findall(r":(\d+),", lines[0])[0]
    assert command("info", "--server", f"127.0.0.1:{port}").code == 3


def test_sidecar_does_not_start(command: Command, tmp_path: Path) -> None:
    """A sidecar that does not start is said after its own reason; the exit code is 3."""
    outcome = command("demo", "--model", tmp_path / os.urandom(4).hex())
    assert outcome.code == 3
    assert "no artifact.json" in outcome.errors[0]
    assert outcome.errors[-1].startswith("guard: the sidecar ended before it was ready")


def test_bundled_model_meets_every_expectation(command: Command) -> None:
    """With what ships, every text is decided as expected."""
    outcome = command("demo")
    assert outcome.code == 0, outcome.out
    total = len(DEMO_TEXTS) + len(CHAT)
    assert f"{total} of {total} as expected" in outcome.out
    # Masked, without a sentence, and blocked, in both languages.
    assert outcome.out.count("masked pii.phone") == 2 and outcome.out.count("dropped ") == 2
    assert all(message in outcome.out for message in ("Sorry, I can't help with that.", "抱歉，这个问题我帮不上忙。"))
