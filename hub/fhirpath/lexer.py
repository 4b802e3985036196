"""From text to tokens (grammar: http://hl7.org/fhirpath/N1/grammar.html)."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from hub.fhirpath.errors import FHIRPathError

MAX_LENGTH = 16 * 1024
"""Characters. The longest expression of the standard's own search parameters has about 5,000."""
MAX_TOKENS = 5_000
"""The longest has 780 tokens. So many are compiled in some 30 ms."""


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    QUOTED_NAME = auto()
    VARIABLE = auto()
    SPECIAL = auto()
    STRING = auto()
    NUMBER = auto()
    TEMPORAL = auto()
    SYMBOL = auto()
    END = auto()


class Token(NamedTuple):
    """``text`` is the meaning: a string without quotes and escapes, a variable without ``%``, a date without ``@``."""

    kind: Kind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""
    (?P<skip>\s+ | //[^\r\n]* | /\*.*?\*/)
  | (?P<temporal>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
      | \d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?))
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<variable>%(?:[A-Za-z_]\w* | `(?:[^`\\]|\\.)*` | '(?:[^'\\]|\\.)*'))
  | (?P<special>\$[a-z]+)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<symbol><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KINDS = {
    "temporal": Kind.TEMPORAL,
    "number": Kind.NUMBER,
    "string": Kind.STRING,
    "quoted": Kind.QUOTED_NAME,
    "variable": Kind.VARIABLE,
    "special": Kind.SPECIAL,
    "name": Kind.NAME,
    "symbol": Kind.SYMBOL,
}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f", "\\": "\\", "/": "/", "'": "'", '"': '"', "`": "`"}
_UNCLOSED = {
    "'": "Close the string with a single quote.",
    "`": "Close the name with a backtick.",
    '"': "Write strings in single quotes.",
    "@": "Write dates like @2024-01-31, date-times like @2024-01-31T10:00:00Z, times like @T10:00.",
    "/": "Close the comment with */.",
    "%": "Write variables like %current.",
}


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``, ended by an END token. Raises FHIRPathError for what is no token."""
    if len(text) > MAX_LENGTH:
        advice = f"Keep expressions below {MAX_LENGTH} characters."
        raise FHIRPathError("The expression is too long", text, MAX_LENGTH, advice)
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.group() == "/" == text[position + 1 : position + 2]:
            advice = _UNCLOSED.get(text[position], "Remove this character.")
            raise FHIRPathError(f"Unexpected character {text[position]!r}", text, position, advice)
        if match.lastgroup is not None and match.lastgroup != "skip":
            found.append(_token(match, text))
            if len(found) > MAX_TOKENS:
                advice = f"Write at most {MAX_TOKENS} words, values and signs."
                raise FHIRPathError("The expression is too long", text, position, advice)
        position = match.end()
    found.append(Token(Kind.END, "", len(text), len(text)))
    return found


def _token(match: re.Match[str], text: str) -> Token:
    kind = _KINDS[str(match.lastgroup)]
    start, end = match.span()
    written = match.group()
    if kind in (Kind.VARIABLE, Kind.SPECIAL, Kind.TEMPORAL):
        written = written[1:]
    if written[:1] in ("'", "`") and kind in (Kind.STRING, Kind.QUOTED_NAME, Kind.VARIABLE):
        written = _unescaped(written[1:-1], text, start)
    return Token(kind, written, start, end)


def _unescaped(written: str, text: str, start: int) -> str:
    def replaced(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in _ESCAPED:
            advice = r"Write \\ for a backslash; known escapes are \' \" \` \r \n \t \f \\ \/ and \uXXXX."
            raise FHIRPathError(f"Unknown escape \\{code}", text, start, advice)
        return _ESCAPED[code]

    return _whole(_ESCAPE.sub(replaced, written), text, start) if "\\" in written else written


def _whole(unescaped: str, text: str, start: int) -> str:
    """Two escapes may make one character; half of a surrogate pair is none and equals nothing that is stored."""
    try:
        return unescaped.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        advice = r"Write both halves of the pair, \uD83D\uDE00, or the character itself."
        raise FHIRPathError("Half of a surrogate pair", text, start, advice) from None
