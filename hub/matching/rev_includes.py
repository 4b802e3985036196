"""Which resources that *refer to* a focus travel with it: the ``revInclude`` directives of a topic (S-053, ruling 21).

``Provenance:target`` on an Encounter topic means: every Provenance whose target is this Encounter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.domain.change import Resource
from hub.domain.topic import SubscriptionTopic
from hub.errors import HubError, Issue
from hub.fhir.definitions import Definitions
from hub.fhir.nearest import did_you_mean
from hub.fhirpath import Expression, FHIRPathEvaluationError, compile_expression
from hub.matching.search.reference import LiteralReference


@dataclass(frozen=True, slots=True)
class ReverseInclude:
    """One directive; ``name`` (``Provenance:target``) is also the name of its index."""

    source: str
    parameter: str
    expression: Expression
    source_base_url: str = ""

    @property
    def name(self) -> str:
        return f"{self.source}:{self.parameter}"

    def targets(self, resource: Resource | None) -> frozenset[str]:
        """The references (``Type/id``) by which ``resource`` is found; none for a resource of another type."""
        if resource is None or resource.get("resourceType") != self.source:
            return frozenset()
        return frozenset(self._found(resource))

    def _found(self, resource: Resource) -> Iterator[str]:
        try:
            items = self.expression.items(resource)
        except FHIRPathEvaluationError:  # a missing include is left out, never an error (ruling 21)
            return
        for item in items:
            text = item.get("reference") if isinstance(item, dict) else item
            reference = LiteralReference.parse(text, self.source_base_url) if isinstance(text, str) else None
            if reference and reference.type and not reference.base:
                yield f"{reference.type}/{reference.id}"


def compile_rev_includes(
    topic: SubscriptionTopic, facts: Definitions, source_base_url: str = ""
) -> tuple[tuple[ReverseInclude, ...], tuple[Issue, ...]]:
    """The revInclude directives of all shapes, and a warning for each that has no effect in this version (S-057)."""
    found: dict[str, ReverseInclude] = {}
    warnings: list[Issue] = []
    for place, shape in enumerate(topic.notification_shapes):
        for written in shape.rev_includes:
            try:
                directive = _compiled(written, facts, source_base_url)
                found.setdefault(directive.name, directive)
            except HubError as problem:
                where = f"SubscriptionTopic.notificationShape[{place}].revInclude"
                warnings.append(Issue("not-supported", f"{written} has no effect here: {problem}", where, "warning"))
    return tuple(found.values()), tuple(warnings)


def _compiled(written: str, facts: Definitions, source_base_url: str) -> ReverseInclude:
    source, _, rest = written.partition("&")[0].partition(":")
    code = rest.split(":")[0]
    parameter = facts.search_parameter(source, code)
    if parameter is None or parameter.type != "reference":
        references = (each.code for each in facts.search_parameters(source) if each.type == "reference")
        said = f"{source} has no reference parameter {code} in FHIR {facts.version.number}."
        raise HubError(said + did_you_mean(code, references))
    expression = compile_expression(parameter.expression, facts, root_type=source)
    return ReverseInclude(source, code, expression, source_base_url)
