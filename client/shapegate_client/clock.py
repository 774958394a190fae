"""Time and chance, as a port: tests bring their own."""

from __future__ import annotations

import asyncio
import datetime
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Where a session takes instants, pauses and chance from."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def now(self) -> datetime.datetime:
        """Return the wall clock's instant, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a cancellation ends it at once (REQUIREMENTS C-12)."""
        ...

    def chance(self) -> float:
        """Return a number in [0, 1)."""
        ...


class SystemClock:
    """The machine's own clock and chance."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        # Spreads clients over time; nothing depends on its being hard to guess.
        return random.random()  # noqa: S311
