"""The story of ``hub demo``: a first notification, an outage, a crash. Each chapter ends with what must be seen."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from hub.demo.ledger import Ledger
from hub.demo.screen import Screen
from hub.demo.stage import Stage, set_stage
from hub.demo.witness import NotSeen

ATTEMPTS_TO_SHOW = 4
"""One more than it takes to be in error: in error the hub goes on trying."""
INTERRUPTED = 130


async def tell(*, once: bool) -> int:
    """Tell it, then stay up until Ctrl-C; with ``once`` end. 0 only if every step was really seen, else 1."""
    screen = Screen(sys.stdout)
    _cancel_on_signals()
    seen = False
    try:
        async with set_stage(screen) as stage:
            await _play_or_show_log(stage)
            seen = True
            if not once:
                _show_around(stage)
                await asyncio.Event().wait()
    except NotSeen as problem:
        screen.failed(f"\nThe story broke off.\n  expected: {problem.expected}\n  seen:     {problem.seen}")
        return 1
    except asyncio.CancelledError:  # Ctrl-C or SIGTERM; the stage is cleared by now
        screen.plain("\nEverything is stopped and its files are removed.")
        return 0 if seen else INTERRUPTED
    return 0


def _cancel_on_signals() -> None:
    """Ends the story the orderly way, once; a second Ctrl-C must not disturb the clearing."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ignore_further(cancel: Callable[[], object]) -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        cancel()

    for number in signals:
        loop.add_signal_handler(number, ignore_further, task.cancel)


async def _play_or_show_log(stage: Stage) -> None:
    try:
        await _play(stage)
    except NotSeen:
        stage.screen.failed(f"\nThe end of the hub's log:\n{stage.hub.last_words}")
        raise


async def _play(stage: Stage) -> None:
    stage.screen.plain("A FHIR Subscriptions notification hub, a receiver, and a hospital of which nobody exists.")
    await _open(stage)
    await _subscribe(stage)
    await _first_events(stage)
    await _outage(stage)
    await _catch_up(stage)
    await _crash(stage)
    await _balance(stage)


async def _open(stage: Stage) -> None:
    stage.screen.chapter("A hub and a receiver start")
    await stage.receiver.start()
    await stage.start_hub()
    stage.screen.say(f"hub       {stage.client.base}   process {stage.hub.pid}, own Redis or Valkey, development mode")
    stage.screen.say(f"receiver  {stage.receiver.url}")


async def _subscribe(stage: Stage) -> None:
    stage.screen.chapter("The receiver subscribes to admissions (R4, Subscriptions R5 Backport)")
    stage.screen.sent("POST Subscription")
    created = await stage.client.subscribe(stage.receiver.url)
    stage.subscription = created["id"]
    stage.witness.insist("status requested before the handshake", created["status"] == "requested", created["status"])
    await stage.see_status("active")
    stage.witness.insist("a handshake before active", stage.ledger.handshakes > 0, "no handshake")
    stage.screen.seen("answered requested, then a handshake, and now $status says active")


async def _first_events(stage: Stage) -> None:
    stage.screen.chapter("Patients come and go; only admissions are told")
    registrations = stage.hospital.register()
    for registration in registrations:
        await stage.client.write(registration)
    stage.screen.sent(f"PUT {len(registrations)} patients")
    await stage.admit()
    await stage.write(stage.hospital.visit())
    await stage.admit()
    await stage.write(stage.hospital.transfer())
    await stage.write(stage.hospital.discharge())
    await stage.admit()
    await stage.see_all_delivered()
    stage.screen.seen("three admissions, numbers 1 to 3; visit, transfer and discharge made no event")


async def _outage(stage: Stage) -> None:
    stage.screen.chapter("The receiver goes down; the hospital does not wait")
    await stage.receiver.stop()
    delivered, enough = len(stage.ledger.numbers), stage.failed_attempts + ATTEMPTS_TO_SHOW
    for _ in range(3):
        await stage.admit()
    status = await stage.see_status("error")

    async def retried() -> bool:
        return stage.failed_attempts >= enough

    await stage.witness.see("the hub goes on trying", retried, lambda: f"failed attempts: {stage.failed_attempts}")
    stage.witness.insist(
        "nothing arrives at a stopped receiver", len(stage.ledger.numbers) == delivered, str(stage.ledger)
    )
    stage.witness.insist("a reason in $status", any(status.errors), str(status))
    stage.screen.seen(f"$status says error: {'; '.join(status.errors)}")


async def _catch_up(stage: Stage) -> None:
    stage.screen.chapter("The receiver is back; nobody else does anything")
    await stage.receiver.start()
    await stage.see_all_delivered()
    await stage.see_status("active")
    stage.screen.seen("everything that waited has arrived in order, and $status says active again")


async def _crash(stage: Stage) -> None:
    stage.screen.chapter("The hub is killed the moment it has answered, and started again on the same data")
    await stage.admit()
    pid = stage.hub.pid
    await stage.hub.kill()
    stage.screen.trouble(f"kill -9 {pid}")
    await stage.start_hub()
    stage.screen.say(f"the hub runs again, process {stage.hub.pid}; what the dead one was sending is sent again")
    await stage.see_all_delivered()
    await stage.admit()
    await stage.see_all_delivered()
    stage.screen.seen(f"what was answered was not lost, and number {len(stage.expected)} follows without a gap")


async def _balance(stage: Stage) -> None:
    count = len(stage.expected)
    await stage.see_status("active")
    kept = await stage.client.events(stage.subscription)
    at_the_hub = Ledger()
    at_the_hub.note(kept)
    stage.witness.insist(f"$events holds 1 to {count}", at_the_hub.is_gapless_up_to(count), str(at_the_hub))
    said = kept.events_since_start
    stage.witness.insist(f"$events says that {count} events happened", said == count, str(said))
    stage.ledger.note(kept)
    stage.witness.insist("the same content under the same number", not stage.ledger.contradictions, str(stage.ledger))
    stage.screen.plain(
        f"\nSeen: {count} admissions, {count} numbers, 1 to {count} in order, none missing, none different "
        f"({stage.witness.seconds:.0f} s)."
    )


def _show_around(stage: Stage) -> None:
    base, following = stage.client.base, len(stage.expected) + 1
    subscription = f"{base}/Subscription/{stage.subscription}"
    admission = (
        '{"resourceType":"Encounter","id":"mine","status":"in-progress",'
        '"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"IMP"},'
        '"subject":{"display":"You"}}'
    )
    stage.screen.plain(f"""
Look around. Nothing more is posted; Ctrl-C stops everything.

  what the hub does   curl -s {base}/metadata
  its topics          curl -s {base.removesuffix("r4")}r5/SubscriptionTopic
  the Subscription    curl -s {subscription}
  where it stands     curl -s '{subscription}/$status'
  its events          curl -s '{subscription}/$events?eventsSinceNumber=1'

  admit a patient and see number {following} arrive here:
  curl -s -X PUT {base}/Encounter/mine -H 'Content-Type: application/fhir+json' -d '{admission}'
""")
