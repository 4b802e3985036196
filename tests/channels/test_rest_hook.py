"""The rest-hook channel over real sockets (S-142, S-150…S-158)."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.channels.egress import EgressPolicy
from hub.channels.rest_hook import RestHook
from hub.channels.sender import Sender
from hub.domain.delivery import Dispatch, Outcome, OutcomeKind
from hub.domain.subscription import Channel
from tests.channels.receivers import Receiver

BUNDLE = b'{"resourceType":"Bundle","type":"subscription-notification","value":6.30}'
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def channel_to(endpoint: str, **parts: Any) -> Channel:
    return Channel(type="rest-hook", endpoint=endpoint, **parts)


async def deliver(sender: Sender, channel: Channel, delivery_id: str = "sub_1_1") -> Outcome:
    hook = RestHook(sender, clock=lambda: NOW)
    return await hook.deliver(channel, Dispatch(BUNDLE), delivery_id=delivery_id, deadline_seconds=5)


async def test_notification_is_posted_unchanged_with_the_channels_headers(serve: Any, sender: Sender) -> None:
    receiver: Receiver = await serve()
    channel = channel_to(
        receiver.url("/notify?key=1"),
        content_type="application/fhir+json; fhirVersion=4.0",
        headers=(("Authorization", "Bearer s3cret"), ("X-A", "1"), ("X-A", "2")),
    )
    outcome = await deliver(sender, channel, "sub_3_7")
    assert (outcome.kind, outcome.status) == (OutcomeKind.DELIVERED, 200)
    (request,) = receiver.requests
    assert (request.line, request.body) == ("POST /notify?key=1 HTTP/1.1", BUNDLE)
    assert request.values("content-type") == ["application/fhir+json; fhirVersion=4.0"]
    assert request.values("authorization") == ["Bearer s3cret"]
    assert request.values("x-a") == ["1", "2"]
    assert request.values("webhook-id") == request.values("x-request-id") == ["sub_3_7"]


async def test_retry_carries_the_same_id_and_bytes(serve: Any, sender: Sender) -> None:
    receiver = await serve(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):
        assert (await deliver(sender, channel_to(receiver.url()))).kind is OutcomeKind.FAILED
    first, second = receiver.requests
    assert first == second


async def test_accept_of_the_subscription_replaces_the_hubs(serve: Any, sender: Sender) -> None:
    receiver = await serve()
    await deliver(sender, channel_to(receiver.url(), headers=(("Accept", "text/plain"),)))
    assert receiver.requests[0].values("accept") == ["text/plain"]


@pytest.mark.parametrize(
    ("answer", "kind", "status", "retry_after"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", OutcomeKind.DELIVERED, 204, None),
        (b"HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", OutcomeKind.FAILED, 307, None),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", OutcomeKind.GONE, 410, None),
        (b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", OutcomeKind.REFUSED, 422, None),
        (b"HTTP/1.1 429 Slow\r\nretry-after: 17\r\nContent-Length: 0\r\n\r\n", OutcomeKind.FAILED, 429, 17.0),
        (
            b"HTTP/1.1 503 Busy\r\nRetry-After: Thu, 01 Jan 2026 12:01:00 GMT\r\nContent-Length: 0\r\n\r\n",
            OutcomeKind.FAILED,
            503,
            60.0,
        ),
        (
            b'HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n{"resourceType":"OperationOutcome"\r\n'
            b'20\r\n,"issue":[{"code":"duplicate"}]}\r\n0\r\n\r\n',
            OutcomeKind.DELIVERED,
            409,
            None,
        ),
    ],
)
async def test_answer_becomes_the_outcome_of_the_table(
    serve: Any, sender: Sender, answer: bytes, kind: OutcomeKind, status: int, retry_after: float | None
) -> None:
    receiver = await serve(answer)
    outcome = await deliver(sender, channel_to(receiver.url()))
    assert (outcome.kind, outcome.status, outcome.retry_after_seconds) == (kind, status, retry_after)
    assert 0 < outcome.duration_seconds < 5


async def test_blocked_endpoint_fails_without_a_connection(serve: Any, make_sender: Callable[..., Sender]) -> None:
    receiver = await serve()
    sender = make_sender(EgressPolicy(allow_http=True))
    by_name = await deliver(sender, channel_to(receiver.url(host="loopback.example")))
    by_address = await deliver(sender, channel_to(receiver.url()))
    assert by_address == Outcome(
        OutcomeKind.FAILED,
        error="no-response",
        detail="127.0.0.1: endpoint-not-allowed",
        duration_seconds=by_address.duration_seconds,
    )
    assert by_name.kind is OutcomeKind.FAILED
    assert receiver.connections == 0


async def test_name_that_does_not_exist_is_a_dns_resolution_error(make_sender: Callable[..., Sender]) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    outcome = await deliver(make_sender(resolve=fail), channel_to("http://none.example/token"))
    assert (outcome.error, outcome.detail) == ("dns-resolution-error", "none.example: name-not-resolved")


async def test_nobody_there_is_no_response(sender: Sender, free_port: int) -> None:
    outcome = await deliver(sender, channel_to(f"http://127.0.0.1:{free_port}/token"))
    assert (outcome.error, outcome.detail) == ("no-response", "127.0.0.1: connection-failed")


@pytest.mark.parametrize("headers", [(("Host", "a"),), (("webhook-id", "a"),), (("X", "a\r\nY: b"),), (("", ""),)])
async def test_header_that_should_not_have_been_stored_is_never_sent(
    serve: Any, sender: Sender, headers: tuple[tuple[str, str], ...]
) -> None:
    receiver = await serve()
    outcome = await deliver(sender, channel_to(receiver.url(), headers=headers))
    assert (outcome.kind, outcome.detail) == (OutcomeKind.FAILED, "127.0.0.1: headers-not-sendable")
    assert receiver.connections == 0


async def test_outcome_and_log_hold_no_secret_path_or_text_of_the_receiver(
    serve: Any, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [b"HTTP/1.1 500 s3cret\r\nContent-Length: 6\r\nX: s3cret\r\n\r\ns3cret", b"s3cret\r\n\r\n"]
    for answer in answers:
        receiver = await serve(answer)
        outcome = await deliver(sender, channel_to(receiver.url("/s3cret"), headers=(("X", "s3cret"),)))
        assert "s3cret" not in repr(outcome)
    refused = await deliver(sender, channel_to("http://s3cret@127.0.0.1/s3cret"))
    assert refused.detail == "endpoint: endpoint-not-allowed"
    assert "s3cret" not in caplog.text


async def test_a_resource_is_put_below_the_endpoint_and_nothing_is_posted_without_a_type_s012(
    serve: Any, sender: Sender
) -> None:
    receiver = await serve()
    hook = RestHook(sender, clock=lambda: NOW)
    for dispatch in (Dispatch(b"{}", "Patient/1"), Dispatch()):
        await hook.deliver(channel_to(receiver.url("/fhir/")), dispatch, delivery_id="x", deadline_seconds=5)
    put, post = receiver.requests
    assert (put.line, put.body) == ("PUT /fhir/Patient/1 HTTP/1.1", b"{}")
    assert (post.line, post.body, post.values("content-type")) == ("POST /fhir/ HTTP/1.1", b"", [])
