"""A run of plain inserts, as a snapshot is: its rows are read piece by piece when they are wanted.

What is decoded goes straight to where it is stored: while a processor's cache still holds it, both take a
fifth less time, and no more than a piece of a chunk is there twice. So a run is taken for one by its looks;
what they hid is found when it is read, and then `shapegate_wire.message.parse_body` has the last word
(Misread).
Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec
from msgspec.structs import astuple

from shapegate_client.values import SqlValue, column_decoder
from shapegate_wire.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shapegate_wire.columns import Column, ShapeSchema

PIECE_BYTES: Final = 1 << 16
"""Decoded at once: other threads wait meanwhile, and what a processor's cache holds is decoded fastest.

Larger pieces are also memory that the system gives and takes anew each time (glibc: M_MMAP_THRESHOLD).
"""
_BETWEEN: Final = b'},{"key":'
"""Stands between two messages as the server prints them, and never inside of one."""
_END_BYTES: Final = 16
"""What may follow the headers of the last message: brackets and a few blanks."""

Relation = tuple[str, str] | None
Block = list[SqlValue]
"""The values of some rows, those of one row after those of the other."""


class Misread(Exception):
    """A run is something else than its looks said, or a value of it does not fit its column."""


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    key: msgspec.Raw
    value: msgspec.Raw
    headers: msgspec.Raw


class _Headers(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    operation: Literal["insert"]
    relation: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserts:
    """A run of inserts that have nothing but a key, a whole row and a relation."""

    columns: tuple[Column, ...]
    """By name."""
    relation: Relation
    """The table that all of them name."""
    count: int
    """How many rows there will be."""
    headers: bytes = b""
    """As every message prints them."""
    body: bytes = field(default=b"", repr=False)
    """A JSON array that begins with the run."""
    end: int = 0
    """Where the run ends in it."""
    read: tuple[Block, ...] | None = field(default=None, repr=False)
    """What `settled` has read."""

    def __len__(self) -> int:
        return self.count

    @property
    def keyed(self) -> bool:
        """Whether the table has a primary key; else each row begins with the opaque key of the log."""
        return any(map(_is_key, self.columns))

    @property
    def width(self) -> int:
        """How many values a row has."""
        return len(self.columns) + (not self.keyed)

    @property
    def array(self) -> bytes:
        """The run as a JSON array."""
        return _array(self.body, 0, self.end)

    def blocks(self) -> Iterable[Block]:
        """Read the rows, some at a time. Raises Misread, maybe after some were given out."""
        return self._blocks() if self.read is None else self.read

    def settled(self) -> Self:
        """Return the same with its rows read, so that nothing can be wrong with them. Raises Misread."""
        return self if self.read is not None else replace(self, read=tuple(self._blocks()), body=b"", end=0)

    def _blocks(self) -> Iterator[Block]:
        width, own, left = self.width, not self.keyed, self.count
        takers = [(place, column_decoder(column)) for place, column in enumerate(self.columns, own)]
        add_rows = _add_keyed_rows if own else _add_rows
        try:
            decoder = msgspec.json.Decoder(list[_insert_type(self.columns)])  # type: ignore[misc]
            for piece in cut(self.body, self.end):
                messages: list[Any] = decoder.decode(piece)
                left -= len(messages)
                if b"".join([message.headers for message in messages]) != self.headers * len(messages):
                    raise Misread
                block: Block = []
                add_rows(block, messages)
                for place, decode in takers:
                    if decode is not None:
                        block[place::width] = decode(block[place::width])  # type: ignore[arg-type]  # texts
                yield block
        except (ValueError, RecursionError, MalformedResponse) as exc:
            # A value does not fit, or a column has a name that no struct can have.
            raise Misread from exc
        if left:
            raise Misread


def look_for_inserts(body: bytes, end: int, schema: ShapeSchema) -> Inserts | None:
    """Take an array up to `end` for a run of inserts if its first and last message are; None if not."""
    first = body.find(_BETWEEN, 0, end)
    try:
        message = msgspec.json.decode(_array(body, 0, end if first < 0 else first + 1)[1:-1], type=_Message)
        headers = bytes(message.headers)
        names = msgspec.json.decode(headers, type=_Headers).relation
    except (ValueError, RecursionError):
        return None
    if not body[max(0, end - len(headers) - _END_BYTES) : end].rstrip(b" ]").endswith(headers + b"}"):
        return None
    return Inserts(
        columns=tuple(sorted(schema, key=lambda column: column.name)),
        relation=(names[0], names[1]) if names is not None and len(names) == 2 else None,
        count=body.count(headers, 0, end),
        headers=headers,
        body=body,
        end=end,
    )


def cut(body: bytes, end: int) -> Iterator[bytes]:
    """Cut an array up to `end` between messages to arrays, so that none keeps other threads waiting for long.

    A cut elsewhere than between messages would give something that is no array.
    """
    start = 0
    while (found := body.find(_BETWEEN, start + PIECE_BYTES, end)) >= 0:
        yield _array(body, start, found + 1)
        start = found + 2
    yield _array(body, start, end)


def _array(body: bytes, start: int, end: int) -> bytes:
    # All is copied once.
    return b"".join((b"[" if start else b"", memoryview(body)[start:end], b"]" if end < len(body) else b""))


def _add_rows(block: Block, messages: Iterable[Any]) -> None:
    for message in messages:
        block += astuple(message.value)


def _add_keyed_rows(block: Block, messages: Iterable[Any]) -> None:
    for message in messages:
        block += (message.key, *astuple(message.value))


def _insert_type(columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """Make the type of one message: every column is there, and nothing else."""
    fields = [f"c{index}" for index in range(len(columns))]
    row = msgspec.defstruct(
        "Row",
        [
            (name, str if _is_key(column) else str | None)
            for name, column in zip(fields, columns, strict=True)
        ],
        rename={name: column.name for name, column in zip(fields, columns, strict=True)},
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.defstruct(
        "Insert",
        [("key", str), ("value", row), ("headers", msgspec.Raw)],
        forbid_unknown_fields=True,
        gc=False,
    )


def _is_key(column: Column) -> bool:
    return column.pk_index is not None
