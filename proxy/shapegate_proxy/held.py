"""Requests under way, so that a revocation ends those of its session, and a stop gives held ones back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_proxy.errors import GateStopping, InvalidToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from shapegate_proxy.errors import Refused


@dataclass(eq=False, slots=True)
class Hold:
    """One request under way; `refusal` says why it is over when its time is up."""

    session: str | None
    """The session of its token, by `jti`."""
    timeout: asyncio.Timeout
    refusal: Callable[[], Refused]
    waits: Callable[[], bool] = lambda: False
    """Says whether Electric holds it now until there is news; see `mark_live`."""
    live: bool = False
    """Whether it is a long poll or an event stream."""

    def end(self, refusal: Callable[[], Refused]) -> None:
        """Let it time out now; does nothing if that is under way."""
        if not self.timeout.expired():
            self.refusal = refusal
            self.timeout.reschedule(asyncio.get_running_loop().time())


class HeldRequests:
    """Every request under way at one gate."""

    def __init__(self) -> None:
        self._holds: set[Hold] = set()
        self._draining = False
        self._none_left = asyncio.Event()
        self._none_left.set()

    @asynccontextmanager
    async def hold(self, *, session: str | None, seconds: float) -> AsyncIterator[Hold]:
        """Count a request as under way for at most `seconds`, the life of its token.

        Raises InvalidToken when that is over, or whatever ended the request before.
        """
        timeout = asyncio.timeout(seconds)
        hold = Hold(session=session, timeout=timeout, refusal=_expired)
        try:
            async with timeout:
                self._holds.add(hold)
                self._none_left.clear()
                try:
                    yield hold
                finally:
                    self._holds.discard(hold)
                    if not self._holds:
                        self._none_left.set()
        except TimeoutError as exc:
            if not timeout.expired():
                raise
            raise hold.refusal() from exc

    def mark_live(self, hold: Hold, *, while_: Callable[[], bool]) -> None:
        """Say that Electric will hold the request; a gate that stops gives it back.

        `while_` says whether it still waits: a long poll whose answer is under way may finish.
        """
        hold.live, hold.waits = True, while_
        if self._draining:
            hold.end(GateStopping)

    @property
    def count(self) -> int:
        """How many requests are under way."""
        return len(self._holds)

    @property
    def live_count(self) -> int:
        """How many of them are long polls or event streams."""
        return sum(hold.live for hold in self._holds)

    @property
    def sessions(self) -> frozenset[str]:
        """The sessions that have requests under way."""
        return frozenset(hold.session for hold in self._holds if hold.session is not None)

    def end_sessions(self, sessions: Collection[str], refusal: Callable[[], Refused]) -> None:
        """End every request of these sessions; nothing more of them is written."""
        for hold in self._holds:
            if hold.session in sessions:
                hold.end(refusal)

    async def drain(self, *, finish_seconds: float) -> None:
        """Give live requests back, also those that still come; let the others finish in their time."""
        self._draining = True
        for hold in self._holds:
            if hold.waits():
                hold.end(GateStopping)
        with suppress(TimeoutError):
            async with asyncio.timeout(finish_seconds):
                await self._none_left.wait()
        for hold in self._holds:
            hold.end(GateStopping)


def _expired() -> Refused:
    return InvalidToken("The token expired while the request waited")
