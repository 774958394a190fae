"""One body that several readers take at their own pace, held in memory once. Pure: no I/O, no clock.

What is held is bounded: its start for who comes late, a little ahead of the foremost reader, and what the
others have not taken yet. Who falls too far behind the foremost is cut off; nobody waits for the slowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_proxy.electric import Chunk

PIECE_BYTES: Final = 256
"""What a chunk costs beside its bytes; with it a stream of tiny chunks is bounded as one of large ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingBounds:
    """How much of one body is held, in bytes; with what a client buffers below 1 MB (SECURITY I-22)."""

    ahead_bytes_max: int = 96 * 1024
    """So far is a body read ahead of its foremost reader, and so long may it be joined; a full read
    reaches it.

    As both are one, what Electric has sent of a body ends it or closes it to others, whoever stalls: nobody
    is given an answer that another one kept open. Alone, a reader slows Electric as if nothing were shared.
    """
    behind_bytes_max: int = 768 * 1024
    """So far may a reader be behind what was read last."""

    def __post_init__(self) -> None:
        """Raise ValueError if who reads on could be cut off."""
        if not 0 < self.ahead_bytes_max < self.behind_bytes_max:
            raise ValueError("a body must be read ahead less than its readers may be behind")


class _Piece:
    """A chunk, or the place of the next one while there is none."""

    __slots__ = ("at", "chunk", "following", "readers")

    def __init__(self, at: int) -> None:
        self.at = at
        self.chunk: Chunk | None = None
        self.following: _Piece | None = None
        self.readers = 0


class Place:
    """How far one reader has come; it takes what is `ready`, unless it is `cut`."""

    __slots__ = ("_body", "_piece", "cut")

    def __init__(self, body: SharedBody, piece: _Piece) -> None:
        self._body = body
        self._piece = piece
        self.cut = False
        """Whether it fell too far behind; it takes nothing more, not even the end."""

    @property
    def ready(self) -> bool:
        """Whether there is something to take: bytes, or the end."""
        return self._piece.chunk is not None and not self.cut

    def take(self) -> Chunk:
        """Return the next chunk, which is ready; empty at the end of the body, also when asked again."""
        chunk, following = self._piece.chunk, self._piece.following
        assert chunk is not None
        assert not self.cut
        if following is not None:
            self._body._advance(self, following)
        return chunk

    def leave(self) -> None:
        """Take nothing more; may be called again."""
        self._body._leave(self)


class SharedBody:
    """The bytes of one body between who appends to it and who takes from it."""

    __slots__ = ("_bounds", "_first", "_foremost", "_last_at", "_places", "_tail", "ended", "joinable")

    def __init__(self, bounds: SharingBounds) -> None:
        self._bounds = bounds
        self._tail = _Piece(0)
        self._first = self._tail
        """The first piece that is held."""
        self._foremost = self._tail
        """The piece of the reader who has come furthest."""
        self._last_at = 0
        """Where the last chunk begins."""
        self._places: set[Place] = set()
        self.joinable = True
        """Whether it is all held, from its start, and not at its end."""
        self.ended = False

    @property
    def readers(self) -> int:
        """How many read it, those who were cut off not counted."""
        return len(self._places)

    @property
    def held_bytes(self) -> int:
        """How much is held, with what the chunks cost beside their bytes."""
        return self._tail.at - self._first.at

    def wants(self) -> bool:
        """Say whether the foremost reader has taken so much that more may be appended."""
        return self._tail.at - self._foremost.at < self._bounds.ahead_bytes_max

    def join(self) -> Place:
        """Let one more read it from its start; it must be joinable."""
        assert self.joinable
        place = Place(self, self._first)
        self._first.readers += 1
        if not self._places:
            self._foremost = self._first
        self._places.add(place)
        return place

    def append(self, chunk: Chunk) -> None:
        """Add bytes, which it `wants`; cuts off who is too far behind."""
        tail = self._tail
        tail.chunk, self._last_at = chunk, tail.at
        tail.following = self._tail = _Piece(tail.at + len(chunk) + PIECE_BYTES)
        if self._tail.at >= self._bounds.ahead_bytes_max:
            if self.joinable:
                self.stop_joining()
            if self._last_at - self._first.at > self._bounds.behind_bytes_max:
                self._cut()

    def finish(self) -> None:
        """Say that this was all of it."""
        self._tail.chunk = b""
        self.ended = True
        self.stop_joining()

    def stop_joining(self) -> None:
        """Let nobody join any more; the start is held no longer than its readers need it."""
        self.joinable = False
        self._release()

    def _advance(self, place: Place, following: _Piece) -> None:
        place._piece.readers -= 1
        following.readers += 1
        place._piece = following
        if following.at > self._foremost.at:
            self._foremost = following
        if not self.joinable:
            self._release()

    def _leave(self, place: Place) -> None:
        if place not in self._places:
            return
        self._places.discard(place)
        piece = place._piece
        piece.readers -= 1
        if piece is self._foremost and not piece.readers and self._places:
            self._foremost = max((left._piece for left in self._places), key=lambda left: left.at)
        if not self.joinable:
            self._release()

    def _cut(self) -> None:
        """Cut off who is too far behind, never who keeps the body coming."""
        limit = self._last_at - self._bounds.behind_bytes_max
        for place in [place for place in self._places if place._piece.at < limit]:
            place.cut = True
            place.leave()

    def _release(self) -> None:
        """Forget what every reader has taken."""
        while not self._first.readers and self._first.following is not None:
            self._first = self._first.following
