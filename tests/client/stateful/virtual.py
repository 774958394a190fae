"""Time that passes only when nothing is left to do: hours of waiting in a moment, with real sockets."""

from __future__ import annotations

import asyncio
import datetime
import random
import selectors
import sys
from concurrent.futures import thread
from typing import TYPE_CHECKING, Final

from tests.client.ports import START

if TYPE_CHECKING:
    from types import FrameType

GRACE_SECONDS: Final = 0.001
"""Real: what is on its way through a socket gets that long before time moves on."""
WORK_SECONDS_MAX: Final = 5.0
"""Real: how long threads are waited for; what takes longer finds that time passed, as on a slow machine."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while there is work, and jumps to the next timer when not."""

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):
    """Lets time pass instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        for _ in range(int(WORK_SECONDS_MAX / GRACE_SECONDS)):
            if found := super().select(GRACE_SECONDS):
                return found
            if not _pools_work():
                break
        found = super().select(0)
        if not found:
            self._loop.now += timeout
        return found


def _pools_work() -> bool:
    """Tell whether a thread of any pool is at work: one that waits for work is in the pool's own frame."""
    return any(_stack_has_worker(frame.f_back) for frame in sys._current_frames().values())


def _stack_has_worker(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not thread._worker.__code__:
        frame = frame.f_back
    return frame is not None


class VirtualClock:
    """The clock of a session on such a loop; the machine can be put to sleep."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # to be repeated
        self._asleep_seconds = 0.0

    def fall_asleep(self, seconds: float) -> None:
        """Let the wall clock run ahead, as a machine finds it that slept."""
        self._asleep_seconds += seconds

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.monotonic() + self._asleep_seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        return self._random.random()
