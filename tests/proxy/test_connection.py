"""One connection: a head as a whole, requests that wait behind another, and a client that takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from typing import TYPE_CHECKING, TypeVar

import pytest
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from shapegate_proxy.connection import FIELD_BYTES_MAX, HEAD_BYTES_MAX, WAITING_MAX, Connection
from shapegate_proxy.front import Front
from shapegate_proxy.observe import Decision
from tests.proxy.builders import LOG_HEADERS, gate, log_answer
from tests.proxy.raw import SECONDS, Peer, answered, dial, get

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
LIVE = "/v1/shape?table=items&offset=0_0&handle=h-1&live=true"
READ_BYTES = 256 * 1024
"""What asyncio takes from a socket at once."""


def alive(kind: type[T]) -> list[T]:
    """Find every object of a kind, wherever it is kept."""
    return [found for found in gc.get_objects() if isinstance(found, kind)]


def fields(number: int, *, size: int) -> list[str]:
    return [f"x-{index}: {'y' * size}" for index in range(number)]


@pytest.mark.parametrize("before", [b"", get()])
async def test_I_08_a_head_is_bounded_as_a_whole(tmp_path: Path, before: bytes) -> None:
    large = get(*fields(HEAD_BYTES_MAX // 8_000 + 1, size=8_000), "origin: https://app.example")
    async with gate(log_answer, tmp_path) as running, dial(running.url) as peer:
        if before:
            await peer.send(before)
            assert (await answered(peer))[0] == 200
        await peer.send(large.removesuffix(b"\r\n"))  # a head that does not end
        status, headers, body = await answered(peer)
        assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
        assert headers["access-control-allow-origin"] == "https://app.example"
        assert await peer.rest() == b""
    assert len(running.upstream) == bool(before)


async def test_I_08_what_was_read_of_such_a_head_is_let_go_with_the_connection(tmp_path: Path) -> None:
    large = get(*fields(90, size=8_000))
    async with gate(log_answer, tmp_path) as running:
        gc.collect()
        gc.disable()  # what only a collection finds would pile up between two
        try:
            before = len(alive(Connection))
            for _ in range(5):
                async with dial(running.url) as peer:
                    with contextlib.suppress(ConnectionError):
                        await peer.send(large)
                    await peer.rest()
            async with asyncio.timeout(SECONDS):
                while len(alive(Connection)) > before:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
        finally:
            gc.enable()


async def test_I_08_a_body_and_many_heads_one_after_the_other_are_no_large_head(tmp_path: Path) -> None:
    body = json.dumps({"where": "name = $1", "params": {"1": "x" * 7_000}}).encode()
    post = get("content-type: application/json", f"content-length: {len(body)}", method="POST") + body
    large = get(*fields(3, size=FIELD_BYTES_MAX - 100))
    async with gate(log_answer, tmp_path) as running, dial(running.url) as peer:
        for sent in (post, large) * 6:
            for start in range(0, len(sent), 5_000):
                await peer.send(sent[start : start + 5_000])
            assert (await answered(peer))[0] == 200


def waiting(kind: type[Front | Connection], size: int) -> int:
    """Count the requests of a size that wait on connections of a kind."""
    if kind is Front:
        return max(len(one._waiting()) for one in alive(Front)) // size
    return sum(len(message.raw_headers) > 50 for message in alive(RawRequestMessage))


@pytest.mark.parametrize(("kind", "unusual"), [(Front, ()), (Connection, ("keep-alive: timeout=5",))])
async def test_I_08_few_requests_are_read_while_one_is_under_way(
    tmp_path: Path, kind: type[Front | Connection], unusual: tuple[str, ...]
) -> None:
    """Whoever waits behind a held request costs memory, and is read when it is their turn."""
    reached, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        if "live" in request.query:
            reached.set()
            await release.wait()
        return await log_answer(request)

    behind = get(*fields(50, size=1_000))
    async with gate(hold, tmp_path) as running, dial(running.url) as peer:
        await peer.send(get(*unusual, target=LIVE))
        await asyncio.wait_for(reached.wait(), SECONDS)
        await peer.send(behind * 30)
        await peer.quiet(0.3)
        assert 0 < waiting(kind, len(behind)) <= READ_BYTES // len(behind) + WAITING_MAX + 1
        release.set()
        for _ in range(31):
            assert (await answered(peer))[0] == 200


CHUNK = b" " * 65_536


async def body_of(request: web.Request, *, chunks: int) -> web.StreamResponse:
    response = web.StreamResponse(headers=LOG_HEADERS | {"content-length": str(chunks * len(CHUNK))})
    await response.prepare(request)
    for _ in range(chunks):
        await response.write(CHUNK)
    return response


async def test_I_08_I_22_a_client_that_takes_nothing_of_its_answer_is_cut(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        try:
            return await body_of(request, chunks=1_000_000)
        finally:
            ended.set()

    async with gate(endless, tmp_path, stall_seconds=0.2) as running, dial(running.url) as peer:
        await peer.send(get())
        await peer.head()
        await asyncio.wait_for(running.recorder.told.wait(), SECONDS)
        await asyncio.wait_for(ended.wait(), SECONDS)  # Electric is not held either
    assert [event.decision for event in running.recorder.events] == [Decision.GONE]


async def send_for_ever(peer: Peer, data: bytes) -> None:
    try:
        while True:
            await peer.send(data)
    except asyncio.CancelledError:
        peer.reset()  # closing would wait for what nobody reads
        raise


async def test_I_08_nobody_is_held_by_refusals_that_are_not_taken(tmp_path: Path) -> None:
    anonymous = b"GET /v1/shape HTTP/1.1\r\nhost: gate\r\n\r\n"
    async with gate(log_answer, tmp_path, stall_seconds=0.2) as running, dial(running.url) as peer:
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(peer, anonymous * 100), 4 * SECONDS)


@pytest.mark.parametrize(("kind", "unusual"), [(Front, ()), (Connection, ("keep-alive: timeout=5",))])
async def test_I_22_a_client_that_pauses_gets_its_answer_whole(
    tmp_path: Path, kind: type[Front | Connection], unusual: tuple[str, ...]
) -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        return await body_of(request, chunks=512)

    async with gate(large, tmp_path, stall_seconds=1.0) as running, dial(running.url) as peer:
        await peer.send(get(*unusual))
        await peer.head()
        async with asyncio.timeout(SECONDS):
            while not any(one.writing_paused for one in alive(kind)):
                for _ in range(100):  # to find them takes longer than a step does
                    await asyncio.sleep(0)
        for _ in range(512):
            assert await peer.exactly(len(CHUNK)) == CHUNK
        await peer.quiet(1.2)  # the pause is over, and counted no longer
        await peer.send(get())
        await peer.head()
