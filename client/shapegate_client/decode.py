"""The body of a log to typed messages; a snapshot's rows without a step between. Pure: no I/O, no clock.

A long run of plain inserts, as a snapshot is, is decoded by a struct that is made from `electric-schema`, and
kept by column: a tuple for each row would cost a quarter more. `shapegate_wire.message.parse_body` says what
a log is: whatever the struct does not fit is read by it, so that both give the same rows or the same refusal
(PERFORMANCE, "Client").
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from shapegate_client.changes import read_changes
from shapegate_client.values import SqlValue, column_decoder
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Message, parse_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapegate_wire.columns import Column, ShapeSchema

FAST_BYTES_MIN: Final = 16_384
"""Below that, making the struct costs more than it saves."""
PIECE_BYTES: Final = 1 << 16
"""Decoded at once: other threads wait meanwhile, and what a processor's cache holds is decoded fastest.

Larger pieces are also memory that the system gives and takes anew each time (glibc: M_MMAP_THRESHOLD).
"""
_TAIL_BYTES: Final = 4_096
"""Where messages that are no changes are looked for first."""
_BETWEEN: Final = b'},{"key":'
"""Stands between two messages as the server prints them, and never inside of one."""
_OTHER: Final = b',{"headers":'
"""Begins the first message that is no change as the server prints it; a control message has no key."""

Relation = tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserts:
    """A run of inserts that have nothing but a key, a whole row and a relation."""

    columns: tuple[Column, ...]
    """By name."""
    keys: Sequence[str]
    """The opaque key of each row; empty where the table has a primary key."""
    relations: frozenset[Relation]
    """The tables that they name."""
    values: Sequence[Sequence[SqlValue]]
    """Of each column, in their order, those of all rows."""

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0


LogItem = Message | Inserts


class _Headers(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    operation: Literal["insert"]
    relation: list[str] | None = None


def read_log(body: bytes, schema: ShapeSchema | None) -> tuple[LogItem, ...]:
    """Read a whole body; `schema` is what its head says, None if it says nothing.

    Raises MalformedResponse for anything but a JSON array of messages.
    """
    # Other messages are at the end mostly, and what follows one of them elsewhere is no run of changes.
    end = body.find(_OTHER, max(0, len(body) - _TAIL_BYTES))
    read = _read_run(_before(body, end), schema)
    if read is None and (first := body.find(_OTHER)) != end:
        end = first
        read = _read_run(_before(body, end), schema)
    if read is None:
        return _parse(body)
    return (*read, *(() if end < 0 else _parse(b"[" + body[end + 1 :])))


def _before(body: bytes, end: int) -> bytes:
    return body if end < 0 else body[:end] + b"]"


def _read_run(run: bytes, schema: ShapeSchema | None) -> tuple[LogItem, ...] | None:
    """Read an array of plain changes; None if it is anything else."""
    inserts = None if schema is None or len(run) < FAST_BYTES_MIN else read_inserts(run, schema)
    return read_changes(_pieces(run)) if inserts is None else (inserts,)


def read_inserts(body: bytes, schema: ShapeSchema) -> Inserts | None:
    """Read an array of plain inserts; None if it is anything else, or any value does not fit its column."""
    columns = tuple(sorted(schema, key=lambda column: column.name))
    keyed = any(map(_is_key, columns))
    keys: list[str] = []
    values: list[list[SqlValue]] = [[] for _ in columns]
    relations: set[Relation] = set()
    headers: set[bytes] = set()
    takers = [
        (attrgetter(_field(index)), column_decoder(column), values[index])
        for index, column in enumerate(columns)
    ]
    try:
        decoder = msgspec.json.Decoder(list[_insert_type(columns)])  # type: ignore[misc]
        for piece in _pieces(body):
            messages: list[Any] = decoder.decode(piece)
            unseen = _headers(piece, messages) - headers
            relations.update(map(_relation, unseen))
            headers |= unseen
            keys += () if keyed else map(attrgetter("key"), messages)
            rows = list(map(attrgetter("value"), messages))
            for take, decode, taken in takers:
                texts = list(map(take, rows))
                taken += texts if decode is None else decode(texts)
    except (ValueError, RecursionError, MalformedResponse):
        return None  # a value does not fit, or a column has a name that no struct can have
    return Inserts(columns=columns, keys=keys, relations=frozenset(relations), values=values)


def _pieces(body: bytes) -> Iterator[bytes]:
    """Cut an array between messages to arrays, so that none keeps other threads waiting for long.

    A cut elsewhere than between messages would give something that is no array.
    """
    start = 0
    while (cut := body.find(_BETWEEN, start + PIECE_BYTES)) >= 0:
        yield (b"[" if start else b"") + body[start : cut + 1] + b"]"
        start = cut + 2
    yield (b"[" if start else b"") + body[start:]


def _headers(body: bytes, messages: list[Any]) -> set[bytes]:
    """List the different headers; that those of a snapshot are all the same is counted faster than seen."""
    first = {bytes(message.headers) for message in messages[:1]}
    if all(body.count(headers) == len(messages) for headers in first):
        return first
    return set(map(bytes, map(attrgetter("headers"), messages)))


def _parse(body: bytes) -> tuple[Message, ...]:
    try:
        return parse_body(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedResponse("the body is not JSON") from exc


def _insert_type(columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """Make the type of one message: every column is there, and nothing else."""
    row = msgspec.defstruct(
        "Row",
        [(_field(index), str if _is_key(column) else str | None) for index, column in enumerate(columns)],
        rename={_field(index): column.name for index, column in enumerate(columns)},
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.defstruct(
        "Insert",
        [("key", str), ("value", row), ("headers", msgspec.Raw)],
        forbid_unknown_fields=True,
        gc=False,
    )


def _field(index: int) -> str:
    return f"c{index}"


def _is_key(column: Column) -> bool:
    return column.pk_index is not None


def _relation(headers: bytes) -> Relation:
    """Read the relation of headers that must have nothing else but the operation."""
    names = msgspec.json.decode(headers, type=_Headers).relation
    return (names[0], names[1]) if names is not None and len(names) == 2 else None
