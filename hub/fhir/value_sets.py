"""ValueSets that the hub holds: does one contain a code? Asked by ``:in`` and ``:not-in`` (S-250).

A ValueSet is held when its content can be known from the resource: an expansion, or a compose of listed codes, whole
code systems and other ValueSets that are held. What only a terminology server could say (filters, hierarchies) is
refused when it is read, with the reason.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hub.domain.versions import FhirVersion
from hub.errors import Unprocessable
from hub.fhir.newest import preference
from hub.fhir.reading import child, children, text, texts
from hub.fhir.structure import structural_issues

Json = Mapping[str, Any]

_INCOMPLETE = ("http://hl7.org/fhir/StructureDefinition/valueset-unclosed", "valueset-toocostly")


class ValueSets(Protocol):
    """What may be asked about ValueSets. ``url`` is a canonical, with or without ``|version``."""

    def __hash__(self) -> int: ...

    def holds(self, url: str) -> bool: ...

    def why_not(self, url: str) -> str:
        """Why a ValueSet that is known here cannot be asked; "" for one that can, or is not known."""
        ...

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        """Is the code in the ValueSet? ``system`` "" is none, None is not said (an element of type code).

        None: it cannot be told, because the ValueSet is not held or the system would have to be known.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """One include or exclude: ``codes`` None are all codes, ``system`` None any; all that is named must hold."""

    system: str | None
    codes: frozenset[str] | None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One ValueSet as held. ``listed`` has the systems of each code of an expansion, None when there is none."""

    url: str
    version: str
    listed: Mapping[str, tuple[str, ...]] | None
    includes: tuple[_Part, ...] = ()
    excludes: tuple[_Part, ...] = ()
    status: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url

    @property
    def others(self) -> Iterator[str]:
        """The canonicals of the ValueSets that it is made of."""
        for part in (*self.includes, *self.excludes):
            yield from part.others

    @property
    def size(self) -> int:
        """How much of it is kept: its codes, its parts and what they name."""
        parts = (*self.includes, *self.excludes)
        codes = len(self.listed or ()) + sum(len(part.codes or ()) for part in parts)
        return 1 + codes + sum(1 + len(part.others) for part in parts)


@dataclass(frozen=True, slots=True, eq=False)
class HeldValueSets:
    """ValueSets by name: a canonical, or a url, which means the newest active one (made by ``hold``)."""

    by_name: Mapping[str, ValueSet] = field(default_factory=dict)
    """All that those of it are made of are in it too."""

    def __len__(self) -> int:
        return len({held.canonical for held in self.by_name.values()})

    def holds(self, url: str) -> bool:
        return url in self.by_name

    def why_not(self, url: str) -> str:
        return ""

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        held = self.by_name.get(url)
        if held is None:
            return None
        if held.listed is not None:
            systems = held.listed.get(code, ())  # an element of type code has a binding that names its system (S-248)
            return bool(systems) if system is None else system in systems
        included = _any(self._in_part(part, system, code) for part in held.includes)
        if included is False:
            return False
        excluded = _any(self._in_part(part, system, code) for part in held.excludes)
        if excluded is True:  # of another system perhaps, when none is said
            return False if system is not None else None
        return None if included is None or excluded is None else True

    def _in_part(self, part: _Part, system: str | None, code: str) -> bool | None:
        found = [self.contains(url, system, code) for url in part.others]
        if part.codes is not None and code not in part.codes:
            return False
        if part.system is not None:
            found.append(part.system == system if system is not None else None if part.codes is None else True)
        return _all(found)


NO_VALUE_SETS = HeldValueSets()


def read_value_set(resource: Json) -> ValueSet:
    """Raises Unprocessable with what only a terminology server could tell."""
    if resource.get("resourceType") != "ValueSet":
        raise Unprocessable(f"this is a {resource.get('resourceType')}; write a ValueSet")
    _check_structure(resource)
    url, version, status = (text(resource, name) for name in ("url", "version", "status"))
    if not url or "|" in url:
        raise Unprocessable("give the canonical url of the ValueSet, without |version", expression="ValueSet.url")
    if "modifierExtension" in resource:
        raise Unprocessable("a modifierExtension may change what it means", expression="ValueSet.modifierExtension")
    if "expansion" in resource:
        return ValueSet(url, version, _expansion(child(resource, "expansion")), status=status)
    compose = child(resource, "compose")
    includes, excludes = _parts(compose, "include"), _parts(compose, "exclude")
    if not includes:
        raise Unprocessable("it has neither an expansion nor a compose.include", expression="ValueSet.compose")
    return ValueSet(url, version, None, includes, excludes, status)


def codes_in(resource: Json) -> int:
    """How many codes it lists, right or wrong: told without reading them."""
    compose = child(resource, "compose")
    parts = (*children(compose, "include"), *children(compose, "exclude"))
    listed = sum(len(children(part, "concept")) for part in parts)
    return listed + sum(1 for _ in _entries(child(resource, "expansion")))


def _check_structure(resource: Json) -> None:
    """It must be built as R5 or R4 says: what is not read as meant would let codes in or keep them out."""
    if structural_issues(resource, FhirVersion.R5):
        issues = structural_issues(resource, FhirVersion.R4)
        if issues:
            raise Unprocessable(*issues)


def hold(value_sets: Iterable[ValueSet]) -> HeldValueSets:
    """Raises Unprocessable, all problems together: two of one canonical, parts that are not held, circles."""
    held: dict[str, ValueSet] = {}
    problems: list[str] = []
    present: set[str] = set()
    for each in sorted(value_sets, key=lambda one: preference(one.status, one.version)):
        if each.canonical in present:
            problems.append(f"{each.canonical} stands there twice")
        present.add(each.canonical)
        held[each.canonical] = held[each.url] = each
    for each in held.values():
        missing = (other for other in each.others if other not in held)
        problems += [f"{each.canonical} is made of {other}, which is not there" for other in missing]
    if not problems:
        problems = [f"{each.canonical} is made of itself" for each in _in_circles(held)]
    if problems:
        raise Unprocessable(*dict.fromkeys(problems))
    return HeldValueSets(held)


def _parts(compose: Json, name: str) -> tuple[_Part, ...]:
    return tuple(_part(each, f"ValueSet.compose.{name}[{place}]") for place, each in enumerate(children(compose, name)))


def _part(include: Json, path: str) -> _Part:
    if "filter" in include:
        raise Unprocessable(
            "a filter is only understood by a terminology server; put the expansion there", expression=f"{path}.filter"
        )
    system, concepts = text(include, "system"), children(include, "concept")
    others = tuple(texts(include, "valueSet"))
    if concepts and not system:
        raise Unprocessable("concepts need a system", expression=f"{path}.system")
    if not system and not others:
        raise Unprocessable("write a system or a valueSet", expression=path)
    if system and not concepts and "version" in include:
        raise Unprocessable(
            "which codes one version of a code system has, only a terminology server knows; list them",
            expression=f"{path}.version",
        )
    codes = frozenset(text(concept, "code") for concept in concepts) if concepts else None
    return _Part(system or None, codes, others)


def _expansion(expansion: Json) -> dict[str, tuple[str, ...]]:
    urls = [text(extension, "url") for extension in children(expansion, "extension")]
    if any(url.endswith(_INCOMPLETE) for url in urls):
        raise Unprocessable("the expansion says that it is not complete", expression="ValueSet.expansion.extension")
    total = expansion.get("total")
    if expansion.get("offset") or (isinstance(total, int) and total > sum(1 for _ in _entries(expansion))):
        raise Unprocessable("this is one page of an expansion; put the whole there", expression="ValueSet.expansion")
    codes: dict[str, tuple[str, ...]] = {}
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # most codes are of one system: it is kept once
    for system, code in _codes(expansion):
        systems = tuple(dict.fromkeys((*codes.get(code, ()), system)))
        codes[code] = alike.setdefault(systems, systems)
    return codes


def _entries(part: Json) -> Iterator[Json]:
    for entry in children(part, "contains"):
        yield entry
        yield from _entries(entry)


def _codes(expansion: Json) -> Iterator[tuple[str, str]]:
    """An abstract entry groups others and is no code to choose."""
    for entry in _entries(expansion):
        if text(entry, "code") and entry.get("abstract") is not True:
            yield text(entry, "system"), text(entry, "code")


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return True if True in found else None if None in found else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return False if False in found else None if None in found else True


def _in_circles(held: Mapping[str, ValueSet]) -> list[ValueSet]:
    """Those that stay when everything whose parts are all settled is taken away, again and again."""
    open_ = {each.canonical: each for each in held.values()}
    while settled := [name for name, each in open_.items() if _is_settled(each, held, open_)]:
        for name in settled:
            del open_[name]
    return list(open_.values())


def _is_settled(value_set: ValueSet, held: Mapping[str, ValueSet], unsettled: Container[str]) -> bool:
    return not any(held[url].canonical in unsettled for url in value_set.others)
