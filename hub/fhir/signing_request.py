"""Input and output of ``$signing-secret``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from hub.errors import Malformed
from hub.fhir.json import write_instant
from hub.fhir.reading import Json, children, require_resource_type

_WORDS = {"true": True, "false": False}


def signing_parameters(query: Iterable[tuple[str, str]], body: Json | None) -> bool:
    """Whether signing is to stop: ``stop`` in the query string, or as valueBoolean in Parameters. Raises Malformed."""
    given: list[Any] = []
    for name, value in query:
        if name == "stop":
            given.append(_WORDS.get(value))
        elif name not in ("_format", "_pretty"):
            raise _unknown(name)
    if body is not None:
        require_resource_type(body, "Parameters")
        for parameter in children(body, "parameter"):
            if parameter.get("name") != "stop":
                raise _unknown(str(parameter.get("name", "")))
            given.append(parameter.get("valueBoolean"))
    if len(given) > 1 or not all(isinstance(each, bool) for each in given):
        raise Malformed("stop is true or false: give it once, in Parameters as valueBoolean", code="value")
    return bool(given and given[0])


def signing_answer(secret: str, overlap_until: datetime | None) -> dict[str, Any]:
    """Parameters: whether notifications are signed now, the ``secret``, and until when those before it sign too."""
    parameters: list[dict[str, Any]] = [{"name": "signed", "valueBoolean": bool(secret)}]
    if secret:
        parameters.append({"name": "secret", "valueString": secret})
    if overlap_until is not None:
        parameters.append({"name": "overlap-until", "valueInstant": write_instant(overlap_until)})
    return {"resourceType": "Parameters", "parameter": parameters}


def _unknown(name: str) -> Malformed:
    return Malformed(f"{name!r} is no parameter of this operation: use stop.", code="not-supported")
