"""The places that a server has for connections; one that idles makes room for a new one (SECURITY I-08)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Connected(Protocol):
    """Whoever speaks on a connection."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None when it is lost."""


class Places:
    """Who has a place, and who of them idles."""

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self._taken: set[Connected] = set()
        self._idle: dict[Connected, None] = {}
        """Those without a request under way; who idles longest is first."""

    def enter(self, connected: Connected) -> bool:
        """Give a new connection a place, as one that idles; False if there is none for it."""
        self._taken.add(connected)
        if len(self._taken) > self._places_max and not self._made_room():
            return False
        self._idle[connected] = None
        return True

    def _made_room(self) -> bool:
        """Close a connection that nobody waits at; so idle ones keep nobody out, whoever opened them."""
        longest = next(iter(self._idle), None)
        if longest is None:
            return False
        del self._idle[longest]
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
        self._taken.discard(connected)
        self._idle.pop(connected, None)
