"""The syntax tree of an expression. Every node knows where it stands in the text, for messages and explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """``start`` and ``end`` are character positions in the text, ``depth`` is the height of the tree below."""

    start: int
    end: int
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Node):
    """A value written down; ``type`` is a System type such as ``System.String``. ``{}`` is Empty."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(Node):
    """``{}``"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable(Node):
    """``%name``"""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Special(Node):
    """``$this``, ``$index`` or ``$total``, named without the dollar sign."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Node):
    """An element: ``source.name``; without a source of the current item, or the name of its type."""

    source: Node | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """A function: ``source.name(arguments)``; without a source on the current item."""

    source: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer(Node):
    """``source[index]``"""

    source: Node
    index: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign(Node):
    """``+operand`` or ``-operand``"""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Node):
    """An operator between two operands."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(Node):
    """``and``, ``or`` or ``|`` between two or more operands; kept flat, because long chains are common."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeOperation(Node):
    """``operand is Type`` or ``operand as Type``; the type as written, perhaps with ``FHIR.`` or ``System.``."""

    operator: str
    operand: Node
    type_name: str
