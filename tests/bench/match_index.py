"""The MatchIndex with very many Subscriptions on one topic.

    python -m tests.bench.match_index --subscriptions 1000000

prints bytes per Subscription, microseconds to add and remove one beside what a plain dictionary of as many needs, what
a match costs beside the same match among 1,000, what comparisons that do not match add to it, and the longest full
garbage collection.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from hub.domain.change import ChangeId, Interaction, ResourceChange, ResourceKey
from hub.domain.subscription import FilterBy
from hub.domain.topic import CanFilterBy, QueryCriteria, ResourceTrigger, SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.matching.filters import compile_filters
from hub.matching.index import MatchIndex
from hub.matching.report import Fault
from hub.matching.topics import compile_topic
from tests.bench.measuring import collections, interleaved, resident_bytes

FEW = 1000
ROUNDS = 2000
MOVED, TIMES = 1000, 9
"""So few that they share no memory that is near, again and again because others use the machine too."""
TOPIC = compile_topic(
    SubscriptionTopic(
        "http://topics.example/results",
        resource_triggers=(ResourceTrigger("Observation", query=QueryCriteria(current="status=final")),),
        can_filter_by=(
            CanFilterBy("patient"),
            CanFilterBy("code", modifiers=frozenset({"not"})),
            CanFilterBy("value-quantity", comparators=frozenset({"gt", "lt"})),
            CanFilterBy("date", comparators=frozenset({"ge", "lt"})),
        ),
    ),
    FhirVersion.R4,
)
Filters = Callable[[int], tuple[FilterBy, ...]]


def identity(kind: str, number: int) -> str:
    """A UUID, the same in every run, that need not be kept to be found again."""
    return str(uuid.UUID(int=random.Random(f"{kind}{number}").getrandbits(128)))


def of_one_patient(number: int) -> tuple[FilterBy, ...]:
    return (FilterBy("patient", f"Patient/{identity('patient', number)}"),)


def of_two_patients(number: int) -> tuple[FilterBy, ...]:
    return (FilterBy("patient", ",".join(f"Patient/{identity('patient', n)}" for n in (number, number + 1))),)


def of_a_patient_and_a_code(number: int) -> tuple[FilterBy, ...]:
    return (*of_one_patient(number), FilterBy("code", f"http://loinc.org|{number % 5000}-1"))


def not_a_code(number: int) -> tuple[FilterBy, ...]:
    return (FilterBy("code", f"http://loinc.org|{number}-1", modifier="not"),)


def above(number: int) -> tuple[FilterBy, ...]:
    """Limits that no value here reaches, all different."""
    return (FilterBy("value-quantity", f"{1000 + number / 100:.2f}", comparator="gt"),)


def within_a_week(number: int) -> tuple[FilterBy, ...]:
    day = 1 + number % 20
    year, month = 1900 + number // 240 % 100, 1 + number // 20 % 12
    first, last = (f"{year}-{month:02}-{each:02}" for each in (day, day + 7))
    return (FilterBy("date", first, comparator="ge"), FilterBy("date", last, comparator="lt"))


KINDS = (of_two_patients, of_a_patient_and_a_code, not_a_code, above, within_a_week)


def filled(index: MatchIndex, filters: Filters, count: int, start: int = 0) -> tuple[MatchIndex, float]:
    """The index with ``count`` more, and the longest time in ms of processor time that adding one of them took."""
    longest = 0.0
    for number in range(start, start + count):
        key, compiled = f"default|r4|{identity(filters.__name__, number)}", compile_filters(filters(number), TOPIC)
        began = time.process_time()
        index.add(key, 1, TOPIC, compiled)
        longest = max(longest, time.process_time() - began)
    return index, longest * 1e3


def result(patient: int, value: str = "5.4") -> ResourceChange:
    state: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{identity('patient', patient)}"},
        "effectiveDateTime": "2026-01-02T03:04:05Z",
        "valueQuantity": {"value": Decimal(value), "unit": "%"},
    }
    key = ResourceKey("default", FhirVersion.R4, "Observation", "1")
    return ResourceChange(ChangeId(1, 0), key, Interaction.CREATE, state, None)


def told(fault: Fault) -> None:
    raise AssertionError(str(fault))


def matching(index: MatchIndex, patients: list[int], expected: int = 1) -> Callable[[], None]:
    """One match each time, of a resource that was never looked at before."""
    waiting = iter([result(patient) for patient in patients])

    def match() -> None:
        assert len(index.match(next(waiting), told)) == expected

    return match


def told_of_memory(filters: Filters, count: int) -> MatchIndex:
    before = resident_bytes()
    index, longest = filled(MatchIndex(), filters, count)
    each = (resident_bytes() - before) / count
    print(f"{filters.__name__:24} {each:6.0f} bytes each of {count:,}; longest single add {longest:.1f} ms", flush=True)
    return index


def measure_memory(subscriptions: int) -> None:
    """Each kind in a process of its own, where nothing that another left free is taken."""
    fork = multiprocessing.get_context("fork")
    for filters in KINDS:
        child = fork.Process(target=told_of_memory, args=(filters, subscriptions // 10))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)


def named(number: int) -> str:
    """Of one that filters by one patient; no hash of it was worked out yet."""
    return f"default|r4|{identity('of_one_patient', number)}"


def adding(index: MatchIndex, numbers: Sequence[int], at_once: int) -> float:
    """Seconds of processor time for each of the new ones, ``at_once`` of which are compiled before they are added."""
    taken = 0.0
    for start in range(0, len(numbers), at_once):
        chosen = numbers[start : start + at_once]
        new = [(named(number), compile_filters(of_one_patient(number), TOPIC)) for number in chosen]
        began = time.process_time()
        for key, compiled in new:
            index.add(key, 1, TOPIC, compiled)
        taken += time.process_time() - began
    return taken / len(numbers)


def removing(index: MatchIndex, numbers: Sequence[int]) -> float:
    keys = [named(number) for number in numbers]
    began = time.process_time()
    for key in keys:
        index.remove(key)
    return (time.process_time() - began) / len(numbers)


def yardstick(plain: dict[bytes, bytes], keys: list[bytes]) -> tuple[float, float]:
    """Seconds of processor time to put a key of 16 bytes into a dictionary, and to take out one chosen at random."""
    new, old = [(random.randbytes(16), random.randbytes(16)) for _ in range(MOVED)], random.sample(keys, MOVED)
    began = time.process_time()
    for key, value in new:
        plain[key] = value
    between = time.process_time()
    for key in old:
        del plain[key]
    ended = time.process_time()
    plain.update((key, key) for key in old)
    return (between - began) / MOVED, (ended - between) / MOVED


def measure_moves(index: MatchIndex, subscriptions: int) -> None:
    """New ones in and old ones out, at random; and the same with a plain dictionary of as many."""
    plain = {key: key for key in (random.randbytes(16) for _ in range(subscriptions))}
    keys, rounds, first = list(plain), [], subscriptions
    for _ in range(TIMES):
        just, long_before = range(first, first + MOVED), range(first + MOVED, first + 2 * MOVED)
        old = random.sample(range(subscriptions), MOVED)
        took = (adding(index, just, 100), adding(index, long_before, MOVED), removing(index, old))
        rounds.append((*took, *yardstick(plain, keys)))
        for number in (*just, *long_before):
            index.remove(named(number))
        adding(index, old, 100)
        first += 2 * MOVED
    names = ("add", "add, compiled long before", "remove", "plain dictionary: put", "take out")
    for name, taken in zip(names, zip(*rounds, strict=True), strict=True):
        print(f"{name:26} {statistics.median(taken) * 1e6:5.2f} µs of processor time, at best {min(taken) * 1e6:5.2f}")


def measure_match(index: MatchIndex, subscriptions: int) -> None:
    few, _ = filled(MatchIndex(), of_one_patient, FEW)
    chance = random.Random(2)
    for word, among_few, among_many in (
        ("repeated", [chance.randrange(100) for _ in range(ROUNDS)], [chance.randrange(100) for _ in range(ROUNDS)]),
        ("random", *([chance.randrange(count) for _ in range(ROUNDS)] for count in (FEW, subscriptions))),
    ):
        small, large = interleaved(ROUNDS, matching(few, among_few), matching(index, among_many))
        print(f"match, {word:8} patients: {small:6.1f} µs among {FEW:,}, {large:6.1f} µs: {large / small:.2f} x")


def measure_comparisons(subscriptions: int) -> None:
    """What comparisons that do not match add to a match among FEW others."""
    patients = [number % FEW for number in range(ROUNDS)]
    counts = (0, 1, FEW, subscriptions)
    tasks = []
    for count in counts:
        index, _ = filled(MatchIndex(), of_one_patient, FEW)
        tasks.append(matching(filled(index, above, count)[0], patients))
    none, *others = interleaved(ROUNDS, *tasks)
    for count, taken in zip(counts[1:], others, strict=True):
        print(f"{count:9,} comparisons that do not match add {taken - none:5.2f} µs to {none:.1f} µs")
    one, thousand, all_of_them = others
    print(f"beside one, {FEW:,} add {thousand - one:.2f} µs and {subscriptions:,} add {all_of_them - one:.2f} µs")


def full_collection() -> float:
    with collections() as pauses:
        gc.collect()
        gc.collect()
    return max(pauses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    subscriptions = parser.parse_args().subscriptions
    filled(MatchIndex(), of_one_patient, FEW)  # what is compiled once is not counted
    measure_memory(subscriptions)
    without = full_collection()
    with collections() as pauses:
        index = told_of_memory(of_one_patient, subscriptions)
    print(f"longest of {len(pauses)} full garbage collections meanwhile {max(pauses):.1f} ms")
    print(f"a full collection with them {full_collection():.1f} ms, with none {without:.1f} ms")
    measure_moves(index, subscriptions)
    measure_match(index, subscriptions)
    del index
    measure_comparisons(subscriptions)


if __name__ == "__main__":
    main()
