"""Builders for client tests: messages as Electric sends them, layouts, states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_client.breaker import Draw
from shapegate_client.ddl import TableLayout, plan_table
from shapegate_client.event import Answered
from shapegate_client.state import Position
from shapegate_wire.columns import Column
from shapegate_wire.head import ResponseHead
from shapegate_wire.identifier import TableName
from shapegate_wire.message import Change, Operation, UpToDate
from shapegate_wire.offset import Offset, parse_offset
from shapegate_wire.shape import ShapeDefinition

if TYPE_CHECKING:
    from shapegate_wire.columns import ShapeSchema
    from shapegate_wire.message import Message

TABLE = TableName("public", "items")
DEFINITION = ShapeDefinition(table="items")
SCHEMA: ShapeSchema = (
    Column(name="id", type="int8", pk_index=0, not_null=True),
    Column(name="title", type="text"),
    Column(name="done", type="bool"),
)
NO_KEY: ShapeSchema = (Column(name="a", type="text"), Column(name="b", type="text"))
DRAW = Draw(jitter=0.5, buster="never-used")


def layout(schema: ShapeSchema = SCHEMA, table: TableName = TABLE) -> TableLayout:
    return plan_table(table, schema)


def key(row: int) -> str:
    return f'"public"."items"/"{row}"'


def insert(row: int, title: str | None = "title", done: str = "f") -> Change:
    return Change(
        key=key(row),
        operation=Operation.INSERT,
        value={"id": str(row), "title": title, "done": done},
        relation=("public", "items"),
    )


def update(row: int, **values: str | None) -> Change:
    return Change(key=key(row), operation=Operation.UPDATE, value={"id": str(row), **values})


def delete(row: int) -> Change:
    return Change(key=key(row), operation=Operation.DELETE, value={"id": str(row)})


def offset(text: str) -> Offset:
    parsed = parse_offset(text)
    assert isinstance(parsed, Offset)
    return parsed


def position(at: str = "0_inf", handle: str = "h1", cursor: str | None = None) -> Position:
    return Position(handle=handle, offset=offset(at), schema=SCHEMA, cursor=cursor)


def answered(
    at: str,
    *messages: Message,
    handle: str = "h1",
    schema: ShapeSchema | None = SCHEMA,
    cursor: str | None = None,
    up_to_date: bool = False,
) -> Answered:
    head = ResponseHead(handle=handle, offset=offset(at), schema=schema, cursor=cursor, up_to_date=up_to_date)
    return Answered(head=head, messages=(*messages, UpToDate()) if up_to_date else messages)
