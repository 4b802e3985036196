"""The facts of one FHIR version, looked up."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import orjson

from hub.domain.versions import FhirVersion
from hub.fhir.definitions.corrections import corrected, missing_component
from hub.fhir.definitions.hierarchy import BASES, COMMON_ELEMENTS, PRIMITIVES
from hub.fhir.definitions.records import Element, SearchParameter

_THE_RESOURCE_ITSELF = "{def}"
"""R5 writes this among the parameters of Patient; it is no search parameter."""


@cache
def definitions(version: FhirVersion) -> Definitions:
    """The facts of ``version``; read from the package once per process."""
    packed = files(__package__).joinpath(f"{version.value}.json").read_bytes()
    return Definitions(version, orjson.loads(packed))


class Definitions:
    """What one FHIR version defines. Nothing here changes after it is made."""

    def __init__(self, version: FhirVersion, tables: Mapping[str, Any]) -> None:
        self.version = version
        domain_resources, plain_resources = (tables["resourceTypes"][kind] for kind in ("DomainResource", "Resource"))
        self.resource_types: frozenset[str] = frozenset(domain_resources) | frozenset(plain_resources)
        self.patient_compartment: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {
                type_: tuple(code for code in codes if code != _THE_RESOURCE_ITSELF)
                for type_, codes in tables["patientCompartment"].items()
            }
        )
        """Resource type -> the search parameters that put it into a Patient's compartment (a Patient is in its own)."""
        self._packed_elements: Mapping[str, Mapping[str, str]] = tables["elements"]
        self._packed_parameters: Sequence[Sequence[Any]] = tables["searchParameters"]
        self._targets = [tuple(targets.split()) for targets in tables["targets"]]
        self._bases = (
            BASES | dict.fromkeys(domain_resources, "DomainResource") | dict.fromkeys(plain_resources, "Resource")
        )
        self._elements: dict[tuple[str, str], Element | None] = {}

    def is_type(self, name: str) -> bool:
        """Is ``name`` a type of this version: a resource, a data type, a primitive or an abstract type?"""
        known = name in self._packed_elements or name in self._bases or name in COMMON_ELEMENTS
        return known and "." not in name and (name in PRIMITIVES or name[0].isupper())

    def is_a(self, type_: str, ancestor: str) -> bool:
        """Is ``type_`` the same as ``ancestor`` or built on it? (``Age`` is a ``Quantity``.)"""
        return type_ == ancestor or ancestor in self.ancestors(type_)

    def ancestors(self, type_or_path: str) -> Iterator[str]:
        """The types that this one is built on, nearest first."""
        current = type_or_path
        while (base := self._base(current)) is not None:
            yield base
            current = base

    def _base(self, type_or_path: str) -> str | None:
        if type_or_path in ("Element", "Resource"):
            return None
        root, dot, _ = type_or_path.partition(".")
        if dot:
            return "BackboneElement" if root in self.resource_types else "Element"
        return self._bases.get(type_or_path, "Element")

    def element(self, type_or_path: str, name: str) -> Element | None:
        """The element ``name`` of a type or of a backbone element's path; None when there is none.

        A choice element is found by its name without ``[x]``: ``("Observation", "value")``.
        """
        key = (type_or_path, name)
        try:
            return self._elements[key]
        except KeyError:
            found = self._find_element(type_or_path, name)
            if found is not None:
                self._elements[key] = found
            return found

    def _find_element(self, type_or_path: str, name: str) -> Element | None:
        own = self._packed_elements.get(type_or_path)
        if own is not None:
            if name in own:
                return self._unpack(f"{type_or_path}.{name}", own[name], choice=False)
            if f"~{name}" in own:
                return self._unpack(f"{type_or_path}.{name}", own[f"~{name}"], choice=True)
        for ancestor in (type_or_path, *self.ancestors(type_or_path)):
            if (found := COMMON_ELEMENTS.get(ancestor, {}).get(name)) is not None:
                return found
        return None

    def _unpack(self, path: str, packed: str, *, choice: bool) -> Element:
        many, packed = packed.endswith("*"), packed.removesuffix("*")
        if packed.startswith("@"):
            path = packed[1:]
            packed = "BackboneElement"
        types = tuple(packed.split("|"))
        if choice:
            return Element(types, many, choice=True)
        return Element(types, many, path=path if types[0] in ("BackboneElement", "Element") else types[0])

    def element_names(self, type_or_path: str) -> Iterator[str]:
        """The names of every element of a type or path, own ones first; choice elements without ``[x]``."""
        for name in self._packed_elements.get(type_or_path, {}):
            yield name.removeprefix("~")
        for ancestor in (type_or_path, *self.ancestors(type_or_path)):
            yield from COMMON_ELEMENTS.get(ancestor, {})

    def search_parameter(self, resource_type: str, code: str) -> SearchParameter | None:
        """The search parameter ``code`` for a resource type, also one that every resource has (S-240)."""
        for base in (resource_type, *self.ancestors(resource_type)):
            if (found := self._parameters_by_base.get(base, {}).get(code)) is not None:
                return found
        return None

    def search_parameter_by_url(self, url: str) -> SearchParameter | None:
        """The search parameter with this canonical (without ``|version``)."""
        return self._parameters_by_url.get(url)

    def component(self, url: str) -> SearchParameter | None:
        """The search parameter that a composite names as the definition of a component; None when nobody knows it."""
        return self.search_parameter_by_url(url) or missing_component(self.version, url)

    def with_parameters(self, further: Iterable[SearchParameter]) -> Definitions:
        """The same facts and these search parameters; a code that the standard has keeps its meaning."""
        extended = copy.copy(self)
        by_url, by_base = dict(self._parameters_by_url), {b: dict(p) for b, p in self._parameters_by_base.items()}
        for parameter in further:
            by_url.setdefault(parameter.url, parameter)
            for base in parameter.base:
                by_base.setdefault(base, {}).setdefault(parameter.code, parameter)
        extended._parameters_by_url, extended._parameters_by_base = by_url, by_base
        return extended

    def search_parameters(self, resource_type: str) -> tuple[SearchParameter, ...]:
        """Every search parameter of a resource type, its own first, then those that every resource has."""
        found: dict[str, SearchParameter] = {}
        for base in (resource_type, *self.ancestors(resource_type)):
            found = self._parameters_by_base.get(base, {}) | found
        return tuple(found.values())

    @cached_property
    def _parameters_by_url(self) -> dict[str, SearchParameter]:
        unpacked = (corrected(self.version, self._unpack_parameter(*row)) for row in self._packed_parameters)
        return {parameter.url: parameter for parameter in unpacked}

    @cached_property
    def _parameters_by_base(self) -> dict[str, dict[str, SearchParameter]]:
        by_base: dict[str, dict[str, SearchParameter]] = {}
        for parameter in self._parameters_by_url.values():
            for base in parameter.base:
                by_base.setdefault(base, {})[parameter.code] = parameter
        return by_base

    def _unpack_parameter(
        self,
        code: str,
        bases: str,
        type_: str,
        expression: str,
        target: int,
        url: str,
        components: Sequence[tuple[str, str]],
        comparators: str,
    ) -> SearchParameter:
        return SearchParameter(
            code=code,
            base=tuple(bases.split()),
            type=type_,
            expression=expression,
            target=self._targets[target],
            url=url,
            components=tuple((definition, relative) for definition, relative in components),
            comparators=tuple(comparators.split()),
        )
