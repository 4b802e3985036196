"""What was told beside a resource, as its change entry keeps it: JSON, "" for nothing."""

from __future__ import annotations

import json
from datetime import datetime

from hub.domain.change import NO_OCCASION, EventCode, Occasion


def write_occasion(occasion: Occasion) -> str:
    if occasion == NO_OCCASION:
        return ""
    when = occasion.when.isoformat() if occasion.when else ""
    codes = [(each.system, each.code) for each in occasion.codes]
    return json.dumps([when, codes, occasion.context], separators=(",", ":"))


def read_occasion(text: bytes) -> Occasion:
    if not text:
        return NO_OCCASION
    when, codes, context = json.loads(text)
    return Occasion(
        datetime.fromisoformat(when) if when else None, tuple(EventCode(*each) for each in codes), tuple(context)
    )
