"""What arrived at the receiver, kept so that the promise can be checked: 1..n, in order, never with another content."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.demo.narration import Event, Notification


@dataclass(slots=True)
class Ledger:
    """De-duplicates by event number, as every receiver should: delivery is at least once."""

    handshakes: int = 0
    numbers: list[int] = field(default_factory=list)
    """In the order of first arrival."""
    contradictions: list[int] = field(default_factory=list)
    """Numbers that came twice with different content; must stay empty."""
    _first: dict[int, Event] = field(default_factory=dict)

    def note(self, notification: Notification) -> list[Event]:
        """Write it down; the events that were new come back."""
        if notification.type == "handshake":
            self.handshakes += 1
        fresh = []
        for event in notification.events:
            known = self._first.setdefault(event.number, event)
            if known is event:
                self.numbers.append(event.number)
                fresh.append(event)
            elif known != event:
                self.contradictions.append(event.number)
        return fresh

    def reference(self, number: int) -> str:
        """``Type/id`` that this number told of; "" when it has not come."""
        event = self._first.get(number)
        return event.reference if event else ""

    def is_gapless_up_to(self, number: int) -> bool:
        return self.numbers == list(range(1, number + 1)) and not self.contradictions

    def __str__(self) -> str:
        told = ", ".join(map(str, self.numbers)) or "none"
        return f"numbers {told}" + (f"; different content under {self.contradictions}" if self.contradictions else "")
