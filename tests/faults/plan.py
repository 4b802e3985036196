"""What befalls everybody, drawn from a seed before anything begins: a list of faults with pauses between them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SHARES = {
    "hub killed": 10, "hub frozen": 10, "Redis killed": 7, "Redis frozen": 7, "connections cut": 9, "disk full": 4,
    "all killed": 2, "receiver refuses": 6, "receiver loses answers": 6, "receiver is late": 4,
    "Subscription created": 8, "Subscription edited": 12, "Subscription switched": 6, "Subscription ends": 5,
    "Subscription deleted": 4,
}  # fmt: skip
SECONDS = {
    "hub frozen": (0.3, 7.5), "Redis killed": (0.0, 0.3), "Redis frozen": (0.2, 1.5), "disk full": (0.4, 0.8),
    "all killed": (0.0, 0.3), "receiver refuses": (0.5, 3.0), "receiver loses answers": (0.2, 1.5),
    "receiver is late": (0.2, 1.0), "Subscription ends": (1.0, 6.0),
}  # fmt: skip
"""How long it takes. A frozen hub outlives the lease of its partitions (4 s) or does not."""
PAUSE_SECONDS = (0.05, 0.6)


@dataclass(frozen=True, slots=True)
class Fault:
    """``chance`` between 0 and 1 says whom it strikes, among those who are there by then."""

    kind: str
    pause_seconds: float
    seconds: float
    chance: float


def plan(seed: int, faults: int) -> Iterator[Fault]:
    """The same seed and number give the same faults. Each kind comes at least once in as many faults as there are."""
    drawn = random.Random(seed)
    kinds = list(SHARES)
    first = drawn.sample(kinds, len(kinds))
    for number in range(faults):
        kind = first[number] if number < len(first) else drawn.choices(kinds, list(SHARES.values()))[0]
        yield Fault(kind, drawn.uniform(*PAUSE_SECONDS), drawn.uniform(*SECONDS.get(kind, (0, 0))), drawn.random())
