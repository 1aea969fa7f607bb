"""What is wrong with a policy: mistakes with their places, and what is legal but cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.language import EN, ZH, language_of
from guard.policy.lint import CHECKS, MISTAKE, lint
from guard.policy.lint_terms import ordinary_sentences
from guard.policy.linted import Finding, Level, ModelFacts
from guard.policy.load import SHIPPED_DIR, policy_files
from guard.policy.store import PolicyStore
from guard.types import CATEGORIES
from tests.policy.build import HEAD

_MODEL = ModelFacts("m@0123456789ab", CATEGORIES, ("sexual_minors",))


def _file(directory: Path, *rules: str, head: str = HEAD, more: str = "") -> Path:
    path = directory / "p.yaml"
    path.write_text(head + "".join(f"  - {{{rule}}}\n" for rule in rules) + more, encoding="utf-8")
    return path


def _lint(directory: Path, *rules: str, more: str = "", model: ModelFacts | None = None) -> list[Finding]:
    return list(lint(_file(directory, *rules, more=more), model))


def _codes(found: list[Finding]) -> list[tuple[str, int]]:
    return [(finding.code, finding.line) for finding in found]


_HATE = "id: hate, category: hate, threshold: 0.5, action: block"


def test_a_sound_policy(tmp_path: Path) -> None:
    """Nothing is found in it."""
    assert _lint(tmp_path, _HATE, "id: pii, category: pii, threshold: 0.5, action: rewrite", model=_MODEL) == []


def test_mistakes_all_at_once(tmp_path: Path) -> None:
    """Each with line and column, as whoever loads the file would be told; no check runs on a broken file."""
    found = _lint(tmp_path, "id: a, category: violance, threshold: 1.5, action: block", "id: a, action: block")
    assert {(f.code, f.level) for f in found} == {(MISTAKE, Level.ERROR)}
    assert [(f.line, f.column) for f in found][:2] == [(5, 23), (5, 44)]
    assert len(found) >= 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is a mistake like others."""
    (finding,) = lint(tmp_path / "none.yaml")
    assert (finding.code, "cannot be read" in finding.what) == (MISTAKE, True)


def test_extends_in_a_circle(tmp_path: Path) -> None:
    """The circle is named."""
    (tmp_path / "q.yaml").write_text("version: 1\nname: q\nextends: p.yaml\n")
    found = lint(_file(tmp_path, head="version: 1\nname: p\nextends: q.yaml\nrules:\n", more="  []\n"))
    assert any("extends goes in a circle: p.yaml -> q.yaml -> p.yaml" in f.what for f in found)


@pytest.mark.parametrize(
    ("rules", "more", "codes"),
    [
        (["id: a, category: hate, threshold: 1, action: block"], "", [("never-fires", 5)]),
        (["id: a, category: pii.email, threshold: 1.0, action: block"], "", [("never-fires", 5)]),
        (
            ["id: a, terms: [quince wine, old mill], action: block"],
            "allow:\n  - {terms: [old mill, quince wine, x], rules: [a]}\n",
            [("never-fires", 5)],
        ),
        (
            ["id: a, terms: [fresh paint, old mill], action: block"],
            "allow:\n  - {terms: [old mill], rules: [a]}\n",
            [],
        ),
        (["id: a, category: hate, threshold: 0, action: block"], "", [("always-fires", 5)]),
        ([_HATE + ", direction: prompt"], "", [("no-rules", 4)]),
    ],
)
def test_rules_alone(tmp_path: Path, rules: list[str], more: str, codes: list[tuple[str, int]]) -> None:
    """Thresholds that no score or every score reaches, terms that are all allowed, a direction without rules."""
    assert _codes(_lint(tmp_path, *rules, more=more)) == codes


@pytest.mark.parametrize(
    ("weaker", "stricter", "codes"),
    [
        # A rule that fires only where a stricter one does.
        ("id: w, category: hate, threshold: 0.8, action: block", _HATE, ["never-decides"]),
        ("id: w, category: hate, threshold: 0.8, action: block, shadow: true", _HATE, ["never-decides"]),
        (
            "id: w, direction: output, category: hate, threshold: 0.8, action: block, when: {lang: zh}",
            _HATE,
            ["never-decides"],
        ),
        (
            "id: w, category: pii.phone, threshold: 0.8, action: rewrite",
            "id: all, category: pii, threshold: 0.5, action: rewrite",
            ["never-decides"],
        ),
        # It adds something: words, a report, other texts, another operator, or the stricter one only watches.
        ("id: w, category: hate, threshold: 0.8, action: block, message: {en: Be kind.}", _HATE, []),
        ("id: w, category: hate, threshold: 0.8, action: allow", _HATE, []),
        ("id: w, category: hate, threshold: 0.8, action: block", _HATE + ", direction: prompt", []),
        ("id: w, category: hate, threshold: 0.8, action: block", _HATE + ", when: {lang: en}", []),
        ("id: w, category: hate, threshold: 0.8, action: block", _HATE + ", shadow: true", []),
        ("id: w, category: hate, threshold: 0.8, terms: [dunderhead], action: block", _HATE, []),
        (
            "id: w, category: pii.phone, threshold: 0.8, action: rewrite, rewrite: template",
            "id: all, category: pii, threshold: 0.5, action: rewrite",
            [],
        ),
        # A rewrite that begins above a block.
        ("id: w, category: hate, threshold: 0.8, action: rewrite", _HATE, ["threshold-order"]),
        (
            "id: w, category: hate, threshold: 0.8, action: rewrite",
            _HATE + ", direction: prompt",
            ["threshold-order"],
        ),
        ("id: w, category: hate, threshold: 0.3, action: rewrite", _HATE, []),
        ("id: w, category: hate, threshold: 0.8, action: rewrite, shadow: true", _HATE, ["never-decides"]),
    ],
)
def test_rules_against_each_other(tmp_path: Path, weaker: str, stricter: str, codes: list[str]) -> None:
    """A rule that never decides and thresholds out of order are found in either order of the rules."""
    for order, line in (((weaker, stricter), 5), ((stricter, weaker), 6)):
        found = [f for f in _lint(tmp_path, *order) if f.code != "no-rules"]
        assert _codes(found) == [(code, line) for code in codes]


def test_twins_are_told_once(tmp_path: Path) -> None:
    """Of two rules that say the same the later one is superfluous."""
    (finding,) = _lint(tmp_path, _HATE, _HATE.replace("id: hate", "id: again"))
    assert (finding.code, finding.line, finding.what.split()[0]) == ("never-decides", 6, "again")


def test_an_allow_term_makes_a_stricter_rule_weaker(tmp_path: Path) -> None:
    """A rule that may be lifted does not stand for one that may not."""
    weaker = "id: w, category: hate, threshold: 0.8, action: block"
    assert _lint(tmp_path, weaker, _HATE, more="allow:\n  - {terms: [old mill], rules: [hate]}\n") == []


def test_common_terms(tmp_path: Path) -> None:
    """Words that ordinary sentences have, in either language, as patterns and in files; each at its own place."""
    (tmp_path / "words.txt").write_text("# mine\nzyzzyva\nkill\n", encoding="utf-8")
    found = _lint(
        tmp_path,
        "id: a, action: block, terms: [zyzzyva plant, 杀, {pattern: 'shoo?t'}, {file: words.txt}]",
        "id: watch, action: allow, terms: [bomb]",
    )
    assert [(Path(f.file).name, f.line, f.column, f.code) for f in found] == [
        ("p.yaml", 5, 51, "common-term"),
        ("p.yaml", 5, 64, "common-term"),
        ("words.txt", 3, 1, "common-term"),
    ]
    assert "the term 杀 is in " in found[0].what and "杀毒软件" in found[0].what


def test_unsupported_categories(tmp_path: Path) -> None:
    """What the model does not carry or does not know, and only that; recognizers do not depend on it."""
    rules = (_HATE, "id: minors, category: sexual_minors, threshold: 0.5, action: block")
    (finding,) = _lint(tmp_path, *rules, "id: pii, category: pii, threshold: 0.5, action: rewrite", model=_MODEL)
    assert (finding.code, finding.line) == ("unsupported-category", 6)
    assert "does not support sexual_minors" in finding.what
    (finding,) = _lint(tmp_path, _HATE, model=ModelFacts("m@0123456789ab", ("crime",), ()))
    assert "does not score hate" in finding.what


def test_thresholds_of_another_model(tmp_path: Path) -> None:
    """Both models are named at the line that names one."""
    (finding,) = _lint(tmp_path, _HATE, more="calibrated_for: other\n", model=_MODEL)
    assert (finding.code, finding.line) == ("other-model", 6)
    assert "other" in finding.what and _MODEL.identity in finding.what
    assert _lint(tmp_path, _HATE, more="calibrated_for: m\n", model=_MODEL) == []


def test_messages_that_the_policy_would_stop(tmp_path: Path, tiny_classifier: Classifier) -> None:
    """Of the policy and of its rules, in every language, in shadow too; a text that two rules share is told once."""
    path = _file(
        tmp_path,
        "id: weapons, category: weapons, threshold: 0.5, action: block, message: {en: No bomb here., zh: 不行。}",
        "id: again, category: weapons, threshold: 0.4, action: block, message: {en: No bomb here.}",
        "id: phone, category: pii.phone, threshold: 0.5, action: rewrite, message: {zh: 请拨打 138 0013 8000。}",
        head="version: 1\nname: p\nmode: shadow\nmessage: {zh: 炸弹}\nrules:\n",
    )
    engine = Engine(tiny_classifier, PolicyStore.load(path))
    found = [f for f in lint(path, None, engine.screen) if f.code == "own-message"]
    assert [(f.line, f.what.split(": ", 1)[1].split()[:3]) for f in found] == [
        (4, ["block", "by", "weapons"]),
        (6, ["block", "by", "weapons"]),
        (8, ["rewrite", "by", "phone"]),
    ]


def test_what_is_inherited_is_told_where_it_stands(tmp_path: Path) -> None:
    """A finding names the file that holds what is wrong."""
    base = tmp_path / "base.yaml"
    base.write_text("version: 1\nname: base\nrules:\n  - {id: a, category: hate, threshold: 1, action: block}\n")
    (finding,) = lint(
        _file(tmp_path, head="version: 1\nname: p\nextends: base.yaml\nrules:\n", more="  - {id: a, shadow: true}\n")
    )
    assert (Path(finding.file).name, finding.line) == ("base.yaml", 4)


def test_checks_can_be_left_out(tmp_path: Path) -> None:
    """By their codes."""
    path = _file(tmp_path, "id: a, category: hate, threshold: 1, action: block")
    assert lint(path, None, None, ["never-fires"]) == ()


def test_the_policies_that_ship_are_sound() -> None:
    """Nothing in them is wrong by itself."""
    assert [finding for file in policy_files(SHIPPED_DIR) for finding in lint(file)] == []


def test_the_policies_that_ship_suit_the_model_that_ships() -> None:
    """It supports their categories, their thresholds are its own, and their messages pass themselves."""
    classifier = Classifier.load(DEFAULT_MODEL_DIR)
    artifact = classifier.artifact
    facts = ModelFacts(artifact.identity, artifact.categories, artifact.unsupported)
    for file in policy_files(SHIPPED_DIR):
        assert lint(file, facts, Engine(classifier, PolicyStore.load(file)).screen) == (), file.name


def test_the_sentences_are_ordinary() -> None:
    """A hundred in each language at least, none twice."""
    sentences = ordinary_sentences()
    languages = [language_of(sentence) for sentence in sentences]
    assert min(languages.count(EN), languages.count(ZH)) >= 100
    assert languages.count(EN) + languages.count(ZH) == len(sentences) == len(set(sentences))


def test_every_check_has_a_code_of_its_own() -> None:
    """The codes of findings are those of the checks."""
    assert MISTAKE not in CHECKS and len(set(CHECKS.values())) == len(CHECKS)
