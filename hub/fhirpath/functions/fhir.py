"""What FHIR adds to FHIRPath: extensions, the values of primitives, value sets, and the types of items."""

from __future__ import annotations

from hub.fhir.definitions import PRIMITIVES
from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import Compiled, Environment, collection, condition, singleton
from hub.fhirpath.items import STRINGS, Item, Items, value_of
from hub.fhirpath.navigation import TYPE_INFO
from hub.fhirpath.value_sets import Coding, ValueSets, codings_of


def _extension(call: FunctionCall) -> Compiled:
    """The extensions with a url; those of a primitive stand in the object beside it."""
    source, url = call.source.items, call.argument()

    def run(env: Environment, this: Item | None) -> Items:
        wanted = singleton(url.items(env, this))
        found: Items = []
        if wanted is not None:
            for item in source(env, this):
                found += [
                    ("Extension", extension, None)
                    for extension in env.spend_on(_extensions(item))
                    if isinstance(extension, dict) and extension.get("url") == wanted[1]
                ]
        return found

    return collection(run, frozenset({"Extension"}))


def _extensions(item: Item) -> list[object]:
    type_, value, sibling = item
    holder = sibling if type_ in PRIMITIVES else value
    found = holder.get("extension") if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def has_value(item: Item) -> bool:
    """Is it a primitive with a value (not only extensions)?"""
    return item[1] is not None and (item[0] in PRIMITIVES or item[0].startswith("System."))


def _has_value(call: FunctionCall) -> Compiled:
    source = call.source.items

    def truth(env: Environment, this: Item | None) -> bool | None:
        items = source(env, this)
        return len(items) == 1 and has_value(items[0])

    return condition(truth)


def _get_value(call: FunctionCall) -> Compiled:
    source = call.source.items

    def run(env: Environment, this: Item | None) -> Items:
        items = source(env, this)
        return items if len(items) == 1 and has_value(items[0]) else []

    return collection(run, call.source.types)


def _type(call: FunctionCall) -> Compiled:
    """The type of each item, as ``namespace`` and ``name``."""
    source = call.source.items

    def run(env: Environment, this: Item | None) -> Items:
        return [(TYPE_INFO, _type_info(item[0]), None) for item in source(env, this)]

    return collection(run, frozenset({TYPE_INFO}))


def _type_info(type_: str) -> dict[str, str]:
    namespace, _, name = type_.rpartition(".") if type_.startswith("System.") else ("FHIR", "", type_)
    return {"namespace": namespace, "name": name}


_CODED = STRINGS | {"Coding", "CodeableConcept"}


def _member_of(call: FunctionCall) -> Compiled:
    """Is the code, Coding or CodeableConcept in a value set that the hub holds?

    The value set is named in the expression itself, so that one that is not held is found now. A CodeableConcept is in
    it when one of its codings is. When the value set cannot tell, the evaluation has no value (S-042).
    """
    url, value_sets = _value_set(call)
    types = call.source.types
    if types and types.isdisjoint(_CODED) and call.source.constant != ():
        advice = "Name the element that is a code, Coding or CodeableConcept."
        raise call.refused(f"needs a code, not {' or '.join(sorted(types))}", advice)
    source = call.source.items

    def truth(env: Environment, this: Item | None) -> bool | None:
        item = singleton(source(env, this))
        if item is None or value_of(item) is None:
            return None
        codings = codings_of(item[1])
        env.spend(len(codings))
        return _is_member(value_sets, url, codings)

    return condition(truth)


def _value_set(call: FunctionCall) -> tuple[str, ValueSets]:
    argument = call.argument().constant
    if argument is None or len(argument) != 1 or not isinstance(argument[0][1], str):
        raise call.refused("needs the canonical of one value set", "Write memberOf('http://…').")
    url, value_sets = argument[0][1], call.compiler.settings.value_sets
    codes = "Compare with the codes themselves: coding.where(system='...' and code='...').exists()."
    if value_sets is None:
        raise call.unsupported(codes)
    if not value_sets.holds(url):
        why = value_sets.why_not(url)
        said = f"cannot be used: {why}" if why else "is not held here"
        raise call.unsupported(f"The value set {url} {said}. {codes}")
    return url, value_sets


def _is_member(value_sets: ValueSets, url: str, codings: list[Coding]) -> bool:
    unknown = False
    for system, code in codings:
        found = value_sets.contains(url, system, code)
        if found:
            return True
        unknown = unknown or found is None
    if unknown:
        raise FHIRPathEvaluationError(f"the value set {url:.200} cannot tell whether it has this code")
    return False


FHIR_FUNCTIONS = {
    "extension": Function(1, 1, _extension),
    "hasValue": Function(0, 0, _has_value),
    "getValue": Function(0, 0, _get_value),
    "memberOf": Function(1, 1, _member_of),
    "type": Function(0, 0, _type),
}
