"""The ``hub`` command: parses arguments, nothing else."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

import hub
from hub.bench.options import add_options as add_bench_options
from hub.cli_life import add_life_commands, hub_of
from hub.errors import CannotStart


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except CannotStart as problem:
        print(f"hub: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hub", description="FHIR Subscriptions notification hub")
    parser.add_argument("--version", action="version", version=f"hub {hub.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_processes(commands)
    _add_questions(commands)
    add_life_commands(commands)
    _add_tools(commands)
    return parser


def _add_processes(commands: Any) -> None:
    serve = commands.add_parser("serve", help="run the hub: API, evaluation and delivery in one process")
    worker = commands.add_parser("worker", help="evaluate and deliver only, beside hubs that serve the same Redis")
    for command, run in ((serve, _serve), (worker, _work)):
        command.add_argument(
            "--dev", action="store_true", help="loopback only, no token needed, http and private endpoints allowed"
        )
        command.add_argument("--host", help="address to listen on (HUB_HOST)")
        command.add_argument("--port", type=int, help="port to listen on, 0 takes a free one (HUB_PORT)")
        command.add_argument("--data-dir", help="folder of the embedded Redis and of the hub's name (HUB_DATA_DIR)")
        command.add_argument("--listener", type=int, help=argparse.SUPPRESS)
        command.add_argument("--parent", type=int, help=argparse.SUPPRESS)
        command.set_defaults(run=run)


def _add_questions(commands: Any) -> None:
    """What a hub that runs is asked or given."""
    load = commands.add_parser("load", help="give the hub the present state of resources, announcing none of it")
    load.add_argument(
        "sources", nargs="+", metavar="FILE|URL", help="NDJSON or a Bundle; next links of a URL are followed"
    )
    load.add_argument("--base", choices=["r4", "r4b", "r5"], default="r4", help="FHIR version of the resources")
    load.set_defaults(run=_load)

    explain = commands.add_parser("explain", help="why a change did, or did not, become an event of a Subscription")
    explain.add_argument("subscription", metavar="SUBSCRIPTION", help="id of the Subscription")
    explain.add_argument(
        "change", metavar="CHANGE", help="Type/id/_history/version, Type/id for the present version, or a change id"
    )
    explain.add_argument("--base", choices=["r4", "r4b", "r5"], default="r4", help="FHIR version of both")
    explain.set_defaults(run=_explain)


def _add_tools(commands: Any) -> None:
    """What needs no running hub."""
    topics = commands.add_parser("topics", help="work on SubscriptionTopics").add_subparsers(
        required=True, metavar="COMMAND"
    )
    check = topics.add_parser("check", help="say what is wrong with topics, and on which bases they are offered")
    check.add_argument("files", nargs="+", metavar="FILE", help="a topic, a Bundle, NDJSON, a folder or a pattern")
    check.add_argument("--base", action="append", choices=["r4", "r4b", "r5"], help="check for this base only")
    check.add_argument("--json", action="store_true", help="answer as JSON, for machines")
    check.set_defaults(run=_check_topics)

    doctor = commands.add_parser("doctor", help="look at Redis; repair a store that went backwards")
    doctor.add_argument("--data-dir", help="folder of the embedded Redis (HUB_DATA_DIR)")
    doctor.add_argument("--repair", action="store_true", help="go on with numbers that were never given")
    doctor.add_argument("--skip", type=int, default=10_000, help="how many numbers to leave out (default 10000)")
    doctor.add_argument("--drop-waiting", action="store_true", help="drop events that wait and cannot be sent")
    doctor.set_defaults(run=_examine)

    demo = commands.add_parser("demo", help="see a first notification, an outage and a crash within a minute")
    demo.add_argument("--once", action="store_true", help="end after the story; exit 0 only if every step was seen")
    demo.set_defaults(run=_demo)

    bench = commands.add_parser("bench", help="measure throughput and latency on this machine, beside bare baselines")
    add_bench_options(bench)
    bench.set_defaults(run=_bench)


def _serve(options: argparse.Namespace, *, api: bool = True) -> int:
    from hub.serving import Role, run, serve
    from hub.settings import load_settings

    settings = load_settings(dev=options.dev, host=options.host, port=options.port, data_dir=options.data_dir)
    return run(serve(settings, Role(options.dev, api, options.listener, options.parent)))


def _work(options: argparse.Namespace) -> int:
    return _serve(options, api=False)


def _examine(options: argparse.Namespace) -> int:
    from hub.doctor import examine
    from hub.settings import load_settings

    settings, drop = load_settings(data_dir=options.data_dir), options.drop_waiting
    return asyncio.run(examine(settings, sys.stdout, repair=options.repair, skip=options.skip, drop=drop))


def _load(options: argparse.Namespace) -> int:
    from hub.client.loading import load

    return asyncio.run(load(*hub_of(options), options.sources))


def _explain(options: argparse.Namespace) -> int:
    from hub.client.explaining import explain

    return asyncio.run(explain(*hub_of(options), options.subscription, options.change))


def _check_topics(options: argparse.Namespace) -> int:
    from hub.authoring.report import check_files
    from hub.domain.versions import FhirVersion

    bases = [FhirVersion(base) for base in options.base or ()]
    return check_files(options.files, bases, options.json, sys.stdout, sys.stderr)


def _demo(options: argparse.Namespace) -> int:
    from hub.demo.story import tell

    return int(asyncio.run(tell(once=options.once)))


def _bench(options: argparse.Namespace) -> int:
    from hub.bench.command import run

    return run(options)


if __name__ == "__main__":
    sys.exit(main())
