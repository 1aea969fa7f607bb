"""Labelled records as arrays: what is kept, what is left out and told, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.errors import InvalidInput
from guard.policy.labelled import UNSCORED, Labelled
from guard.policy.labelled_file import read_labelled
from guard.records import Record
from guard.types import Detection, Direction, Span
from tests.policy.build import file_of, record_of


def _record(record_id: str, score: float = 0.5, **fields: Any) -> Record:
    return record_of(record_id, {"hate": score}, **{"label": "compliant", **fields})


def _read(path: Path, *records: Record | str, categories: tuple[str, ...] = ("hate",)) -> Labelled:
    return read_labelled(file_of(path / "r.jsonl", *records), categories)


def _refused(path: Path, *records: Record | str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        _read(path, *records)
    return [str(violation).replace(str(path / "r.jsonl"), "FILE") for violation in caught.value.violations]


def test_scores_truths_and_directions(tmp_path: Path) -> None:
    """One entry a record, in the file's order; a score is the number of the file, to the last digit."""
    found = _read(
        tmp_path,
        _record("a", 0.1 + 0.2, label="noncompliant", categories=("hate",)),
        _record("b", direction=Direction.OUTPUT),
        _record("c", about=("violence",)),
    )
    assert found.scores["hate"].tolist() == [0.1 + 0.2, 0.5, 0.5]
    assert found.of_category("hate").tolist() == [1, 0, -1]
    assert found.of_decision().tolist() == [1, 0, -1]
    assert found.whole().tolist() == [True, True, False]
    assert found.travels(Direction.OUTPUT).tolist() == [False, True, False]
    assert found.travels(None).all() and len(found) == 3
    assert (found.model, found.notes) == ("m@0123456789ab", ())


def test_a_category_counts_with_the_highest_of_its_sources(tmp_path: Path) -> None:
    """The classifier's score, a detection's, and those of a parent's children; without any it reaches no threshold."""
    seen = Detection("pii.phone", Span(0, 3), 0.95, "phone")
    found = _read(
        tmp_path,
        _record("a", 0.2, detections=(seen, replace(seen, category="hate", score=0.7))),
        record_of("b", {"pii": 0.3, "pii.email": 0.4, "pii.phone": 0.1}, label="compliant"),
        categories=("hate", "pii", "pii.phone", "piii"),
    )
    assert found.scores["hate"].tolist() == [0.7, UNSCORED]
    assert found.scores["pii"].tolist() == [0.95, 0.4]
    assert found.scores["pii.phone"].tolist() == [0.95, 0.1]
    assert found.scores["piii"].tolist() == [UNSCORED, UNSCORED]


def test_facets_are_language_length_and_tags(tmp_path: Path) -> None:
    """A record without a tag has no value of it; a tag that names single texts is none to slice by."""
    many = [_record(f"m{i}", tags={"user": str(i), "late": "x"}) for i in range(60)]
    found = _read(
        tmp_path,
        _record("a", lang="zh", tokens=16),
        _record("b", tokens=17, tags={"tenant": "t"}),
        _record("c", tokens=10**12),
        *many,
    )
    assert [facet.key for facet in found.facets] == ["language", "length", "tags.late", "tags.tenant"]
    language, length, late, tenant = found.facets
    assert [language.values[code] for code in language.codes[:3]] == ["zh", "en", "en"]
    assert [length.values[code] for code in length.codes[:3]] == ["1-16", "17-64", "257+"]
    assert (late.codes[:4].tolist(), tenant.codes[:4].tolist()) == ([-1, -1, -1, 0], [-1, 0, -1, -1])
    assert {len(facet.codes) for facet in found.facets} == {63}
    assert found.notes == ("not sliced by tags with more than 50 values: user",)
    assert found.facet("language") is language


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    """No label, no screening, names that are no categories, a last line that is cut off: each with a note."""
    found = _read(
        tmp_path,
        _record("a", categories=("rudeness",), about=("tone", "rudeness")),
        _record("b", label=None),
        _record("c", label=None, categories=()),
        record_of("d", {}, degraded=True, label="compliant"),
        record_of("e", {"hate": 0.1, "tone": 0.2}, label="compliant"),
        '{"schema": 1, "id": "f',
    )
    assert len(found) == 2
    assert found.notes == (
        f"left out: the last line of {tmp_path / 'r.jsonl'}, which is cut off",
        "left out: 1 records that could not be screened (screen their texts again)",
        "left out: 2 records without a label",
        "unknown categories in labels, which say nothing about any rule: 'rudeness' (1), 'tone' (1)",
        "scores of m@0123456789ab that no rule can name: tone",
    )


def test_records_without_any_label_are_refused_with_the_cure(tmp_path: Path) -> None:
    """Nothing can be learnt from them."""
    (line,) = _refused(tmp_path, _record("a", label=None), _record("b", label=None))
    assert line.startswith("FILE: label: none of 2 records has one (add `label`")


def test_records_of_several_models_are_refused(tmp_path: Path) -> None:
    """Their scores are on two scales."""
    (line,) = _refused(tmp_path, _record("a"), _record("b", model="n@0123456789ab"))
    assert line.startswith("FILE: model: records of 2 models: ") and "write a file a model" in line


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """It is a mistake and no measurement of nothing."""
    assert _refused(tmp_path)[0].startswith("FILE: no record in it (")


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("scores", {"hate": float("nan")}, "scores.hate"),
        ("scores", {"hate": 1.5}, "scores.hate"),
        ("scores", {"hate": "0.5"}, "scores.hate"),
        ("scores", [0.5], "scores"),
        ("label", "bad", "label"),
        ("label", ["compliant"], "label"),
        ("categories", "hate", "categories"),
        ("about", [1], "about"),
        ("direction", "sideways", "direction"),
        ("lang", "", "lang"),
        ("tokens", -1, "tokens"),
        ("tags", {"a": 1}, "tags.a"),
        ("detections", [{"category": "pii", "score": 2.0}], "detections[0].score"),
        ("degraded", "no", "degraded"),
        ("schema", 2, "schema"),
        ("model", None, "model"),
        ("id", "", "id"),
    ],
)
def test_broken_fields_are_named_with_their_line(tmp_path: Path, field: str, value: object, place: str) -> None:
    """As the reading of a whole record does; nothing of the file is used."""
    broken = json.dumps({**json.loads(_record("b").to_json()), field: value}) + "\n"
    lines = _refused(tmp_path, _record("a"), broken, _record("a"))
    assert any(line.startswith(f"FILE:2: {place}: ") for line in lines)
    assert lines[-1].startswith("FILE:3: id: duplicate 'a'")


def test_whole_numbers_are_scores(tmp_path: Path) -> None:
    """What another writer makes of 0.0 and 1.0 is read as a whole record would be."""
    line = json.dumps({**json.loads(_record("b").to_json()), "scores": {"hate": 1}}) + "\n"
    assert _read(tmp_path, line).scores["hate"].tolist() == [1.0]


def test_the_order_follows_from_the_text(tmp_path: Path) -> None:
    """The same text has the same number, whatever its id."""
    found = _read(tmp_path, _record("a", text="x"), _record("b", text="x"), _record("c", text="y"))
    assert found.order[0] == found.order[1] != found.order[2]
    assert found.order.dtype == np.uint32
