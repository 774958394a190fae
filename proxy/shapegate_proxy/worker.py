"""One of several processes that serve an address: it serves what its parent checked, and tells it figures."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from shapegate_proxy.app import open_proxy
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.worker_link import Link, LinkClosed, Listening, NotStarted, Stop, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shapegate_proxy.configuration import Configuration
    from shapegate_proxy.metrics import Metrics
    from shapegate_proxy.observe import Observer


class WorkerFailed(Exception):
    """The worker cannot serve; its parent was told why."""


@asynccontextmanager
async def open_worker(
    link: Link,
    found: Configuration,
    *,
    observer: Observer,
    stop: Callable[[], None],
    orphaned: Callable[[], None],
) -> AsyncIterator[None]:
    """Serve inside of the block; `stop` is called if the parent says so, `orphaned` if it goes away.

    Raises WorkerFailed if that cannot start.
    """
    teller = _Teller(link)
    hearing = asyncio.create_task(teller.hear(stop, orphaned), name="shapegate-worker-hears")
    try:
        async with AsyncExitStack() as stack:
            gate = open_proxy(
                found.config, found.policy, observer=observer, expose=teller.expose, reuse_port=True
            )
            try:
                url = await stack.enter_async_context(gate)
            except (ConfigError, OSError) as exc:
                with suppress(LinkClosed):
                    await link.send(NotStarted(problem=str(exc)))
                raise WorkerFailed(str(exc)) from exc
            with suppress(LinkClosed):
                await link.send(Listening(url=str(url)))
            yield
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])


class _Teller:
    """Answers the parent's questions."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._metrics: Metrics | None = None

    @asynccontextmanager
    async def expose(self, metrics: Metrics) -> AsyncIterator[None]:
        """Tell these figures when asked, and once more at the end."""
        self._metrics = metrics
        try:
            yield
        finally:
            with suppress(LinkClosed):
                await self._link.send(Told(reading=metrics.reading()))

    async def hear(self, stop: Callable[[], None], orphaned: Callable[[], None]) -> None:
        """Answer until the parent goes away."""
        try:
            while True:
                message = await self._link.receive()
                if isinstance(message, Stop):
                    stop()
                elif self._metrics is not None:
                    await self._link.send(Told(reading=self._metrics.reading()))
        except LinkClosed:
            orphaned()
