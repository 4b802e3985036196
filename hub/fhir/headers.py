"""HTTP headers that a Subscription asks for: which may be sent, and how their values are hidden (S-151, S-152).

Values are secrets: reads show ``***``, and a write that brings the mask back keeps the value (HOUSE ruling 24), unless
the endpoint has moved to another host: whoever may move it need not know the secret, and shall not be handed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from hub.domain.request_headers import objection, objection_to_all
from hub.fhir.reading import Problems

MASK = "***"
Header = tuple[str, str]


def check_headers(headers: Sequence[Header], paths: Sequence[str], problems: Problems) -> None:
    """Note every header that may not be sent; ``paths`` are their elements, in the same order (SECURITY C1)."""
    if too_much := objection_to_all(headers):
        problems.add("too-costly", paths[0], too_much)
    for (name, value), path in zip(headers, paths, strict=True):
        fault = _fault(name, value)
        if fault:
            problems.add("value", path, fault)


def _fault(name: str, value: str) -> str:
    if value == MASK and not objection(name, value):
        return f"{MASK} hides a value and is none: write the value of {name}."
    return objection(name, value)


def kept_values(headers: Sequence[Header], stored: Sequence[Header], endpoint: str, stored_endpoint: str) -> list[str]:
    """The values for ``headers``: a mask becomes the stored value of the same name (the nth of the nth)."""
    if _origin(endpoint) != _origin(stored_endpoint):
        return [value for _, value in headers]
    secrets: dict[str, list[str]] = {}
    for name, value in stored:
        secrets.setdefault(name.lower(), []).append(value)
    kept = []
    for name, value in headers:
        known = secrets.get(name.lower(), [])
        old = known.pop(0) if known else value
        kept.append(old if value == MASK else value)
    return kept


def _origin(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
    except ValueError:  # no URL: only an equal text is the same place
        return endpoint
    return f"{parts.scheme}://{parts.netloc}".lower()
