"""The places that a server has for connections; one that idles makes room for a new one (SECURITY I-08).

A place is an open file too: if connections to Electric have taken those that are left, room is made as well,
for a client's connection and for one to Electric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Connected(Protocol):
    """Whoever speaks on a connection."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None when it is lost."""


class Files(Protocol):
    """The open files that all connections share."""

    def lend(self, close_idle: Callable[[], bool]) -> None:
        """Add one who can close a connection that nobody waits at."""

    def room(self) -> bool:
        """Say whether one more may be opened; one that idles is closed for it."""

    def take(self) -> None:
        """Count one that is open."""

    def give_back(self) -> None:
        """Count one no more."""


class Places:
    """Who has a place, and who of them idles."""

    def __init__(
        self, places_max: int, files: Files, *, busy: Callable[[Connected], bool] = lambda _: False
    ) -> None:
        """`busy` may say of one that seems to idle that it does not: nobody told, since it will soon."""
        self._busy = busy
        self._places_max = places_max
        self._files = files
        files.lend(self._made_room)
        self._taken: set[Connected] = set()
        self._idle: dict[Connected, None] = {}
        """Those without a request under way; who idles longest is first."""

    def enter(self, connected: Connected) -> bool:
        """Give a new connection a place, as one that idles; False if there is none for it."""
        self._taken.add(connected)
        scarce = len(self._taken) > self._places_max
        has_room = self._made_room() if scarce else self._files.room()
        self._files.take()  # It is open, though it may be closed at once.
        if not has_room:
            return False
        self._idle[connected] = None
        return True

    def _made_room(self) -> bool:
        """Close a connection that nobody waits at; so idle ones keep nobody out, whoever opened them."""
        while (longest := next(iter(self._idle), None)) is not None:
            del self._idle[longest]
            if not self._busy(longest):
                break
        else:
            return False
        if longest.transport is not None:
            longest.transport.abort()
        return True

    def begin(self, connected: Connected) -> None:
        """Take note that a request is under way there."""
        self._idle.pop(connected, None)

    def end(self, connected: Connected) -> None:
        """Take note that none is any more, if the connection is still there: it idles from now on."""
        if connected in self._taken:
            self._idle.pop(connected, None)
            self._idle[connected] = None

    def leave(self, connected: Connected) -> None:
        """Free the place of a connection that is lost."""
        if connected in self._taken:
            self._taken.discard(connected)
            self._files.give_back()
        self._idle.pop(connected, None)
