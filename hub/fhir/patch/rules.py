"""What every patch keeps to, in whichever language it is written: its bounds, the resource's identity, and refusals
that name the operation at fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hub.errors import Malformed, Refused, Unprocessable
from hub.fhir.json import MAX_DEPTH

MAX_OPERATIONS = 1000
MAX_COPIED = 16 * 1024 * 1024
"""Bytes that all operations of one patch may copy together: repeated copying doubles a document each time."""
MAX_VISITS = 500_000
"""Elements that all paths of one patch may visit together; about half a second."""

_VALUE_COST = 16
"""What a value counts for besides its characters; keeps the time of a patch of many small values below a second."""


@dataclass(slots=True)
class Allowance:
    """What is left of what patches may cost. Those of one Bundle share it: many may cost no more than a single one."""

    copied: float = MAX_COPIED
    visits: int = MAX_VISITS


class Copier:
    """Copies JSON values while the allowance of its patch lasts."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    def copy(self, value: Any, level: int) -> Any:
        """A copy that shares nothing with ``value`` and will stand inside ``level`` arrays and objects.

        Raises Unprocessable when the result would nest too deep or too much has been copied.
        """
        self._allowance.copied -= _VALUE_COST + (len(value) if isinstance(value, str) else 0)
        if self._allowance.copied < 0:
            raise Unprocessable(
                f"Patching copies more than {MAX_COPIED} bytes: send several smaller patches.", code="too-costly"
            )
        if not isinstance(value, dict | list):
            return value
        if level >= MAX_DEPTH:
            raise Unprocessable(
                f"The result would be nested deeper than {MAX_DEPTH} levels: put less into it.", code="too-long"
            )
        if isinstance(value, list):
            return [self.copy(item, level + 1) for item in value]
        return {self.copy(name, level): self.copy(item, level + 1) for name, item in value.items()}


def copy_of_resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The resource to work on, so that the one handed in stays as it is; its size has been judged before."""
    copied: dict[str, Any] = Copier(Allowance(copied=math.inf)).copy(dict(resource), 0)
    return copied


def refuse_too_many(count: int) -> None:
    """Raise Unprocessable when a patch has more operations than one request may bring."""
    if count > MAX_OPERATIONS:
        raise Unprocessable(
            f"A patch has at most {MAX_OPERATIONS} operations, this one has {count}: send several.", code="too-costly"
        )


def refuse_new_identity(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise Unprocessable when an operation has changed which resource this is."""
    for name in ("resourceType", "id"):
        if after.get(name) != before.get(name):
            raise Unprocessable(
                f"A patch cannot change {name}: leave it as it is, or create another resource.",
                expression=f"{before.get('resourceType', 'Resource')}.{name}",
            )


def naming(operation: str, refusal: Refused, expression: str = "") -> Refused:
    """The same refusal, each of its issues led by the operation at fault; ``expression`` fills in where it has none."""
    kind = Malformed if isinstance(refusal, Malformed) else Unprocessable
    return kind(
        *(
            replace(issue, diagnostics=f"{operation}: {issue.diagnostics}", expression=issue.expression or expression)
            for issue in refusal.issues
        )
    )
