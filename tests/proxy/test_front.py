"""The first to speak on a connection: what it answers itself, and what it gives to aiohttp."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from shapegate_proxy.connection import Connection
from shapegate_proxy.front import AT_ONCE_MAX, Front
from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.observe import Decision
from tests.proxy.builders import ACME, GLOBEX, LOG_HEADERS, Gate, gate, log_answer
from tests.proxy.raw import SECONDS, TARGET, answered, dial, get
from tests.proxy.test_connection import alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BODY = b'{"where":"name = $1","params":{"1":"a"}}'
POST = get("content-type: application/json", f"content-length: {len(BODY)}", method="POST") + BODY
HEALTH = get(target="/health")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(log_answer, tmp_path) as found:
        yield found


def the_front() -> Front:
    """Find the one that has a connection."""
    (found,) = (front for front in alive(Front) if front.transport is not None)
    return found


def waiting(front: Front) -> int:
    """Say how much the system did not take yet of what is sent."""
    assert front.transport is not None
    return front.transport.get_write_buffer_size()


def send_little(front: Front) -> None:
    """Let the system take little of what is sent."""
    assert front.transport is not None
    front.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)


async def test_a_plain_request_is_answered_without_aiohttp(running: Gate) -> None:
    async with dial(running.url) as peer:
        for _ in range(3):
            await peer.send(get())
            assert (await answered(peer))[0] == 200
        assert [len(alive(kind)) for kind in (Front, Connection)] == [1, 0]


@pytest.mark.parametrize("other", [POST, HEALTH, get("keep-alive: timeout=5"), get(method="HEAD")])
async def test_whatever_else_comes_is_aiohttps_from_there_on(running: Gate, other: bytes) -> None:
    async with dial(running.url) as peer:
        await peer.send(get())
        assert (await answered(peer))[0] == 200
        await peer.send(other)
        status = int((await peer.head()).split()[1])
        assert status == 200
        assert len(alive(Connection)) == 1


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_requests_of_both_kinds_come_in_pieces_and_together(running: Gate, size: int) -> None:
    gets = [get(target=f"{TARGET}&cache-buster={number}") for number in range(4)]
    sent = gets[0] + gets[1] + POST + gets[2] + HEALTH + gets[3]
    async with dial(running.url) as peer:
        for start in range(0, len(sent), size):
            await peer.send(sent[start : start + size])
        statuses = [(await answered(peer))[0] for _ in range(6)]
    assert statuses == [200] * 6
    assert len(running.upstream) == 5


async def test_I_19_answers_come_in_the_order_of_the_requests(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow_first(request: web.Request) -> web.StreamResponse:
        if request.query["offset"] == "-1":
            await release.wait()
        return await log_answer(request)

    later = get(target=TARGET.replace("offset=-1", "offset=0_0&handle=h-1"))
    async with gate(slow_first, tmp_path) as running, dial(running.url) as peer:
        await peer.send(get() + later + HEALTH)
        await peer.quiet(0.05)
        assert len(running.upstream) == 1
        release.set()
        assert [(await answered(peer))[0] for _ in range(3)] == [200] * 3
    assert [event.offset for event in running.recorder.events] == ["-1", "0_0"]


@pytest.mark.parametrize("many", [get(), b"GET /v1/shape HTTP/1.1\r\nhost: gate\r\n\r\n"])
async def test_I_08_who_sends_many_at_once_waits_behind_everybody_else(running: Gate, many: bytes) -> None:
    refused = get(target=f"{TARGET}&where=1", org=GLOBEX)
    async with dial(running.url) as hasty, dial(running.url) as other:
        for peer, sent in ((hasty, many), (other, refused)):
            for _ in range(2):
                await peer.send(sent)
                await answered(peer)
        events = running.recorder.events
        events.clear()
        await hasty.send(many * 100)
        await other.send(refused)
        assert (await answered(other))[0] == 400
        for _ in range(100):
            await answered(hasty)
    assert [event.org for event in events].index(GLOBEX) <= 2 * (AT_ONCE_MAX + 1)


async def test_I_20_who_goes_while_waiting_takes_the_request_along(tmp_path: Path) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with gate(hold, tmp_path) as running:
        async with dial(running.url) as peer:
            await peer.send(get() + get())
            await asyncio.wait_for(reached.wait(), SECONDS)
        await asyncio.wait_for(ended.wait(), SECONDS)
        await asyncio.wait_for(running.recorder.told.wait(), SECONDS)
        async with asyncio.timeout(SECONDS):
            while alive(Front):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
    assert [event.decision for event in running.recorder.events] == [Decision.GONE]


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("size", [0, 1, 100_000])
async def test_P_41_a_body_comes_as_it_was_sent(tmp_path: Path, size: int, framed: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if framed:
            return web.Response(body=b"x" * size, headers=LOG_HEADERS)
        response = web.StreamResponse(headers=LOG_HEADERS)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"x" * size)
        return response

    async with gate(answer, tmp_path) as running, dial(running.url) as peer:
        for _ in range(2):
            await peer.send(get())
            status, headers, body = await answered(peer)
            assert (status, body) == (200, b"x" * size)
            assert framed <= ("content-length" in headers)  # what came in chunks may be whole by now


async def test_P_52_a_refusal_leaves_the_connection_to_the_next_request(running: Gate) -> None:
    async with dial(running.url) as peer:
        await peer.send(get().replace(b"authorization", b"x-a"))
        status, headers, body = await answered(peer)
        assert (status, headers["content-type"]) == (401, "application/json")
        assert headers["x-request-id"] == json.loads(body)["request_id"]
        await peer.send(get())
        assert (await answered(peer))[0] == 200


async def test_I_08_who_idles_and_leaves_the_last_answer_lie_loses_the_connection(tmp_path: Path) -> None:
    body = b"x" * 62_000  # below what is written before a client is waited for

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=LOG_HEADERS)

    async with (
        gate(answer, tmp_path, idle_seconds=0.5, stall_seconds=0.1) as running,
        dial(running.url, receive_bytes=4_096) as peer,
    ):
        await peer.send(get(target=f"{TARGET}&where=1"))
        await answered(peer)
        front = the_front()
        send_little(front)
        await peer.send(get())
        async with asyncio.timeout(SECONDS):
            while not waiting(front):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
            assert not front.writing_paused
            while front.transport is not None:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)


async def test_I_08_who_leaves_refusals_lie_makes_room_for_others(tmp_path: Path) -> None:
    async with (
        gate(log_answer, tmp_path, limits=LimitSettings(connections=1)) as running,
        dial(running.url, receive_bytes=4_096) as idle,
    ):
        refused = b"GET /v1/shape HTTP/1.1\r\nhost: gate\r\n\r\n"
        await idle.send(refused)
        await answered(idle)
        front = the_front()
        send_little(front)
        await idle.send(refused * 400)
        async with asyncio.timeout(SECONDS):
            while not front.writing_paused:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        async with dial(running.url) as other:
            await other.send(get())
            assert (await answered(other))[0] == 200


@pytest.mark.parametrize("last", [b"", HEALTH])
async def test_J_16_nothing_of_a_request_is_kept_when_it_was_refused(running: Gate, last: bytes) -> None:
    gc.collect()
    gc.disable()  # what only a collection finds would keep tokens until then
    try:
        async with dial(running.url) as peer:
            for sent in (get(target=f"{TARGET}&where=1"), get(), last):
                await peer.send(sent)
                assert not sent or await answered(peer)
        async with asyncio.timeout(SECONDS):
            while alive(Front):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_a_304_has_no_body(tmp_path: Path) -> None:
    async def unchanged(_: web.Request) -> web.StreamResponse:
        return web.Response(status=304, headers={"etag": '"h-1:-1:0_0"'})

    async with gate(unchanged, tmp_path) as running, dial(running.url) as peer:
        target = f"/api/electric/orgs/{ACME}/sync?table=items&offset=-1"
        for _ in range(2):
            await peer.send(get('if-none-match: "h-1:-1:0_0"', target=target))
            head = await peer.head()
            assert head.startswith(b"HTTP/1.1 304 ")
            assert b"content-length" not in head
            assert b"transfer-encoding" not in head
