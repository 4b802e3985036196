"""What can be wrong with a FHIRPath expression, and what can go wrong when it is evaluated.

Everything that can be seen in the text is found when it is compiled; only what depends on the data is left for later.
"""

from __future__ import annotations

from hub.errors import HubError, Malformed, Unprocessable

_NEAR = 12


class FHIRPathError(Malformed):
    """The expression is not FHIRPath, or names something that does not exist. ``position`` counts characters from 0."""

    def __init__(self, problem: str, text: str, position: int, advice: str) -> None:
        self.position = position
        super().__init__(described(problem, text, position, advice))


class FHIRPathUnsupported(Unprocessable):
    """The expression is FHIRPath, but this hub cannot evaluate it exactly."""

    def __init__(self, problem: str, text: str, position: int, advice: str) -> None:
        self.position = position
        super().__init__(described(problem, text, position, advice), code="not-supported")


class FHIRPathEvaluationError(HubError):
    """This data gives the expression no value: too many items, types that do not compare, or too costly.

    It counts as "not matched" and is recorded, it never stops a change (S-042).
    """


def described(problem: str, text: str, position: int, advice: str) -> str:
    """One sentence with the place and the text around it, and one that says what to write instead."""
    near = text[max(0, position - _NEAR) : position + _NEAR].strip()
    place = f"near {near!r}" if near else "in an empty expression"
    return f"{problem} at position {position}, {place}. {advice}"
