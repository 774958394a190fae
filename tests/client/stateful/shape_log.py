"""One log of a shape: a snapshot, then changes; what a request gets of it (PROTOCOL 1.3, 3.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shapegate_wire.offset import BEFORE_ALL, SNAPSHOT_END, Offset

Message = dict[str, object]
RELATION: Final = ["public", "items"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table."""

    name: str
    type: str
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a log and its place."""

    offset: Offset
    message: Message


@dataclass(frozen=True, slots=True)
class Page:
    """What a request gets."""

    messages: tuple[Message, ...]
    offset: Offset
    at_end: bool
    """Whether nothing comes after it; never so for a part of the snapshot."""


@dataclass(slots=True)
class Log:
    """One incarnation of the shape's log."""

    handle: str
    columns: tuple[Column, ...]
    keyed: bool
    snapshot: list[Message]
    messages_per_page: int
    boundaries: list[tuple[Offset, int]]
    """Where a whole state ends, and its number in the history."""
    entries: list[Entry] = field(default_factory=list)
    retired: bool = False

    @property
    def end(self) -> Offset:
        return self.entries[-1].offset if self.entries else SNAPSHOT_END

    def page(self, after: Offset) -> Page | None:
        """Say what comes after an offset; None if the log does not reach it."""
        if after > self.end:
            return None
        if after < SNAPSHOT_END:
            index, size = (0 if after <= BEFORE_ALL else after.op + 1), self.messages_per_page
            if index == 0 or index * size < len(self.snapshot):
                part = self.snapshot[index * size : (index + 1) * size]
                return Page(tuple(part), Offset(0, index), at_end=False)
        start = sum(entry.offset <= after for entry in self.entries)
        stop = min(len(self.entries), (start // self.messages_per_page + 1) * self.messages_per_page)
        offset = self.entries[stop - 1].offset if stop else SNAPSHOT_END
        messages = tuple(entry.message for entry in self.entries[start:stop])
        return Page(
            messages, max(offset, after) if after >= SNAPSHOT_END else offset, stop == len(self.entries)
        )

    def states_at(self, offset: Offset) -> tuple[int, ...]:
        """Number the states that a client may show which stored this offset.

        A stream tells a position by its lsn only, so what follows in the same lsn may be there already.
        """
        before = [number for at, number in self.boundaries if at <= offset]
        behind = [number for at, number in self.boundaries if at > offset and at.lsn == offset.lsn]
        return (*before[-1:], *behind)

    def append(self, messages: list[tuple[int, Message]], lsn: int, events: list[Message]) -> None:
        """Add a transaction: changes with their operation numbers, then what moves."""
        for op, message in messages:
            self.entries.append(Entry(Offset(lsn, op), message))
        for message in events:
            at = self.end
            # As recorded: right after what is there; after the snapshot, at 1_0.
            at = Offset(1, 0) if at == SNAPSHOT_END else Offset(at.lsn, at.op + 1)
            self.entries.append(Entry(at, message))

    def compact(self) -> None:
        """Merge updates of a row that follow each other into the last of them (PROTOCOL 3.1)."""
        kept: list[Entry] = []
        updates: dict[object, int] = {}
        for entry in self.entries:
            key, headers = entry.message["key"], headers_of(entry.message)
            if headers["operation"] != "update":
                updates.pop(key, None)
                kept.append(entry)
                continue
            message = entry.message
            if key in updates:
                earlier = kept[updates[key]].message
                value = {**_value(earlier), **_value(message)}
                message = {
                    "key": key,
                    "value": value,
                    "headers": {"operation": "update", "relation": RELATION},
                }
                kept[updates[key]] = Entry(entry.offset, {})
            updates[key] = len(kept)
            kept.append(Entry(entry.offset, message))
        self.entries = [entry for entry in kept if entry.message]


def headers_of(message: Message) -> Message:
    """Return the headers of a message, to be read or added to."""
    headers = message["headers"]
    assert isinstance(headers, dict)
    return headers


def _value(message: Message) -> dict[str, str | None]:
    value = message["value"]
    assert isinstance(value, dict)
    return value
