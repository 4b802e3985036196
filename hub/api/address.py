"""Reading the address of a FHIR request: base, type, id, version, operation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.domain.versions import FhirVersion
from hub.errors import Malformed, NotFound

PREFIX = "/fhir/"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_VERSION_ID = re.compile(r"[1-9][0-9]{0,14}")
_BASES = {version.value: version for version in FhirVersion}


@dataclass(frozen=True, slots=True)
class Address:
    """``/fhir/{base}/{type}/{id}/_history/{version}`` or ``…/$operation``; what is absent is "" or None.

    ``special`` is ``metadata``, ``_history`` or ``_search`` when the path ends in one of them.
    """

    base: FhirVersion
    type: str = ""
    id: str = ""
    version: int | None = None
    special: str = ""
    operation: str = ""

    @property
    def is_metadata(self) -> bool:
        return self.special == "metadata"


def read_address(path: str) -> Address:
    """The parts of a path below ``/fhir/``. Raises NotFound, Malformed."""
    if not path.startswith(PREFIX):
        raise NotFound(f"nothing is served at {path}; the bases are {_listed_bases()}")
    base_name, *parts = path[len(PREFIX) :].removesuffix("/").split("/")
    base = _BASES.get(base_name)
    if base is None:
        raise NotFound(f"there is no base {PREFIX}{base_name}; use one of {_listed_bases()}")
    match parts:
        case []:
            return Address(base)
        case [operation] if operation.startswith("$"):
            return Address(base, operation=operation[1:])
        case ["metadata" | "_history" | "_search" as special]:
            return Address(base, special=special)
        case [resource_type, *rest] if resource_type:
            return _within(base, resource_type, rest, path)
        case _:
            raise NotFound(f"nothing is served at {path}")


def _within(base: FhirVersion, resource_type: str, parts: list[str], path: str) -> Address:
    match parts:
        case []:
            return Address(base, resource_type)
        case [operation] if operation.startswith("$"):
            return Address(base, resource_type, operation=operation[1:])
        case ["_history" | "_search" as special]:
            return Address(base, resource_type, special=special)
        case [identity]:
            return Address(base, resource_type, _checked(identity))
        case [identity, operation] if operation.startswith("$"):
            return Address(base, resource_type, _checked(identity), operation=operation[1:])
        case [identity, "_history"]:
            return Address(base, resource_type, _checked(identity), special="_history")
        case [identity, "_history", version]:
            if not _VERSION_ID.fullmatch(version):
                raise NotFound(f"there is no version {version}; versions of this hub are whole numbers from 1 on")
            return Address(base, resource_type, _checked(identity), version=int(version))
        case _:
            raise NotFound(f"nothing is served at {path}")


def _checked(identity: str) -> str:
    if not _ID.fullmatch(identity):
        raise Malformed("an id has 1 to 64 letters, digits, '-' and '.'", code="invalid")
    return identity


def _listed_bases() -> str:
    return ", ".join(version.path for version in FhirVersion)
