"""Postgres' own parser reads a printed filter as the tree that it was printed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import pytest
from hypothesis import given, settings

from shapegate_wire.filter import FilterRefused, parse_filter, print_filter, tree
from shapegate_wire.filter.array_text import print_array
from tests.wire.filter.hostile import MUTATED
from tests.wire.filter.legal import FILTERS, Written
from tests.wire.filter.table import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

pglast = pytest.importorskip("pglast")

Node = Any  # pglast has no types
Shape = tuple[object, ...]
"""A condition as nested tuples, `$n` replaced by its value."""


def expected(item: tree.Condition) -> Shape:
    """What a tree means."""
    match item:
        case tree.Truth():
            return ("truth", item.value)
        case tree.Flag():
            return ("column", item.column.name)
        case tree.Both():
            return ("AND", *map(expected, item.items))
        case tree.Either():
            return ("OR", *map(expected, item.items))
        case tree.Not():
            return ("NOT", expected(item.item))
        case tree.Tested():
            return ("is", expected(item.item), f"IS_{'NOT_' * item.negated}{item.test.value}")
        case tree.NullTested():
            return ("null", value(item.operand), item.negated)
        case tree.Compared() | tree.ArrayCompared():
            return ("OP", item.comparator.value, value(item.left), value(item.right))
        case tree.Distinct():
            kind = "NOT_DISTINCT" if item.negated else "DISTINCT"
            return (kind, "=", value(item.left), value(item.right))
        case tree.Quantified():
            kind = f"OP_{item.quantifier.value}"
            return (kind, item.comparator.value, value(item.left), value(item.right))
        case tree.Like():
            operator = "!" * item.negated + "~~" + "*" * item.ignoring_case
            kind = "ILIKE" if item.ignoring_case else "LIKE"
            return (kind, operator, value(item.operand), value(item.pattern))
        case _:
            assert_never(item)


def value(side: tree.Operand | tree.Constant | tree.ConstantArray) -> Shape:
    """What one side of an operator means."""
    match side:
        case tree.Column():
            return ("column", side.name)
        case tree.Applied():
            return (side.function.value, ("column", side.column.name))
        case tree.Coalesced():
            return ("coalesce", ("column", side.column.name), ("value", side.fallback.text))
        case tree.Constant():
            return ("value", side.text)
        case tree.ConstantArray():
            return ("value", print_array(side.items))
        case _:
            assert_never(side)


class PostgresReads:
    """Postgres' tree as the same tuples; what it does not know it does not accept."""

    def __init__(self, params: tuple[str, ...], first: int) -> None:
        self._params = params
        self._first = first
        self.used: list[int] = []

    def shape(self, node: object) -> Shape:
        read: Callable[[object], Shape] = getattr(self, type(node).__name__)
        return read(node)

    def BoolExpr(self, node: Node) -> Shape:
        return (node.boolop.name.removesuffix("_EXPR"), *map(self.shape, node.args))

    def A_Expr(self, node: Node) -> Shape:
        (name,) = node.name
        kind = node.kind.name.removeprefix("AEXPR_")
        return (kind, name.sval, self.shape(node.lexpr), self.shape(node.rexpr))

    def NullTest(self, node: Node) -> Shape:
        assert not node.argisrow
        return ("null", self.shape(node.arg), node.nulltesttype.name == "IS_NOT_NULL")

    def BooleanTest(self, node: Node) -> Shape:
        return ("is", self.shape(node.arg), node.booltesttype.name)

    def ColumnRef(self, node: Node) -> Shape:
        (name,) = node.fields
        return ("column", name.sval)

    def ParamRef(self, node: Node) -> Shape:
        self.used.append(node.number)
        return ("value", self._params[node.number - self._first])

    def TypeCast(self, node: Node) -> Shape:
        assert [name.sval for name in node.typeName.names] == ["text"]
        assert not node.typeName.arrayBounds
        assert not node.typeName.typmods
        return ("::text", self.shape(node.arg))

    def FuncCall(self, node: Node) -> Shape:
        (name,) = node.funcname
        assert name.sval in ("lower", "upper")
        assert not any((node.agg_star, node.agg_distinct, node.over, node.agg_filter, node.agg_order))
        return (name.sval, *map(self.shape, node.args))

    def CoalesceExpr(self, node: Node) -> Shape:
        return ("coalesce", *map(self.shape, node.args))

    def A_Const(self, node: Node) -> Shape:
        if node.isnull:
            return ("truth", "NULL")
        assert isinstance(node.val, pglast.ast.Boolean)
        return ("truth", "true" if node.val.boolval else "false")


def where_clause(sql: str) -> object:
    """The one condition of a statement that consists of nothing else."""
    (statement,) = pglast.parse_sql(f"SELECT 1 WHERE {sql}")
    select = statement.stmt
    others = [
        name for name in select if name not in ("targetList", "whereClause", "limitOption", "op", "all")
    ]
    assert not [name for name in others if getattr(select, name)]
    return select.whereClause


def assert_read_alike(asked: Written) -> None:
    """Print from `$7` on and compare both trees."""
    parsed = parse_filter(asked.text, params=asked.params, columns=COLUMNS)
    printed = print_filter(parsed, first_param=7)
    postgres = PostgresReads(printed.params, 7)
    assert postgres.shape(where_clause(printed.sql)) == expected(parsed.condition)
    assert postgres.used == list(range(7, 7 + len(printed.params)))


@settings(max_examples=100, deadline=None)
@given(FILTERS)
def test_P_10_postgres_reads_the_printed_form_as_the_tree(asked: Written) -> None:
    assert_read_alike(asked)


@settings(max_examples=100, deadline=None)
@given(MUTATED)
def test_P_17_what_is_accepted_of_a_mutated_filter_is_one_condition_to_postgres_too(asked: Written) -> None:
    try:
        parse_filter(asked.text, params=asked.params, columns=COLUMNS)
    except FilterRefused:
        return
    assert where_clause(asked.text) is not None
    assert_read_alike(asked)


@settings(max_examples=100, deadline=None)
@given(FILTERS)
def test_a_printed_filter_binds_as_one_condition_on_either_side_of_and(asked: Written) -> None:
    parsed = parse_filter(asked.text, params=asked.params, columns=COLUMNS)
    printed = print_filter(parsed, first_param=1)
    parts = len(parsed.condition.items) if isinstance(parsed.condition, tree.Both) else 1
    for sql in (f"org IS NULL AND {printed.sql}", f"{printed.sql} AND org IS NULL"):
        clause = where_clause(sql)
        assert isinstance(clause, pglast.ast.BoolExpr)
        assert clause.boolop.name == "AND_EXPR"
        assert len(clause.args) in (2, parts + 1)


def test_a_first_parameter_below_one_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="first parameter"):
        print_filter(tree.Filter(tree.Truth.TRUE), first_param=0)
