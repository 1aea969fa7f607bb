from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.normalize import normalize
from guard.recognizers import detect
from guard.types import RECOGNIZER_CATEGORIES
from tests.bench.page import table, write_between
from tests.bench.pii import Found, measure, ordinary_texts, ours, report, typed_table
from tests.bench.pii_texts import KINDS, Row, near_misses, positives
from tests.bench.recognizers import PATTERNS, TEXTS


def test_every_category_is_measured() -> None:
    """What rules may name and recognizers find is in the table."""
    assert set(KINDS) == {name for name in RECOGNIZER_CATEGORIES if name not in {"pii", "secret"}}


@pytest.mark.parametrize("category", KINDS)
def test_made_up_values_are_found_and_near_misses_are_not(category: str) -> None:
    """Nearly every value is covered, no near miss is acted on, and each value stands where it is said."""
    rows = [*positives(category, 60), *near_misses(category, 60)]
    assert all(row.text[row.start : row.end].strip() for row in rows[:60])
    figures = measure(rows, ours([row.text for row in rows]), ())
    assert figures[category].found >= 0.95 and figures[category].near == 0 and figures[category].right == 1


def test_shares_are_what_they_are_called() -> None:
    """A value that is covered in part is not found; detections elsewhere and in near misses are not right."""
    rows = [Row("url", "ab cd", 0, 2), Row("url", "ab cd", 3, 5), Row("url", "none")]
    found = [[Found("url", 0, 1), Found("url", 1, 5)], [Found("url", 3, 4)], [Found("url", 0, 2)]]
    figures = measure(rows, found, [[Found("url", 0, 1), Found("url", 2, 3)], [], [], []])["url"]
    assert (figures.found, figures.right, figures.near, figures.ordinary) == (0.5, 0.75, 1.0, 250.0)


def test_tables_on_others_texts(tmp_path: Path) -> None:
    """Ordinary texts are the compliant ones; typed texts count by what their labels name."""
    rows = {
        "text": ["mail a@example.com", "hello", "bye"],
        "label": ["compliant", "noncompliant", "compliant"],
        "original_label": [json.dumps(["EMAIL_ADDRESS"]), "no PII", json.dumps(_TYPES)],
    }
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    assert sorted(ordinary_texts(tmp_path)) == ["bye", "mail a@example.com"]
    assert "| `pii.email` | 2 | 50.0% | 0 |" in typed_table(tmp_path / "a.parquet", None)
    assert "2 ordinary texts" in report(5, tmp_path, None)


_TYPES = ["EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS"]


def test_a_table_takes_its_place_on_a_page(tmp_path: Path) -> None:
    """Only what stands between the markers of the name changes."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n")
    write_between(page, "x", table(("k", "v"), [("a", "1")]))
    shown = "| k | v |\n| --- | ---: |\n| a | 1 |"
    assert (
        page.read_text() == f"a\n<!-- x: begin -->\n{shown}\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n"
    )


def test_the_timed_texts_make_the_recognizers_work() -> None:
    """There is a text for each way to be slow: prose without anything, and texts in which much is found."""
    found = {kind: len(detect(normalize(text[:300]))) for kind, text in TEXTS.items()}
    assert all(len(text) >= 300 for text in TEXTS.values())
    assert found["Chinese prose"] == found["English prose"] == 0
    assert min(found["a customer's mail"], found["numbers alone"]) >= 8
    assert len(set(PATTERNS)) == len(PATTERNS)
