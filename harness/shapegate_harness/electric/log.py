"""A shape's log: snapshot chunks, then changes, and what a request at some offset gets (PROTOCOL 1.3, 4.1).

Changes are cut to chunks as they arrive, so that everyone who asks at one offset gets the same page. A cut
may fall inside a transaction; only a page that is up to date ends in a state that Postgres had.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_wire.offset import BEFORE_ALL, SNAPSHOT_END, Offset

if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK_BYTES: Final = 10 * 1024 * 1024
"""Electric's own (ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change message and its position."""

    offset: Offset
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPage:
    """One chunk of the snapshot, a whole JSON array."""

    body: bytes
    offset: Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Changes after the asked offset, up to the end of their chunk; none if the asker was at the end."""

    messages: tuple[bytes, ...]
    offset: Offset
    up_to_date: bool
    """Whether nothing comes after it."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """The snapshot that the offset needs is not complete yet."""


@dataclass(frozen=True, slots=True)
class OutOfBounds:
    """The offset lies beyond the end of the log."""


Page = ChunkPage | LogPage | NotReady | OutOfBounds


class ShapeLog:
    """The messages of one handle; grows at its end only."""

    def __init__(self, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._chunk_bytes = chunk_bytes
        self._chunks: tuple[bytes, ...] | None = None
        self._snapshot_bytes = 0
        self._offsets: list[Offset] = []
        self._messages: list[bytes] = []
        self._bytes = 0
        self._open_bytes = 0
        """The size of the changes that fill no chunk yet."""
        self._cuts: list[int] = []
        """How many changes there are up to the end of each full chunk."""

    @property
    def end(self) -> Offset:
        """The position after everything that is there."""
        return self._offsets[-1] if self._offsets else SNAPSHOT_END

    @property
    def change_bytes(self) -> int:
        """The size of all changes, without the snapshot."""
        return self._bytes

    @property
    def bytes_held(self) -> int:
        """The size of everything that is kept: snapshot and changes."""
        return self._snapshot_bytes + self._bytes

    def complete_snapshot(self, chunks: tuple[bytes, ...]) -> None:
        """Take the snapshot, once; `chunks` are whole JSON arrays, the last one with its snapshot-end."""
        assert chunks
        assert self._chunks is None
        self._chunks = chunks
        self._snapshot_bytes = sum(map(len, chunks))

    def append(self, entries: Iterable[Entry]) -> None:
        """Add the changes of whole transactions, in commit order."""
        for entry in entries:
            assert entry.offset > self.end or not self._offsets
            self._offsets.append(entry.offset)
            self._messages.append(entry.message)
            self._bytes += len(entry.message)
            self._open_bytes += len(entry.message)
            if self._open_bytes >= self._chunk_bytes:
                self._cuts.append(len(self._messages))
                self._open_bytes = 0

    def page(self, after: Offset) -> Page:
        """Say what a request at `after` gets."""
        if after > self.end:
            return OutOfBounds()
        if after < SNAPSHOT_END:
            index = 0 if after <= BEFORE_ALL else after.op + 1
            if self._chunks is None:
                return NotReady()
            if index < len(self._chunks):
                return ChunkPage(body=self._chunks[index], offset=Offset(0, index))
        start = bisect_right(self._offsets, after)
        cut = bisect_right(self._cuts, start)
        stop = self._cuts[cut] if cut < len(self._cuts) else len(self._messages)
        return LogPage(
            messages=tuple(self._messages[start:stop]),
            offset=self._offsets[stop - 1] if stop else SNAPSHOT_END,
            up_to_date=stop == len(self._messages),
        )
