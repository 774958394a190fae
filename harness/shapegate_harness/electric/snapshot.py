"""The rows of a new shape, as messages that Postgres prints (PROTOCOL 3.1, 3.2).

Postgres builds the JSON text of each row; Python only joins the rows to chunks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.rows import key_prefix
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_harness.electric.condition import Condition
    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.relation import RelationColumn
    from shapegate_harness.electric.rows import Projection

_ROWS_PER_FETCH: Final = 256
_ARGUMENTS_MAX: Final = 90
"""Postgres functions take at most 100 arguments."""
_PLAIN: Final = frozenset(
    {
        "int2",
        "int4",
        "int8",
        "oid",
        "float4",
        "float8",
        "numeric",
        "uuid",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
    }
)
"""Types whose text never needs a JSON escape and is the same by cast and by output function."""
_TEXT: Final = frozenset({"text", "varchar", "name"})


def snapshot_query(
    projection: Projection,
    condition: Condition | None,
    *,
    marks: Sequence[str] = (),
    where: str = "true",
) -> str:
    """Print the statement whose rows are insert messages in UTF-8, in one column.

    `marks` are expressions for the head of the headers, `where` restricts the rows further.
    """
    relation = projection.relation
    columns = {column.name: column for column in relation.columns}
    parts = [_literal('{"key":'), _key(projection, columns), _literal(',"value":{')]
    for index, (name, _) in enumerate(projection.selected):
        separator = "," if index else ""
        parts.append(_literal(f"{separator}{json.dumps(name, ensure_ascii=False)}:"))
        parts.append(_value(columns[name]))
    headers = {"relation": [relation.table.schema, relation.table.name], "operation": "insert"}
    ending = json.dumps(headers, ensure_ascii=False, separators=(",", ":"))
    parts += [_literal('},"headers":{'), *marks, _literal(f"{ending[1:]}}}")]
    filtered = "true" if condition is None else f"( {condition.sql} )"
    return f"SELECT convert_to({_concat(parts)}, 'UTF8') FROM {relation.scope} WHERE {filtered} AND {where}"  # noqa: S608  # quoted names, checked tokens


async def read_chunks(
    connection: Connection, query: str, values: tuple[str, ...], *, end: bytes, chunk_bytes: int
) -> tuple[bytes, ...]:
    """Read all rows within the caller's transaction; a chunk closes with the row that fills it.

    `end` is the message after the last row.
    """
    chunks: list[bytes] = []
    rows: list[bytes] = []
    size = 0
    cursor = await connection.cursor(query, *values)
    while records := await cursor.fetch(_ROWS_PER_FETCH):
        for (row,) in records:
            rows.append(row)
            size += len(row) + 1  # Electric counts the comma, too (recorded).
            if size >= chunk_bytes:
                chunks.append(b"[" + b",".join(rows) + b"]")
                rows, size = [], 0
    return (*chunks, b"[" + b",".join((*rows, end)) + b"]")


def _value(column: RelationColumn) -> str:
    """Print the column's text as JSON; a boolean is `true` here and `t` in the log (recorded)."""
    name = quote(column.name)
    if not column.dims and (column.type_name in _PLAIN or column.type_name == "bool"):
        return f"""coalesce('"' || {name}::text || '"', 'null')"""
    if not column.dims and column.type_name in _TEXT:
        return f"coalesce(to_json({name}::text)::text, 'null')"
    # A cast to text strips the padding of char(n) and completes an inet; concat uses the output function, as
    # the log does.
    return f"CASE WHEN {_is_null(name)} THEN 'null' ELSE to_json(concat({name}))::text END"


def _is_null(name: str) -> str:
    """Ask whether a value itself is null; IS NULL would be true of a composite of nulls, too."""
    return f"{name} IS NOT DISTINCT FROM NULL"


def _key(projection: Projection, columns: dict[str, RelationColumn]) -> str:
    parts = [_literal(key_prefix(projection.relation))]
    for name, _ in projection.keyed:
        quoted = quote(name)
        if columns[name].type_name in _PLAIN and not columns[name].dims:
            part = f"""coalesce('"' || {quoted}::text || '"', '_')"""
        else:
            text = f"""'"' || replace(concat({quoted}), '/', '//') || '"'"""
            part = f"CASE WHEN {_is_null(quoted)} THEN '_' ELSE {text} END"
        parts += [_literal("/"), part]
    return f"to_json({_concat(parts)})::text"


def _concat(parts: list[str]) -> str:
    groups = [parts[at : at + _ARGUMENTS_MAX] for at in range(0, len(parts), _ARGUMENTS_MAX)]
    printed = [f"concat({', '.join(group)})" for group in groups]
    return printed[0] if len(printed) == 1 else _concat(printed)


def _literal(text: str) -> str:
    """Quote a text; sessions have standard_conforming_strings on."""
    return "'" + text.replace("'", "''") + "'"
