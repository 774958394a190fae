from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.bench import ask
from benchmarks.log_upstream import LogSettings, serve_logs
from benchmarks.running import HOST, WrongAnswer
from benchmarks.simulated_users import Tally, User, follow
from benchmarks.target import UP_TO_DATE, Target, print_request, shape_target

if TYPE_CHECKING:
    from collections.abc import Callable

STILL = LogSettings(
    changes_per_second=0, change_bytes=100, initial_bytes=1_000, fresh_seconds=7, long_poll_seconds=0.01
)
MOVING = LogSettings(
    changes_per_second=500, change_bytes=100, initial_bytes=1_000, fresh_seconds=7, long_poll_seconds=20
)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110  # what is counted sets no event
            await asyncio.sleep(0)


async def test_a_log_is_read_from_its_beginning_to_a_poll_that_ends_without_news() -> None:
    async with serve_logs(STILL) as (upstream, port):
        target = Target(name="logs", port=port, pid=0)
        start = await ask(target, shape_target("live", offset="-1"))
        assert len(start.body) == 1_002
        assert start.headers["cache-control"].startswith("public, max-age=7,")
        offset = start.headers["electric-offset"]
        end = await ask(target, shape_target("live", offset=offset))
        polled = await ask(target, shape_target("live", offset=offset, live=True))
        assert end.body == polled.body == UP_TO_DATE
        assert upstream.requests == 3
        assert upstream.held == 0


async def test_a_change_answers_every_poll_of_its_log_once() -> None:
    async with serve_logs(MOVING) as (upstream, port):
        target = Target(name="logs", port=port, pid=0)
        answers = await asyncio.gather(
            *(ask(target, shape_target("live", offset="0_0", live=True)) for _ in range(3))
        )
        assert all(len(answer.body) % 100 == len(UP_TO_DATE) for answer in answers)
        assert all(int(answer.headers["electric-offset"].removesuffix("_0")) > 0 for answer in answers)
        assert upstream.changes > 0


async def test_a_poll_that_is_dropped_is_held_no_more() -> None:
    async with serve_logs(replace(STILL, long_poll_seconds=60.0)) as (upstream, port):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(print_request(shape_target("live", offset="0_0", live=True), {}))
        await until(lambda: upstream.held == 1)
        writer.transport.abort()
        await until(lambda: upstream.held == 0)


async def test_users_follow_and_begin_anew_and_all_is_counted() -> None:
    tally = Tally()
    async with serve_logs(MOVING) as (upstream, port):
        user = User(port=port, table="live", headers={}, reload_seconds=0.05, number=1)
        task = asyncio.create_task(follow(user, tally))
        await until(lambda: tally.reloads >= 2 and tally.live_answers >= 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tally.answers >= tally.live_answers + 2 * tally.reloads
        assert upstream.requests >= tally.answers
        assert tally.body_bytes >= 1_000 * tally.reloads


async def test_a_user_that_is_refused_says_so() -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        user = User(port=port, table="live", headers={}, reload_seconds=1e9, number=1)
        with pytest.raises(WrongAnswer, match="429"):
            await follow(user, Tally())
