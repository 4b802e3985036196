"""Which headers a Subscription may ask for (S-151, S-152; SECURITY C1)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.channels.endpoint import Endpoint
from hub.channels.request import encode_request
from hub.domain.request_headers import objection, objection_to_all

ENDPOINT = Endpoint("https", "receiver.example", 443, "/")

ACCEPTED = [
    ("Authorization", "Bearer abc.def-ghi"),
    ("X-Api-Key", "0123456789"),
    ("x-custom", ""),
    ("!#$%&'*+-.^_`|~", "all token characters"),
    ("Cookie", "session=1"),
    ("Accept", "application/fhir+json"),
    ("X-Colon", "a: b: c"),
    ("X-Quoted", '"a\\"b"'),
    ("Webhook", "not the hub's"),
]

DENIED_NAMES = [
    *(
        "Host",
        "HOST",
        "Content-Length",
        "content-type",
        "Content-Encoding",
        "Content-Anything",
        "Transfer-Encoding",
        "TE",
    ),
    *(
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Proxy-Authorization",
        "proxy-connection",
        "Expect",
        "webhook-id",
    ),
    *(
        "Webhook-Signature",
        "Date",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "traceparent",
        "tracestate",
    ),
    *(
        "X-Request-ID",
        "User-Agent",
        "HTTP2-Settings",
        "Sec-Fetch-Site",
        "Accept-Encoding",
        "X-Correlation-ID",
        "X-Real-IP",
    ),
]

MALFORMED = [
    *[
        (name, "v")
        for name in ("", " ", "a b", "a:", ":a", "a\r\nHost", "a\n", "ä", "a\x00", "a(b)", "a/b", "a@b", "ｈost", "a\t")
    ],
    *[
        ("X-A", value)
        for value in (
            "a\r\nHost: b",
            "a\n",
            "a\rb",
            "a\x00b",
            "ä",
            "a\tb",
            " a",
            "a ",
            "\x7f",
            "a\x85b",
            "“”",
            "\u2028",
        )
    ],
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_header_of_rfc_9110_is_accepted(name: str, value: str) -> None:
    assert objection(name, value) == ""


@pytest.mark.parametrize("name", DENIED_NAMES)
def test_header_that_is_the_hubs_own_is_refused(name: str) -> None:
    assert "leave it out" in objection(name, "v")


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_header_that_would_corrupt_the_request_is_refused(name: str, value: str) -> None:
    assert objection(name, value)


def test_objection_holds_no_value() -> None:
    assert "s3cret" not in objection("B", "s3cret\n") + objection("Host", "s3cret")


def test_more_than_twenty_headers_are_refused() -> None:
    assert objection_to_all([(f"X-{number}", "v") for number in range(20)]) == ""
    assert "20" in objection_to_all([(f"X-{number}", "v") for number in range(21)])


def test_more_than_four_kibibytes_together_are_refused() -> None:
    assert objection_to_all([("X", "v" * 4091)]) == ""
    assert "4096" in objection_to_all([("X", "v" * 4092)])
    assert "4096" in objection_to_all([("X", "v" * 2100), ("X", "v" * 2100)])


def test_same_name_twice_is_allowed() -> None:
    assert objection_to_all([("X-A", "1"), ("X-A", "2")]) == ""


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=5))
def test_whatever_passes_the_check_is_sent_exactly(headers: list[tuple[str, str]]) -> None:
    if objection_to_all(headers) or any(objection(name, value) for name, value in headers):
        return
    lines = encode_request(ENDPOINT, headers, b"").decode("ascii").split("\r\n")
    assert lines[-2:] == ["", ""]
    assert [f"{name}: {value}" for name, value in headers] == lines[len(lines) - 3 - len(headers) : -3]


@given(st.text(alphabet=string.printable + "\x00\x7fäß\u2028"), st.text(alphabet=string.printable + "\x00\x7fä\u2028"))
def test_request_has_no_more_lines_than_headers_whatever_is_given(name: str, value: str) -> None:
    try:
        request = encode_request(ENDPOINT, [(name, value)], b"")
    except ValueError:
        return
    assert request.count(b"\n") == request.count(b"\r\n") == 7 - (name.lower() in {"accept", "user-agent"})
    assert request.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Expect"])
def test_framing_header_is_never_encoded(name: str) -> None:
    with pytest.raises(ValueError, match="own"):
        encode_request(ENDPOINT, [(name, "x")], b"")


def test_headers_may_be_bytes() -> None:
    assert b"\r\nX-A: b\r\n" in encode_request(ENDPOINT, [(b"X-A", b"b")], b"")
