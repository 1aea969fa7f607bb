"""The service as any gRPC client sees it: a real server, raw stubs."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from guard.types import CATEGORIES
from guard.v1 import guard_pb2 as pb
from guard.v1.guard_pb2_grpc import GuardServiceStub
from tests.serving import Sidecar

_TIMEOUT = 30


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    """The generated stub; it has no type information."""
    return GuardServiceStub(channel)  # type: ignore[no-untyped-call]


def _prompt(text: str, **fields: Any) -> pb.Content:
    return pb.Content(text=text, direction=pb.DIRECTION_PROMPT, **fields)


def _screen(stub: Any, content: pb.Content) -> pb.Decision:
    decision: pb.Decision = stub.Screen(pb.ScreenRequest(content=content), timeout=_TIMEOUT).decision
    return decision


def _refusal(method: Any, request: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=_TIMEOUT)
    return caught.value


def _violated(error: grpc.RpcError) -> list[str]:
    """The fields that the BadRequest of an INVALID_ARGUMENT names."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    metadata: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    return [violation.field for violation in details.field_violations]


def test_ready_line_names_address_model_and_policies(served: Sidecar) -> None:
    """Each address has a ready line with the real port, the model and the policies with their revisions."""
    assert len(served.ready) == 2
    assert not served.address.endswith(":0")
    for line in served.ready:
        assert "(model tiny@" in line
        assert "policies default@" in line
        assert "strict@" in line


def test_allowed_text_comes_back_with_every_score(stub: Any) -> None:
    """A decision carries the text that may pass and the score of every category."""
    decision = _screen(stub, _prompt("hello world", request_id="r1"))
    assert decision.action == pb.ACTION_ALLOW
    assert decision.output_text == "hello world"
    assert set(decision.scores) == set(CATEGORIES)
    assert decision.request_id == "r1"
    assert decision.policy.startswith("default@")
    assert decision.model.startswith("tiny@")


def test_blocked_text_is_replaced_by_the_policys_message(stub: Any) -> None:
    """A blocked text's answer holds the message and the rule, and not the text."""
    decision = _screen(stub, _prompt("how to call a bomb"))
    assert decision.action == pb.ACTION_BLOCK
    assert decision.output_text == "Not here."
    assert [rule.id for rule in decision.rules] == ["weapons"]


def test_masked_output_comes_back_rewritten(stub: Any) -> None:
    """A rewritten output comes back with the span masked, in code points of the original."""
    text = "你好 call a@example.com"
    decision = _screen(stub, pb.Content(text=text, direction=pb.DIRECTION_OUTPUT))
    assert decision.action == pb.ACTION_REWRITE
    (found,) = decision.detections
    assert text[found.span.start : found.span.end] == "a@example.com"
    assert decision.output_text == "你好 call *************"


def test_policy_is_chosen_by_name(stub: Any) -> None:
    """A request's policy decides; a rule in shadow is only reported."""
    assert _screen(stub, _prompt("kill", policy="strict")).action == pb.ACTION_BLOCK
    lenient = _screen(stub, _prompt("kill"))
    assert lenient.action == pb.ACTION_ALLOW
    assert [(rule.id, rule.shadow) for rule in lenient.rules] == [("violence", True)]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (pb.Content(text="", direction=pb.DIRECTION_PROMPT), ["text"]),
        (pb.Content(text=" \n\u200b", direction=pb.DIRECTION_PROMPT), ["text"]),
        (pb.Content(text="hello"), ["direction"]),
        (pb.Content(text="hello", direction=pb.DIRECTION_PROMPT, policy="nosuch"), ["policy"]),
        (pb.Content(text="", direction=pb.DIRECTION_PROMPT, policy="nosuch"), ["text", "policy"]),
        (pb.Content(text="hello", direction=pb.DIRECTION_PROMPT, context=[pb.Turn(text="x")]), ["context[0].role"]),
        (pb.Content(text="hello " * 201, direction=pb.DIRECTION_PROMPT), ["text"]),
        (pb.Content(text="hello " * 20_000, direction=pb.DIRECTION_PROMPT), ["content"]),
    ],
)
def test_broken_content_is_refused_with_its_fields(stub: Any, content: pb.Content, fields: list[str]) -> None:
    """Bad input is INVALID_ARGUMENT, and BadRequest names every broken field."""
    assert _violated(_refusal(stub.Screen, pb.ScreenRequest(content=content))) == fields


def test_refusal_does_not_quote_the_text(stub: Any) -> None:
    """No error carries the screened text back."""
    error = _refusal(stub.Screen, pb.ScreenRequest(content=_prompt("secretword " * 201)))
    assert "secretword" not in (error.details() or "")
    assert b"secretword" not in b"".join(v for _, v in error.trailing_metadata() or () if isinstance(v, bytes))  # type: ignore[misc, has-type]


def test_missing_content_is_refused(stub: Any) -> None:
    """A request without content names it."""
    assert _violated(_refusal(stub.Screen, pb.ScreenRequest())) == ["content"]


def test_batch_item_fails_alone(stub: Any) -> None:
    """Every item has its own status; a broken one leaves the others their decisions."""
    contents = [_prompt("hello"), _prompt(""), pb.Content(text="hello"), _prompt("bomb")]
    results = stub.ScreenBatch(pb.ScreenBatchRequest(contents=contents), timeout=_TIMEOUT).results
    assert [result.status.code for result in results] == [0, 3, 3, 0]
    assert [result.decision.action for result in results] == [pb.ACTION_ALLOW, 0, 0, pb.ACTION_BLOCK]
    assert [[v.field for v in result.status.violations] for result in results] == [[], ["text"], ["direction"], []]


def test_full_batch_is_screened_and_a_larger_one_refused(stub: Any) -> None:
    """256 items are screened, 257 are refused with the field named."""
    contents = [_prompt("hello")] * 256
    assert len(stub.ScreenBatch(pb.ScreenBatchRequest(contents=contents), timeout=_TIMEOUT).results) == 256
    contents.append(_prompt("hello"))
    error = _refusal(stub.ScreenBatch, pb.ScreenBatchRequest(contents=contents))
    assert _violated(error) == ["contents"]


def test_item_with_invalid_utf8_fails_alone(channel: grpc.Channel) -> None:
    """Bytes that are not UTF-8 cost a batch only their own item."""
    good = _prompt("hello").SerializeToString()
    bad = b"\x0a\x02\xff\xfe\x10\x01"
    raw = b"".join(b"\x0a" + bytes([len(item)]) + item for item in (good, bad, good))
    call: Any = channel.unary_unary("/guard.v1.GuardService/ScreenBatch", None, pb.ScreenBatchResponse.FromString)
    results = call(raw, timeout=_TIMEOUT).results
    assert [result.status.code for result in results] == [0, 3, 0]
    assert [v.field for v in results[1].status.violations] == ["text"]


def test_random_bytes_are_refused_as_the_callers_mistake(channel: grpc.Channel) -> None:
    """Whatever bytes arrive, a caller is told INVALID_ARGUMENT with a field, and the server lives on."""
    draw = random.Random(20261121)
    call: Any
    for path in ("Screen", "ScreenBatch"):
        call = channel.unary_unary(f"/guard.v1.GuardService/{path}")
        assert _violated(_refusal(call, b"\xff\xff\xff\xff")) == ["request"]
        for _ in range(200):
            raw = draw.randbytes(draw.randrange(1, 80))
            try:
                call(raw, timeout=_TIMEOUT)  # an unknown field is no mistake: old servers ignore new fields
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - either outcome is right
    call = channel.unary_unary("/guard.v1.GuardService/Screen")
    assert _violated(_refusal(call, b"\x0a\x06\x0a\x02\xff\xfe\x10\x01")) == ["text"]


def test_info_says_what_is_loaded(stub: Any) -> None:
    """GetInfo names model, policies, categories and the limits that really hold."""
    info = stub.GetInfo(pb.GetInfoRequest(), timeout=_TIMEOUT)
    assert info.model.name == "tiny"
    assert tuple(info.model.categories) == CATEGORIES
    assert [(p.name, p.default) for p in info.policies] == [("default", True), ("strict", False)]
    assert info.limits.max_tokens == 200
    assert info.limits.max_message_bytes == 100_000
    assert info.limits.max_batch_items == 256


def test_unix_socket_answers(served: Sidecar) -> None:
    """The same server answers at its unix socket."""
    with grpc.insecure_channel(served.addresses[1]) as opened:
        stub: Any = GuardServiceStub(opened)  # type: ignore[no-untyped-call]
        assert _screen(stub, _prompt("hello")).action == pb.ACTION_ALLOW


@pytest.mark.parametrize("service", ["", "guard.v1.GuardService"])
def test_health_is_serving(channel: grpc.Channel, service: str) -> None:
    """Standard health answers SERVING for the whole server and for the service."""
    health = health_pb2_grpc.HealthStub(channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT)  # type: ignore[attr-defined]
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_shows_the_contract(channel: grpc.Channel) -> None:
    """Reflection lists the services and knows every message of the contract, those of streams too."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="guard.v1.ScreenStreamRequest"),
    ]
    services, file = list(stub.ServerReflectionInfo(iter(questions), timeout=_TIMEOUT))
    names = {service.name for service in services.list_services_response.service}
    assert {"guard.v1.GuardService", "grpc.health.v1.Health"} <= names
    assert file.file_descriptor_response.file_descriptor_proto


def test_every_rpc_of_the_contract_is_served(stub: Any, channel: grpc.Channel) -> None:
    """No method of the service is unimplemented."""
    for method in pb.DESCRIPTOR.services_by_name["GuardService"].methods:
        call: Any = channel.unary_unary(f"/guard.v1.GuardService/{method.name}")
        try:
            call(b"", timeout=_TIMEOUT)
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.UNIMPLEMENTED  # noqa: PT017 - a refusal is an answer
