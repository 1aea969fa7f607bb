"""Policy files in, policies out; a file with mistakes is refused with all of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from guard.errors import InvalidInput, PolicyError, Problem
from guard.llm import DEFAULT_PROMPT, Endpoint
from guard.policy.extend import SUFFIXES, Merged, read_chain
from guard.policy.policy import Mode, Operator, Policy, RewriteOptions, Rule, Streaming, When
from guard.policy.recognizers import own_recognizers, recognizer_problems
from guard.policy.schema import LlmEntry, MessageEntry, PolicyFile, RuleEntry, StreamingEntry, WhenEntry
from guard.policy.source import Document, Loc, entries, read_bytes
from guard.policy.term_lists import RuleTerms, TermReader
from guard.policy.validate import in_order, validate
from guard.types import CATEGORIES, Action, Direction

_PACKAGE = Path(__file__).resolve().parent.parent

#: The policies that ship: inside an installed package, else beside it in the repository.
SHIPPED_DIR = _PACKAGE / "policies" if (_PACKAGE / "policies").is_dir() else _PACKAGE.parent / "policies"

#: How the name of a case file ends.
TEST_ENDING = "_test"
#: The file beside the policies that says which of them decides; see :mod:`guard.policy.routes`.
ROUTES = "routes"


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
    # Whatever it is: pathlib raises for a name that is too long for a file.
    if name_or_path and os.path.exists(name_or_path):
        return path
    names = ", ".join(file.stem for file in shipped)
    reason = "no such file" if path.suffix in SUFFIXES or len(path.parts) > 1 else "no such policy"
    raise InvalidInput.of("policy", f"{reason}: {name_or_path}", f"give a path, or one that ships: {names}")


def policy_files(directory: Path) -> list[Path]:
    """The policy files of a directory, by name; tests (``*_test.yaml``), routes and hidden files are none."""
    return [
        file
        for file in _yaml_files(directory)
        if not file.stem.endswith(TEST_ENDING) and file.stem != ROUTES and not file.name.startswith(".")
    ]


def routes_files(directory: Path) -> list[Path]:
    """``routes.yaml`` of a directory, or ``routes.yml``; empty if it has none."""
    return [file for file in _yaml_files(directory) if file.stem == ROUTES]


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(file for file in directory.iterdir() if file.suffix in SUFFIXES and file.is_file())


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
        recognizers=own_recognizers(entry.recognizers),
        llm=_llm(entry.llm),
    )


def _revision(digests: Sequence[str]) -> str:
    """A file alone is named by its bytes; with others the bytes of all of them count."""
    return digests[0][:12] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


def _llm(entry: LlmEntry | None) -> Endpoint | None:
    if entry is None:
        return None
    prompt = entry.prompt or DEFAULT_PROMPT
    return Endpoint(entry.base_url, entry.model, prompt, entry.timeout, entry.max_tokens, entry.key_env)


def _streaming(entry: StreamingEntry | None) -> Streaming:
    if entry is None:
        return Streaming()
    return Streaming(entry.lookahead, entry.context, entry.step, entry.max_hold)


def _rule(entry: RuleEntry, terms: RuleTerms) -> Rule:
    action = Action(entry.action)
    operator: Operator | None = None
    if action is Action.REWRITE:
        masks = entry.category not in CATEGORIES and entry.message is None
        operator = Operator.MASK if masks else Operator.TEMPLATE
    options = RewriteOptions()
    if entry.rewrite:
        operator = entry.rewrite.operator
        options = RewriteOptions(entry.rewrite.text, entry.rewrite.keep)
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
        options=options,
    )


def _when(entry: WhenEntry | None) -> When | None:
    if entry is None:
        return None
    tags = sorted((entry.tags or {}).items())
    return When(tuple((name, frozenset(values)) for name, values in tags), frozenset(entry.lang or ()))


def _texts(message: MessageEntry | None) -> Mapping[str, str]:
    return message.texts() if message else {}


def _cross_check(merged: Merged, reader: TermReader) -> list[Problem]:
    rules = list(entries(merged.value, "rules"))
    return [
        *(problem for document in merged.documents for problem in _duplicates(document)),
        *(problem for index, rule in rules for problem in _condition(merged, ("rules", index), rule)),
        *(problem for index, rule in rules for problem in _rewrite(merged, ("rules", index), rule)),
        *recognizer_problems(merged),
        *reader.problems(merged),
    ]


def _duplicates(document: Document) -> Iterator[Problem]:
    yield from document.repeated("rules", "id", "rule id {} is used twice", "give each rule an id of its own")
    yield from document.repeated(
        "recognizers", "name", "recognizer {} is defined twice", "give each recognizer a name of its own"
    )


def _condition(merged: Merged, loc: Loc, rule: Mapping[str, object]) -> Iterator[Problem]:
    """A rule says from which score of what it fires, or on which terms."""
    missing = [key for key in ("category", "threshold") if key not in rule]
    if merged.incomplete or merged.is_reported((*loc, "category")):
        return
    if len(missing) == 2 and "terms" not in rule:
        yield merged.problem(loc, "a rule with neither a threshold nor terms", "add category and threshold, or terms")
    elif len(missing) == 1:
        yield merged.problem(loc, f"an entry of rules has no {missing[0]}", f"add {missing[0]}: ...")


def _rewrite(merged: Merged, rule_loc: Loc, rule: Mapping[str, object]) -> Iterator[Problem]:
    if rule.get("rewrite") is None:
        return
    loc, action, operator = (*rule_loc, "rewrite"), rule.get("action"), _operator_of(rule["rewrite"])
    if action in {"allow", "block"}:
        what = f"rewrite on a rule whose action is {action}"
        yield merged.problem(loc, what, "remove it, or write action: rewrite", at_key=True)
    elif operator == Operator.PARTIAL and rule.get("category") in CATEGORIES:
        what = f"partial leaves the end of a value, and {rule['category']} is found in sentences"
        yield merged.problem(loc, what, "write rewrite: drop_sentence, mask or template")
    elif operator == Operator.LLM and not (merged.incomplete or _has_llm(merged)):
        yield merged.problem(loc, "rewrite: llm, and no llm to ask", "add llm: {base_url: ..., model: ...}")


def _has_llm(merged: Merged) -> bool:
    return isinstance(merged.value, dict) and "llm" in merged.value


def _operator_of(value: object) -> object:
    return value.get("operator") if isinstance(value, dict) else value
