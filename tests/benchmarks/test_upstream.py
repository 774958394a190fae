from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.bench import ask, check_tiny
from benchmarks.driver import release, upstream_state
from benchmarks.proxy_bodies import check_long
from benchmarks.proxy_probe import read_bodies, take_events
from benchmarks.running import WrongAnswer
from benchmarks.target import Target, print_request, shape_target
from benchmarks.upstream import Connection, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONG = 1_000_000


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Target]:
    state = State(long_bytes=LONG)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0)
    async with server:
        yield Target(name="direct", port=server.sockets[0].getsockname()[1], pid=0)


async def test_tiny_answers_are_as_electric_gives_them_and_say_whether_they_may_be_kept() -> None:
    async with served() as upstream:
        await check_tiny(upstream, "tiny")
        kept = await ask(upstream, shape_target("kept"))
        assert kept.headers["cache-control"].startswith("public, max-age=")
        assert kept.headers["transfer-encoding"] == "chunked"
        assert kept.headers["electric-up-to-date"] == ""
        assert (await upstream_state(upstream)).requests == 2


@pytest.mark.parametrize("table", ["long", "long_kept", '"public"."long"'])
async def test_a_long_body_comes_whole(table: str) -> None:
    async with served() as upstream:
        await check_long(upstream, table.replace('"', "%22"), LONG)
        assert (await upstream_state(upstream)).sent_bytes == LONG


async def test_a_long_body_is_read_to_its_last_chunk_and_no_further() -> None:
    async with served() as upstream:
        request = print_request(shape_target("long"), {}).decode()
        seconds = await asyncio.to_thread(read_bodies, upstream.port, request, 3)
        assert len(seconds) == 3
        assert (await upstream_state(upstream)).sent_bytes == 3 * LONG


async def test_a_live_poll_is_held_until_it_is_released() -> None:
    async with served() as upstream:
        polls = [asyncio.create_task(ask(upstream, shape_target("live", live=True))) for _ in range(3)]
        while (await upstream_state(upstream)).held < 3:
            pass
        await release(upstream)
        assert [answer.status for answer in await asyncio.gather(*polls)] == [200, 200, 200]
        assert (await upstream_state(upstream)).held == 0


async def test_a_poll_that_is_dropped_is_held_no_more() -> None:
    async with served() as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(print_request(shape_target("live", live=True), {}))
        while (await upstream_state(upstream)).held < 1:
            pass
        writer.transport.abort()
        while (await upstream_state(upstream)).held:
            pass


async def test_events_come_with_the_time_they_were_written_at() -> None:
    async with served() as upstream:
        request = print_request(shape_target("live", live=True, more="&live_sse=true"), {}).decode()
        seconds = await asyncio.to_thread(take_events, upstream.port, request, upstream.port, 5, 0.0)
        assert len(seconds) == 5
        assert all(0 < each < 5 for each in seconds)


async def test_the_upstream_says_that_it_is_active_as_electric_does() -> None:
    async with served() as upstream:
        answer = await ask(upstream, "/v1/health")
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "active"})


async def test_who_does_not_answer_is_named() -> None:
    async with served() as upstream:
        pass
    with pytest.raises(WrongAnswer, match="direct did not answer: ConnectionRefusedError"):
        await ask(upstream, "/v1/health")
