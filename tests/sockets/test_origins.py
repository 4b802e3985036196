"""Which pages may come in: the Origin of a websocket, and CORS (SECURITY D1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from hub.api.origins import Origins
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.settings import load_settings
from tests.sockets.harness import Served, board, subscribe, token

Serve = Callable[..., Awaitable[Served]]
BOARD = "https://board.example"


async def test_a_page_of_another_origin_is_refused_before_the_socket_opens(serve: Serve) -> None:
    served = await serve(allowed_origins=BOARD)
    for origin in ("https://evil.example", "https://board.example.evil.example", "http://board.example", "null"):
        with pytest.raises(InvalidStatus) as refusal:
            async with board(served.url, FhirVersion.R5, origin=Origin(origin)):
                pass
        assert refusal.value.response.status_code == 403
        assert b"OperationOutcome" in (refusal.value.response.body or b"")


async def test_pages_that_are_listed_pages_of_the_hub_and_programs_come_in(serve: Serve) -> None:
    served = await serve(allowed_origins=f"https://other.example,{BOARD}")
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    for origin in (BOARD, served.url, None):
        async with board(served.url, FhirVersion.R5, origin=Origin(origin) if origin else None) as client:
            await client.say(f"bind-with-token {await token(api, identity)}")
            await client.next_of("handshake")


async def test_a_browser_is_told_what_a_listed_page_may_ask_and_read(serve: Serve) -> None:
    served = await serve(allowed_origins=BOARD)
    asked = {"Origin": BOARD, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}
    granted = await served.client.options("/fhir/r5/Patient/1", headers=asked)
    assert granted.status_code == 204
    assert granted.headers["access-control-allow-origin"] == BOARD
    assert "PUT" in granted.headers["access-control-allow-methods"]
    assert "authorization" in granted.headers["access-control-allow-headers"]
    answer = await served.client.get("/fhir/r5/metadata", headers={"Origin": BOARD})
    assert answer.headers["access-control-allow-origin"] == BOARD and answer.headers["vary"] == "origin"
    assert "etag" in answer.headers["access-control-expose-headers"]


async def test_a_page_that_is_not_listed_is_granted_nothing(serve: Serve) -> None:
    served = await serve(allowed_origins=BOARD)
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for answer in (
        await served.client.options("/fhir/r5/Patient/1", headers=asked),
        await served.client.get("/fhir/r5/metadata", headers=asked),
    ):
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "origin"


async def test_without_the_setting_no_page_but_the_hubs_own_is_granted_anything(serve: Serve) -> None:
    served = await serve(allowed_origins="")
    answer = await served.client.get("/fhir/r5/metadata", headers={"Origin": "http://127.0.0.1:1"})
    assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(InvalidStatus):
        async with board(served.url, FhirVersion.R5, origin=Origin("http://127.0.0.1:1")):
            pass


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://127.0.0.1", True),
        ("http://127.0.0.1:8000.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://127.0.0.1:8000", False),
        ("http://localhost:1", False),
        ("null", False),
        ("http://hub.example", True),
        ("ftp://hub.example", False),
    ],
)
def test_any_port_means_any_port_and_nothing_else(origin: str, allowed: bool) -> None:
    assert Origins(["http://127.0.0.1:*"]).allows(origin, "hub.example") is allowed


def test_a_wrong_origin_stops_the_start() -> None:
    for wrong in ("board.example", "https://board.example/path", "https://*.example"):
        with pytest.raises(CannotStart, match="HUB_ALLOWED_ORIGINS"):
            load_settings(allowed_origins=wrong)
