"""The name that was probably meant where one stands that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_NAME = 64
"""Longer ones are no slip of the pen, and comparing them is costly."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'class'?"`` to end a message with; "" when nothing known is near."""
    if not name or len(name) > LONGEST_NAME:
        return ""
    names, asked = {each.casefold(): each for each in known}, name.casefold()
    near = get_close_matches(asked, names, n=1, cutoff=0.7) or [each for each in names if each.startswith(f"{asked}-")]
    return f" Did you mean {' or '.join(repr(names[each]) for each in near[:3])}?" if near else ""


def nearest_canonical(asked: str, known: Iterable[str]) -> str:
    """The same for canonicals (``url|version``): those with that url, else the one that ends most like it."""
    canonicals = list(known)
    url = asked.partition("|")[0]
    near = [each for each in canonicals if each.partition("|")[0] == url]
    if not near:
        ends = {_end(each).casefold(): each for each in canonicals}
        end = _end(url)[: LONGEST_NAME + 1].casefold()
        near = [ends[each] for each in get_close_matches(end, ends, n=1, cutoff=0.7)]
    return f" Did you mean {' or '.join(near[-3:])}?" if near else ""


def _end(canonical: str) -> str:
    return canonical.partition("|")[0].rstrip("/").rpartition("/")[2]
