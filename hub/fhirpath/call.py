"""A function call on its way to being compiled: its source, its arguments, and how each of them is to be evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hub.fhir.definitions import Definitions
from hub.fhirpath.errors import FHIRPathError, FHIRPathUnsupported
from hub.fhirpath.evaluation import Compiled, Types
from hub.fhirpath.syntax import Call, Member, Node
from hub.fhirpath.types import TypeTest
from hub.fhirpath.value_sets import ValueSets


class Compiling(Protocol):
    """What a function needs of the compiler."""

    facts: Definitions
    text: str
    settings: Settings
    uses_now: bool
    """Does the expression ask for the moment of the evaluation?"""

    def compile(self, node: Node, scope: Types) -> Compiled:
        """Compile ``node`` where ``$this`` is of the types ``scope``."""

    def compile_apart(self, node: Node, scope: Types) -> Compiled:
        """Compile ``node``; what it defines is known in it only."""

    def compile_criteria(self, node: Node, types: Types) -> Compiled:
        """Compile what is evaluated for each of several items, which have these types."""

    def define(self, name: str, types: Types) -> str | None:
        """Make ``%name`` known to what is compiled after this; its key, None when the name is taken."""

    def type_test(self, name: str, node: Node, *, selecting: bool) -> TypeTest:
        """The test for a type written at ``node``; raises FHIRPathError when there is no such type."""


CHARACTERS_PER_COST = 16
"""So many characters of an expression do about as much work as visiting an item."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an expression may use besides the data: ``now`` (it is then given with each evaluation), value sets."""

    now_allowed: bool = False
    value_sets: ValueSets | None = None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """``scope`` are the types of ``$this`` around the call."""

    compiler: Compiling
    node: Call
    source: Compiled
    scope: Types

    def criteria(self, index: int = 0) -> Compiled:
        """An argument that is evaluated for each item of the source, which is its ``$this``."""
        return self.compiler.compile_criteria(self.node.arguments[index], self.source.types)

    def argument(self, index: int = 0) -> Compiled:
        """An argument that is evaluated once, with the ``$this`` around the call."""
        return self.compiler.compile_apart(self.node.arguments[index], self.scope)

    def cost(self, index: int = 0) -> int:
        """What it costs to evaluate an argument once: as much as it is long."""
        node = self.node.arguments[index]
        return 1 + (node.end - node.start) // CHARACTERS_PER_COST

    @property
    def count(self) -> int:
        return len(self.node.arguments)

    def type_argument(self) -> TypeTest:
        """The argument of ``ofType(Patient)``, ``is(FHIR.string)``."""
        node, selecting = self.node.arguments[0], self.node.name != "is"
        if isinstance(node, Member) and node.source is None:
            return self.compiler.type_test(node.name, node, selecting=selecting)
        if isinstance(node, Member) and isinstance(node.source, Member) and node.source.source is None:
            return self.compiler.type_test(f"{node.source.name}.{node.name}", node, selecting=selecting)
        raise self.refused("needs the name of a type", f"Write {self.node.name}(Quantity), without quotes.")

    def refused(self, problem: str, advice: str) -> FHIRPathError:
        """The error for a call that is written wrongly."""
        return FHIRPathError(f"{self.node.name}() {problem}", self.compiler.text, self._position, advice)

    def unsupported(self, advice: str) -> FHIRPathUnsupported:
        """The error for a call that this hub does not evaluate."""
        problem = f"The function {self.node.name}() is not supported"
        return FHIRPathUnsupported(problem, self.compiler.text, self._position, advice)

    @property
    def _position(self) -> int:
        source = self.node.source
        return self.node.start if source is None else source.end


@dataclass(frozen=True, slots=True)
class Function:
    """How many arguments a function takes, and how it is compiled."""

    fewest: int
    most: int
    build: Callable[[FunctionCall], Compiled]
