"""``now() today() timeOfDay()``: the moment that is given with the evaluation, never a clock.

The hub judges a change as of the time of the change, so that it is judged the same way whenever it is judged.
"""

from __future__ import annotations

from collections.abc import Callable

from hub.fhirpath import temporal
from hub.fhirpath.arithmetic import temporal_item
from hub.fhirpath.call import Function, FunctionCall
from hub.fhirpath.errors import FHIRPathEvaluationError
from hub.fhirpath.evaluation import Compiled, Environment, one_item
from hub.fhirpath.items import Item
from hub.fhirpath.temporal import Temporal


def _of_now(type_: str, part: Callable[[Temporal], Temporal]) -> Callable[[FunctionCall], Compiled]:
    def build(call: FunctionCall) -> Compiled:
        if not call.compiler.settings.now_allowed:
            raise call.unsupported("Nothing here has a time at which it is evaluated; compare with a date.")
        call.compiler.uses_now = True

        def single(env: Environment, _this: Item | None) -> Item:
            if env.now is None:
                raise FHIRPathEvaluationError("no moment was given to evaluate at")
            return temporal_item(part(temporal.of_instant(env.now)))

        return one_item(single, frozenset({type_}))

    return build


CLOCK = {
    "now": Function(0, 0, _of_now("System.DateTime", lambda now: now)),
    "today": Function(0, 0, _of_now("System.Date", lambda now: Temporal.made("date", now.fields[:3], None))),
    "timeOfDay": Function(0, 0, _of_now("System.Time", lambda now: Temporal.made("time", now.fields[3:], None))),
}
