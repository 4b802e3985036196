"""Which notifications came again, and why: the receiver itself saw to it, or a fault cut their attempt off.

An attempt is in flight from its arrival until its outcome is on disk, which the receiver cannot see: it is taken to be
for SETTLE_SECONDS. A fault may repeat what was in flight when it struck, once for each Subscription, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.receiver import Arrival, Manner
from tests.faults.stage import Struck

SETTLE_SECONDS = 2.0
"""On a busy machine the answer waits for a turn of the hub's event loop, and its outcome for the disk."""


@dataclass
class Repeats:
    """Notifications that came again; ``in_flight`` is the bound of ``by_faults``."""

    by_receiver: int = 0
    by_faults: int = 0
    in_flight: int = 0
    unexplained: list[str] = field(default_factory=list)

    def count(self, mailbox: str, arrivals: Sequence[Arrival], struck: Iterable[Struck]) -> None:
        """The repeats of one Subscription."""
        own = [each for each in struck if each.mailbox in (None, mailbox)]
        open_faults = [each for each in own if any(_is_in_flight(arrival, each) for arrival in arrivals)]
        self.in_flight += len(open_faults)
        newest: dict[int, Arrival] = {}
        cut_off: list[Arrival] = []
        for arrival in arrivals:
            former = max((newest[e.number] for e in arrival.events if e.number in newest), key=_at, default=None)
            newest |= {event.number: arrival for event in arrival.events}
            if former is None:
                continue
            if former.manner is not Manner.TAKEN:
                self.by_receiver += 1
            elif any(each is former for each in cut_off):
                continue  # the rest of one that was cut off: an edit of maxCount made several of it
            elif causes := [each for each in open_faults if _explains(each, former, arrival)]:
                open_faults.remove(min(causes, key=_ended))  # the later ones may explain what comes later
                cut_off.append(former)
                self.by_faults += 1
            else:
                numbers = [event.number for event in arrival.events]
                words = f"{mailbox} {numbers} came {arrival.at - former.at:.2f} s after it was taken"
                self.unexplained.append(f"{words}; {_nearest(former, own)}")


def _at(arrival: Arrival) -> float:
    return arrival.at


def _ended(fault: Struck) -> float:
    return fault.ended


def _nearest(arrival: Arrival, faults: Sequence[Struck]) -> str:
    """What happened next after it, in words."""
    later = [fault for fault in faults if fault.ended >= arrival.at]
    first = min(later, key=lambda fault: fault.began, default=None)
    return f"next: {first.kind}, {first.began - arrival.at:.2f} s after it was taken" if first else "nothing after that"


def _is_in_flight(arrival: Arrival, fault: Struck) -> bool:
    return fault.began - SETTLE_SECONDS <= arrival.at <= fault.ended + SETTLE_SECONDS


def _explains(fault: Struck, former: Arrival, arrival: Arrival) -> bool:
    """It cut the former attempt off; or this one had been frozen by it, and was sent on waking up."""
    return _is_in_flight(former, fault) or fault.ended <= arrival.at <= fault.ended + SETTLE_SECONDS
