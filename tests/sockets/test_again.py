"""Sending again over a socket: it passes over numbers that it was sent, but not over those that are asked for again."""

from __future__ import annotations

from hub.domain.versions import FhirVersion
from tests.sockets.harness import Served, board, change, subscribe, token, until


async def test_what_is_asked_for_again_arrives_on_the_socket(served: Served, base: FhirVersion) -> None:
    """S-190."""
    api = served.api(base)
    identity = await subscribe(api)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await change(api, identity, 3)
        assert await client.numbers(3) == [1, 2, 3]

        async def is_taken() -> bool:
            answer = await api.post(f"Subscription/{identity}/$resend?eventsSinceNumber=3")
            return answer.status_code == 200

        await until(is_taken)  # once the third delivery is written down
        assert await client.numbers(3) == [3]
        await change(api, identity)
        assert await client.numbers(4) == [4]
