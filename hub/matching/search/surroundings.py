"""What of the world outside a resource its conditions may look at, and what happens when that is not enough.

Everything here was gathered before matching began: matching itself asks nobody (HOUSE ruling 23).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.domain.change import ChangeId, Resource, ResourceChange
from hub.fhirpath import FHIRPathEvaluationError


class Undecided(FHIRPathEvaluationError):
    """The condition may hold or not: what would tell is not here. It counts as not matched and is told (ruling 23)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``moment`` stands for the present: a change is judged the same way whenever it is judged.

    ``targets`` are the states of resources that were looked up beforehand, by relative reference (``Patient/1``);
    None means that the hub does not hold it.
    """

    moment: ChangeId | None = None
    targets: Mapping[str, Resource | None] = field(default_factory=dict)

    @classmethod
    def of(cls, change: ResourceChange) -> Surroundings:
        return cls(change.id, change.targets)

    def now(self) -> datetime:
        """Raises Undecided when nobody said what time it is."""
        if self.moment is None:
            raise Undecided("no present moment is known to compare with")
        return self.moment.instant


NOTHING_AROUND = Surroundings()
