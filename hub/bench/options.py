"""The options of ``hub bench``, and the plan that they make. Imports little: every ``hub`` command reads this."""

from __future__ import annotations

import argparse
from dataclasses import replace

from hub.bench.plan import CONTENTS, FLAVOURS, Plan, quick, watched
from hub.errors import CannotStart

DEFAULT = Plan()


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``hub bench``."""
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round with 200 Subscriptions, about a minute")
    add("--json", metavar="FILE", help="write every phase, the medians and the goals")
    add("--svg", metavar="FILE", help="draw latency against load")
    add("--subscriptions", type=_positive, default=DEFAULT.subscriptions, metavar="N", help="in each scenario")
    add("--matches", type=_positives, default=DEFAULT.matches, metavar="N,N", help="Subscriptions a change concerns")
    add("--rounds", type=_positive, default=DEFAULT.rounds, metavar="N", help="interleaved; medians are told")
    add("--seconds", type=_seconds, default=DEFAULT.seconds, metavar="S", help="of each phase")
    add("--connections", type=_positive, default=DEFAULT.connections, metavar="N", help="of load and echo")
    add("--content", choices=CONTENTS, default=DEFAULT.content, help="payload content of the Subscriptions")
    add("--flavour", choices=FLAVOURS, default=DEFAULT.flavour, help="shape of the Subscriptions")
    add("--topic", default=DEFAULT.topic, metavar="URL", help="topic for final Observations, filtered by patient")
    add("--target", default="", metavar="URL", help="base URL of another FHIR server (http); Subscriptions stay there")
    add("--token", default="", metavar="TOKEN", help="bearer token for the target")
    add("--watch", type=_watched, action="append", default=[], metavar="NAME=PID", help="a process of the target")
    add("--beside", metavar="FILE", help="JSON of a run with another number of Subscriptions, to compare CPU")
    add("--profile", default="", metavar="FILE", help="run the hub under cProfile; the figures are then no result")


def plan_of(options: argparse.Namespace) -> Plan:
    """Raises CannotStart when options do not go together."""
    plan = Plan(
        flavour=options.flavour, topic=options.topic, content=options.content, subscriptions=options.subscriptions,
        matches=options.matches, rounds=options.rounds, seconds=options.seconds, connections=options.connections,
        target=options.target, token=options.token, watched=tuple(options.watch), profile=options.profile,
    )  # fmt: skip
    if plan.target and plan.profile:
        raise CannotStart("--profile is for the hub that the benchmark starts, not for a --target")
    if plan.watched and not plan.target:
        raise CannotStart("--watch names processes of a --target; the own hub's are known")
    if max(plan.matches) > plan.subscriptions:
        raise CannotStart(f"a change cannot concern {max(plan.matches)} of {plan.subscriptions} Subscriptions")
    return shortened(plan) if options.quick else plan


def shortened(plan: Plan) -> Plan:
    """``--quick``: what was asked for explicitly stays."""
    short = quick(plan)
    changed = {
        name: getattr(plan, name) for name in ("rounds", "seconds") if getattr(plan, name) != getattr(DEFAULT, name)
    }
    return replace(short, **changed)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("write a number of at least 1")
    return number


def _positives(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.1 <= number <= 3600:
        raise argparse.ArgumentTypeError("write 0.1 to 3600 seconds")
    return number


def _watched(text: str) -> tuple[str, int]:
    try:
        return watched(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem
