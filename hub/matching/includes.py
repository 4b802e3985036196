"""Which further resources travel with a focus: the ``include`` directives of a topic (S-053…S-058, ruling 21).

A directive is ``Type:parameter`` or ``Type:parameter:TargetType``; ``:iterate`` follows references of included
resources too. What a version does not know is skipped with a warning: a missing include never
stops an event (S-054, S-057).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.domain.change import Resource
from hub.domain.topic import SubscriptionTopic
from hub.errors import HubError, Issue
from hub.fhir.definitions import Definitions
from hub.fhir.nearest import did_you_mean
from hub.fhirpath import Expression, FHIRPathEvaluationError, compile_expression
from hub.matching.search.reference import LiteralReference

MOST_INCLUDED = 20
"""Of one event; more are left out (S-058)."""
DEEPEST_ITERATION = 3


@dataclass(frozen=True, slots=True)
class Include:
    """One directive: the references that ``expression`` finds in a resource of ``source``."""

    source: str
    expression: Expression
    targets: frozenset[str]
    iterates: bool


@dataclass(frozen=True, slots=True)
class CompiledIncludes:
    """The directives of a topic for one version."""

    directives: tuple[Include, ...] = ()
    warnings: tuple[Issue, ...] = ()
    source_base_url: str = ""

    @property
    def iterate(self) -> bool:
        """Whether any of them follows the references of included resources."""
        return any(directive.iterates for directive in self.directives)

    def references(self, resource: Resource, *, iterating: bool = False) -> list[tuple[str, str]]:
        """(type, id) of what ``resource`` refers to by a directive, each once, in order.

        With ``iterating`` only the directives that follow included resources count.
        """
        found: dict[tuple[str, str], None] = {}
        for directive in self.directives:
            if directive.source == resource.get("resourceType") and (directive.iterates or not iterating):
                found.update(dict.fromkeys(self._found_by(directive, resource)))
        return list(found)

    def _found_by(self, directive: Include, resource: Resource) -> Iterable[tuple[str, str]]:
        try:
            items = directive.expression.items(resource)
        except FHIRPathEvaluationError:  # a missing include is left out, never an error (ruling 21)
            return
        for item in items:
            text = item.get("reference") if isinstance(item, dict) else item
            reference = LiteralReference.parse(text, self.source_base_url) if isinstance(text, str) else None
            if (
                reference
                and not reference.base
                and reference.type
                and (not directive.targets or reference.type in directive.targets)
            ):
                yield reference.type, reference.id


NO_INCLUDES = CompiledIncludes()


def compile_includes(topic: SubscriptionTopic, facts: Definitions, source_base_url: str = "") -> CompiledIncludes:
    """The include directives of all shapes together (S-058)."""
    directives: list[Include] = []
    warnings: list[Issue] = []
    for place, shape in enumerate(topic.notification_shapes):
        for written in shape.includes:
            try:
                directives.append(_compiled(written, facts))
            except HubError as problem:
                where = f"SubscriptionTopic.notificationShape[{place}].include"
                warnings.append(Issue("not-supported", f"{written} has no effect here: {problem}", where, "warning"))
    return CompiledIncludes(tuple(dict.fromkeys(directives)), tuple(warnings), source_base_url)


def _compiled(written: str, facts: Definitions) -> Include:
    plain, _, extra = written.partition("&")  # extra logic is ignored, the directive itself honoured (S-055)
    source, _, rest = plain.partition(":")
    parts = rest.split(":")
    iterates = "iterate" in parts[1:] or extra.startswith("iterate")
    targets = [part for part in parts[1:] if part != "iterate"]
    parameter = facts.search_parameter(source, parts[0])
    if parameter is None or parameter.type != "reference":
        references = (each.code for each in facts.search_parameters(source) if each.type == "reference")
        said = f"{source} has no reference parameter {parts[0]} in FHIR {facts.version.number}."
        raise HubError(said + did_you_mean(parts[0], references))
    unknown = [target for target in targets if target not in facts.resource_types]
    if unknown:
        raise HubError(f"there is no type {unknown[0]}")
    expression = compile_expression(parameter.expression, facts, root_type=source)
    return Include(source, expression, frozenset(targets or parameter.target), iterates)
