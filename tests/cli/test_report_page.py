"""The page that ``--report`` writes, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact
from guard.cli.main import run
from guard.records import Record
from guard.types import Direction
from tests.browser import Browser, Page, browser
from tests.cli.conftest import Command
from tests.policy.build import file_of, record_of

_POLICY = """\
version: 1
name: shop
rules:
  - {id: hate, category: hate, threshold: 0.5, action: block}
  - {id: weapons, direction: prompt, category: weapons, threshold: 0.62, action: block}
  - {id: watch, category: noncompliant, threshold: 0.3, action: block, shadow: true}
"""
_HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> </script> 你好"
_NAMES = ("precision", "recall", "fpr", "f1", "found", "alarms", "flipped", "whole-recall", "whole-fpr")


def _rows(*, labelled: bool = True) -> list[Record]:
    """Four hundred records of the installed model; a fifth is bad and scores higher."""
    rng, model = np.random.default_rng(3), read_artifact(DEFAULT_MODEL_DIR).identity
    rows = []
    for number in range(400):
        bad = number % 5 == 0
        category = ("hate", "weapons")[number % 2]
        scores = {c: float(rng.beta(4, 2) if bad and c == category else rng.beta(1, 6)) for c in ("hate", "weapons")}
        truth: dict[str, Any] = {"label": "noncompliant", "categories": (category,)} if bad else {"label": "compliant"}
        rows.append(
            record_of(
                f"r{number}",
                {**scores, "noncompliant": max(scores.values())},
                text=_HOSTILE if number % 3 else f"An ordinary question, number {number}",
                lang=("en", "zh")[number % 3 > 0],
                direction=list(Direction)[number % 4 == 0],
                model=model,
                tags={"tenant": f"t{number % 12}"},
                **(truth if labelled else {}),
            )
        )
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy, a second one, labelled records and unlabelled ones; and the pages of all four commands."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "shop.yaml").write_text(_POLICY)
    (folder / "next.yaml").write_text(_POLICY.replace("0.5,", "0.45,"))
    file_of(folder / "judged.jsonl", *_rows())
    file_of(folder / "log.jsonl", *_rows(labelled=False))
    for line in (
        "eval shop.yaml --records judged.jsonl --report eval.html",
        "tune shop.yaml --records judged.jsonl --max-fpr 0.02 --report tune.html",
        "diff shop.yaml next.yaml --records judged.jsonl --report diff.html",
        "replay shop.yaml --log log.jsonl --report replay.html",
    ):
        arguments = [str(folder / word) if re.search(r"\.[a-z]+$", word) else word for word in line.split()]
        assert run(["policy", *arguments]) == 0
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser."""
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def opened(chromium: Browser, folder: Path) -> Page:
    """The page of eval."""
    made = chromium.page()
    made.open(folder / "eval.html")
    return made


@pytest.fixture
def page(opened: Page) -> Page:
    """The page of eval, with its first rule as it was."""
    opened.evaluate("choose('hate')")
    opened.settle()
    return opened


@pytest.mark.parametrize("name", ["eval", "tune", "diff", "replay"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_page_loads(chromium: Browser, folder: Path, name: str, width: int, dark: bool) -> None:
    """Nothing on the console, nothing asked for but the file itself, and nothing wider than the window."""
    page, file = chromium.page(), folder / f"{name}.html"
    page.open(file, width, dark=dark)
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.querySelectorAll('.plot:not(.empty)')].every(p => p.querySelector('svg'))")
    assert page.evaluate("document.querySelectorAll('.plot:not(.empty)').length") == (1 if name == "replay" else 4)
    assert file.stat().st_size < 6e6


def _figures(page: Page) -> dict[str, float]:
    """The figures that the page shows, exactly."""
    return {name: float(page.evaluate(f"document.getElementById('figure-{name}').value")) for name in _NAMES}


def _expected(command: Command, folder: Path, threshold: str) -> dict[str, float]:
    """What eval, and diff against the policy as it is, compute with another threshold of the rule on hate."""
    moved = folder / "moved.yaml"
    moved.write_text(_POLICY.replace("threshold: 0.5,", f"threshold: {threshold},"))
    judged = ("--records", folder / "judged.jsonl", "--format", "json")
    (found,) = command("policy", "eval", moved, *judged).json()
    (changed,) = command("policy", "diff", folder / "shop.yaml", moved, *judged).json()
    rule, whole = found["rules"][0]["measures"], found["decision"]
    flipped = sum(flip["records"] for flip in changed["flips"])
    rates = [rule[name]["value"] for name in ("precision", "recall", "fpr", "f1")]
    counts = [rule["found"], rule["false_alarms"], flipped]
    return dict(zip(_NAMES, [*rates, *counts, whole["recall"]["value"], whole["fpr"]["value"]], strict=True))


def test_slider_shows_what_eval_computes(command: Command, page: Page, folder: Path) -> None:
    """Moved with the keyboard, the slider changes the figures to those of eval and diff at that threshold."""
    assert page.text("#rule option:checked") == "hate"
    assert page.evaluate("document.getElementById('threshold').value") == "0.5"
    first = _figures(page)
    assert first == pytest.approx(_expected(command, folder, "0.5"), abs=1e-12) and first["flipped"] == 0
    page.focus("#slider")
    for key, threshold in (("ArrowLeft", "0.47"), ("ArrowRight", "0.56")):
        while page.evaluate("document.getElementById('threshold').value") != threshold:
            page.press(key)
        page.settle()
        expected = _expected(command, folder, threshold)
        assert _figures(page) == pytest.approx(expected, abs=1e-12)
        assert expected["flipped"] > 0
        assert page.evaluate("document.getElementById('slider').getAttribute('aria-valuetext')") == threshold
        assert page.text("#said").startswith(f"At {threshold}: {expected['found']} of 40 texts in the category")
        assert page.text("#figure-recall") == f"{expected['recall']:.3f}"
    assert page.complaints == []


def test_slider_marks_texts_and_curves(page: Page) -> None:
    """Its place in the curves moves, and the texts say on which of them the rule fires."""
    place = "document.getElementById('pr').data.at(-1).x[0]"
    fired = "document.querySelectorAll('#samples .fires').length"
    before = page.evaluate(place), page.evaluate(fired)
    page.focus("#slider")
    page.press("End")
    page.settle()
    assert before[0] > 0 and before[1] == 5
    assert (page.evaluate(place), page.evaluate(fired)) == (0, 0)


def test_threshold_as_a_number(page: Page) -> None:
    """A number that is typed moves the slider to the nearest threshold there is."""
    page.evaluate("(t => { t.value = '0.61249'; t.dispatchEvent(new Event('change')); })(threshold)")
    assert page.evaluate("document.getElementById('threshold').value") == "0.612"
    page.evaluate("(t => { t.value = ''; t.dispatchEvent(new Event('change')); })(threshold)")
    assert page.evaluate("document.getElementById('threshold').value") == "0.612"


def test_tables_sort_by_keyboard(page: Page) -> None:
    """A heading is a button: the first press sorts numbers from the largest, the second from the smallest."""
    column = "[...document.querySelectorAll('#slices tbody tr')].map(row => row.sorts[1])"
    heading = "#slices th:nth-child(2)"
    unsorted = page.evaluate(column)
    for key, order in (("Enter", "descending"), (" ", "ascending")):
        page.focus(f"{heading} button")
        page.press(key)
        assert page.evaluate(column) == sorted(unsorted, reverse=order == "descending") != unsorted
        assert page.evaluate(f"document.querySelector('{heading}').getAttribute('aria-sort')") == order
    page.focus("#slices th:first-child button")
    page.press("Enter")
    names: list[str] = page.evaluate("[...document.querySelectorAll('#slices tbody th')].map(cell => cell.textContent)")
    assert names.index("tags.tenant t2") < names.index("tags.tenant t10")
    assert page.evaluate("document.querySelectorAll('#slices [aria-sort]').length") == 1


def test_markup_in_a_text_is_text(page: Page) -> None:
    """A script in a record stands there to be read; it does not run, and makes no element."""
    assert page.evaluate("[...document.querySelectorAll('#samples td.text')].map(cell => cell.textContent)").count(
        _HOSTILE
    )
    assert page.evaluate("document.querySelectorAll('#samples img, #samples script').length") == 0
    assert page.evaluate("document.title") == page.text("h1") == "How well shop decides"
    # Even a script that got in would not run.
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    assert page.text("title") == "How well shop decides"


def test_rule_is_chosen_in_a_table(page: Page) -> None:
    """A rule's name in a table shows the rule; one in shadow says what would flip, and has no part in the policy."""
    page.focus("#summary tbody tr:last-child th button")
    page.press("Enter")
    page.settle()
    assert page.evaluate("document.getElementById('rule').value") == "watch"
    assert page.evaluate("document.activeElement.id") == "explorer-title"
    assert "in shadow" in page.text("#about") and "did it act" in page.text("#figures")
    assert page.evaluate("document.getElementById('figure-whole-fpr')") is None


def test_proposed_thresholds(chromium: Browser, folder: Path, command: Command) -> None:
    """Tune's page marks both thresholds, starts at the proposed one, and goes to the other at a press."""
    judged = ("--records", folder / "judged.jsonl", "--max-fpr", "0.02", "--format", "json")
    (found,) = command("policy", "tune", folder / "shop.yaml", *judged).json()
    new = next(rule["new"] for rule in found["parts"][0]["rules"] if rule["id"] == "hate")
    page = chromium.page()
    page.open(folder / "tune.html")
    if page.evaluate("document.getElementById('rule').value") != "hate":
        page.evaluate("choose('hate')")
    marks = page.evaluate("[...document.querySelectorAll('#marks button')].map(button => button.textContent)")
    assert marks == ["current 0.5", f"proposed {new:g}"]
    assert page.evaluate("document.getElementById('threshold').value") == f"{new:g}"
    assert page.evaluate("document.getElementById('histogram').layout.shapes.map(line => line.x0)") == [0.5, new, new]
    page.focus("#marks button")
    page.press("Enter")
    assert page.evaluate("document.getElementById('threshold').value") == "0.5"


def test_diff_and_replay(chromium: Browser, folder: Path, command: Command) -> None:
    """Diff's page starts with a rule that changes and its flips; replay's, without labels, shows scores alone."""
    page = chromium.page()
    page.open(folder / "diff.html")
    policies = (folder / "shop.yaml", folder / "next.yaml")
    (found,) = command("policy", "diff", *policies, "--records", folder / "judged.jsonl", "--format", "json").json()
    flips = sum(flip["records"] for flip in found["flips"])
    assert flips > 0 and page.text("#figure-flipped") == str(flips)
    assert page.text("#marks") == "old 0.5new 0.45"
    page = chromium.page()
    page.open(folder / "replay.html")
    assert page.evaluate("document.getElementById('figure-precision')") is None
    assert "of 400 texts, none of them labelled" in page.text("#said")
    assert "no curve" in page.text("#pr") and page.evaluate("document.querySelectorAll('#slices .table').length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_and_names(chromium: Browser, folder: Path, dark: bool) -> None:
    """Every colour of text has a contrast of 4.5 at least (WCAG 2 AA), and every control and plot has a name."""
    page = chromium.page()
    page.open(folder / "eval.html", dark=dark)

    def colour(name: str) -> list[float]:
        value = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
        digits = value[1:] if len(value) == 7 else "".join(digit * 2 for digit in value[1:])
        return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]

    def luminance(name: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour(name)]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for ink in ("ink", "muted", "accent", "positive", "negative", "unknown", "proposed"):
        for ground in ("paper", "card"):
            high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    asked = {"button", "slider", "combobox", "spinbutton", "checkbox", "table", "region", "img", "image"}
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"] and "name" in node]
    assert {role for role, _ in named} >= {"slider", "combobox", "spinbutton", "checkbox", "table"}
    assert [role for role, name in named if role in asked and not name] == []
    assert ("slider", "Threshold") in named and any(name.startswith("ROC curve of the rule hate") for _, name in named)
