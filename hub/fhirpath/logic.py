"""``and or xor implies``, each made into closures over its operands. Logic has three values; empty is the third."""

from __future__ import annotations

from collections.abc import Sequence

from hub.fhirpath.evaluation import Compiled, Environment, Truth, condition
from hub.fhirpath.items import Item


def conjunction(operands: Sequence[Compiled]) -> Compiled:
    """``and``: false when any is false, else empty when any is empty."""
    return condition(_chain([operand.truth for operand in operands], decisive=False))


def disjunction(operands: Sequence[Compiled]) -> Compiled:
    """``or``: true when any is true, else empty when any is empty."""
    return condition(_chain([operand.truth for operand in operands], decisive=True))


def _chain(truths: Sequence[Truth], *, decisive: bool) -> Truth:
    def truth(env: Environment, this: Item | None) -> bool | None:
        answer: bool | None = not decisive
        for one in truths:
            value = one(env, this)
            if value is decisive:
                return decisive
            if value is None:
                answer = None
        return answer

    return truth


def exclusive_or(left: Compiled, right: Compiled) -> Compiled:
    """``xor``: empty when either is."""

    def truth(env: Environment, this: Item | None) -> bool | None:
        one, other = left.truth(env, this), right.truth(env, this)
        return None if one is None or other is None else one is not other

    return condition(truth)


def implication(left: Compiled, right: Compiled) -> Compiled:
    """``implies``: true when the left is false or the right is true."""

    def truth(env: Environment, this: Item | None) -> bool | None:
        premise = left.truth(env, this)
        if premise is False:
            return True
        conclusion = right.truth(env, this)
        if conclusion or premise:
            return conclusion
        return None

    return condition(truth)
