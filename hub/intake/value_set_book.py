"""The ValueSets that a base holds: those that were written through it, and those of the folder (docs/decisions/0015).

What was compiled with the ValueSets of a base keeps asking them: a changed one is asked from the next change on, and
one that cannot be asked any more gives no answer. ``settle`` tells whom that concerns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hub.domain.change import ChangeId
from hub.domain.versions import FhirVersion
from hub.errors import Refused
from hub.fhir.newest import preference
from hub.fhir.reading import text
from hub.fhir.value_sets import NO_VALUE_SETS, HeldValueSets, ValueSet, codes_in, read_value_set

MOST_CODES = 50_000
"""Of one written ValueSet."""
MOST_CODES_IN_ALL = 250_000
"""Of all written ValueSets of a base together, and what else is kept of them."""
MOST_LEVELS = 10
MOST_PARTS = 100
"""Of ValueSets that one is made of, counted as often as they are asked."""
MOST_SAID = 500
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class WrittenValueSet:
    """One ValueSet resource of a base. ``content`` None: ``problem`` says why, or it was not read for want of room."""

    id: str
    change: ChangeId
    """That made its present version: those that were written last are the first for which there is no room."""
    url: str
    version: str
    status: str
    size: int = 0
    content: ValueSet | None = None
    problem: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url


def read_written(identity: str, change: ChangeId, resource: Mapping[str, Any]) -> WrittenValueSet | None:
    """None when it has no url by which anybody could refer to it."""
    url, version, status = (text(resource, name) for name in ("url", "version", "status"))
    if not url or "|" in url:
        return None
    bare = WrittenValueSet(identity, change, url, version, status)
    codes = codes_in(resource)
    if codes > MOST_CODES:
        return replace(bare, problem=f"it lists {codes} codes; {MOST_CODES} are the most that are held of one")
    try:
        content = read_value_set(resource)
    except Refused as refused:
        said = (f"{each.expression}: {each.diagnostics}".removeprefix(": ") for each in refused.issues)
        return replace(bare, problem="; ".join(said)[:MOST_SAID])
    return replace(bare, size=content.size, content=content)


class BaseValueSets:
    """Implements both ``ValueSets`` ports for one base of one tenant. A ValueSet of the folder wins by its canonical;
    a url that the folder has means the folder's newest."""

    def __init__(self, folder: HeldValueSets) -> None:
        self._folder = folder
        self._written: dict[str, WrittenValueSet] = {}
        self._held = folder
        self._problems: dict[str, str] = {}

    def holds(self, url: str) -> bool:
        return self._held.holds(url)

    def why_not(self, url: str) -> str:
        return self._problems.get(url, "")

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        return self._held.contains(url, system, code)

    @property
    def ids(self) -> list[str]:
        return list(self._written)

    def put(self, written: WrittenValueSet) -> None:
        """Counts from the next ``settle`` on."""
        self._written[written.id] = written

    def drop(self, identity: str) -> None:
        """An unknown id is no error."""
        self._written.pop(identity, None)

    def settle(self) -> frozenset[str]:
        """Take in what was put and dropped; the names that can be asked now or no more, or not for another reason."""
        held, problems = self._held.by_name, self._problems
        self._make_room()
        candidates = self._by_name()
        found = {name: each.content for name, each in candidates.items() if each.content and not each.problem}
        unfit = {name: each for name, each in candidates.items() if name not in found}
        self._problems = {name: f"ValueSet/{each.id}: {each.problem}" for name, each in unfit.items()}
        usable = _resolved(found, self._folder.by_name)
        askable = {**usable, **self._folder.by_name}
        for name in sorted(found.keys() - usable.keys()):
            why = _unresolved(found[name], askable, self._problems)
            self._problems[name] = f"ValueSet/{candidates[name].id}: {why}"
        self._held = HeldValueSets(askable)
        names = {*held, *self._held.by_name, *problems, *self._problems}
        return frozenset(
            name
            for name in names
            if (name in held) is not self.holds(name) or problems.get(name, "") != self.why_not(name)
        )

    @property
    def to_read_again(self) -> list[str]:
        """Ids of those for which there was no room and is now."""
        return [each.id for each in self._written.values() if each.size and not each.content and not each.problem]

    def _make_room(self) -> None:
        """What was written last is left out, so that every process comes to the same."""
        total = 0
        for each in sorted(self._written.values(), key=lambda one: (one.change, one.id)):
            total += each.size
            if each.size and total > MOST_CODES_IN_ALL:
                said = f"the ValueSets written before it fill what this base can hold, {MOST_CODES_IN_ALL} codes"
                self._written[each.id] = replace(each, content=None, problem=said)
            elif each.size and not each.content:
                self._written[each.id] = replace(each, problem="")

    def _by_name(self) -> dict[str, WrittenValueSet]:
        """Who is meant by each canonical and each url that the folder does not have."""
        by_canonical: dict[str, list[WrittenValueSet]] = defaultdict(list)
        for each in sorted(self._written.values(), key=lambda one: one.id):
            by_canonical[each.canonical].append(each)
        meant = [_one_of(group) for group in by_canonical.values()]
        names: dict[str, WrittenValueSet] = {}
        for each in sorted(meant, key=lambda one: (preference(one.status, one.version), one.version)):
            for name in (each.url, each.canonical):
                if not self._folder.holds(name):
                    names[name] = each
        return names


@dataclass(slots=True)
class ValueSetBook:
    """The ValueSets of every base. ``of`` gives the same object again and again, which is kept up to date."""

    folder: HeldValueSets = NO_VALUE_SETS
    _bases: dict[tuple[str, FhirVersion], BaseValueSets] = field(default_factory=dict)

    def of(self, tenant: str, base: FhirVersion) -> BaseValueSets:
        home = (tenant, base)
        if home not in self._bases:
            self._bases[home] = BaseValueSets(self.folder)
        return self._bases[home]

    def names(self) -> Iterator[str]:
        """Names (``tenant|base|id``) of all that were written."""
        for (tenant, base), sets in self._bases.items():
            yield from (f"{tenant}|{base}|{identity}" for identity in sets.ids)


def _one_of(group: list[WrittenValueSet]) -> WrittenValueSet:
    """Of those with one canonical; when they say different things nobody can tell which is meant."""
    first = group[0]
    if all(each.content == first.content and each.problem == first.problem for each in group):
        return first
    others = ", ".join(f"ValueSet/{each.id}" for each in group[1:4])
    said = f"{others} has the same url and version and says something else; delete one, or give it another version"
    return replace(first, content=None, problem=said)


def _resolved(found: Mapping[str, ValueSet], folder: Mapping[str, ValueSet]) -> dict[str, ValueSet]:
    """Those that are made of nothing but what can be asked, level by level; so nothing in it goes in circles."""
    usable: dict[str, ValueSet] = {}
    weights = dict.fromkeys(folder, 1)
    for _ in range(MOST_LEVELS):
        ready = {}
        for name in found.keys() - usable.keys():
            others = list(found[name].others)
            if all(other in weights for other in others):
                weight = 1 + sum(weights[other] for other in others)
                if weight <= MOST_PARTS:
                    ready[name] = weight
        if not ready:
            break
        weights |= ready
        usable |= {name: found[name] for name in ready}
    return usable


def _unresolved(value_set: ValueSet, askable: Mapping[str, ValueSet], problems: Mapping[str, str]) -> str:
    """Why it is not among those that can be asked."""
    limits = f"the most is {MOST_PARTS} ValueSets on {MOST_LEVELS} levels"
    for other in value_set.others:
        if other in problems:
            return f"it is made of {other}, which cannot be used: {problems[other]}"[:MOST_SAID]
    missing = [other for other in value_set.others if other not in askable]
    if missing:
        return f"it is made of {missing[0]}, which is not held here or is made of this one; {limits}"
    return limits
