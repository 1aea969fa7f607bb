"""Policy files in, policies out; a file with mistakes is refused with all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from guard.errors import InvalidInput, Problem
from guard.llm import DEFAULT_PROMPT, Endpoint
from guard.policy.policy import Mode, Operator, Policy, RewriteOptions, Rule, Streaming
from guard.policy.schema import LlmEntry, MessageEntry, PolicyFile, RuleEntry, StreamingEntry
from guard.policy.source import Document, read_bytes, read_document
from guard.policy.validate import validate
from guard.types import CATEGORIES, PII_CATEGORIES, Action, Direction

_PACKAGE = Path(__file__).resolve().parent.parent

#: The policies that ship: inside an installed package, else beside it in the repository.
SHIPPED_DIR = _PACKAGE / "policies" if (_PACKAGE / "policies").is_dir() else _PACKAGE.parent / "policies"

SUFFIXES = (".yaml", ".yml")
#: How the name of a case file ends.
TEST_ENDING = "_test"


def load_policy(path: Path) -> Policy:
    """Load and check a policy file.

    Raises:
        PolicyError: It cannot be read, or it has mistakes: all of them, ``file:line:column: what (cure)``.
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
    entry = validate(read_document(data, file), PolicyFile, _cross_check)
    return Policy(
        name=entry.name,
        version=entry.version,
        revision=hashlib.sha256(data).hexdigest()[:12],
        description=entry.description,
        mode=Mode(entry.mode),
        on_error=Action(entry.on_error),
        message=_texts(entry.message),
        rules=tuple(map(_rule, entry.rules)),
        path=file,
        calibrated_for=entry.calibrated_for,
        streaming=_streaming(entry.streaming),
        llm=_llm(entry.llm),
    )


def _llm(entry: LlmEntry | None) -> Endpoint | None:
    if entry is None:
        return None
    prompt = entry.prompt or DEFAULT_PROMPT
    return Endpoint(entry.base_url, entry.model, prompt, entry.timeout, entry.max_tokens, entry.key_env)


def _streaming(entry: StreamingEntry | None) -> Streaming:
    if entry is None:
        return Streaming()
    return Streaming(entry.lookahead, entry.context, entry.step, entry.max_hold)


def _rule(entry: RuleEntry) -> Rule:
    action = Action(entry.action)
    operator: Operator | None = None
    if action is Action.REWRITE:
        masks = entry.category in PII_CATEGORIES and entry.message is None
        operator = Operator.MASK if masks else Operator.TEMPLATE
    options = RewriteOptions()
    if entry.rewrite:
        operator = entry.rewrite.operator
        options = RewriteOptions(entry.rewrite.text, entry.rewrite.keep)
    return Rule(
        id=entry.id,
        direction=None if entry.direction == "both" else Direction(entry.direction),
        category=entry.category,
        threshold=entry.threshold,
        action=action,
        rewrite=operator,
        message=_texts(entry.message),
        shadow=entry.shadow,
        options=options,
    )


def _texts(message: MessageEntry | None) -> Mapping[str, str]:
    return message.texts() if message else {}


def _cross_check(document: Document) -> list[Problem]:
    return [*_duplicate_ids(document), *_rewrites(document)]


def _rules(document: Document) -> Iterator[tuple[int, dict[str, object]]]:
    rules = document.value.get("rules") if isinstance(document.value, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield index, rule


def _duplicate_ids(document: Document) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for index, rule in _rules(document):
        name = rule.get("id")
        if not isinstance(name, str):
            continue
        loc = ("rules", index, "id")
        if name in lines:
            what = f"rule id {name} is used twice (first on line {lines[name]})"
            yield document.problem(loc, what, "give each rule an id of its own")
        lines.setdefault(name, document.values[loc].line)


def _rewrites(document: Document) -> Iterator[Problem]:
    for index, rule in _rules(document):
        if rule.get("rewrite") is None:
            continue
        loc = ("rules", index, "rewrite")
        action = rule.get("action")
        if action in {"allow", "block"}:
            what = f"rewrite on a rule whose action is {action}"
            yield document.problem(loc, what, "remove it, or write action: rewrite", at_key=True)
        elif _operator_of(rule["rewrite"]) == Operator.PARTIAL and rule.get("category") in CATEGORIES:
            what = f"partial leaves the end of a value, and {rule['category']} is found in sentences"
            yield document.problem(loc, what, "write rewrite: drop_sentence, mask or template")
        elif _operator_of(rule["rewrite"]) == Operator.LLM and not _has_llm(document):
            yield document.problem(loc, "rewrite: llm, and no llm to ask", "add llm: {base_url: ..., model: ...}")


def _has_llm(document: Document) -> bool:
    return isinstance(document.value, dict) and "llm" in document.value


def _operator_of(value: object) -> object:
    return value.get("operator") if isinstance(value, dict) else value
