"""What clients write into a websocket, in the forms that are in use (S-159, S-160, S-169)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Malformed
from hub.fhir.socket_frames import BindWithToken, ClassicBind, Ping, UnbindFromToken, read_client_frame


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("bind-with-token abc", BindWithToken("abc", {})),
        ("bind-with-token: abc", BindWithToken("abc", {})),
        ("bind-with-token:abc", BindWithToken("abc", {})),
        ("  bind-with-token   abc \n", BindWithToken("abc", {})),
        ("bind-with-token abc a=1 Subscription/b-2=0", BindWithToken("abc", {"a": 1, "b-2": 0})),
        ('{"type":"bind-with-token","payload":{"token":"abc"}}', BindWithToken("abc", {})),
        (
            '{"type":"bind-with-token","payload":{"token":"abc","lastEventNumber":{"a":7,"Subscription/b":"8"}}}',
            BindWithToken("abc", {"a": 7, "b": 8}),
        ),
        ('{"type":"unbind-from-token","payload":{"token":"abc"}}', UnbindFromToken("abc")),
        ('{"type":"ping"}', Ping()),
        ("bind abc", ClassicBind("abc")),
        ("bind: abc", ClassicBind("abc")),
    ],
)
def test_each_form_is_read_s159(written: str, read: object) -> None:
    assert read_client_frame(written) == read


NOT_READ = [
    *("bind", "bind a b", "bind a/b", "bind-with-token", "bind-with-tokenabc", "ping", "{}", "[1]"),
    *(
        "bind-with-token t a",
        "bind-with-token t a=",
        "bind-with-token t a=x",
        "bind-with-token t a=9223372036854775808",
    ),
    *('{"type":7}', '{"type":"ping"', '{"type":"bind-with-token","payload":{"token":["t"]}}'),
    '{"type":"bind-with-token","payload":{"token":"t","lastEventNumber":[]}}',
]


@pytest.mark.parametrize("written", NOT_READ)
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(Malformed):
        read_client_frame(written)


@given(st.text(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_text_does_more_than_be_read_or_refused(written: str) -> None:
    try:
        read_client_frame(written)
    except Malformed as refusal:
        assert refusal.issues


def test_a_refusal_never_repeats_a_token() -> None:
    for written in ("bind-with-token secret-1 =", '{"type":"bind-with-token","payload":{"token":"secret-1"},"x":}'):
        with pytest.raises(Malformed) as refusal:
            read_client_frame(written)
        assert "secret-1" not in str(refusal.value)
