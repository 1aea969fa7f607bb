"""The JSON Schema for editors, and the reference: both say what the loader does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.errors import PolicyError
from guard.policy.cases import load_cases, run_cases
from guard.policy.load import SHIPPED_DIR, parse_policy
from guard.policy.schema import (
    AllowEntry,
    CaseEntry,
    CaseFile,
    Entry,
    Expectation,
    LlmEntry,
    MessageEntry,
    MetadataEntry,
    PolicyFile,
    RecognizerEntry,
    RewriteEntry,
    RuleEntry,
    StreamingEntry,
    TermEntry,
    WhenEntry,
    json_schema,
    json_schema_text,
)
from guard.policy.source import read_document
from guard.policy.store import PolicyStore
from guard.types import CATEGORIES, RECOGNIZER_CATEGORIES

_README = (SHIPPED_DIR / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _README, re.DOTALL | re.MULTILINE)


def _rows() -> dict[str, tuple[str, str]]:
    """Key -> (type, default) of all tables of keys in the reference."""
    rows = re.findall(r"^\| `([^`]+)` \|([^|\n]*)\|([^|\n]*)\|[^|\n]*\|$", _README, re.MULTILINE)
    return {key: (kind.strip(), default.strip()) for key, kind, default in rows}


def _keys(prefix: str, entry: type[Entry]) -> list[str]:
    return [prefix + key for key in entry.model_fields]


def test_the_committed_schema_is_fresh() -> None:
    """``python -m guard.policy.schema`` writes exactly what is committed."""
    assert (SHIPPED_DIR / "policy.schema.json").read_text(encoding="utf-8") == json_schema_text()


def test_the_schema_knows_every_category_and_no_unknown_key() -> None:
    """An editor offers the legal categories and marks a key that the loader would refuse."""
    schema = json.loads(json_schema_text())
    rule = schema["$defs"]["RuleEntry"]
    assert rule["properties"]["category"]["anyOf"][0]["enum"] == [*CATEGORIES, *RECOGNIZER_CATEGORIES]
    assert (rule["required"], schema["required"]) == (["id"], ["version", "name"])
    assert schema["$defs"]["RecognizerEntry"]["required"] == ["name"]
    # A policy that extends another may leave out what it inherits.
    assert schema["if"] == {"not": {"required": ["extends"]}}
    assert schema["then"]["required"] == ["rules"]
    assert schema["then"]["properties"]["recognizers"]["items"]["required"] == ["patterns"]
    whole = schema["then"]["properties"]["rules"]["items"]
    assert (whole["required"], whole["anyOf"]) == (
        ["action"],
        [{"required": ["category", "threshold"]}, {"required": ["terms"]}],
    )
    assert not schema["additionalProperties"] and not rule["additionalProperties"]


def test_the_schema_offers_no_empty_values() -> None:
    """The loader refuses a key without a value, so the schema does not offer null."""
    assert "null" not in json_schema_text()


def test_every_key_of_the_schema_is_described() -> None:
    """An editor can explain every key."""
    schema = json_schema()
    for entry in (schema, *schema["$defs"].values()):
        assert all(key.get("description") for key in entry["properties"].values())


def test_the_reference_has_every_key_and_no_other() -> None:
    """The tables of policies/README.md list the keys of policies and cases exactly."""
    expected = [
        *_keys("", PolicyFile), *_keys("message.", MessageEntry), *_keys("rules[].", RuleEntry),
        *_keys("rules[].message.", MessageEntry), *_keys("rules[].when.", WhenEntry),
        *_keys("rules[].rewrite.", RewriteEntry), *_keys("llm.", LlmEntry),
        *_keys("rules[].terms[].", TermEntry), *_keys("streaming.", StreamingEntry),
        *_keys("metadata.", MetadataEntry), *_keys("allow[].", AllowEntry),
        *_keys("recognizers[].", RecognizerEntry),
        *_keys("", CaseFile), *_keys("cases[].", CaseEntry), *_keys("cases[].expect.", Expectation),
    ]  # fmt: skip
    assert sorted([*_rows(), "cases[].expect"]) == sorted(expected)


@pytest.mark.parametrize(
    ("prefix", "entry"),
    [("", PolicyFile), ("rules[].", RuleEntry), ("streaming.", StreamingEntry), ("recognizers[].", RecognizerEntry)],
)
def test_the_reference_has_the_defaults_and_the_choices(prefix: str, entry: type[Entry]) -> None:
    """Required keys, defaults and choices in the reference are those of the schema."""
    schema = json_schema()
    properties: dict[str, Any] = (schema if entry is PolicyFile else schema["$defs"][entry.__name__])["properties"]
    for key, field in entry.model_fields.items():
        kind, default = _rows()[prefix + key]
        assert (default == "required") is field.is_required(), key
        if "enum" in properties[key] and key != "category":
            assert kind == ", ".join(f"`{choice}`" for choice in properties[key]["enum"])
        if isinstance(written := properties[key].get("default"), str) and written:
            assert default == f"`{written}`"


def test_the_reference_names_every_category() -> None:
    """Whoever writes a rule finds its category in the reference."""
    assert all(f"`{category}`" in _README for category in (*CATEGORIES, *RECOGNIZER_CATEGORIES))


def test_the_examples_of_the_reference_load_and_pass(tmp_path: Path, tiny_classifier: Classifier) -> None:
    """The policy of the reference is sound, and its cases pass."""
    shop, cases, *_ = _blocks("yaml")
    policy = parse_policy(shop, "shop.yaml")
    file = tmp_path / "shop_test.yaml"
    file.write_text(cases, encoding="utf-8")
    report = run_cases(policy, load_cases(file, policy), Engine(tiny_classifier, PolicyStore([policy])).screen)
    assert (report.passed, report.failed, report.skipped) == (6, 0, 0), "\n".join(report.lines())


def test_the_warning_of_the_reference_is_the_real_one() -> None:
    """What the reference shows for another model is what its example policy says."""
    policy = parse_policy(_blocks("yaml")[0], "shop.yaml")
    found = policy.mismatch("tiny@5f6a7b8c9d0e") or ""
    assert found.replace(policy.revision, "REVISION") + "\n" == re.sub(
        r"(?<=shop@)[0-9a-f]{12}", "REVISION", _blocks("text")[1]
    )


def test_the_mistakes_of_the_reference_are_the_real_ones() -> None:
    """The error messages that the reference shows are those that the loader gives."""
    typo = _blocks("yaml")[2]
    with pytest.raises(PolicyError) as caught:
        parse_policy(typo, "typo.yaml")
    assert str(caught.value) + "\n" == _blocks("text")[0]


def _used(entry: object, prefix: str = "") -> set[str]:
    """The keys that a policy or case file uses, spelled as the tables of the reference spell them."""
    if isinstance(entry, list):
        return {key for item in entry for key in _used(item, f"{prefix}[]")}
    if not isinstance(entry, dict):
        return set()
    below = f"{prefix}." if prefix else ""
    return {f"{below}{key}" for key in entry} | {
        k for key, value in entry.items() for k in _used(value, f"{below}{key}")
    }


def test_every_key_has_an_example_that_is_run() -> None:
    """What the tables list stands in a file of the reference, and the tests run the commands on these files."""
    found = _used(yaml_of(_blocks("yaml")[1]))
    commands = "\n".join(_blocks("console"))
    for name, text in re.findall(r"^<!-- file: (\S+\.yaml) -->\n```yaml\n(.*?)^```", _README, re.DOTALL | re.MULTILINE):
        assert name.replace("_test.yaml", ".yaml") in commands or f"extends: {name}" in _README
        found |= _used(yaml_of(text))
    assert not set(_rows()) - found


def yaml_of(text: str) -> object:
    """A YAML text as plain values."""
    return read_document(text.encode(), "example").value
