"""What a run of faults found, as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.ledger import Broken, Promise

MOST_SHOWN = 20


@dataclass
class Report:
    """What a run found."""

    seed: int
    broken: list[Broken] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int | float] = field(default_factory=dict)

    def count(self, promise: Promise) -> int:
        return sum(each.promise is promise for each in self.broken)

    def __str__(self) -> str:
        lines = [f"{kind:<24}{number:>9}" for kind, number in sorted(self.faults.items())]
        lines += [f"{'faults':<24}{self.faults.total():>9}", ""]
        lines += [f"{name:<24}{number:>9}" for name, number in self.figures.items()]
        lines += [f"{promise.value:<24}{self.count(promise):>9}" for promise in Promise]
        lines += ["", *map(str, self.broken[:MOST_SHOWN]), f"seed {self.seed}"]
        return "\n".join(lines)
