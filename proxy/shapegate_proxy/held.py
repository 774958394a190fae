"""Requests under way, so that a revocation ends those of its session, and a stop gives held ones back."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from shapegate_proxy.errors import GateStopping, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from shapegate_proxy.errors import Refused

LOOK_SECONDS: Final = 1.0
"""How often requests under way are looked at for tokens that are about to end."""


class Hold:
    """One request under way, for the block of `async with`."""

    __slots__ = (
        "_cancelling",
        "_held",
        "_refusal",
        "_task",
        "_timer",
        "ends_at",
        "live",
        "session",
        "waits",
    )

    def __init__(self, held: HeldRequests, session: str | None, ends_at: float) -> None:
        self._held = held
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._refusal: Callable[[], Refused] | None = None
        """Says why it is over; None while it is not."""
        self._timer: asyncio.TimerHandle | None = None
        self.session = session
        """The session of its token, by `jti`."""
        self.ends_at = ends_at
        """When its token ends, on the loop's clock."""
        self.waits: Callable[[], bool] = _never
        """Says whether Electric holds it now until there is news; see `mark_live`."""
        self.live = False
        """Whether it is a long poll or an event stream."""

    async def __aenter__(self) -> Hold:
        """Begin; from now on it may be ended."""
        task = asyncio.current_task(self._held.loop)
        assert task is not None  # asyncio runs nothing outside of one
        self._task, self._cancelling = task, task.cancelling()
        self._held.add(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: object) -> None:
        """Raise what ended it, if that is why its task was cancelled (as asyncio.timeout does)."""
        task, self._task = self._task, None
        self._held.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._refusal is None or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._refusal() from exc

    def end(self, refusal: Callable[[], Refused]) -> None:
        """End it now; does nothing if that is under way."""
        if self._refusal is None and self._task is not None:
            self._refusal = refusal
            self._task.cancel()

    def end_in(self, seconds: float) -> None:
        """Let it end when its token does, which is so soon."""
        if self._timer is None:
            self._timer = self._held.loop.call_later(max(0.0, seconds), self.end, _expired)


class Brief(Protocol):
    """A request under way without a task, which is over before anybody looks, as a rule."""

    @property
    def session(self) -> str | None:
        """The session of its token, by `jti`."""

    def end(self, refusal: Callable[[], Refused]) -> None:
        """End it now; does nothing if that is under way."""

    def take_task(self) -> None:
        """Go on in a task, which is held; may be called again."""


class HeldRequests:
    """Every request under way at one gate."""

    __slots__ = ("_brief", "_draining", "_holds", "_looks_at", "_loop", "_none_left")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holds: set[Hold] = set()
        self._brief: set[Brief] = set()
        self._draining = False
        self._none_left = asyncio.Event()
        """Set when that is so while the gate stops."""
        self._looks_at = math.inf
        """When `_look` runs next; never while nothing is under way."""

    def hold(self, *, session: str | None, seconds: float) -> Hold:
        """Count a request as under way for the length of a block, at most for the life of its token.

        The block raises InvalidToken when that is over, or whatever ended the request before.
        """
        return Hold(self, session, self.loop.time() + seconds)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of all that is held; to ask asyncio each time is a system call."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop

    def add(self, hold: Hold) -> None:
        """Count one as under way."""
        self._holds.add(hold)
        self._watch()
        if hold.ends_at <= self._looks_at:
            hold.end_in(hold.ends_at - self.loop.time())

    def discard(self, hold: Hold) -> None:
        """Count one no more."""
        self._holds.discard(hold)
        self._tell()

    def add_brief(self, brief: Brief) -> None:
        """Count one as under way whose token lasts longer than `LOOK_SECONDS`: within these it has a task."""
        self._brief.add(brief)
        if self._looks_at == math.inf:
            self._watch()

    def discard_brief(self, brief: Brief) -> None:
        """Count one no more as under way without a task."""
        self._brief.discard(brief)
        if self._draining:
            self._tell()

    def _tell(self) -> None:
        if self._draining and not self.count:
            self._none_left.set()

    def _watch(self) -> None:
        """See that somebody looks within `LOOK_SECONDS`."""
        if self._looks_at == math.inf:
            self._looks_at = self.loop.time() + LOOK_SECONDS
            self.loop.call_at(self._looks_at, self._look)

    def _look(self) -> None:
        """Give a timer to those that end before the next look: most are over long before they need one."""
        now, self._looks_at = self.loop.time(), math.inf
        if not self.count:
            return
        self._watch()
        for hold in self._holds:
            if hold.ends_at <= self._looks_at:
                hold.end_in(hold.ends_at - now)
        for brief in tuple(self._brief):
            brief.take_task()

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
        return len(self._holds) + len(self._brief)

    @property
    def live_count(self) -> int:
        """How many of them are long polls or event streams."""
        return sum(hold.live for hold in self._holds)

    @property
    def sessions(self) -> frozenset[str]:
        """The sessions that have requests under way."""
        return frozenset(each.session for each in self._under_way() if each.session is not None)

    def _under_way(self) -> tuple[Hold | Brief, ...]:
        return (*self._holds, *self._brief)

    def end_sessions(self, sessions: Collection[str], refusal: Callable[[], Refused]) -> None:
        """End every request of these sessions; nothing more of them is written."""
        for each in self._under_way():
            if each.session in sessions:
                each.end(refusal)

    async def drain(self, *, finish_seconds: float) -> None:
        """Give live requests back, also those that still come; let the others finish in their time."""
        self._draining = True
        for hold in self._holds:
            if hold.waits():
                hold.end(GateStopping)
        with suppress(TimeoutError):
            async with asyncio.timeout(finish_seconds):
                while self.count:
                    self._none_left.clear()
                    await self._none_left.wait()
        for each in self._under_way():
            each.end(GateStopping)


def _never() -> bool:
    return False


def _expired() -> Refused:
    return InvalidToken("The token expired while the request waited")
