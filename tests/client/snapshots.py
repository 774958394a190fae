"""Snapshots as Electric prints them, almost or not, and the rows that they put."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from shapegate_client.fold import EMPTY, Folded, Load, Put, fold
from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import parse_body
from tests.client.builders import layout

if TYPE_CHECKING:
    from shapegate_client.fold import Batch
    from shapegate_client.inserts import Inserts
    from shapegate_client.values import SqlValue
    from shapegate_wire.columns import ShapeSchema

WIDE: ShapeSchema = (
    Column(name="id", type="int8", pk_index=0, not_null=True),
    Column(name="n", type="int4"),
    Column(name="done", type="bool"),
    Column(name="price", type="numeric"),
    Column(name="ratio", type="float8"),
    Column(name="raw", type="bytea"),
    Column(name="tags", type="text", dims=1),
    Column(name='od"d', type="text"),
)
PLAIN: ShapeSchema = (*WIDE[:7], Column(name="title", type="text"))
ROW: dict[str, object] = {
    "id": "1",
    "n": "-7",
    "done": "t",
    "price": "1.10",
    "ratio": "1.5",
    "raw": "\\x00ff",
    "tags": "{a,NULL}",
    "title": "x",
}


def message(**changed: object) -> dict[str, object]:
    value = {**ROW, **changed}
    return {
        "key": f'"public"."items"/"{value["id"]}"',
        "value": value,
        "headers": {"operation": "insert", "relation": ["public", "items"]},
    }


def encoded(*messages: object) -> bytes:
    return json.dumps(messages, separators=(",", ":")).encode()


def rows_of(inserts: Inserts) -> list[tuple[SqlValue, ...]]:
    width = inserts.width
    return [tuple(block[at : at + width]) for block in inserts.blocks() for at in range(0, len(block), width)]


def words(batch: Batch, schema: ShapeSchema) -> dict[object, object]:
    """The rows that a batch of inserts puts, by their primary key."""
    planned = layout(schema)
    at = [planned.stored.index(name) for name in planned.key]
    rows: dict[object, object] = {}
    for step in batch.steps:
        if isinstance(step, Load):
            rows |= {tuple(row[place] for place in at): row for row in rows_of(step.rows)}
        else:
            assert isinstance(step, Folded)
            rows |= {put.key: put.values for put in step.operations.values() if isinstance(put, Put)}
    return rows


def reference(body: bytes, schema: ShapeSchema) -> dict[object, object] | None:
    """The rows by `parse_body` and `fold`; None if they refuse."""
    try:
        return words(fold(EMPTY, parse_body(msgspec.json.decode(body)), layout(schema)), schema)
    except (MalformedResponse, msgspec.DecodeError, UnicodeDecodeError):
        return None


ODD_VALUES: list[object] = [
    None,
    1,
    True,
    1.5,
    [],
    {},
    "",
    "null",
    "NULL",
    "1.0",
    "1e3",
    "1_0",
    "007",
    "+1",
    " 1",
    "-",
    "1-1",
    "1,2",
    ",",
    "1,",
    "-0",
    "٣",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "true",
    "yes",
    "Infinity",
    "nan",
    "\\x0",
    "{",
    "\ud7ff",
    "\x00",
]
