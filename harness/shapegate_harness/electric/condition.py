"""A filter that Electric would accept for a table, and its evaluation over changed rows.

Postgres evaluates it both for the snapshot and for every later change, so the two never differ. Values of
`$n` are bound as text and cast by Postgres to the types that Electric infers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.catalogue import look_up
from shapegate_harness.electric.coltypes import column_types
from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.filter import mentioned
from shapegate_harness.electric.lexer import wrong_at
from shapegate_harness.electric.pgtypes import Type
from shapegate_harness.electric.printer import print_sql
from shapegate_harness.electric.tree import Param, walk
from shapegate_harness.electric.typecheck import Terms, check_filter
from shapegate_wire import names
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.filter import Filter
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.transaction import RowChange
    from shapegate_harness.electric.tree import Node, Select
    from shapegate_wire.identifier import TableName

_ROWS_MAX: Final = 5_000
"""Rows evaluated by one statement; bounds the size of its parameters."""
_ALIAS: Final = quote("shapegate row")
_ORDINAL: Final = quote("shapegate ordinal")

Held = tuple[bool, ...]
"""Which of several tests hold for a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A statement that evaluates tests over rows of one table; made by `evaluation_of`."""

    relation_oid: int
    query: str
    values: tuple[str, ...]
    places: tuple[int, ...]
    """Columns that it takes, each as an array of text, after the values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A checked tree, with what it takes to print any part of it."""

    tree: Node
    relations: Mapping[TableName, Relation]
    """The tables of its subqueries."""
    places: Mapping[int, str]
    """The type of each parameter as SQL, by the place of its use."""
    numbers: Mapping[int, int]
    """The client's parameter numbers, and those of the statement."""
    values: tuple[str, ...]

    def print(self, node: Node) -> str:
        """Print a part of the tree for Postgres."""
        return print_sql(node, self._param, source=self.source)

    def _param(self, param: Param) -> str:
        return f"(${self.numbers[param.number]}::text::{self.places[param.start]})"

    def source(self, select: Select) -> str:
        """Print what a subquery reads from."""
        return self.relations[select.table].scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A filter of one table, ready to run; made by `compile_condition`."""

    relation_oid: int
    sql: str
    """A boolean expression over the table's columns, with `$1`, `$2`, ... as text."""
    values: tuple[str, ...]
    tests: Evaluation | None
    """Its evaluation over changed rows; None where it has subqueries."""
    typed: Typed


async def compile_condition(
    connection: Connection,
    relation: Relation,
    parsed: Filter,
    params: tuple[str, ...],
    *,
    columns: Collection[str] | None = None,
    subset: bool = False,
) -> Condition:
    """Check a filter as Electric does, then let Postgres check it, too.

    `columns` are those that it may speak of, where not all. A `subset`'s filter has no subqueries, and its
    constants of enum types are left to Postgres. Raises Rejected, in Electric's words where they are known.
    """
    if subset and parsed.subqueries:
        raise rejected(names.WHERE, "Subqueries are not allowed in subsets")
    tables = {select.table for select in parsed.subqueries}
    relations = {table: await look_up(connection, table) for table in sorted(tables)}
    types = await column_types(connection, (relation, *relations.values()))
    own = types[relation.oid]
    terms = Terms(
        columns={name: type_ for name, type_ in own.items() if columns is None or name in columns},
        params=params,
        tables={table: types[inner.oid] for table, inner in relations.items()},
        enums=subset,
    )
    typed = _typed(parsed, (relation, *relations.values()), relations, terms)
    for param in (node for _, node in walk(parsed.tree) if isinstance(node, Param)):
        await _check_value(connection, param, params[param.number - 1], typed.places[param.start])
    sql = typed.print(parsed.tree)
    await _check(connection, relation, sql)
    return Condition(
        relation_oid=relation.oid,
        sql=sql,
        values=typed.values,
        tests=None if parsed.subqueries else evaluation_of(relation, typed, (parsed.tree,), (sql,)),
        typed=typed,
    )


def _typed(
    parsed: Filter, known: Sequence[Relation], relations: Mapping[TableName, Relation], terms: Terms
) -> Typed:
    places = check_filter(parsed.tree, terms)
    # A type of the user's own is printed as its column has it, with its schema where it needs one.
    spelled = {
        Type(column.type_name, enum=True): column.sql_type
        for relation in known
        for column in relation.columns
        if not column.dims
    }
    printed = {start: spelled.get(type_, _spell(type_)) for start, type_ in places.items()}
    return Typed(
        tree=parsed.tree,
        relations=relations,
        places=printed,
        numbers={number: index for index, number in enumerate(parsed.params, start=1)},
        values=tuple(terms.params[number - 1] for number in parsed.params),
    )


def _spell(type_: Type) -> str:
    return quote(type_.name) + ("[]" if type_.array else "")


async def _check_value(connection: Connection, param: Param, value: str, type_: str) -> None:
    try:
        await connection.fetchval(f"SELECT ($1::text::{type_}) IS NULL", value)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
        spelled = type_.replace('"', "")
        raise wrong_at(param.start, f"invalid syntax for type {spelled}: {value}") from exc


async def _check(connection: Connection, relation: Relation, sql: str) -> None:
    """Have Postgres parse it over typed nulls, which have the table's columns and nothing else."""
    nulls = ", ".join(f"NULL::{column.sql_type} AS {quote(column.name)}" for column in relation.columns)
    try:
        await connection.prepare(
            f"SELECT ( {sql} ) IS TRUE FROM (SELECT {nulls}) AS {_ALIAS}"  # noqa: S608  # quoted names
        )
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.FeatureNotSupportedError) as exc:
        # Electric would accept it and fail at the snapshot.
        raise rejected(names.WHERE, str(exc.args[0])) from exc


def evaluation_of(
    relation: Relation, typed: Typed, trees: Sequence[Node], tests: Sequence[str]
) -> Evaluation:
    """Print the statement that evaluates tests, whose trees are given, over arrays of column values."""
    read = frozenset[str]().union(*map(mentioned, trees))
    # A set-returning function needs an argument: a filter without columns is given the first one.
    places = tuple(i for i, c in enumerate(relation.columns) if c.name in read) or (0,)
    columns = [relation.columns[at] for at in places]
    first = len(typed.values) + 1
    arrays = ", ".join(f"${first + index}::text[]" for index in range(len(columns)))
    inputs = [f"c{index}" for index in range(len(columns))]
    casts = ", ".join(
        f"i.{name}::{column.sql_type} AS {quote(column.name)}"
        for name, column in zip(inputs, columns, strict=True)
    )
    held = ", ".join(f"( {test} ) IS TRUE" for test in tests)
    # A parameter that no test uses has no type of its own.
    unused = " AND ".join(f"${number}::text IS NOT NULL" for number in range(1, first)) or "true"
    rows = f"unnest({arrays}) WITH ORDINALITY AS i({', '.join(inputs)}, ordinal)"
    return Evaluation(
        relation_oid=relation.oid,
        query=(
            f"SELECT {held} "  # noqa: S608  # printed from a checked tree
            f"FROM (SELECT {casts}, i.ordinal AS {_ORDINAL} FROM {rows}) AS {_ALIAS} "
            f"WHERE {unused} ORDER BY {_ORDINAL}"
        ),
        values=typed.values,
        places=places,
    )


async def evaluate(
    connection: Connection, evaluation: Evaluation, changes: Sequence[RowChange], *, timeout_seconds: float
) -> list[tuple[Held | None, Held | None]]:
    """Say of each change which tests hold for the row before and after it; None where there is no row.

    Raises asyncpg.PostgresError or TimeoutError if a test fails for one of the rows.
    """
    rows = [row for change in changes for row in (change.old, change.new) if row is not None]
    held: list[Held] = []
    for start in range(0, len(rows), _ROWS_MAX):
        batch = rows[start : start + _ROWS_MAX]
        arrays = [[row[at] for row in batch] for at in evaluation.places]
        records = await connection.fetch(
            evaluation.query, *evaluation.values, *arrays, timeout=timeout_seconds
        )
        held += map(tuple, records)
    verdicts = iter(held)
    return [
        (
            None if change.old is None else next(verdicts),
            None if change.new is None else next(verdicts),
        )
        for change in changes
    ]
