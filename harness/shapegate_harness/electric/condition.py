"""A filter that Postgres has accepted for a table, and its evaluation over changed rows.

Postgres evaluates it both for the snapshot and for every later change, so the two never differ. Values of
`$n` are bound as text and cast by Postgres to the types that it inferred.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.lexer import SYNTAX_ERROR_OFFSET, wrong_at
from shapegate_wire import names
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.filter import Filter
    from shapegate_harness.electric.relation import Relation, RelationColumn
    from shapegate_harness.electric.transaction import RowChange

_ROWS_MAX: Final = 5_000
"""Rows evaluated by one statement; bounds the size of its parameters."""
_TYPE_NAMES: Final = """
    SELECT format_type(t, NULL) AS name FROM unnest($1::int8[]::oid[]) WITH ORDINALITY AS u(t, o) ORDER BY o
"""
_ALIAS: Final = quote("shapegate row")
_ORDINAL: Final = quote("shapegate ordinal")
_CHECK: Final = "SELECT ( "
_BAD_VALUE: Final = re.compile(r'invalid input (?:syntax|value) for (?:type )?(.+?): "(.*)"', re.DOTALL)
_INTERNAL_TYPES: Final = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "boolean": "bool",
    "real": "float4",
    "double precision": "float8",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A filter of one table, ready to run; made by `compile_condition`."""

    relation_oid: int
    sql: str
    """A boolean expression over the table's columns, with `$1`, `$2`, ... as text."""
    values: tuple[str, ...]
    evaluation: str
    places: tuple[int, ...]
    """Columns that `evaluation` takes, each as an array of text, after the values."""


async def compile_condition(
    connection: Connection, relation: Relation, parsed: Filter, params: tuple[str, ...]
) -> Condition:
    """Let Postgres check a filter. Raises Rejected on `where`, in Electric's words where they are known."""
    missing = next((number for number in parsed.params if number > len(params)), None)
    if missing is not None:
        raise wrong_at(parsed.first_use(missing), f"parameter ${missing} was not provided")
    values = tuple(params[number - 1] for number in parsed.params)
    types = await _infer_types(connection, relation, parsed)
    for number, value, type_ in zip(parsed.params, values, types, strict=True):
        await _check_value(connection, parsed.first_use(number), value, type_)
    sql = parsed.to_sql(types)
    mentioned = parsed.mentioned
    # A set-returning function needs an argument: a filter without columns is given the first one.
    places = tuple(i for i, c in enumerate(relation.columns) if c.name in mentioned) or (0,)
    return Condition(
        relation_oid=relation.oid,
        sql=sql,
        values=values,
        evaluation=_evaluation(tuple(relation.columns[at] for at in places), sql, len(values)),
        places=places,
    )


async def _infer_types(connection: Connection, relation: Relation, parsed: Filter) -> tuple[str, ...]:
    """Have the filter parsed over typed nulls, which have the table's columns and nothing else."""
    nulls = ", ".join(f"NULL::{column.sql_type} AS {quote(column.name)}" for column in relation.columns)
    try:
        prepared = await connection.prepare(
            f"{_CHECK}{parsed.to_sql()} ) IS TRUE FROM (SELECT {nulls}) AS {_ALIAS}"
        )
        oids = [type_.oid for type_ in prepared.get_parameters()]
        return tuple(
            row["name"]
            for row in await connection.fetch(
                _TYPE_NAMES,
                oids,
            )
        )
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.FeatureNotSupportedError) as exc:
        raise _refusal(parsed, exc) from exc


async def _check_value(connection: Connection, start: int, value: str, type_: str) -> None:
    try:
        await connection.fetchval(f"SELECT ($1::text::{type_}) IS NULL", value)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
        raise wrong_at(start, _describe(exc)) from exc


def _evaluation(columns: tuple[RelationColumn, ...], sql: str, value_count: int) -> str:
    arrays = ", ".join(f"${value_count + 1 + index}::text[]" for index in range(len(columns)))
    inputs = [f"c{index}" for index in range(len(columns))]
    casts = ", ".join(
        f"i.{name}::{column.sql_type} AS {quote(column.name)}"
        for name, column in zip(inputs, columns, strict=True)
    )
    rows = f"unnest({arrays}) WITH ORDINALITY AS i({', '.join(inputs)}, ordinal)"
    return (
        f"SELECT ( {sql} ) IS TRUE AS holds "  # noqa: S608  # printed from checked tokens
        f"FROM (SELECT {casts}, i.ordinal AS {_ORDINAL} FROM {rows}) AS {_ALIAS} ORDER BY {_ORDINAL}"
    )


async def evaluate(
    connection: Connection, condition: Condition, changes: Sequence[RowChange], *, timeout_seconds: float
) -> list[tuple[bool, bool]]:
    """Say of each change whether the filter holds for the row before and after it.

    Raises asyncpg.PostgresError or TimeoutError if the filter fails for one of the rows.
    """
    rows = [row for change in changes for row in (change.old, change.new) if row is not None]
    held: list[bool] = []
    for start in range(0, len(rows), _ROWS_MAX):
        batch = rows[start : start + _ROWS_MAX]
        arrays = [[row[at] for row in batch] for at in condition.places]
        records = await connection.fetch(
            condition.evaluation, *condition.values, *arrays, timeout=timeout_seconds
        )
        held += [record["holds"] for record in records]
    verdicts = iter(held)
    return [
        (change.old is not None and next(verdicts), change.new is not None and next(verdicts))
        for change in changes
    ]


def _refusal(parsed: Filter, exc: asyncpg.PostgresError) -> Exception:
    position = int(exc.position or 1) - 1 - len(_CHECK)
    start = parsed.start_of(max(position, 0))
    if "argument of IS TRUE must be type boolean" in str(exc):
        return rejected(names.WHERE, "WHERE clause must return a boolean")
    if isinstance(exc, asyncpg.PostgresSyntaxError):
        return wrong_at(SYNTAX_ERROR_OFFSET + start, _describe(exc))
    return wrong_at(start, _describe(exc))


def _describe(exc: asyncpg.PostgresError) -> str:
    """Say it in Electric's words."""
    text = str(exc.args[0])  # str(exc) would add Postgres' hints.
    unknown = re.fullmatch(r'column "(.*)" does not exist', text)
    bad = _BAD_VALUE.fullmatch(text)
    if isinstance(exc, asyncpg.UndefinedColumnError) and unknown:
        return f"unknown reference {unknown[1]}"
    if bad:
        return f"invalid syntax for type {_INTERNAL_TYPES.get(bad[1], bad[1])}: {bad[2]}"
    if isinstance(exc, asyncpg.UndefinedFunctionError):
        return "Could not select an operator overload"
    return text
