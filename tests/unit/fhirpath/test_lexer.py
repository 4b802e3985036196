"""Escapes in string literals (FHIRPath, Literals: String)."""

from __future__ import annotations

import pytest

from hub.fhirpath.errors import FHIRPathError
from hub.fhirpath.lexer import tokens


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"'\u00e9'", "\u00e9"),
        (r"'\uD83D\uDE00'", "\U0001f600"),
        (r"'a\tb\\'", "a\tb\\"),
        ("'\U0001f600'", "\U0001f600"),
    ],
)
def test_escapes_are_read_as_the_characters_they_mean(written: str, meant: str) -> None:
    assert tokens(written)[0].text == meant


@pytest.mark.parametrize("written", [r"'\ud800'", r"'\udc00'", r"'\uDE00\uD83D'", r"'\q'", r"'\u12'"])
def test_an_escape_that_means_no_character_is_refused(written: str) -> None:
    with pytest.raises(FHIRPathError):
        tokens(written)
