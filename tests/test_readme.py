from __future__ import annotations

import re

from guard.types import CATEGORIES
from tests.readme import README, ROOT, compare, options_table, shown_options

_TEXT = README.read_text(encoding="utf-8")


def test_what_the_readme_shows_is_what_happens() -> None:
    """Every command and program of the README prints what the README shows, measured numbers aside."""
    # The section on training has a test of its own: it takes minutes.
    shown, found = compare(without="Training")
    assert found == shown


def test_first_screen_is_a_sentence_a_command_and_its_output() -> None:
    """The README begins with its title, one paragraph and one command with its output."""
    title, sentence, block = _TEXT.split("\n\n")[:3]
    assert title.startswith("# ")
    assert not sentence.startswith(("#", "```"))
    assert re.match(r"```console\n\$ make demo\n.+", block)


def test_make_demo_runs_the_demo() -> None:
    """``make demo`` runs ``guard demo`` of its environment."""
    assert "\t@$(VENV)/bin/guard demo\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_option_of_the_server_is_listed() -> None:
    """The table of the options is that of the settings; `python -m tests.readme` writes it."""
    lines = _TEXT.split("\n")
    assert lines[shown_options(lines)] == options_table()


def test_links_lead_somewhere() -> None:
    """Every relative link of the README names a file of the repository."""
    targets = [target for target in re.findall(r"\]\(([^)#]+)", _TEXT) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_scope_names_every_category() -> None:
    """The scope names every category, and says that political opinion is none."""
    scope = _TEXT.split("## Scope", 1)[1]
    assert [category for category in CATEGORIES if category not in scope] == []
    assert "Political opinion is not a category" in scope
