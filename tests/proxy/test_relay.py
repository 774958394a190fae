"""The relay under a whole, a slow, a cut and a lying upstream; raw sockets on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_proxy.app import DRAIN_SECONDS
from tests.proxy.builders import ACME, NOW, Gate, bearer, gate, gate_before, log_answer

if TYPE_CHECKING:
    from pathlib import Path

START = {"table": "items", "offset": "-1"}
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
HEAD = b"HTTP/1.1 200 OK\r\nelectric-handle: h-1\r\nelectric-offset: 0_0\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_gate(script: Script, folder: Path) -> AsyncIterator[Gate]:
    """Run a gate before a socket server that does as the script says with each connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, gate_before(URL(f"http://127.0.0.1:{port}"), folder, []) as running:
        yield running


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def raw_get(url: URL, query: dict[str, str], *, version: str = "1.1") -> bytes:
    """Ask the gate by hand and return every byte until the connection ends."""
    target = url.with_path("/v1/shape").with_query(query).raw_path_qs
    reader, writer = await asyncio.open_connection(url.host, url.port)
    authorization = bearer()["authorization"]
    head = f"host: gate\r\nconnection: close\r\nauthorization: {authorization}"
    writer.write(f"GET {target} HTTP/{version}\r\n{head}\r\n\r\n".encode())
    received = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65_536), 10):
            received += chunk
    except ConnectionResetError:
        pass
    writer.close()
    return received


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_W_01_a_cut_body_is_never_well_terminated(tmp_path: Path, framing: str) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if framing == "chunked":
            writer.write(HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n[{"a"\r\n')
        else:
            writer.write(HEAD + b'content-length: 100\r\n\r\n[{"a"')
        await writer.drain()

    async with raw_gate(cut, tmp_path) as running:
        received = await raw_get(running.url, START)
    assert b" 200 " in received.split(b"\r\n", 1)[0]
    assert b'[{"a"' in received
    assert not received.endswith(b"0\r\n\r\n")
    assert running.recorder.events[0].code == "aborted"


@pytest.mark.parametrize("version", ["0.9", "1.0", "2.0"])
async def test_W_01_a_connection_whose_end_ends_the_body_gets_no_body(tmp_path: Path, version: str) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n[{"a"\r\n')
        await writer.drain()

    async with raw_gate(cut, tmp_path) as running:
        received = await raw_get(running.url, START, version=version)
    assert b'[{"a"' not in received
    assert b"http_version_not_supported" in received


@pytest.mark.parametrize(
    "framing", [b"", b"transfer-encoding: gzip, chunked\r\n", b"transfer-encoding: x\r\n"]
)
async def test_W_01_an_answer_without_a_visible_end_is_refused(tmp_path: Path, framing: bytes) -> None:
    async def open_ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + framing + b'\r\n5\r\n[{"a"\r\n')
        await writer.drain()

    async with raw_gate(open_ended, tmp_path) as running:
        received = await raw_get(running.url, START)
    assert b" 502 " in received.split(b"\r\n", 1)[0]


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nhost:", b"GET /hea"])
async def test_I_08_a_connection_that_sends_no_head_is_closed(tmp_path: Path, sent: bytes) -> None:
    async with gate(log_answer, tmp_path, idle_seconds=0.2) as running:
        reader, writer = await asyncio.open_connection(running.url.host, running.url.port)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_I_10_a_request_that_cannot_be_read_leaves_no_token_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authorization = bearer()["authorization"]
    async with gate(log_answer, tmp_path) as running:
        reader, writer = await asyncio.open_connection(running.url.host, running.url.port)
        writer.write(
            f"GET /v1/shape HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\x01\r\n\r\n".encode()
        )
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    assert authorization not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 999999 no\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nelectric-handle: " + b"x" * 80_000 + b"\r\n\r\n",
    ],
)
async def test_W_02_garbage_is_a_502(tmp_path: Path, http: aiohttp.ClientSession, answer: bytes) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with (
        raw_gate(lie, tmp_path) as running,
        http.get(running.url / "v1/shape", params=START, headers=bearer()) as got,
    ):
        assert (got.status, (await got.json())["code"]) == (502, "electric_unreachable")


async def test_W_08_a_wide_schema_header_passes(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async def wide(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[]", headers={"electric-schema": "x" * 30_000})

    async with gate(wide, tmp_path) as running, aiohttp.ClientSession(max_field_size=65_536) as session:
        url = running.url / "v1/shape"
        async with session.get(url, params=START, headers=bearer()) as answer:
            assert len(answer.headers["electric-schema"]) == 30_000


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "code"),
    [
        (401, {}, b'{"message":"Unauthorized"}', 502, "electric_secret_refused"),
        (403, {}, b"", 502, "electric_secret_refused"),
        (404, {}, b"Not found", 502, "electric_unreachable"),
        (302, {"location": "http://127.0.0.1:1/"}, b"", 502, "electric_unreachable"),
        (304, {}, b"", 502, "electric_unreachable"),
        (500, {}, b'{"message":"relation \\"secret\\""}', 500, "electric_unavailable"),
        (503, {"retry-after": "7"}, b'{"message":"x secret x"}', 503, "electric_unavailable"),
        (429, {"retry-after": "9"}, b"", 429, "electric_unavailable"),
        (400, {}, b'{"errors":{"where":["unknown reference secret"]}}', 400, "electric_refused"),
        (400, {}, b"not json", 400, "electric_refused"),
        (400, {}, b"[" * 15_000, 400, "electric_refused"),
        (999, {}, b"", 502, "electric_unreachable"),
        (400, {}, b'{"errors":{"offset":["out of bounds for this shape"]}}', 400, "offset_out_of_bounds"),
    ],
)
async def test_P_43_P_44_an_answer_that_is_no_log_is_replaced(
    tmp_path: Path,
    http: aiohttp.ClientSession,
    status: int,
    headers: dict[str, str],
    body: bytes,
    expected: int,
    code: str,
) -> None:
    async def fail(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, body=body)

    async with (
        gate(fail, tmp_path) as running,
        http.get(running.url / "v1/shape", params=START, headers=bearer(), allow_redirects=False) as got,
    ):
        assert got.status == expected
        answered = await got.json()
        assert answered["code"] == code
        assert "secret" not in str(answered["message"]).replace("gate's secret", "")
        assert got.headers["cache-control"] == "private, no-store"
        if "retry-after" in headers:
            assert got.headers["retry-after"] == headers["retry-after"]


@pytest.mark.parametrize(
    ("sent", "kept"), [("86400", "300"), ("-1", "5"), ("soon", "5"), ("9" * 30, "5"), (None, "5")]
)
async def test_W_06_retry_after_is_kept_sane(
    tmp_path: Path, http: aiohttp.ClientSession, sent: str | None, kept: str
) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"retry-after": sent} if sent else {})

    async with (
        gate(busy, tmp_path) as running,
        http.get(running.url / "v1/shape", params=START, headers=bearer()) as got,
    ):
        assert (got.status, got.headers["retry-after"]) == (503, kept)


@pytest.mark.parametrize("path", ["v1/shape", f"api/electric/orgs/{ACME}/sync"])
async def test_W_05_a_409_passes_with_body_and_handle_and_is_not_stored(
    tmp_path: Path, http: aiohttp.ClientSession, path: str
) -> None:
    body = b'[{"headers":{"control":"must-refetch"}}]'

    async def rotate(_request: web.Request) -> web.StreamResponse:
        headers = {"electric-handle": "h-2", "cache-control": "public, max-age=60", "etag": '"h-2::"'}
        return web.Response(status=409, body=body, headers=headers)

    async with (
        gate(rotate, tmp_path) as running,
        http.get(running.url / path, params=START, headers=bearer()) as got,
    ):
        assert (got.status, await got.read(), got.headers["electric-handle"]) == (409, body, "h-2")
        assert got.headers["cache-control"] == "private, no-store"
        assert "etag" not in got.headers


async def test_W_10_P_25_a_stale_pooled_connection_is_replaced_unseen(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    connections = 0

    async def two_then_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await read_request(reader)
            writer.write(HEAD + b"content-length: 2\r\n\r\n[]")
            await writer.drain()
        await read_request(reader)  # the third on this connection is reset, without an announcement

    async with raw_gate(two_then_reset, tmp_path) as running:
        for _ in range(9):
            async with http.get(running.url / "v1/shape", params=START, headers=bearer()) as answer:
                assert (answer.status, await answer.read()) == (200, b"[]")
    assert connections == 5


async def test_P_28_I_20_the_upstream_request_ends_when_the_client_goes(tmp_path: Path) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with gate(hold, tmp_path) as running:
        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(
                session.get(running.url / "v1/shape", params=LIVE, headers=bearer())
            )
            await asyncio.wait_for(asked.wait(), 5)
            request.cancel()
            await asyncio.wait_for(ended.wait(), 1)
        await asyncio.wait_for(running.recorder.told.wait(), 5)
        assert running.recorder.events[0].code == "aborted"


async def test_P_41_W_11_a_stream_passes_as_it_comes(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    step = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        assert request.query["experimental_live_sse"] == request.query["live_sse"] == "true"
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "electric-handle": "h-1"})
        await response.prepare(request)
        await response.write(b": keep-alive\n\n")
        await step.wait()
        await response.write(b'data: {"headers":{}}\n\n')
        return response

    async with gate(drip, tmp_path) as running:
        query = LIVE | {"live_sse": "true", "experimental_live_sse": "true"}
        async with http.get(running.url / "v1/shape", params=query, headers=bearer()) as answer:
            assert answer.content_type == "text/event-stream"
            assert await asyncio.wait_for(answer.content.readany(), 5) == b": keep-alive\n\n"
            step.set()
            assert await asyncio.wait_for(answer.content.read(), 5) == b'data: {"headers":{}}\n\n'


async def test_P_46_I_21_a_held_request_ends_with_its_token(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    ended = asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with gate(hold, tmp_path) as running:
        running.clock.now = NOW + timedelta(seconds=309.9)
        async with http.get(running.url / "v1/shape", params=LIVE, headers=bearer()) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "invalid_token")
        await asyncio.wait_for(ended.wait(), 1)


async def test_P_46_a_body_that_outlives_its_token_is_broken_off(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        await asyncio.Event().wait()
        raise AssertionError

    async with gate(endless, tmp_path) as running:
        running.clock.now = NOW + timedelta(seconds=309.9)
        received = await raw_get(running.url, START)
    assert received.endswith(b"1\r\n[\r\n")


async def test_I_22_a_slow_reader_slows_the_upstream_and_memory_stays_bounded(tmp_path: Path) -> None:
    sent, size = 0, 64 * 1024
    stalled = asyncio.Event()

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            try:
                await asyncio.wait_for(response.write(b"x" * size), 0.5)
            except TimeoutError:
                stalled.set()
                await asyncio.Event().wait()
            sent += size

    async with gate(flood, tmp_path) as running:
        target = running.url.with_path("/v1/shape").with_query(START).raw_path_qs
        reader, writer = await asyncio.open_connection(running.url.host, running.url.port, limit=1024)
        authorization = bearer()["authorization"]
        writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await asyncio.wait_for(stalled.wait(), 20)
        writer.transport.abort()
    assert sent < 32 * 1024 * 1024  # what the sockets' own buffers hold, not what the upstream could send


async def test_a_gate_that_stops_gives_held_requests_back_at_once(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with aiohttp.ClientSession() as session, asyncio.timeout(DRAIN_SECONDS):
        async with gate(hold, tmp_path) as running:
            held = asyncio.create_task(session.get(running.url / "v1/shape", params=LIVE, headers=bearer()))
            await asked.wait()
        answer = await held
        assert (answer.status, (await answer.json())["code"]) == (503, "gate_stopping")
        assert answer.headers["retry-after"] == "1"
