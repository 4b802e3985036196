"""From tokens to a syntax tree: precedence climbing over the grammar of FHIRPath (N1, "Operator Precedence")."""

from __future__ import annotations

from decimal import Decimal

from hub.fhirpath import temporal
from hub.fhirpath.errors import FHIRPathError
from hub.fhirpath.lexer import Kind, Token, tokens
from hub.fhirpath.quantity import CALENDAR_UNITS, Quantity
from hub.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Empty,
    Indexer,
    Literal,
    Member,
    Node,
    Sign,
    Special,
    TypeOperation,
    Variable,
)

MAX_DEPTH = 64
"""Levels of the tree. Keeps parsing, compiling and evaluating far from Python's recursion limit."""
MAX_DIGITS = 28
"""Digits of a number: what a Decimal keeps exactly through calculations."""

_CHAINED = frozenset({"and", "or", "|"})
_LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_BINDING = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_WORDS = frozenset(operator for operator in _BINDING if operator.isalpha())
_NAMES_TOO = frozenset({"as", "is", "in", "contains"})
"""Operators that the grammar also allows as the name of an element or a function."""
_TEMPORAL_TYPES = {"date": "System.Date", "dateTime": "System.DateTime", "time": "System.Time"}


def parse(text: str) -> Node:
    """The syntax tree of ``text``; raises FHIRPathError with the place and what to write instead."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self._nesting = 0

    def whole(self) -> Node:
        tree = self._expression(0)
        if self._token.kind is not Kind.END:
            raise self._unexpected("Join expressions with an operator, or remove the rest.")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _is(self, symbol: str) -> bool:
        return self._token.kind is Kind.SYMBOL and self._token.text == symbol

    def _expect(self, symbol: str) -> Token:
        if not self._is(symbol):
            raise self._unexpected(f"Write {symbol!r} here.")
        return self._take()

    def _unexpected(self, advice: str) -> FHIRPathError:
        token = self._token
        found = "end of the expression" if token.kind is Kind.END else repr(self._text[token.start : token.end])
        return FHIRPathError(f"Unexpected {found}", self._text, token.start, advice)

    def _depth(self, *children: Node | None) -> int:
        depth = 1 + max((child.depth for child in children if child is not None), default=0)
        return self._checked(depth)

    def _checked(self, depth: int) -> int:
        if depth > MAX_DEPTH:
            advice = f"Nest at most {MAX_DEPTH} levels."
            raise FHIRPathError("The expression is nested too deeply", self._text, self._token.start, advice)
        return depth

    def _operator(self) -> str | None:
        token = self._token
        is_word = token.kind is Kind.NAME and token.text in _WORDS
        is_symbol = token.kind is Kind.SYMBOL and token.text in _BINDING
        return token.text if is_word or is_symbol else None

    def _expression(self, level: int) -> Node:
        self._nesting = self._checked(self._nesting + 1)
        left = self._signed()
        while (operator := self._operator()) is not None and _BINDING[operator] >= level:
            left = self._continued(left, operator)
        self._nesting -= 1
        return left

    def _continued(self, left: Node, operator: str) -> Node:
        if operator in _CHAINED:
            return self._chain(left, operator)
        self._take()
        if operator in ("is", "as"):
            name, end = self._type_name()
            depth = self._depth(left)
            return TypeOperation(
                operator=operator, operand=left, type_name=name, start=left.start, end=end, depth=depth
            )
        right = self._expression(_BINDING[operator] + 1)
        depth = self._depth(left, right)
        return Binary(operator=operator, left=left, right=right, start=left.start, end=right.end, depth=depth)

    def _chain(self, left: Node, operator: str) -> Node:
        operands = [left]
        while self._operator() == operator:
            self._take()
            operands.append(self._expression(_BINDING[operator] + 1))
        depth = self._depth(*operands)
        return Chain(operator=operator, operands=tuple(operands), start=left.start, end=operands[-1].end, depth=depth)

    def _type_name(self) -> tuple[str, int]:
        if self._token.kind not in (Kind.NAME, Kind.QUOTED_NAME):
            raise self._unexpected("Name a type here, such as Patient or Quantity.")
        first = self._take()
        name, end = first.text, first.end
        if self._is(".") and name in ("FHIR", "System"):
            self._take()
            if self._token.kind not in (Kind.NAME, Kind.QUOTED_NAME):
                raise self._unexpected("Name a type after the dot.")
            last = self._take()
            name, end = f"{name}.{last.text}", last.end
        return name, end

    def _signed(self) -> Node:
        if self._is("+") or self._is("-"):
            sign = self._take()
            self._nesting = self._checked(self._nesting + 1)
            operand = self._signed()
            self._nesting -= 1
            depth = self._depth(operand)
            return Sign(operator=sign.text, operand=operand, start=sign.start, end=operand.end, depth=depth)
        return self._postfixed(self._primary())

    def _postfixed(self, node: Node) -> Node:
        while True:
            if self._is("."):
                self._take()
                node = self._invocation(node)
            elif self._is("["):
                self._take()
                index = self._expression(0)
                end = self._expect("]").end
                node = Indexer(source=node, index=index, start=node.start, end=end, depth=self._depth(node, index))
            else:
                return node

    def _invocation(self, source: Node | None) -> Node:
        token = self._token
        if token.kind is Kind.SPECIAL and source is None:
            self._take()
            return Special(name=token.text, start=token.start, end=token.end)
        quoted = token.kind is Kind.QUOTED_NAME
        if not quoted and (token.kind is not Kind.NAME or token.text in _WORDS - _NAMES_TOO):
            raise self._unexpected("Write an element, a function or a value here.")
        self._take()
        start = token.start if source is None else source.start
        if self._is("(") and not quoted:
            return self._call(source, token.text, start)
        return Member(source=source, name=token.text, start=start, end=token.end, depth=self._depth(source))

    def _call(self, source: Node | None, name: str, start: int) -> Node:
        self._expect("(")
        arguments: list[Node] = []
        while not self._is(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expression(0))
        end = self._take().end
        depth = self._depth(source, *arguments)
        return Call(source=source, name=name, arguments=tuple(arguments), start=start, end=end, depth=depth)

    def _primary(self) -> Node:
        token = self._token
        match token.kind:
            case Kind.STRING:
                self._take()
                return Literal(type="System.String", value=token.text, start=token.start, end=token.end)
            case Kind.NUMBER:
                return self._number()
            case Kind.TEMPORAL:
                return self._temporal()
            case Kind.VARIABLE:
                self._take()
                return Variable(name=token.text, start=token.start, end=token.end)
            case Kind.NAME if token.text in ("true", "false"):
                self._take()
                return Literal(type="System.Boolean", value=token.text == "true", start=token.start, end=token.end)
            case Kind.SYMBOL if token.text == "(":
                self._take()
                inner = self._expression(0)
                self._expect(")")
                return inner
            case Kind.SYMBOL if token.text == "{":
                self._take()
                return Empty(start=token.start, end=self._expect("}").end)
        return self._invocation(None)

    def _number(self) -> Node:
        token = self._take()
        unit = self._token
        if len(token.text) > MAX_DIGITS:
            advice = f"Write at most {MAX_DIGITS} digits."
            raise FHIRPathError("This number is too long", self._text, token.start, advice)
        value = Decimal(token.text)
        if unit.kind is Kind.STRING or (unit.kind is Kind.NAME and unit.text in CALENDAR_UNITS):
            self._take()
            quantity = Quantity.written(value, unit.text)
            return Literal(type="System.Quantity", value=quantity, start=token.start, end=unit.end)
        if "." in token.text:
            return Literal(type="System.Decimal", value=value, start=token.start, end=token.end)
        return Literal(type="System.Integer", value=int(value), start=token.start, end=token.end)

    def _temporal(self) -> Node:
        token = self._take()
        value = temporal.parse(token.text)
        if value is None:
            raise FHIRPathError("No such date or time", self._text, token.start, "Write a date that exists.")
        return Literal(type=_TEMPORAL_TYPES[value.kind], value=value, start=token.start, end=token.end)
