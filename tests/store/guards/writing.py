"""What must hold while clients and operators write: PUT, REMOVE, PUBLISH, SIGN, PAUSE, sockets, guards."""

from __future__ import annotations

from datetime import timedelta

from hub.domain.delivery import Duty
from hub.domain.subscription import Status
from hub.domain.transition import Cause
from hub.store.conditional_write import WriteCode
from hub.store.guards import Guards
from hub.store.keys import guard_key
from hub.store.life import BY_REQUEST, Life
from hub.store.registry import Registry, TopicRecord
from hub.store.signing import MOST_SECRETS, SignCode, SigningStore
from hub.store.sockets import BindCode, Sockets
from hub.store.subscriptions import Definition
from tests.store.factories import Lab, subscription
from tests.store.guards.mutation import must

DAY = timedelta(days=1)


async def a_write_makes_the_attempt_in_flight_void(lab: Lab) -> None:
    await lab.activate("a")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await lab.put("a", 1, None)
    must(await lab.settle(hold) is False, "it went to the former endpoint (I17)")


async def of_two_writers_one_is_told(lab: Lab) -> None:
    await lab.put("a")
    await lab.put("a", 1, None)
    must((await lab.put("a", 1, None)).code is WriteCode.CONFLICT, "it had read an older version")


async def a_creation_overwrites_nothing(lab: Lab) -> None:
    await lab.put("a")
    must((await lab.put("a")).code is WriteCode.CONFLICT, "the id is in use")


async def of_two_deleters_one_is_told(lab: Lab) -> None:
    await lab.put("a")
    await lab.put("a", 1, None)
    must((await lab.subscriptions.remove(lab.key("a"), 1)).code is WriteCode.CONFLICT, "it had read an older version")


async def numbers_survive_a_deletion(lab: Lab) -> None:
    await lab.activate("a")
    await lab.commit(lab.match(1, "a"))
    await lab.subscriptions.remove(lab.key("a"), None)
    await lab.put("a")
    must((await lab.commit(lab.match(2, "a", 3))).numbers == (2,), "no number is given twice (I7)")


async def a_new_endpoint_shakes_hands_first(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, None, anew=True)
    must([hold.duty for hold in await lab.claim()] == [Duty.HANDSHAKE], "ruling 17")


async def who_never_shook_hands_hears_no_farewell(lab: Lab) -> None:
    await lab.activate("a")
    await lab.put("a", 1, Status.OFF)
    await lab.put("a", 2, Status.OFF, anew=True)
    must(await lab.claim() == [], "the endpoint is another one now (ruling 20)")


async def pausing_twice_is_a_pause(lab: Lab) -> None:
    await lab.activate("a")
    for _ in range(2):
        await Life(lab.store).hold(lab.key("a"), BY_REQUEST, Cause.PAUSED, paused=True)
    must((await lab.record("a")).paused.by_request, "the second one changes nothing")


async def _topic(lab: Lab, title: str, expected: int | None) -> WriteCode:
    record = TopicRecord(f'{{"title": "{title}"}}', f"2026-01-01T00:00:00+00:00 {title}")
    return (await Registry(lab.store).publish("default|r5|t", record, expected)).code


async def a_repeated_write_is_one_version(lab: Lab) -> None:
    definition = Definition("{}", {}, "owner", "2026-01-01T00:00:00.123+00:00")
    puts = [
        await lab.subscriptions.put(
            lab.key("a"), subscription(), definition, expected_version=0, status=Status.REQUESTED, verify_anew=True
        )
        for _ in range(2)
    ]
    must([(each.code, each.version) for each in puts] == [(WriteCode.OK, 1)] * 2, "the second is told the same")


async def a_repeated_publication_is_one_version(lab: Lab) -> None:
    record = TopicRecord("{}", "2026-01-01T00:00:00.123+00:00")
    told = [await Registry(lab.store).publish("default|r5|t", record, None) for _ in range(2)]
    must([(each.version, each.created) for each in told] == [(1, True)] * 2, "the second is told the same")


async def a_repeated_secret_is_one(lab: Lab) -> None:
    await lab.activate("a")
    signing = SigningStore(lab.store)
    await signing.add(lab.name("a"), "first", DAY)
    told = [await signing.add(lab.name("a"), "second", DAY) for _ in range(2)]
    must(told[0] == told[1], "the second is told the same")
    secrets = [each.secret for each in await signing.secrets(lab.name("a")) if each.until is None]
    must(secrets == ["second"], "and the secret signs on without end")
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    must(hold.signing == 2, "nobody reads the secrets anew for nothing")


async def of_two_publishers_one_is_told(lab: Lab) -> None:
    for title, expected in (("first", 0), ("second", 1)):
        await _topic(lab, title, expected)
    must(await _topic(lab, "third", 1) is WriteCode.CONFLICT, "it had read an older version")


async def a_new_topic_overwrites_none(lab: Lab) -> None:
    await _topic(lab, "first", 0)
    must(await _topic(lab, "second", 0) is WriteCode.CONFLICT, "the id is in use")


async def secrets_stay_few(lab: Lab) -> None:
    await lab.activate("a")
    signing = SigningStore(lab.store)
    for number in range(MOST_SECRETS):
        await signing.add(lab.name("a"), f"s{number}", DAY)
    must((await signing.add(lab.name("a"), "more", DAY)).code is SignCode.TOO_MANY, "a header has no room for more")


async def _listened(lab: Lab, count: int = 0) -> Sockets:
    await lab.put("a", status=Status.ACTIVE, type="websocket", endpoint="")
    for at in range(1, count + 1):
        await lab.commit(lab.match(at, "a"))
    return Sockets(lab.store)


async def a_bind_makes_the_attempt_in_flight_void(lab: Lab) -> None:
    sockets = await _listened(lab)
    await sockets.bind("one/1", [(lab.name("a"), None)])
    await sockets.listen("one/1", [lab.name("a")])
    (hold,) = (await lab.commit(lab.match(1, "a"))).holds
    await sockets.bind("two/1", [(lab.name("a"), None)])
    must(await lab.settle(hold) is False, "it went to the former socket")


async def nobody_has_seen_what_was_never_sent(lab: Lab) -> None:
    sockets = await _listened(lab, 1)
    (bound,) = await sockets.bind("one/1", [(lab.name("a"), 9)])
    must(bound.code is BindCode.BEYOND, "a number that was never given is refused")
    must((await lab.record("a")).cursor == 0, "and moves nothing")


async def a_bind_moves_no_cursor_back(lab: Lab) -> None:
    sockets = await _listened(lab, 3)
    for seen in (3, 1):
        await sockets.bind("one/1", [(lab.name("a"), seen)])
    must((await lab.record("a")).cursor == 3, "I11")


async def a_former_socket_does_not_listen(lab: Lab) -> None:
    sockets = await _listened(lab)
    for listener in ("one/1", "two/1"):
        await sockets.bind(listener, [(lab.name("a"), None)])
    must(await sockets.listen("one/1", [lab.name("a")]) == [], "another one has it")
    must((await lab.record("a")).deaf, "which is not ready yet")


async def a_former_socket_lets_nothing_go(lab: Lab) -> None:
    sockets = await _listened(lab)
    for listener in ("one/1", "two/1"):
        await sockets.bind(listener, [(lab.name("a"), None)])
    await sockets.unbind("one/1", [lab.name("a")])
    must((await lab.record("a")).listener == "two/1", "another one has it")


async def who_outstayed_its_time_opens_no_guard(lab: Lab) -> None:
    async with Guards(lab.store).hold("door"):
        await lab.store.send(("SET", guard_key("door"), "of another", "PX", 5000))
    must(await lab.store.send(("GET", guard_key("door"))) == [b"of another"], "another one is inside")
