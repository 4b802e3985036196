"""BIND, LISTEN, UNBIND and tokens on a real Redis: who is told what when sockets come and go (decision 0011)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.delivery import Duty, OutcomeKind
from hub.domain.subscription import Status
from hub.store.agenda import Hold
from hub.store.client import Store
from hub.store.sockets import BindCode, Permission, Sockets
from tests.store.factories import Lab


@pytest.fixture
def lab(store: Store) -> Lab:
    return Lab(store)


@pytest.fixture
def sockets(store: Store) -> Sockets:
    return Sockets(store)


async def listened(lab: Lab, *shorts: str, **channel: object) -> None:
    for short in shorts:
        await lab.put(short, status=Status.ACTIVE, type="websocket", endpoint="", **channel)


async def bind(sockets: Sockets, lab: Lab, short: str, listener: str = "p/1", seen: int | None = None) -> Hold:
    (bound,) = await sockets.bind(listener, [(lab.name(short), seen)])
    assert bound.code is BindCode.OK and bound.hold is not None
    return bound.hold


async def due(lab: Lab, short: str) -> bytes | None:
    (found,) = await lab.store.send(("ZSCORE", "{d0}:due", lab.name(short)))
    return found  # type: ignore[no-any-return]


async def test_nothing_is_due_while_nobody_listens_and_everything_when_somebody_does(
    lab: Lab, sockets: Sockets
) -> None:
    await listened(lab, "a")
    committed = await lab.commit(lab.match(1, "a"), lab.match(2, "a"))
    assert (committed.numbers, committed.holds, await due(lab, "a")) == ((1, 2), (), None)
    await bind(sockets, lab, "a")
    assert await due(lab, "a") is None, "handshake and missed events come before"
    await sockets.listen("p/1", [lab.name("a")])
    (hold,) = await lab.claim()
    assert (hold.duty, list(hold.progress.batch), hold.progress.listener) == (Duty.EVENTS, [1, 2], "p/1")


async def test_unheard_is_no_failure_and_ends_what_is_due(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "a", heartbeat_seconds=1)
    await bind(sockets, lab, "a")
    await sockets.listen("p/1", [lab.name("a")])
    await lab.commit(lab.match(1, "a"), hold=False)
    (hold,) = await lab.claim()
    assert await lab.settle(hold, OutcomeKind.UNHEARD) is True
    record = await lab.record("a")
    assert (record.deaf, record.failures, record.error, record.cursor, record.status) == (
        True, 0, None, 0, Status.ACTIVE,
    )  # fmt: skip
    assert await due(lab, "a") is None


async def test_a_bind_makes_attempts_in_flight_void(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "a")
    await bind(sockets, lab, "a")
    await sockets.listen("p/1", [lab.name("a")])
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    again = await bind(sockets, lab, "a", "p/2")
    assert await lab.settle(hold) is False
    assert again.progress.cursor == 0 and (await lab.record("a")).cursor == 0


async def test_an_unbind_lets_what_was_written_be_settled(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "a")
    await bind(sockets, lab, "a")
    await sockets.listen("p/1", [lab.name("a")])
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    assert await sockets.unbind("p/1", [lab.name("a")]) == [lab.name("a")]
    assert await lab.settle(hold) is True
    record = await lab.record("a")
    assert (record.cursor, record.deaf, record.listener) == (1, True, "")


async def test_who_has_seen_more_than_was_settled_moves_the_cursor_on_and_nothing_moves_it_back(
    lab: Lab, sockets: Sockets
) -> None:
    await listened(lab, "a")
    await lab.commit(*(lab.match(each, "a") for each in range(1, 6)))
    assert (await bind(sockets, lab, "a", seen=3)).progress.cursor == 3
    assert (await bind(sockets, lab, "a", seen=1)).progress.cursor == 3
    (beyond,) = await sockets.bind("p/1", [(lab.name("a"), 6)])
    assert (beyond.code, beyond.number, beyond.hold) == (BindCode.BEYOND, 5, None)


async def test_only_the_listener_of_now_can_listen_or_unbind(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "a")
    await bind(sockets, lab, "a", "p/1")
    (bound,) = await sockets.bind("q/1", [(lab.name("a"), None)])
    assert bound.before == "p/1"
    assert await sockets.listen("p/1", [lab.name("a")]) == []
    assert await sockets.unbind("p/1", [lab.name("a")]) == []
    assert await sockets.listen("q/1", [lab.name("a")]) == [lab.name("a")]


async def test_a_rest_hook_and_what_is_off_or_gone_cannot_be_bound(lab: Lab, sockets: Sockets) -> None:
    await lab.activate("hook")
    await listened(lab, "off", "gone")
    await lab.put("off", 1, Status.OFF, type="websocket", endpoint="")
    await lab.subscriptions.remove(lab.key("gone"), None)
    names = [(lab.name(each), None) for each in ("hook", "off", "gone", "never")]
    codes = [each.code for each in await sockets.bind("p/1", names)]
    assert codes == [BindCode.ABSENT, BindCode.OFF, BindCode.ABSENT, BindCode.ABSENT]


async def test_a_farewell_is_due_only_to_who_listens(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "heard", "deaf")
    await bind(sockets, lab, "heard")
    await sockets.listen("p/1", [lab.name("heard")])
    for short in ("heard", "deaf"):
        await lab.put(short, 1, Status.OFF, type="websocket", endpoint="")
    assert [(hold.subscription, hold.duty) for hold in await lab.claim()] == [(lab.name("heard"), Duty.FAREWELL)]


async def test_an_update_keeps_the_socket_and_another_channel_ends_it(lab: Lab, sockets: Sockets) -> None:
    await listened(lab, "a")
    await bind(sockets, lab, "a")
    await sockets.listen("p/1", [lab.name("a")])
    await lab.put("a", 1, None, type="websocket", endpoint="", max_count=3)
    record = await lab.record("a")
    assert (record.listener, record.deaf) == ("p/1", False)
    await lab.put("a", 2, Status.REQUESTED, anew=True)
    record = await lab.record("a")
    assert (record.listener, record.deaf, record.verified) == ("", False, False)
    assert [hold.duty for hold in await lab.claim()] == [Duty.HANDSHAKE]


async def test_its_end_comes_while_nobody_listens(lab: Lab) -> None:
    await listened(lab, "a", end=datetime.now(UTC) + timedelta(milliseconds=50))
    await asyncio.sleep(0.1)
    assert await lab.claim() == []
    assert (await lab.record("a")).status is Status.OFF


async def test_a_token_is_taken_once(sockets: Sockets) -> None:
    permission = Permission("operator", ("default|r5|a", "default|r5|b"))
    await sockets.keep_token("digest", permission, 60)
    taken = await asyncio.gather(*(sockets.take_token("digest") for _ in range(50)))
    assert [each for each in taken if each] == [permission]
    assert await sockets.take_token("never") is None


async def test_five_hundred_are_bound_at_once(lab: Lab, sockets: Sockets) -> None:
    shorts = [f"s{number}" for number in range(500)]
    await listened(lab, *shorts)
    bound = await sockets.bind("p/1", [(lab.name(each), None) for each in shorts])
    assert [each.subscription for each in bound] == [lab.name(each) for each in shorts]
    assert len(await sockets.listen("p/1", [lab.name(each) for each in shorts])) == 500
