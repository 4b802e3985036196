"""Reading a resource that may be wrong anywhere, and telling all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.errors import Issue, Malformed, Unprocessable

Json = Mapping[str, Any]


class Problems:
    """What is wrong with one resource, in the order found; at most one issue for each element.

    The first issue for an element wins, so that a structural fault is not repeated in other words.
    """

    def __init__(self, structural: Sequence[Issue] = ()) -> None:
        self._structural = bool(structural)
        self._issues: list[Issue] = list(structural)
        self._elements = {issue.expression for issue in structural}

    def add(self, code: str, expression: str, diagnostics: str) -> None:
        """Note that the element ``expression`` is wrong; ``diagnostics`` says what to write instead."""
        if expression not in self._elements:
            self._elements.add(expression)
            self._issues.append(Issue(code, diagnostics, expression))

    def raise_if_any(self) -> None:
        """Raise Malformed when the structure is broken, else Unprocessable when there is any problem (S-083)."""
        if self._issues:
            raise (Malformed if self._structural else Unprocessable)(*self._issues)


def text(owner: Json, name: str) -> str:
    """The string at ``name``, "" when it is absent or something else."""
    value = owner.get(name)
    return value if isinstance(value, str) else ""


def child(owner: Json, name: str) -> Json:
    """The object at ``name``, empty when it is absent or something else."""
    value = owner.get(name)
    return value if isinstance(value, Mapping) else {}


def children(owner: Json, name: str) -> list[Json]:
    """The objects of the list at ``name``; what is not an object is read as an empty one, so indexes stay true."""
    value = owner.get(name)
    return [item if isinstance(item, Mapping) else {} for item in value] if isinstance(value, list) else []


def texts(owner: Json, name: str) -> list[str]:
    """The strings of the list at ``name``; what is not a string is read as "", so indexes stay true."""
    value = owner.get(name)
    return [item if isinstance(item, str) else "" for item in value] if isinstance(value, list) else []


def whole(owner: Json, name: str) -> int | None:
    """The integer at ``name``; None when it is absent or no JSON integer (``true`` and ``60.0`` are none)."""
    value = owner.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def require_resource_type(resource: Json, expected: str) -> None:
    """Raise Malformed unless ``resource`` calls itself ``expected``."""
    if resource.get("resourceType") != expected:
        raise Malformed(f'Send a {expected}: "resourceType" must be "{expected}".', expression=f"{expected}")


def refuse_modifiers(resource: Json, path: str, problems: Problems) -> None:
    """A modifier that is not understood could change the meaning of anything: refuse it wherever it stands (S-091)."""
    if text(resource, "implicitRules"):
        problems.add("not-supported", f"{path}.implicitRules", "The hub knows no implicit rules: leave this out.")
    _refuse_modifier_extensions(resource, path, problems)


def _refuse_modifier_extensions(value: Any, path: str, problems: Problems) -> None:
    if isinstance(value, Mapping):
        if value.get("modifierExtension"):
            problems.add(
                "extension", f"{path}.modifierExtension", "The hub knows no modifier extensions here: leave this out."
            )
        for name, item in value.items():
            if name not in ("contained", "extension"):
                _refuse_modifier_extensions(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_modifier_extensions(item, f"{path}[{index}]", problems)
