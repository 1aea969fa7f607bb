"""How a policy says what a rewrite does, and how a mistake in it is refused."""

from __future__ import annotations

import pytest

from guard.errors import PolicyError
from guard.llm import DEFAULT_PROMPT, Endpoint
from guard.policy.load import parse_policy
from guard.policy.policy import RewriteOptions
from guard.types import Operator
from tests.policy.build import policy_of, text_of

_RULE = "id: a, category: pii.phone, threshold: 0.5, action: rewrite, rewrite: "
_LLM = "llm: {base_url: 'http://localhost:8000/v1', model: small"


def _problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    return [str(problem).split(": ", 1)[1] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "operator", "options"),
    [
        ("mask", Operator.MASK, RewriteOptions()),
        ("{operator: mask}", Operator.MASK, RewriteOptions()),
        ('{operator: mask, text: "***"}', Operator.MASK, RewriteOptions("***")),
        ('{operator: drop_sentence, text: ""}', Operator.DROP_SENTENCE, RewriteOptions("")),
        ("{operator: partial, keep: 2}", Operator.PARTIAL, RewriteOptions(None, 2)),
        ("replace", Operator.REPLACE, RewriteOptions()),
    ],
)
def test_an_operator_is_a_word_or_a_mapping(written: str, operator: Operator, options: RewriteOptions) -> None:
    """Options stand beside the operator; without any its name is enough."""
    (rule,) = policy_of(_RULE + written).rules
    assert (rule.rewrite, rule.options) == (operator, options)


@pytest.mark.parametrize("operator", ["mask", "replace", "drop_sentence", "template"])
def test_the_classifiers_categories_have_places(operator: str) -> None:
    """Every operator but partial works on sentences."""
    (rule,) = policy_of(_RULE.replace("pii.phone", "hate") + operator).rules
    assert rule.rewrite == operator


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{operator: maks}", "(did you mean mask?)"),
        ("{operator: mask, keep: 3}", "keep with the operator mask (only partial has it; remove it)"),
        (
            "{operator: replace, text: x}",
            "text with the operator replace (only mask and drop_sentence have it; remove it)",
        ),
        ("{operator: partial, keep: 0}", "keep is not a whole number in its range (1 to 16, without quotes)"),
        ("{text: x}", "an entry of rules has no operator (add operator: ...)"),
        ("{operator: mask, txt: x}", "unknown key txt (did you mean text?)"),
        ("[mask]", "rewrite must be a mapping (write key: value pairs)"),
        ("llm", "rewrite: llm, and no llm to ask (add llm: {base_url: ..., model: ...})"),
    ],
)
def test_a_mistake_is_named(written: str, problem: str) -> None:
    """What an operator cannot have is refused with its place and its cure."""
    (found,) = _problems(text_of([_RULE + written]))
    assert problem.split(" (")[-1] in found


def test_an_endpoint_reaches_the_policy() -> None:
    """A policy carries its language model, with the defaults where it says nothing."""
    plain = parse_policy(text_of([_RULE + "llm"]) + _LLM + "}\n", "p.yaml").llm
    assert plain == Endpoint("http://localhost:8000/v1", "small", DEFAULT_PROMPT, 10.0, 1024, None)
    keys = ", prompt: 'x {text}', timeout: 2.5, max_tokens: 9, key_env: MY_KEY}\n"
    full = parse_policy(text_of([_RULE + "llm"]) + _LLM + keys, "p.yaml").llm
    assert full == Endpoint("http://localhost:8000/v1", "small", "x {text}", 2.5, 9, "MY_KEY")
    assert policy_of(_RULE + "mask").llm is None


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (", prompt: rewrite it", "a prompt without {text}"),
        (", timeout: 0", "timeout is not a number in its range"),
        (", max_tokens: many", "max_tokens is not a whole number in its range"),
        (", key_env: 'sk-secret value'", "key_env is not a legal name"),
        (", key: sk-1", "unknown key key"),
    ],
)
def test_a_mistake_in_an_endpoint_is_named(keys: str, problem: str) -> None:
    """What cannot be asked is refused when the policy is read, and a key in the file is none."""
    (found,) = _problems(text_of([_RULE + "llm"]) + _LLM + keys + "}\n")
    assert problem in found


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://", "http://a:b@c/v1", "http://x/?k=1", "http://x y"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Only http and https, with a host and without a password."""
    (found,) = _problems(text_of([_RULE + "llm"]) + f"llm: {{base_url: '{url}', model: m}}\n")
    assert "base_url is not one of an endpoint" in found


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("action: rewrite, rewrite: partial, keep: 3", "keep does not stand here (write it under rewrite, such as "
         "rewrite: {operator: partial, keep: 3})"),
        ('action: rewrite, text: "**"', "text does not stand here (write it under rewrite, such as "
         'rewrite: {operator: mask, text: "**"})'),
        ("action: rewrite, operator: mask", "operator does not stand here (write it as rewrite, such as "
         "rewrite: mask)"),
        ("action: mask", "action is not one of allow, rewrite, block (write action: rewrite, rewrite: mask)"),
        ("action: deny", "action is not one of allow, rewrite, block (write block)"),
        ("action: Reject", "action is not one of allow, rewrite, block (write block)"),
        ("action: block, direction: input", "direction is not one of prompt, output, both (write prompt)"),
        ("action: block, direction: response", "direction is not one of prompt, output, both (write output)"),
    ],
)  # fmt: skip
def test_what_others_call_it_is_named_with_what_it_is_here(rule: str, problem: str) -> None:
    """Options that stand beside their operator, operators as actions, other words for actions and directions."""
    (found,) = _problems(text_of([f"id: a, category: pii.phone, threshold: 0.5, {rule}"]))
    assert found == problem
