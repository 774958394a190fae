"""The tree of a filter, as it was written: names and literals without types.

Every node knows where the client wrote it, as Postgres counts: an operator's place is that of its sign.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_wire.identifier import TableName


class Literal(enum.Enum):
    """What a constant is before anything around it gives it a type."""

    TEXT = "text"
    NULL = "null"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """A reference; more than one part where it was qualified."""

    start: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal by its value, not by its spelling."""

    start: int
    literal: Literal
    text: str


@dataclass(frozen=True, slots=True)
class Param:
    """`$1`, `$2`, ..."""

    start: int
    number: int


@dataclass(frozen=True, slots=True)
class Unary:
    """A prefix operator."""

    start: int
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """An infix operator; LIKE and ILIKE are `~~` and `~~*`, as Postgres has them."""

    start: int
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic:
    """AND or OR of two operands or more."""

    start: int
    word: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    start: int
    operand: Node


@dataclass(frozen=True, slots=True)
class IsTest:
    """IS [NOT] NULL, TRUE, FALSE, UNKNOWN."""

    start: int
    operand: Node
    word: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Distinct:
    """IS [NOT] DISTINCT FROM."""

    start: int
    left: Node
    right: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class InList:
    """[NOT] IN a list."""

    start: int
    operand: Node
    items: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Between:
    """[NOT] BETWEEN [SYMMETRIC]."""

    start: int
    operand: Node
    low: Node
    high: Node
    negated: bool
    symmetric: bool


@dataclass(frozen=True, slots=True)
class AnyAll:
    """An operator over the elements of an array."""

    start: int
    operator: str
    left: Node
    array: Node
    word: str


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as Postgres' grammar names it."""

    start: int
    name: str
    array: bool


@dataclass(frozen=True, slots=True)
class Cast:
    """`x::type`, CAST(x AS type), or a literal after its type."""

    start: int
    operand: Node
    to: TypeName


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a construct that looks like one."""

    start: int
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """ARRAY[...]."""

    start: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What stands in one pair of brackets; a slice has a colon, and either end may be missing."""

    lower: Node | None
    upper: Node | None
    is_slice: bool


@dataclass(frozen=True, slots=True)
class Subscript:
    """An array with brackets."""

    start: int
    operand: Node
    bounds: tuple[Bounds, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """(a, b)."""

    start: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """A subquery: plain columns of one table."""

    start: int
    table: TableName
    columns: tuple[str, ...]
    where: Node | None


@dataclass(frozen=True, slots=True)
class Membership:
    """Columns IN a subquery; NOT IN is a Not around it."""

    start: int
    left: Node
    select: Select


Node: TypeAlias = (
    Column
    | Constant
    | Param
    | Unary
    | Binary
    | Logic
    | Not
    | IsTest
    | Distinct
    | InList
    | Between
    | AnyAll
    | Cast
    | Call
    | ArrayOf
    | Subscript
    | Row
    | Membership
)


def children(node: Node) -> tuple[Node, ...]:
    """List the parts of a node in the order in which they were written; not those of a subquery."""
    match node:
        case Column() | Constant() | Param():
            return ()
        case Unary(operand=operand) | Not(operand=operand) | IsTest(operand=operand) | Cast(operand=operand):
            return (operand,)
        case Binary(left=left, right=right) | Distinct(left=left, right=right):
            return (left, right)
        case AnyAll(left=left, array=array):
            return (left, array)
        case Logic(operands=items) | ArrayOf(items=items) | Row(items=items) | Call(arguments=items):
            return items
        case InList(operand=operand, items=items):
            return (operand, *items)
        case Between(operand=operand, low=low, high=high):
            return (operand, low, high)
        case Subscript(operand=operand, bounds=bounds):
            inner = (part for each in bounds for part in (each.lower, each.upper))
            return (operand, *(part for part in inner if part is not None))
        case Membership(left=left):
            return (left,)
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[tuple[int, Node]]:
    """Visit a tree from the top, subqueries included, each node with its depth; never recursive."""
    waiting = [(1, node)]
    while waiting:
        depth, found = waiting.pop()
        yield depth, found
        inner = children(found)
        if isinstance(found, Membership) and found.select.where is not None:
            inner = (*inner, found.select.where)
        waiting += [(depth + 1, part) for part in reversed(inner)]


def memberships(node: Node) -> tuple[Membership, ...]:
    """List the subqueries of an expression in the order they were written, without those inside them."""
    found: list[Membership] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Membership):
            found.append(part)
        waiting += reversed(children(part))
    return tuple(found)


def selects(node: Node) -> tuple[Select, ...]:
    """List all subqueries, at any depth."""
    return tuple(part.select for _, part in walk(node) if isinstance(part, Membership))
