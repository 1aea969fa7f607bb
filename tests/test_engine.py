from __future__ import annotations

import importlib
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier, Query, Scored
from guard.content import make_content
from guard.engine import Engine
from guard.errors import ArtifactError, GuardError, InvalidInput, PolicyError
from guard.language import language_of
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.types import CATEGORIES, Action, Content, Decision, Direction, Role, Timings, Turn
from guard.version import __version__

_RULES = """
rules:
  - {id: weapons, category: weapons, threshold: 0.9, action: block, message: {en: no weapons, zh: 不谈武器}}
  - {id: violence, category: violence, threshold: 0.7, action: block, shadow: true}
  - {id: distress, direction: prompt, category: self_harm, threshold: 0.9, action: rewrite, message: {en: help}}
  - {id: pii, direction: output, category: pii, threshold: 0.5, action: rewrite, rewrite: mask}
"""
_HEAD = "version: 1\nname: {name}\non_error: {on_error}\nmode: {mode}\nmessage: {{en: policy words, zh: 政策的话}}\n"
_MOBILE = "13800138000"


def _policies(rules: str = _RULES) -> PolicyStore:
    """The same rules under three names: as they are, failing open, and in shadow."""
    return PolicyStore(
        [
            parse_policy(_HEAD.format(name=name, on_error=on_error, mode=mode) + rules, f"{name}.yaml")
            for name, on_error, mode in (
                ("default", "block", "enforce"),
                ("open", "allow", "enforce"),
                ("silent", "block", "shadow"),
            )
        ]
    )


class _Recording(Classifier):
    """The tiny classifier, with a note of what it was asked; ``before`` may break it."""

    calls: list[list[Query]]
    before: Callable[[Sequence[Query]], None] | None = None

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.calls.append(list(queries))
        if self.before:
            self.before(queries)
        return super().score_batch(queries)


@pytest.fixture
def classifier(tiny_model_dir: Path) -> _Recording:
    """A tiny classifier of the test's own."""
    loaded = _Recording.load(tiny_model_dir)
    assert isinstance(loaded, _Recording)
    loaded.calls = []
    return loaded


@pytest.fixture
def engine(classifier: _Recording) -> Engine:
    """An engine over that classifier."""
    return Engine(classifier, _policies())


@pytest.fixture(scope="module")
def plain_engine(tiny_classifier: Classifier) -> Engine:
    """An engine that several tests share."""
    return Engine(tiny_classifier, _policies())


def _breaks_on(word: str) -> Callable[[Sequence[Query]], None]:
    def check(queries: Sequence[Query]) -> None:
        if any(word in query.text for query in queries):
            raise RuntimeError(f"SECRET {queries[0].text}")

    return check


def _timeless(decision: Decision | GuardError) -> Decision:
    assert isinstance(decision, Decision)
    return replace(decision, timings=Timings())


# What is decided


def test_an_allowed_text_passes_unchanged(engine: Engine) -> None:
    """Where no rule acts the original is passed on, with every category's score and what it was decided by."""
    decision = engine.screen(make_content("How to kill a Linux process", request_id="r7"))
    assert decision.action is Action.ALLOW and decision.allowed
    assert decision.output_text == "How to kill a Linux process"
    assert tuple(decision.scores) == CATEGORIES
    assert decision.policy == _policies().get("").identity
    assert decision.model.startswith("tiny@")
    assert (decision.chunks, decision.tokens, decision.language) == (1, 6, "en")
    assert decision.request_id == "r7"
    assert not decision.degraded


def test_a_shadow_rule_is_reported_and_does_not_act(engine: Engine) -> None:
    """A fired rule in shadow stands in the decision and changes nothing."""
    decision = engine.screen(make_content("kill"))
    assert decision.action is Action.ALLOW
    assert [(rule.id, rule.shadow) for rule in decision.rules] == [("violence", True)]


@pytest.mark.parametrize(("text", "message"), [("the bomb", "no weapons"), ("我的炸弹", "不谈武器")])
def test_a_blocked_text_is_replaced_by_a_message_in_its_language(engine: Engine, text: str, message: str) -> None:
    """A block passes on the rule's message in the language of the text."""
    decision = engine.screen(make_content(text))
    assert decision.action is Action.BLOCK
    assert decision.output_text == message
    assert [rule.id for rule in decision.rules] == ["weapons"]


@pytest.mark.parametrize("text", ["b\u200bo\u200bmb", "ｂｏｍｂ", "BOMB", "\u202ebomb", "炸彈"])
def test_the_classifier_reads_normalised_text(engine: Engine, text: str) -> None:
    """Invisible characters, widths and traditional characters hide nothing."""
    assert engine.screen(make_content(text)).action is Action.BLOCK


def test_a_mask_covers_exactly_the_spans(engine: Engine) -> None:
    """A masked output differs from the original in the detected places only, byte for byte."""
    text = "  ㍿\u200b电话：１３８\u200b００１３８０００。\r\n  Write to a@example.com !  "
    decision = engine.screen(make_content(text, "output"))
    assert decision.action is Action.REWRITE
    assert decision.output_text == "  ㍿\u200b电话：************。\r\n  Write to ************* !  "
    assert [(d.category, d.source) for d in decision.detections] == [("pii.phone", "phone"), ("pii.email", "email")]
    assert [text[d.span.start : d.span.end] for d in decision.detections] == [
        "１３８\u200b００１３８０００",
        "a@example.com",
    ]


def test_a_direction_is_the_rules_business(engine: Engine) -> None:
    """A rule on outputs leaves the same text alone as a prompt; its detections are reported all the same."""
    decision = engine.screen(make_content(_MOBILE))
    assert decision.action is Action.ALLOW
    assert decision.output_text == _MOBILE
    assert [d.category for d in decision.detections] == ["pii.phone"]


def test_a_template_replaces_the_whole_text(engine: Engine) -> None:
    """A rewrite without a mask answers with the rule's message and stays a rewrite."""
    decision = engine.screen(make_content("selfharm"))
    assert decision.action is Action.REWRITE
    assert decision.output_text == "help"


@pytest.mark.parametrize(
    ("text", "direction", "policy", "action", "message"),
    [
        ("hello", "prompt", "default", Action.ALLOW, False),
        ("the bomb", "prompt", "silent", Action.ALLOW, False),
        (f"call {_MOBILE}", "output", "default", Action.REWRITE, False),
        ("selfharm", "prompt", "default", Action.REWRITE, True),
        ("the bomb", "prompt", "default", Action.BLOCK, True),
    ],
)
def test_a_message_is_told_from_the_text(
    engine: Engine, text: str, direction: str, policy: str, action: Action, message: bool
) -> None:
    """A decision says whether its output is the policy's words, for the person, or the text, for the model."""
    decision = engine.screen(make_content(text, direction, policy=policy))
    assert (decision.action, decision.message) == (action, message)


def test_the_strongest_action_wins(engine: Engine) -> None:
    """A text to block is blocked, whatever else in it could have been masked."""
    decision = engine.screen(make_content(f"bomb, call {_MOBILE}", "output"))
    assert decision.action is Action.BLOCK
    assert [rule.id for rule in decision.rules] == ["weapons", "pii"]


def test_a_masked_text_is_screened_again(classifier: _Recording) -> None:
    """What masking uncovers blocks: the masked text passes only if nothing fires on it."""
    rules = """
rules:
  - {id: email, category: pii.email, threshold: 0.5, action: rewrite, rewrite: mask}
  - {id: phone, category: pii.phone, threshold: 0.5, action: block}
"""
    # The word before the digits makes them an order number, until it is masked.
    text = f"a@example.order {_MOBILE}"
    decision = Engine(classifier, _policies(rules)).screen(make_content(text))
    assert decision.action is Action.BLOCK and decision.message
    assert decision.output_text == "policy words"
    assert [rule.id for rule in decision.rules] == ["email", "phone"]
    assert [d.category for d in decision.detections] == ["pii.email"]
    assert [query.text for call in classifier.calls for query in call] == [text, f"*************** {_MOBILE}"]


def test_a_shadow_policy_reports_and_allows(engine: Engine) -> None:
    """A policy in shadow mode passes every text and says what it would have done."""
    decision = engine.screen(make_content("bomb", policy="silent"))
    assert decision.action is Action.ALLOW
    assert decision.output_text == "bomb"
    assert [(rule.id, rule.action, rule.shadow) for rule in decision.rules] == [("weapons", Action.BLOCK, True)]


def test_a_long_text_is_read_to_its_end(engine: Engine) -> None:
    """Text of many chunks is scored whole; the answer says how many there were."""
    decision = engine.screen(make_content("hello " * 1000 + "bomb"))
    assert decision.action is Action.BLOCK
    assert decision.tokens == 1001
    assert decision.chunks > 1001 // 128


def test_the_newest_context_reaches_the_classifier(engine: Engine, classifier: _Recording) -> None:
    """Context turns are normalised, invisible ones dropped, and the oldest that nobody can read left out."""
    turns = [Turn(Role.USER, f"turn {i}") for i in range(100)]
    content = Content("hello", context=(*turns, Turn(Role.USER, "\u200b"), Turn(Role.ASSISTANT, "好的，請")))
    engine.screen(content)
    context = classifier.calls[0][0].context
    assert context[-2:] == (Turn(Role.USER, "turn 99"), Turn(Role.ASSISTANT, "好的,请"))
    assert len(context) < classifier.artifact.limits.context


def test_phases_are_timed(engine: Engine) -> None:
    """The time that a decision took stands in it, in microseconds by phase."""
    timings = engine.screen(make_content(f"电话 {_MOBILE} " + "hello " * 200, "output")).timings
    assert timings.tokenise > 0 and timings.infer > 0 and timings.decide > 0
    assert timings.total == timings.queue + timings.tokenise + timings.infer + timings.decide


# What is refused


def test_all_mistakes_of_a_content_are_named_at_once(engine: Engine, classifier: _Recording) -> None:
    """Bad content is refused with every broken field, the policy's name included, before anything is scored."""
    with pytest.raises(InvalidInput) as refused:
        engine.screen(Content("\u200b", context=(Turn(Role.USER, "\ud800"),), policy="none"))
    assert [violation.field for violation in refused.value.violations] == ["text", "context[0].text", "policy"]
    assert classifier.calls == []


@pytest.mark.parametrize("text", ["hello " * 41, "a" * (40 * 64 + 1)])
def test_a_text_over_the_limit_is_refused(tiny_model_dir: Path, text: str) -> None:
    """Over the limit of tokens, or of what could be as many tokens, a text is refused and never cut."""
    small = Engine(Classifier.load(tiny_model_dir, max_tokens=40), _policies())
    with pytest.raises(InvalidInput) as refused:
        small.screen(Content(text))
    assert [violation.field for violation in refused.value.violations] == ["text"]
    assert "40" in str(refused.value) or str(40 * 64) in str(refused.value)
    # Right for the library and for every command: only some of them have an option for the limit.
    assert "raise max_tokens where the guard is started" in str(refused.value) and "--" not in str(refused.value)


# Batches


def test_a_batch_decides_as_single_calls_do(engine: Engine, classifier: _Recording) -> None:
    """Results come in order and equal those of single calls; the classifier is asked once."""
    contents = [
        make_content("hello world"),
        make_content("bomb"),
        make_content("hello " * 300),
        make_content("selfharm", request_id="x"),
        make_content("scam", policy="silent"),
    ]
    together = engine.screen_batch(contents)
    assert len(classifier.calls) == 1
    assert [_timeless(d) for d in together] == [_timeless(engine.screen(content)) for content in contents]


def test_masked_texts_of_a_batch_are_screened_again_together(engine: Engine, classifier: _Recording) -> None:
    """A batch costs one more call for all the texts that were masked."""
    results = engine.screen_batch([make_content(t, "output") for t in ("hello", _MOBILE, "bomb", f"电话 {_MOBILE}")])
    assert [_timeless(d).action.value for d in results] == ["allow", "rewrite", "block", "rewrite"]
    assert [len(call) for call in classifier.calls] == [4, 2]


def test_a_bad_item_fails_alone(engine: Engine) -> None:
    """An item that breaks the contract is answered with its error, the others with their decisions."""
    results = engine.screen_batch(
        [make_content("bomb"), Content(""), make_content("hello " * 40000), make_content("hello", policy="none")]
    )
    assert isinstance(results[0], Decision)
    fields = [result.violations[0].field for result in results if isinstance(result, InvalidInput)]
    assert fields == ["text", "text", "policy"]


def test_an_empty_batch_is_answered_empty(engine: Engine) -> None:
    """No items, no results, no work."""
    assert engine.screen_batch([]) == []


# Failures


@pytest.mark.parametrize(
    ("policy", "action", "output"),
    [("default", Action.BLOCK, "policy words"), ("open", Action.ALLOW, "hello"), ("silent", Action.ALLOW, "hello")],
)
def test_a_failure_is_decided_by_policy(
    engine: Engine, classifier: _Recording, policy: str, action: Action, output: str
) -> None:
    """If the classifier fails, on_error decides; a policy in shadow stops nothing; the decision says degraded."""
    classifier.before = _breaks_on("hello")
    decision = engine.screen(make_content("hello", policy=policy))
    assert decision.degraded
    assert (decision.action, decision.output_text) == (action, output)
    assert decision.message is (action is Action.BLOCK)
    assert decision.scores == {} and decision.rules == () and decision.detections == ()
    assert decision.policy.startswith(f"{policy}@") and decision.model.startswith("tiny@")


def test_a_failure_is_logged_without_the_text(
    engine: Engine, classifier: _Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the kind of error and its place; its message, which may quote the text, stays out."""
    classifier.before = _breaks_on("private")
    with caplog.at_level(logging.ERROR):
        engine.screen(make_content("private words"))
    assert "RuntimeError" in caplog.text and "test_engine.py" in caplog.text
    assert "private" not in caplog.text and "SECRET" not in caplog.text


def test_a_text_that_breaks_the_classifier_fails_alone(engine: Engine, classifier: _Recording) -> None:
    """One text that breaks a batch degrades its own decision only."""
    classifier.before = _breaks_on("poison")
    results = engine.screen_batch([make_content("hello"), make_content("poison"), make_content("bomb")])
    assert [_timeless(d).degraded for d in results] == [False, True, False]
    assert [_timeless(d).action.value for d in results] == ["allow", "block", "block"]


def _breaks(name: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect on texts with a word in the function of a module."""
    module, _, function = name.rpartition(".")
    real = getattr(importlib.import_module(module), function)

    def broken(text: str, *arguments: object) -> object:
        if word in text:
            raise RuntimeError(f"SECRET {text}")
        return real(text, *arguments)

    monkeypatch.setattr(name, broken)


@pytest.mark.parametrize("defect", ["guard.content.normalize", "guard.engine.normalize", "guard.engine.language_of"])
def test_a_text_that_cannot_be_read_fails_alone(
    engine: Engine, defect: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect before the classifier is decided by on_error for its text only, and logged without the text."""
    contents = [
        Content("bomb"),
        Content("poison"),
        Content("poison", policy="open"),
        Content("poison", policy="none"),
        Content("hello"),
    ]
    _breaks(defect, "poison", monkeypatch)
    bomb, closed, opened, unknown, hello = engine.screen_batch(contents)
    assert isinstance(unknown, InvalidInput) and [v.field for v in unknown.violations] == ["policy"]
    decisions = [_timeless(result) for result in (bomb, closed, opened, hello)]
    assert [decision.degraded for decision in decisions] == [False, True, True, False]
    assert [decision.action.value for decision in decisions] == ["block", "block", "allow", "allow"]
    assert [decision.output_text for decision in decisions] == ["no weapons", "policy words", "poison", "hello"]
    assert "RuntimeError" in caplog.text and "poison" not in caplog.text and "SECRET" not in caplog.text


def test_a_context_that_cannot_be_read_fails_its_text_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in what came before a text degrades that text's decision only."""
    poisoned = Content("hello", context=(Turn(Role.USER, "poison"),))
    _breaks("guard.engine.normalize", "poison", monkeypatch)
    results = [_timeless(result) for result in engine.screen_batch([poisoned, Content("hello")])]
    assert [(decision.degraded, decision.action.value) for decision in results] == [(True, "block"), (False, "allow")]


@pytest.mark.parametrize(("defect", "word"), [("guard.promise.rewrite", "call"), ("guard.versions.normalize", "***")])
@pytest.mark.parametrize(("policy", "action"), [("default", Action.BLOCK), ("open", Action.REWRITE)])
def test_a_text_that_cannot_be_masked_is_replaced_by_the_message(
    engine: Engine, defect: str, word: str, policy: str, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in masking passes neither the original nor half of it: on_error names the action, the message stands."""
    _breaks(defect, word, monkeypatch)
    contents = [make_content(text, "output", policy=policy) for text in (f"call {_MOBILE}", "hello")]
    first, other = [_timeless(result) for result in engine.screen_batch(contents)]
    assert (first.action, first.output_text, first.message, first.degraded) == (action, "policy words", True, True)
    assert [rule.id for rule in first.rules] == ["pii"]
    assert other.allowed and not other.degraded


def test_a_score_that_is_no_number_is_a_failure(tiny_model_dir: Path) -> None:
    """NaN never compares as too high, so it counts as a failure and not as a pass."""

    class Undefined(Classifier):
        def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
            scored = super().score_batch(queries)
            return [replace(s, scores={c: float("nan") for c in s.scores}) for s in scored if isinstance(s, Scored)]

    decision = Engine(Undefined.load(tiny_model_dir), _policies()).screen(make_content("hello"))
    assert decision.degraded
    assert decision.action is Action.BLOCK


@pytest.mark.parametrize(
    ("policy", "action", "output"),
    [("default", Action.BLOCK, "政策的话"), ("open", Action.REWRITE, "电话 ***********")],
)
def test_a_masked_text_that_cannot_be_screened_never_passes_unmasked(
    engine: Engine, classifier: _Recording, policy: str, action: Action, output: str
) -> None:
    """If the second screening fails, on_error decides between the message and the masked text."""
    classifier.before = _breaks_on("***")
    decision = engine.screen(make_content(f"电话 {_MOBILE}", "output", policy=policy))
    assert decision.degraded
    assert (decision.action, decision.output_text) == (action, output)
    assert decision.message is (action is Action.BLOCK)
    assert [rule.id for rule in decision.rules] == ["pii"]


def test_a_masked_text_over_the_limit_is_no_mistake_of_the_caller(tiny_model_dir: Path) -> None:
    """Asterisks may be more tokens than the digits were: the answer is a decision, not an error."""
    small = Engine(Classifier.load(tiny_model_dir, max_tokens=8), _policies())
    decision = small.screen(make_content(f"call {_MOBILE}", "output"))
    assert decision.degraded
    assert decision.action is Action.BLOCK


def test_a_callers_mistake_is_never_decided_by_on_error(engine: Engine) -> None:
    """Bad content is an error under every policy, also under one that fails open."""
    with pytest.raises(InvalidInput):
        engine.screen(Content(" ", policy="open"))


# The whole


def test_info_tells_what_is_loaded(engine: Engine) -> None:
    """Info names the version, the model, every policy with its revision, and the limits."""
    info = engine.info()
    assert info.version == __version__
    assert (info.model.name, info.model.categories) == ("tiny", CATEGORIES)
    assert [(policy.name, policy.default) for policy in info.policies] == [
        ("default", True),
        ("open", False),
        ("silent", False),
    ]
    assert (info.limits.max_tokens, info.limits.chunk_tokens) == (32768, 128)


def test_an_engine_loads_from_files(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Load takes a model directory, a policy file and a limit."""
    file = tmp_path / "mine.yaml"
    file.write_text(_HEAD.format(name="mine", on_error="block", mode="enforce") + _RULES, encoding="utf-8")
    info = Engine.load(tiny_model_dir, file, max_tokens=500).info()
    assert [policy.name for policy in info.policies] == ["mine"]
    assert info.limits.max_tokens == 500


def test_a_warm_engine_has_used_all_that_loads_late(
    engine: Engine, classifier: _Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """Warming up screens texts of both languages and directions, with personal data to mask, and says nothing."""
    engine.warm_up()
    first, masked = classifier.calls
    assert {(language_of(query.text), query.direction) for query in first} == {
        (language, direction) for language in ("zh", "en") for direction in Direction
    }
    assert len(masked) == 2 and all("*" in query.text for query in masked)
    assert caplog.text == ""


def test_a_warm_up_that_fails_stops_nothing(engine: Engine, classifier: _Recording) -> None:
    """An engine whose classifier is broken warms up all the same: every text is then decided by on_error."""
    classifier.before = _breaks_on("")
    engine.warm_up()
    assert engine.screen(make_content("hello")).degraded


def test_what_cannot_be_loaded_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    """A damaged model and a mistaken policy are named and refused."""
    broken = shutil.copytree(tiny_model_dir, tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        Engine.load(broken)
    (tmp_path / "bad.yaml").write_text("version: 1\nname: bad\nrules: [{id: a}]\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"bad\.yaml:3"):
        Engine.load(tiny_model_dir, tmp_path / "bad.yaml")


def test_threads_share_an_engine(plain_engine: Engine) -> None:
    """Calls from several threads decide as calls from one."""
    contents = [make_content(text, "output") for text in ("hello", "bomb", _MOBILE, "炸弹", "hello " * 200)] * 5
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(plain_engine.screen, contents))
    assert [_timeless(d) for d in parallel] == [_timeless(plain_engine.screen(c)) for c in contents]


_WORDS = st.sampled_from(
    ["bomb", "hello", " ", "炸", "弹", _MOBILE, "电话", "a@example.com", "\u200b", "，", "１", "\n"]
)


@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=10).map("".join)), st.sampled_from(Direction))
def test_any_text_is_decided_or_refused(plain_engine: Engine, text: str, direction: Direction) -> None:
    """Every text gets a decision or an error; allowed is unchanged, masked keeps its length, blocked is a message."""
    decision = plain_engine.screen_batch([Content(text, direction)])[0]
    if isinstance(decision, InvalidInput):
        assert [violation.field for violation in decision.violations] == ["text"]
        return
    assert isinstance(decision, Decision) and not decision.degraded
    if decision.action is Action.ALLOW:
        assert decision.output_text == text
    elif decision.action is Action.REWRITE:
        assert len(decision.output_text) == len(text)
        assert all(after in {before, "*"} for before, after in zip(text, decision.output_text, strict=True))
    else:
        assert decision.output_text in {"no weapons", "不谈武器"}
