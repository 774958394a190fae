"""A signal that something changed, for tasks that wait until a claim holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pulse:
    """Wakes everybody who waits; each one looks again at what it waits for."""

    def __init__(self) -> None:
        self.beats = 0
        """How often something changed."""
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wake all who wait now."""
        self.beats += 1
        self._event.set()
        self._event = asyncio.Event()

    async def after(self, beats: int) -> None:
        """Wait until there were more beats than that."""
        while self.beats <= beats:
            await self._event.wait()

    async def until(self, claim: Callable[[], bool], *, timeout: float | None) -> bool:
        """Wait until the claim holds; False if it does not within that many seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not claim():
                    await self._event.wait()
        except TimeoutError:
            return claim()
        return True
