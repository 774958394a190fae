"""Servers in the foreground: until Ctrl-C or SIGTERM, then a clean end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def stop_signal(*, within_seconds: float | None = None) -> AsyncIterator[asyncio.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; the handlers are removed afterwards.

    With `within_seconds` the process ends so long after the signal whatever still hangs, and a second signal
    ends it at once: for a server that leaves nothing behind.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        if within_seconds is not None:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            overdue = threading.Timer(within_seconds, os._exit, (0,))
            overdue.daemon = True  # it must not keep alive what it is there to end
            overdue.start()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
