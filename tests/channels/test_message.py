"""The message channel over real sockets (S-177…S-179)."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from hub.channels.egress import EgressPolicy
from hub.channels.message import Message
from hub.channels.sender import Sender
from hub.domain.delivery import Dispatch, Outcome, OutcomeKind
from hub.domain.subscription import Channel
from hub.domain.versions import FhirVersion
from tests.channels.mail_builders import BASES, DELIVERY, NOW, dispatch
from tests.channels.receivers import OK, Receiver

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


def message_channel(endpoint: str, **parts: Any) -> Channel:
    return Channel(type="message", endpoint=endpoint, **parts)


async def deliver(sender: Sender, channel: Channel, sent: Dispatch | None = None, ids: Any = None) -> Outcome:
    options = {"new_id": lambda: f"attempt-{next(ids)}"} if ids else {}
    message = Message(sender, BASES, clock=lambda: NOW, **options)
    return await message.deliver(channel, sent or dispatch(), delivery_id=DELIVERY, deadline_seconds=5)


def answering_in_kind(code: str) -> bytes:
    header = {"resourceType": "MessageHeader", "response": {"identifier": "1", "code": code}}
    body = json.dumps({"resourceType": "Bundle", "type": "message", "entry": [{"resource": header}]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("base", FhirVersion)
async def test_a_message_is_posted_to_the_operation_with_the_channels_headers(
    serve: Any, sender: Sender, base: FhirVersion
) -> None:
    receiver: Receiver = await serve()
    sent = dispatch(base=base)
    channel = message_channel(receiver.url("/fhir"), headers=(("Authorization", "Bearer s3cret"), ("X-A", "1")))
    outcome = await deliver(sender, channel, sent)
    assert (outcome.kind, outcome.status) == (OutcomeKind.DELIVERED, 200)
    (request,) = receiver.requests
    assert request.line == "POST /fhir/$process-message HTTP/1.1"
    assert request.values("content-type") == ["application/fhir+json"]
    assert (request.values("authorization"), request.values("x-a")) == (["Bearer s3cret"], ["1"])
    header, inside = (entry["resource"] for entry in json.loads(request.body)["entry"])
    assert sent.body in request.body, "byte for byte (S-142)"
    assert header["focus"] == [{"reference": f"urn:uuid:{inside['id']}"}]
    named = "endpointUrl" if base is FhirVersion.R5 else "endpoint"
    assert header["source"] == {named: BASES[base][0]}
    assert header["destination"] == [{named: receiver.url("/fhir")}]


async def test_a_repeat_keeps_the_id_of_the_header_and_has_a_new_bundle_id(serve: Any, sender: Sender) -> None:
    receiver = await serve(BUSY)
    ids = count(1)
    for _ in range(2):
        assert (await deliver(sender, message_channel(receiver.url()), ids=ids)).kind is OutcomeKind.FAILED
    first, second = (json.loads(each.body) for each in receiver.requests)
    assert (first["id"], second["id"]) == ("attempt-1", "attempt-2")
    assert first["entry"] == second["entry"]


async def test_every_attempt_names_its_bundle_by_itself(serve: Any, sender: Sender) -> None:
    receiver = await serve(OK)
    for _ in range(2):
        await deliver(sender, message_channel(receiver.url()))
    first, second = (json.loads(each.body)["id"] for each in receiver.requests)
    assert first != second


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (OK, OutcomeKind.DELIVERED, 200),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", OutcomeKind.DELIVERED, 202),
        (b"HTTP/1.1 204 No Content\r\n\r\n", OutcomeKind.DELIVERED, 204),
        (answering_in_kind("ok"), OutcomeKind.DELIVERED, 200),
        (answering_in_kind("transient-error"), OutcomeKind.FAILED, 200),
        (answering_in_kind("fatal-error"), OutcomeKind.REFUSED, 200),
        (answering_in_kind("whatever"), OutcomeKind.DELIVERED, 200),
        (b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", OutcomeKind.REFUSED, 400),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", OutcomeKind.FAILED, 404),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", OutcomeKind.GONE, 410),
        (b"HTTP/1.1 302 There\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", OutcomeKind.FAILED, 302),
        (BUSY, OutcomeKind.FAILED, 503),
    ],
)
async def test_an_answer_becomes_the_outcome_of_the_table_s179(
    serve: Any, sender: Sender, answer: bytes, kind: OutcomeKind, status: int
) -> None:
    receiver = await serve(answer)
    outcome = await deliver(sender, message_channel(receiver.url()))
    assert (outcome.kind, outcome.status) == (kind, status)
    assert bool(outcome.error) is (kind is not OutcomeKind.DELIVERED)


async def test_the_guard_of_egress_holds_for_messages_too(serve: Any, make_sender: Any) -> None:
    receiver = await serve()
    outcome = await deliver(make_sender(EgressPolicy(allow_http=True)), message_channel(receiver.url()))
    assert (outcome.kind, outcome.detail) == (OutcomeKind.FAILED, "127.0.0.1: endpoint-not-allowed")
    assert receiver.connections == 0


async def test_header_that_should_not_have_been_stored_is_never_sent(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    channel = message_channel(receiver.url(), headers=(("X", "a\r\nY: b"),))
    assert (await deliver(sender, channel)).detail == "127.0.0.1: headers-not-sendable"
    assert receiver.connections == 0


async def test_a_classic_match_is_a_message_about_the_resource_s015(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    resource = b'{"resourceType":"Observation","id":"1","valueQuantity":{"value":6.30}}'
    name = "default|r4|ward-7"
    await deliver(sender, message_channel(receiver.url()), Dispatch(resource, "Observation/1", name))
    await deliver(sender, message_channel(receiver.url(), content_type=""), Dispatch(subscription=name))
    whole, empty = (json.loads(each.body) for each in receiver.requests)
    assert resource in receiver.requests[0].body
    assert whole["entry"][0]["resource"]["focus"] == [{"reference": f"{BASES[FhirVersion.R4][0]}/Observation/1"}]
    assert len(empty["entry"]) == 1 and "focus" not in empty["entry"][0]["resource"]
    assert receiver.requests[1].values("content-type") == ["application/fhir+json"]
