"""The scaled deployment in one process: a scripted Electric, the cache, two gates and the balancer."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.deployment.nginx import Nginx, nginx
from tests.proxy.builders import Gate, gate_before, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web
    from yarl import URL

    from tests.proxy.builders import Answer


@dataclass(frozen=True)
class Scaled:
    """Where everything is, and what reached Electric."""

    edge: Nginx
    cache: Nginx
    gates: tuple[Gate, ...]
    stack: tuple[AsyncExitStack, ...]
    """Closing one stops its gate."""
    seen: list[web.Request]


@asynccontextmanager
async def before_electric(electric_url: URL, folder: Path) -> AsyncIterator[Scaled]:
    """Run cache, gates and balancer before an Electric that is there."""
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(nginx("cache.conf", electric_url))
        stacks = [await stack.enter_async_context(AsyncExitStack()) for _ in range(2)]
        gates = [
            await each.enter_async_context(gate_before(cache.url, folder, [], trusted_proxies=()))
            for each in stacks
        ]
        edge = await stack.enter_async_context(nginx("edge.conf", *(gate.url for gate in gates)))
        yield Scaled(edge, cache, tuple(gates), tuple(stacks), [])


@asynccontextmanager
async def scaled(answer: Answer, folder: Path) -> AsyncIterator[Scaled]:
    """Run all of it, with an Electric that answers by `answer`."""
    async with serve(answer) as (url, seen), before_electric(url, folder) as running:
        running.seen.clear()
        yield Scaled(running.edge, running.cache, running.gates, running.stack, seen)
