"""What could not be evaluated: counted by topic and said in the log, never silent (ruling 23)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from hub.matching.report import Fault

log = logging.getLogger(__name__)


def record(faults: Sequence[Fault], counted: Counter[str]) -> None:
    """Each is counted under its topic. One reason is one line, however many Subscriptions it kept from being judged."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for fault in faults:
        counted[fault.topic] += 1
        alike.setdefault((fault.topic, fault.criterion, fault.reason), []).append(fault.subscription)
    for (topic, criterion, reason), subscriptions in alike.items():
        log.warning(
            "a criterion could not be evaluated; it counts as not matched",
            extra={
                "topic": topic,
                "subscription": subscriptions[0] or None,
                "times": len(subscriptions),
                "criterion": criterion,
                "reason": reason,
            },
        )
