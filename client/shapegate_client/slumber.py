"""Notices that the machine slept: the wall clock ran on while the monotonic one stood (REQUIREMENTS C-24).

Timeouts count monotonic seconds: after a sleep a dead connection would be waited for as if nothing had been.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import datetime
    from collections.abc import Coroutine

    from shapegate_client.clock import Clock

T = TypeVar("T")

SLEPT_SECONDS_MIN: Final = 10.0
"""Less than that may be a clock that is being set right; more costs one request that was not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Both clocks at one instant."""

    monotonic: float
    wall: datetime.datetime


@dataclass(frozen=True, slots=True)
class Slept:
    """The work was given up: the machine slept in the midst of it."""

    seconds: float


def look(clock: Clock) -> Look:
    """Read both clocks."""
    return Look(monotonic=clock.monotonic(), wall=clock.now())


def slept_seconds(before: Look, after: Look) -> float:
    """Say how long the machine slept between two looks; 0 if it did not."""
    ahead = (after.wall - before.wall).total_seconds() - (after.monotonic - before.monotonic)
    return ahead if ahead >= SLEPT_SECONDS_MIN else 0.0


class Vigil:
    """Looks at both clocks while work waits; a sleep between two pieces of work is noticed by the second."""

    def __init__(self, clock: Clock, *, look_seconds: float) -> None:
        self._clock = clock
        self._look_seconds = look_seconds
        self._last = look(clock)

    async def unless_slept(
        self, work: Coroutine[Any, Any, T]
    ) -> T | Slept:  # Any: what it yields to the loop
        """Do work that may wait for long; give it up when the machine slept before or meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                now = look(self._clock)
                seconds = slept_seconds(self._last, now)
                self._last = now
                if seconds:
                    return Slept(seconds)
                await asyncio.wait([task], timeout=self._look_seconds)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen, so that asyncio does not complain of one that nobody waits for
