"""How a write is answered: with the resource, with nothing, or with an OperationOutcome, as ``Prefer`` asks."""

from __future__ import annotations

from collections.abc import Iterable

from hub.api.exchange import Exchange
from hub.api.wire import Answer
from hub.errors import Issue
from hub.fhir.json import write_json
from hub.fhir.outcomes import operation_outcome


def written(
    exchange: Exchange,
    created: bool,
    location: str,
    headers: dict[str, str],
    body: bytes,
    *,
    said: str = "stored",
    warnings: Iterable[Issue] = (),
) -> Answer:
    """201 or 200. ``location`` is that of the version, relative to the base; ``body`` the resource as it stands."""
    headers = headers | {"Location": f"{exchange.base_url}/{location}"}
    status = 201 if created else 200
    if exchange.preference.minimal:
        return Answer(status, b"", headers)
    if exchange.preference.outcome:
        return Answer(status, all_well(said, warnings), headers)
    return Answer(status, body, headers)


def all_well(said: str, warnings: Iterable[Issue] = ()) -> bytes:
    """The OperationOutcome of a write that was done."""
    done = Issue("informational", said, severity="information")
    return write_json(operation_outcome([done, *warnings]))
