"""A Trail as the change entry keeps it: the correlation, and in a second line the traceparent when there is one."""

from __future__ import annotations

from hub.domain.trail import Trail


def write_trail(trail: Trail) -> str:
    return f"{trail.correlation}\n{trail.traceparent}" if trail.traceparent else trail.correlation


def read_trail(kept: bytes) -> Trail:
    correlation, _, traceparent = kept.decode().partition("\n")
    return Trail(correlation, traceparent)
