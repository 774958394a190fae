"""`shapegate proxy` with few open files, which clients and connections to Electric share (SECURITY I-08)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from shapegate_proxy.descriptors import RESERVED
from tests.cli.gates import bearer, listening, proxy
from tests.proxy.builders import LOG_HEADERS, serve
from tests.proxy.raw import SECONDS, Peer, answered, dial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from yarl import URL

FILES = 8
"""For connections; a quarter of them is never a client's."""
LIVE = re.compile(r"^shapegate_live_requests ([0-9.]+)$", re.MULTILINE)


class Electric:
    """Holds what is live until `release`, each offset on its own."""

    def __init__(self) -> None:
        self.held = 0
        self.release = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "live" in request.query:
            self.held += 1
            await self.release.wait()
        return web.Response(body=b"[]", headers=LOG_HEADERS)


def poll(offset: int) -> bytes:
    head = f"GET /v1/shape?table=items&offset={offset}_0&handle=h-1&live=true HTTP/1.1\r\nhost: gate\r\n"
    return f"{head}authorization: {bearer()['authorization']}\r\n\r\n".encode()


class Full:
    """A gate that has few open files, and its metrics, which are asked on a connection of their own."""

    def __init__(self, url: URL, metrics: URL, stack: AsyncExitStack) -> None:
        self.url = url
        self._metrics = metrics
        self._stack = stack

    async def dial(self) -> Peer:
        return await self._stack.enter_async_context(dial(self.url))

    async def hold(self, offset: int, *, live: int) -> Peer:
        """Send a live poll on a connection of its own; `live` are held with it."""
        peer = await self.dial()
        await peer.send(poll(offset))
        await self.holds(live)
        return peer

    async def holds(self, live: int) -> None:
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as http:
            while True:
                async with http.get(self._metrics / "metrics") as answer:
                    found = LIVE.search(await answer.text())
                if found is not None and float(found[1]) == live:
                    return


@asynccontextmanager
async def full(folder: Path, electric: Electric, port: int, **environ: str) -> AsyncIterator[Full]:
    environ |= {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(port)}
    async with (
        serve(electric.answer) as (upstream, _),
        proxy(folder, upstream, open_files_max=RESERVED + FILES, **environ) as process,
        AsyncExitStack() as stack,
    ):
        assert process.stderr is not None
        await asyncio.wait_for(process.stderr.readline(), 20)  # that connections are bounded
        url, _ = await listening(process)
        yield Full(url, url.with_port(port).with_path("/"), stack)
        electric.release.set()


async def test_I_08_clients_that_wait_for_the_same_need_one_file_each(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    electric = Electric()
    async with full(tmp_path, electric, unused_tcp_port) as running:
        peers = [await running.hold(1, live=number + 1) for number in range(6)]
        late = await running.dial()
        assert await late.rest() == b""  # the others are a client's no more
        electric.release.set()
        assert [(await answered(peer))[0] for peer in peers] == [200] * 6
    assert electric.held == 1


@pytest.mark.parametrize("uvloop", ["true", "false"])
async def test_I_08_a_request_that_no_file_is_left_for_is_told_to_come_back(
    tmp_path: Path, unused_tcp_port: int, uvloop: str
) -> None:
    electric = Electric()
    async with full(tmp_path, electric, unused_tcp_port, SHAPEGATE_UVLOOP=uvloop) as running:
        peers = [await running.hold(1, live=number + 1) for number in range(4)]
        peers.append(await running.hold(2, live=5))
        last = await running.dial()
        await last.send(poll(3))
        status, headers, body = await answered(last)
        assert (status, headers["retry-after"]) == (503, "5")
        assert b'"gate_full"' in body
        await last.send(poll(2))  # shares what is under way
        await running.holds(6)
        electric.release.set()
        assert [(await answered(peer))[0] for peer in (*peers, last)] == [200] * 6
    assert electric.held == 2


async def test_I_08_who_idles_makes_room_for_a_request_to_electric(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    electric = Electric()
    async with full(tmp_path, electric, unused_tcp_port) as running:
        peers = [await running.hold(1, live=number + 1) for number in range(3)]
        idle = await running.dial()
        peers.append(await running.hold(2, live=4))
        peers.append(await running.hold(3, live=5))
        assert await idle.rest() == b""
        electric.release.set()
        assert [(await answered(peer))[0] for peer in peers] == [200] * 5
    assert electric.held == 3


async def test_I_08_kept_connections_to_electric_make_room_for_clients(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    electric = Electric()
    async with full(tmp_path, electric, unused_tcp_port) as running:
        peers = [await running.hold(number + 1, live=number + 1) for number in range(4)]
        electric.release.set()
        assert [(await answered(peer))[0] for peer in peers] == [200] * 4
        others = [await running.dial() for _ in range(2)]
        for peer in (*peers, *others):  # all of them are there
            await peer.send(b"GET /health HTTP/1.1\r\nhost: gate\r\n\r\n")
            assert (await answered(peer))[0] == 200


async def test_I_08_without_sharing_as_many_are_held_as_have_two_files(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    electric = Electric()
    async with full(tmp_path, electric, unused_tcp_port, SHAPEGATE_COLLAPSE="false") as running:
        peers = [await running.hold(1, live=number + 1) for number in range(FILES // 2)]
        for _ in range(3):
            late = await running.dial()
            with contextlib.suppress(ConnectionError):
                await late.send(poll(1))
            assert await late.rest() == b""
        electric.release.set()
        assert [(await answered(peer))[0] for peer in peers] == [200] * (FILES // 2)
    assert electric.held == FILES // 2
