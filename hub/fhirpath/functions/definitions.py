"""``defineVariable()``: a name for what has been found, known in the rest of the path and its arguments."""

from __future__ import annotations

from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.evaluation import Compiled, Environment, Types, collection
from hub.fhirpath.items import Item, Items


def _define_variable(call: FunctionCall) -> Compiled:
    """The source as it is; ``%name`` is it from here on, or what the expression makes of each of its items."""
    argument = call.argument().constant
    if argument is None or len(argument) != 1 or not isinstance(argument[0][1], str):
        raise call.refused("needs the name of the variable", "Write defineVariable('name').")
    source = call.source.items
    projection = call.criteria(1) if call.count > 1 else None
    types = call.source.types if projection is None else projection.types
    key = _defined(call, argument[0][1], types)

    def run(env: Environment, this: Item | None) -> Items:
        items = source(env, this)
        if projection is None:
            found = items
        else:
            found = [made for item in env.spend_on(items) for made in projection.items(env, item)]
        env.define(key, found)
        return items

    return collection(run, call.source.types)


def _defined(call: FunctionCall, name: str, types: Types) -> str:
    key = call.compiler.define(name, types)
    if key is None:
        raise call.refused(f"cannot define %{name} again", "Choose another name.")
    return key


DEFINITIONS = {"defineVariable": Function(1, 2, _define_variable)}
