"""Taking one guard out of the store: a mutant is the shipped text of a script, or a piece of the hub, without it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hub.store import scripts

Scenario = Callable[[Any], Awaitable[None]]
"""Of a Lab; of a master and its replica for what needs them."""


class Broken(AssertionError):
    """What a guard promises does not hold. Nothing else counts as a mutant found, no crash and no bad set-up."""


def must(holds: bool, promise: str) -> None:
    if not holds:
        raise Broken(promise)


@dataclass(frozen=True, slots=True)
class Edit:
    """One guard of one script, word for word, and what stands there without it."""

    script: str
    guard: str
    without: str = ""

    def __call__(self, patch: pytest.MonkeyPatch) -> None:
        text = scripts.SCRIPTS[self.script]
        assert text.count(self.guard) == 1, f"{self.script}.lua has {text.count(self.guard)} times {self.guard!r}"
        mutant = text.replace(self.guard, self.without)
        patch.setitem(scripts.SCRIPTS, self.script, mutant)
        patch.setitem(scripts.DIGESTS, self.script, hashlib.sha1(mutant.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Guard:
    """``name`` says what the guard sees to; ``scenario`` raises Broken when that is not so.

    ``mutations`` take it out together: several when one line of ``record.lua`` is in several scripts, or when two
    guards stand for each other.
    """

    name: str
    scenario: Scenario
    mutations: tuple[Callable[[pytest.MonkeyPatch], None], ...]


def guard(name: str, scenario: Scenario, *mutations: Callable[[pytest.MonkeyPatch], None]) -> Guard:
    return Guard(name, scenario, mutations)
