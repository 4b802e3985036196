"""Refusals that say which part of a larger request they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hub.errors import Refused


@contextmanager
def placed(element: str) -> Iterator[None]:
    """A refusal inside names ``element`` (``Bundle.entry[3]``), unless it names a part of that already."""
    try:
        yield
    except Refused as problem:
        issues = [
            issue if issue.expression.startswith(element) else replace(issue, expression=element)
            for issue in problem.issues
        ]
        raise type(problem)(*issues) from problem
