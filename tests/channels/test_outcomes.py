"""From an HTTP answer to an Outcome: the table DR (S-147, S-149, S-154, S-117; ruling 19)."""

from datetime import UTC, datetime

import pytest

from hub.channels.outcomes import judge_response, retry_after_seconds
from hub.channels.response import Failure, Response
from hub.domain.delivery import OutcomeKind

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
DUPLICATE = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"duplicate"}]}'


def kind(status: int, body: bytes = b"") -> OutcomeKind:
    return judge_response(Response(status, {}, body), "receiver.example", NOW).kind


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_any_2xx_is_delivered_whatever_the_body(status: int) -> None:
    outcome = judge_response(Response(status, {"retry-after": "9"}, b"{ not json"), "receiver.example", NOW)
    assert (outcome.kind, outcome.status, outcome.error, outcome.detail) == (OutcomeKind.DELIVERED, status, "", "")
    assert outcome.retry_after_seconds is None


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirect_is_a_failure(status: int) -> None:
    assert kind(status) is OutcomeKind.FAILED


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_400_413_415_422_refuse_the_notification(status: int) -> None:
    assert kind(status) is OutcomeKind.REFUSED


@pytest.mark.parametrize(
    "status", [401, 403, 404, 405, 406, 408, 418, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999]
)
def test_every_other_status_is_tried_again(status: int) -> None:
    outcome = judge_response(Response(status), "receiver.example", NOW)
    assert (outcome.kind, outcome.error) == (OutcomeKind.FAILED, "error-response")
    assert outcome.detail == f"receiver.example: HTTP status {status}"


def test_410_is_gone() -> None:
    assert kind(410) is OutcomeKind.GONE


def test_409_that_says_duplicate_is_delivered() -> None:
    assert kind(409, DUPLICATE) is OutcomeKind.DELIVERED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"duplicate",
        b"[]",
        b"null",
        b'{"issue":[{"code":"duplicate"}]}',
        b'{"resourceType":"OperationOutcome"}',
        b'{"resourceType":"OperationOutcome","issue":{"code":"duplicate"}}',
        b'{"resourceType":"OperationOutcome","issue":["duplicate",null,1]}',
        b'{"resourceType":"OperationOutcome","issue":[{"code":"conflict"}]}',
        b'{"resourceType":"OperationOutcome","issue":[{"code":["duplicate"]}]}',
        DUPLICATE[:-1],
        b"[" * 60_000,
        b"\xff\xfe",
    ],
)
def test_409_that_says_anything_else_is_a_failure(body: bytes) -> None:
    assert kind(409, body) is OutcomeKind.FAILED


@pytest.mark.parametrize("failure", list(Failure))
def test_failure_without_status_is_tried_again_with_a_code_of_subscription_error(failure: Failure) -> None:
    outcome = judge_response(Response(failure=failure, duration_seconds=1.5), "receiver.example", NOW)
    expected = "dns-resolution-error" if failure is Failure.NAME_NOT_RESOLVED else "no-response"
    assert (outcome.kind, outcome.status, outcome.error) == (OutcomeKind.FAILED, 0, expected)
    assert (outcome.detail, outcome.duration_seconds) == (f"receiver.example: {failure}", 1.5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86400", 86400.0),
        ("86401", 86400.0),
        ("9" * 5000, 86400.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),
        ("Thu Jan  1 12:00:30 2026", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Sat, 03 Jan 2026 12:00:00 GMT", 86400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 500, 302])
def test_retry_after_is_obeyed_up_to_a_day_on_any_failure(text: str, seconds: float, status: int) -> None:
    outcome = judge_response(Response(status, {"retry-after": text}), "receiver.example", NOW)
    assert outcome.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "soon", "٣", "1e3", "Thu, 99 Foo 2026", "0x10", "NaN", "1 2", ",", "99:99:99 1"]
)
def test_unreadable_retry_after_asks_for_nothing(text: str) -> None:
    assert retry_after_seconds(Response(503, {"retry-after": text}), NOW) is None


def test_refused_and_gone_ask_for_nothing() -> None:
    for status in (400, 410):
        assert judge_response(Response(status, {"retry-after": "5"}), "h", NOW).retry_after_seconds is None
