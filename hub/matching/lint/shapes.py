"""What ``notificationShape`` says that has no effect: nothing of it ever stops an event (S-053…S-057)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.domain.topic import EVERY_TYPE
from hub.errors import Issue
from hub.fhir.definitions import SearchParameter
from hub.matching.lint.subject import WARNING, Subject


def shapes_are_of_the_focus(subject: Subject) -> Iterator[Issue]:
    """Warning: a shape of a type that no event is about."""
    for position, shape in enumerate(subject.topic.notification_shapes):
        if subject.compiled and shape.resource not in subject.compiled.focus_types | EVERY_TYPE:
            said = f"No trigger is about {shape.resource}: name {_foci(subject)}, or leave this shape out."
            yield Issue("business-rule", said, f"SubscriptionTopic.notificationShape[{position}].resource", WARNING)


def includes_start_at_the_focus(subject: Subject) -> Iterator[Issue]:
    """Warning: an include that starts at another resource is followed only with ``:iterate``."""
    for path, written, source, parameter, _ in _directives(subject, "include"):
        is_followed = subject.compiled is None or source in subject.compiled.focus_types or "iterate" in written
        if parameter is not None and not is_followed:
            said = (
                f"{written} has no effect: no event is about {source}. Start at {_foci(subject)}, or write "
                f"{written}:iterate to follow the resources that are included."
            )
            yield Issue("business-rule", said, path, WARNING)


def includes_can_point_there(subject: Subject) -> Iterator[Issue]:
    """Warning: ``Type:parameter:Target`` with a target that the parameter never refers to."""
    for path, written, _, parameter, targets in _directives(subject, "include"):
        if parameter is None or not parameter.target:
            continue
        for target in targets:
            if target in subject.facts.resource_types and target not in parameter.target:
                said = f"{written} has no effect: '{parameter.code}' refers to {', '.join(parameter.target[:10])}."
                yield Issue("business-rule", said, path, WARNING)


def reverse_includes_refer_to_the_focus(subject: Subject) -> Iterator[Issue]:
    """Warning: a revInclude by a parameter that never refers to a focus."""
    for path, written, source, parameter, _ in _directives(subject, "revInclude"):
        if parameter is None or not parameter.target or subject.compiled is None:
            continue
        if subject.compiled.focus_types.isdisjoint(parameter.target):
            said = (
                f"{written} has no effect: '{parameter.code}' of {source} refers to "
                f"{', '.join(parameter.target[:10])}, never to {_foci(subject)}."
            )
            yield Issue("business-rule", said, path, WARNING)


def _directives(subject: Subject, name: str) -> Iterator[tuple[str, str, str, SearchParameter | None, tuple[str, ...]]]:
    """Path, directive, its source type, its reference parameter (None: told by the compilation), its targets."""
    for position, shape in enumerate(subject.topic.notification_shapes):
        for written in shape.includes if name == "include" else shape.rev_includes:
            source, *rest = written.partition("&")[0].split(":")
            found = subject.facts.search_parameter(source, rest[0]) if rest else None
            parameter = found if found is not None and found.type == "reference" else None
            path = f"SubscriptionTopic.notificationShape[{position}].{name}"
            yield path, written, source, parameter, tuple(one for one in rest[1:] if one != "iterate")


def _foci(subject: Subject) -> str:
    focus_types = subject.compiled.focus_types if subject.compiled else frozenset[str]()
    return " or ".join(sorted(focus_types)[:10])


SHAPE_RULES: tuple[Callable[[Subject], Iterator[Issue]], ...] = (
    shapes_are_of_the_focus,
    includes_start_at_the_focus,
    includes_can_point_there,
    reverse_includes_refer_to_the_focus,
)
