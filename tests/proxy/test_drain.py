"""A gate that stops: streams end between events, answers under way finish, nobody new is let in."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from shapegate_proxy.app import DRAIN_SECONDS
from tests.proxy.builders import NOW, Answer, Gate, bearer, gate, log_answer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

START = {"table": "items", "offset": "-1"}
STREAM = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true", "live_sse": "true"}
WHOLE, HALF = b'data: {"headers":{}}\n\n', b'data: {"head'


def streaming(
    http: aiohttp.ClientSession, running: Gate
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return http.get(running.url / "v1/shape", params=STREAM, headers=bearer())


def sends(body: bytes) -> Answer:
    """Make an Electric that sends this and then nothing more."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "electric-handle": "h-1"})
        await response.prepare(request)
        await response.write(body)
        await asyncio.Event().wait()
        raise AssertionError

    return answer


async def test_a_stream_between_events_ends_well_when_the_gate_stops(tmp_path: Path) -> None:
    opened = gate(sends(WHOLE), tmp_path)
    async with aiohttp.ClientSession() as http, asyncio.timeout(DRAIN_SECONDS):
        running = await opened.__aenter__()
        async with streaming(http, running) as answer:
            assert await answer.content.readany() == WHOLE
            await opened.__aexit__(None, None, None)
            assert await answer.content.read() == b""
    (event,) = running.recorder.events
    assert (event.decision, event.code, event.status) == ("cut", "gate_stopping", 200)


async def test_W_01_a_stream_inside_of_an_event_is_broken_off_when_the_gate_stops(tmp_path: Path) -> None:
    opened = gate(sends(WHOLE + HALF), tmp_path)
    async with aiohttp.ClientSession() as http, asyncio.timeout(DRAIN_SECONDS):
        running = await opened.__aenter__()
        async with streaming(http, running) as answer:
            assert await answer.content.readany() == WHOLE + HALF
            await opened.__aexit__(None, None, None)
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()


async def test_P_46_I_21_a_stream_that_outlives_its_token_is_broken_off(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http, gate(sends(WHOLE), tmp_path) as running:
        running.clock.now = NOW + timedelta(seconds=309.9)
        async with streaming(http, running) as answer:
            assert await answer.content.readany() == WHOLE
            with pytest.raises(aiohttp.ClientError):
                await asyncio.wait_for(answer.content.read(), 5)
        (event,) = running.recorder.events
        assert (event.decision, event.code) == ("cut", "invalid_token")


async def test_W_01_a_stream_that_electric_breaks_off_is_never_ended_well(tmp_path: Path) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(WHOLE)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with aiohttp.ClientSession() as http, gate(breaks, tmp_path) as running:
        with pytest.raises(aiohttp.ClientError):
            async with streaming(http, running) as answer:
                await answer.content.read()
        await asyncio.wait_for(running.recorder.told.wait(), 5)
        assert running.recorder.events[0].code == "electric_unreachable"


async def test_an_answer_under_way_finishes_and_nobody_new_is_let_in(tmp_path: Path) -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.set()
        await released.wait()
        return await log_answer(request)

    opened = gate(slow, tmp_path)
    async with aiohttp.ClientSession() as http, asyncio.timeout(DRAIN_SECONDS):
        running = await opened.__aenter__()
        asking = asyncio.create_task(http.get(running.url / "v1/shape", params=START, headers=bearer()))
        await asked.wait()
        stopping = asyncio.create_task(opened.__aexit__(None, None, None))
        while await lets_in(running):
            pass
        assert not asking.done()
        released.set()
        answer = await asking
        assert (answer.status, await answer.read()) == (200, b"[]")
        await stopping


async def lets_in(running: Gate) -> bool:
    """Say whether a new connection is taken."""
    try:
        _, writer = await asyncio.open_connection(running.url.host, running.url.port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
