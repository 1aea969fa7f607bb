"""Policy files in, policies out; a file with mistakes is refused with all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from guard.errors import InvalidInput, PolicyError, Problem
from guard.policy.extend import SUFFIXES, Merged, read_chain
from guard.policy.policy import Mode, Operator, Policy, Rule, Streaming, When
from guard.policy.schema import MessageEntry, PolicyFile, RuleEntry, StreamingEntry, WhenEntry
from guard.policy.source import Document, Loc, read_bytes
from guard.policy.term_lists import RuleTerms, TermReader
from guard.policy.validate import in_order, validate
from guard.types import CATEGORIES, PII_CATEGORIES, Action, Direction

_PACKAGE = Path(__file__).resolve().parent.parent

#: The policies that ship: inside an installed package, else beside it in the repository.
SHIPPED_DIR = _PACKAGE / "policies" if (_PACKAGE / "policies").is_dir() else _PACKAGE.parent / "policies"

#: How the name of a case file ends.
TEST_ENDING = "_test"


def load_policy(path: Path) -> Policy:
    """Load and check a policy file.

    Raises:
        PolicyError: It, a policy that it extends or a list of terms cannot be read or has mistakes: all of them,
            ``file:line:column: what (cure)``.
    """
    return _load(read_bytes(path), str(path))


def parse_policy(text: str, file: str) -> Policy:
    """Check a policy that is already in memory.

    Args:
        text: The policy as YAML.
        file: Its name for problems and for ``path``.

    Raises:
        PolicyError: It has mistakes: all of them.
    """
    return _load(text.encode("utf-8", "surrogatepass"), file)


def resolve_policy(name_or_path: str) -> Path:
    """The file of a shipped policy (``default``) or of a path (``my.yaml``, ``./default``).

    Raises:
        InvalidInput: Neither; the field is ``policy``.
    """
    shipped = policy_files(SHIPPED_DIR)
    for file in shipped:
        if file.stem == name_or_path:
            return file
    path = Path(name_or_path)
    if name_or_path and path.exists():
        return path
    names = ", ".join(file.stem for file in shipped)
    reason = "no such file" if path.suffix in SUFFIXES or len(path.parts) > 1 else "no such policy"
    raise InvalidInput.of("policy", f"{reason}: {name_or_path}", f"give a path, or one that ships: {names}")


def policy_files(directory: Path) -> list[Path]:
    """The policy files of a directory, by name; tests (``*_test.yaml``) and hidden files are none."""
    return sorted(
        file
        for file in directory.iterdir()
        if file.suffix in SUFFIXES
        and not file.stem.endswith(TEST_ENDING)
        and not file.name.startswith(".")
        and file.is_file()
    )


def _load(data: bytes, file: str) -> Policy:
    levels = read_chain(data, file, SHIPPED_DIR)
    reader = TermReader()
    problems: list[Problem] = []
    for merged in levels:
        try:
            entry = validate(merged, PolicyFile, lambda found: _cross_check(found, reader))
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(in_order(file, problems))
    terms = reader.terms(merged, entry.rules, entry.allow or ())
    digests = [*(document.digest for document in merged.documents), *(found.digest for found in terms.files)]
    return Policy(
        name=entry.name,
        version=entry.version,
        revision=_revision(digests),
        description=entry.description,
        mode=Mode(entry.mode),
        on_error=Action(entry.on_error),
        message=_texts(entry.message),
        rules=tuple(_rule(rule, terms.of_rule[rule.id]) for rule in entry.rules),
        path=file,
        calibrated_for=entry.calibrated_for,
        streaming=_streaming(entry.streaming),
        owner=(entry.metadata and entry.metadata.owner) or "",
        release=(entry.metadata and entry.metadata.version) or "",
        terms=terms.matcher,
        sources=(*(document.file for document in merged.documents), *(found.path for found in terms.files)),
    )


def _revision(digests: Sequence[str]) -> str:
    """A file alone is named by its bytes; with others the bytes of all of them count."""
    return digests[0][:12] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


def _streaming(entry: StreamingEntry | None) -> Streaming:
    if entry is None:
        return Streaming()
    return Streaming(entry.lookahead, entry.context, entry.step, entry.max_hold)


def _rule(entry: RuleEntry, terms: RuleTerms) -> Rule:
    action = Action(entry.action)
    operator: Operator | None = None
    if action is Action.REWRITE:
        masks = entry.category in {None, *PII_CATEGORIES} and entry.message is None
        operator = Operator(entry.rewrite or (Operator.MASK if masks else Operator.TEMPLATE))
    return Rule(
        id=entry.id,
        direction=None if entry.direction == "both" else Direction(entry.direction),
        category=entry.category or terms.term_category,
        # Terms are there, or they are not.
        threshold=1.0 if entry.threshold is None else entry.threshold,
        action=action,
        rewrite=operator,
        message=_texts(entry.message),
        shadow=entry.shadow,
        when=_when(entry.when),
        term_category=terms.term_category,
        allow_terms=terms.allow_terms,
        allow_category=terms.allow_category,
    )


def _when(entry: WhenEntry | None) -> When | None:
    if entry is None:
        return None
    tags = sorted((entry.tags or {}).items())
    return When(tuple((name, frozenset(values)) for name, values in tags), frozenset(entry.lang or ()))


def _texts(message: MessageEntry | None) -> Mapping[str, str]:
    return message.texts() if message else {}


def _cross_check(merged: Merged, reader: TermReader) -> list[Problem]:
    rules = list(_rules(merged.value))
    return [
        *(problem for document in merged.documents for problem in _duplicate_ids(document)),
        *(problem for index, rule in rules for problem in _condition(merged, ("rules", index), rule)),
        *(problem for index, rule in rules for problem in _rewrite(merged, ("rules", index), rule)),
        *reader.problems(merged),
    ]


def _rules(value: object) -> Iterator[tuple[int, dict[str, object]]]:
    rules = value.get("rules") if isinstance(value, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield index, rule


def _duplicate_ids(document: Document) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for index, rule in _rules(document.value):
        name = rule.get("id")
        if not isinstance(name, str):
            continue
        loc = ("rules", index, "id")
        if name in lines:
            what = f"rule id {name} is used twice (first on line {lines[name]})"
            yield document.problem(loc, what, "give each rule an id of its own")
        lines.setdefault(name, document.values[loc].line)


def _condition(merged: Merged, loc: Loc, rule: Mapping[str, object]) -> Iterator[Problem]:
    """A rule says from which score of what it fires, or on which terms."""
    missing = [key for key in ("category", "threshold") if key not in rule]
    if merged.incomplete:
        return
    if len(missing) == 2 and "terms" not in rule:
        yield merged.problem(loc, "a rule with neither a threshold nor terms", "add category and threshold, or terms")
    elif len(missing) == 1:
        yield merged.problem(loc, f"an entry of rules has no {missing[0]}", f"add {missing[0]}: ...")


def _rewrite(merged: Merged, rule_loc: Loc, rule: Mapping[str, object]) -> Iterator[Problem]:
    if rule.get("rewrite") is None:
        return
    loc, action = (*rule_loc, "rewrite"), rule.get("action")
    if action in {"allow", "block"}:
        what = f"rewrite on a rule whose action is {action}"
        yield merged.problem(loc, what, "remove it, or write action: rewrite", at_key=True)
    elif rule["rewrite"] == "mask" and rule.get("category") in CATEGORIES:
        what = f"mask needs places in the text, and {rule['category']} has none"
        yield merged.problem(loc, what, "write rewrite: template")
