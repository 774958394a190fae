"""Held requests, so that a gate that stops can answer them at once instead of breaking them off."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Drain:
    """The live requests of one gate; `begin` ends them all, and those that still come."""

    def __init__(self) -> None:
        self._held: set[asyncio.Timeout] = set()
        self.begun = False

    def begin(self) -> None:
        """Let every held request time out now. Idempotent."""
        self.begun = True
        now = asyncio.get_running_loop().time()
        for timeout in self._held:
            timeout.reschedule(now)

    @contextmanager
    def held(self, timeout: asyncio.Timeout) -> Iterator[None]:
        """Count a request as held within the block."""
        self._held.add(timeout)
        if self.begun:
            timeout.reschedule(asyncio.get_running_loop().time())
        try:
            yield
        finally:
            self._held.discard(timeout)
