"""From records to figures: percentiles, and what was lost, repeated or out of order. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The smallest value that ``percent`` of the ordered values do not exceed (nearest rank). Raises IndexError."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Receipt:
    """One event at a receiver. ``number`` is 0 where the flavour has none; ``at`` is monotonic nanoseconds."""

    at: int
    subscription: int
    number: int
    change: int


@dataclass(slots=True)
class Account:
    """``latencies``: ns from the (scheduled) moment of the write to the first receipt, in order of size."""

    latencies: list[int] = field(default_factory=list)
    lost: int = 0
    duplicates: int = 0
    strangers: int = 0
    """Receipts of changes that were not accepted, or at a Subscription that they do not concern."""
    gaps: int = 0
    """Numbers of one Subscription that are missing between the smallest and the largest that arrived."""
    last_receipt: int = 0


def settle(starts: dict[int, int], receipts: Iterable[Receipt], matches: int, groups: int) -> Account:
    """``starts``: moment (ns) of each accepted change. Change n concerns the Subscriptions of group n modulo groups.

    Group g has the Subscriptions g × matches up to, not including, (g + 1) × matches.
    """
    account, seen = Account(), set()
    numbers: dict[int, set[int]] = defaultdict(set)
    for receipt in receipts:
        first = receipt.change % groups * matches
        if receipt.change not in starts or not first <= receipt.subscription < first + matches:
            account.strangers += 1
            continue
        pair = receipt.subscription, receipt.change
        if pair in seen:
            account.duplicates += 1
            continue
        seen.add(pair)
        numbers[receipt.subscription].add(receipt.number)
        account.latencies.append(receipt.at - starts[receipt.change])
        account.last_receipt = max(account.last_receipt, receipt.at)
    account.lost = len(starts) * matches - len(seen)
    account.gaps = sum(max(have) - min(have) + 1 - len(have) for have in numbers.values() if min(have) > 0)
    account.latencies.sort()
    return account


def in_milliseconds(latencies: Sequence[int]) -> dict[str, float]:
    """p50, p99 and max of ordered nanoseconds; empty when nothing arrived."""
    if not latencies:
        return {}
    return {
        "p50": round(percentile(latencies, 50) / 1e6, 3),
        "p99": round(percentile(latencies, 99) / 1e6, 3),
        "max": round(latencies[-1] / 1e6, 3),
    }


def middle(values: Iterable[float]) -> float | None:
    """The median; None of nothing."""
    listed = list(values)
    return median(listed) if listed else None


def ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def column(phases: Iterable[dict[str, Any]], *path: str) -> list[float]:
    """The values at ``path`` of those phases that have one."""
    found = []
    for phase in phases:
        value: Any = phase
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found.append(value)
    return found
