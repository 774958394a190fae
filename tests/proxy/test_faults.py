"""The faults that a gate has to live with; each is a test, against sockets that cut, stall and lie.

    client                                          Electric
     1 goes before the head comes                     9 does not listen
     2 goes in the middle of the body                10 says nothing
     3 reads slowly, or not at all                   11 stops in the middle of the body
     4 is half gone and never says so                12 resets, before the head or in the body
     5 pipelines                     (test_server)   13 truncates, a length or chunks
     6 sends its head slowly         (test_server)   14 sends garbage for a status line
     7 sends too large a head        (test_server)   15 sends header values that no Electric writes
     8 sends a length and a coding   (test_server)   16 sends wide headers
                                                     17 answers with a status that leads nowhere
                                                     18 does not take the secret: 401, 403
                                                     19 fails with SQL in its text
                                                     20 asks to come back, in every way to say when
                                                     21 says 304 unasked
                                                     22 compresses unasked, to a bomb
                                                     23 ended a pooled connection without a word
                                                     24 says no end of its body, or two

Whatever happened, the next request is served. tests/integration/test_faults.py orders those of them that the
development Electric can do.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from shapegate_proxy.electric import ElectricTimeouts
from tests.proxy.builders import ACME, NOW, Gate, bearer, client_within, gate_before
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD, SECONDS, TARGET, Peer, dial, get, serve_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.proxy.raw import Script

START = {"table": "items", "offset": "-1"}
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
STREAM = LIVE | {"live_sse": "true"}
STREAM_HEAD = CHUNKED.replace(b"application/json", b"text/event-stream")
PATHS = ["/v1/shape", f"/api/electric/orgs/{ACME}/sync"]


class Trouble:
    """A script that does its fault until it is over, and answers well from then on."""

    def __init__(self, fault: Script | bytes) -> None:
        self._fault = fault
        self.over = False

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.head()
            if self.over:
                await peer.send(EMPTY_LOG)
            elif isinstance(self._fault, bytes):
                await peer.send(self._fault)
                return
            else:
                await self._fault(peer)
                return


@asynccontextmanager
async def gate_and_client(
    fault: Script | bytes, folder: Path, **timeouts: float
) -> AsyncIterator[tuple[Gate, aiohttp.ClientSession]]:
    """Run a gate before such an Electric; in the end, a request is served as if nothing had been."""
    trouble = Trouble(fault)
    connect = client_within(ElectricTimeouts(**timeouts))
    async with (
        serve_raw(trouble) as server,
        gate_before(server.url, folder, [], connect=connect) as running,
        aiohttp.ClientSession() as http,
    ):
        yield running, http
        trouble.over = True
        assert await ask(running, http) == (200, "[]", {})


async def ask(
    running: Gate,
    http: aiohttp.ClientSession,
    query: dict[str, str] = START,
    *,
    path: str = "/v1/shape",
    headers: dict[str, str] | None = None,
) -> tuple[int, str, dict[str, str]]:
    """Ask once; returns the status, then the code of a refusal, or the body, or `cut`, then Retry-After."""
    asked = http.get(running.url.with_path(path), params=query, headers=bearer() | (headers or {}))
    async with asyncio.timeout(SECONDS), asked as answer:
        retry = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        try:
            body = await answer.read()
        except aiohttp.ClientError:
            return answer.status, "cut", retry
        if answer.status < 400 or answer.status == 409:
            return answer.status, body.decode(), retry
        refusal = await answer.json()
        assert set(refusal) - {"errors"} == {"message", "code", "hint", "request_id"}
        assert answer.headers["cache-control"] == "private, no-store"
        return answer.status, refusal["code"], retry


AGAIN = {"retry-after": "5"}


# 1, 2


@pytest.mark.parametrize("begun", [b"", CHUNKED + b"1\r\n[\r\n", STREAM_HEAD + b"e\r\n: keep-alive\n\n\r\n"])
@pytest.mark.parametrize("going", ["closes", "resets"])
async def test_W_09_I_20_P_28_a_client_that_goes_takes_its_request_along(
    tmp_path: Path, begun: bytes, going: str
) -> None:
    held, ended = asyncio.Event(), asyncio.Event()

    async def hold(peer: Peer) -> None:
        await peer.send(begun)
        held.set()
        await peer.rest()
        ended.set()

    async with gate_and_client(hold, tmp_path) as (running, _):
        async with dial(running.url) as peer:
            target = str(URL("/v1/shape").with_query(STREAM if b"event" in begun else LIVE))
            await peer.send(get(target=target))
            await asyncio.wait_for(held.wait(), SECONDS)
            if begun:
                await peer.head()
            if going == "resets":
                peer.reset()
        await asyncio.wait_for(ended.wait(), 1)
        await asyncio.wait_for(running.recorder.told.wait(), SECONDS)
        assert running.recorder.events[0].decision == "gone"


# 3


async def test_W_09_I_22_a_reader_that_stalls_makes_electric_wait(tmp_path: Path) -> None:
    sent, stalled = 0, asyncio.Event()
    block = b"x" * 65_536

    async def flood(peer: Peer) -> None:
        nonlocal sent
        await peer.send(HEAD + b"content-length: 50000000\r\n\r\n")
        while True:
            try:
                await asyncio.wait_for(peer.send(block), 0.3)
            except TimeoutError:
                stalled.set()
                await peer.rest()
                return
            sent += len(block)

    # What the client is guilty of is not taken for a silence of Electric's.
    short = gate_and_client(flood, tmp_path, catch_up_seconds=0.2)
    async with short as (running, _), dial(running.url) as peer:
        await peer.send(get())
        assert (await peer.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        await asyncio.wait_for(stalled.wait(), 4 * SECONDS)
        assert sent < 24_000_000  # what the buffers of four sockets hold
        assert (await peer.exactly(sent)).count(b"x") == sent


async def test_W_11_I_22_of_a_large_body_the_gate_holds_less_than_a_megabyte(tmp_path: Path) -> None:
    block, count = b"x" * 65_536, 763  # 50 MB

    async def flood(peer: Peer) -> None:
        await peer.send(HEAD + b"content-length: %d\r\n\r\n" % (len(block) * count))
        for _ in range(count):
            await peer.send(block)

    async def peak(url: URL) -> int:
        async with dial(url) as peer:
            tracemalloc.start()
            try:
                await peer.send(get())
                await peer.head()
                for _ in range(count):
                    await peer.exactly(len(block))
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    async with gate_and_client(flood, tmp_path) as (running, _):
        through = await peak(running.url)
    async with serve_raw(Trouble(flood)) as server:
        direct = await peak(server.url)  # what the two ends of the test hold
    assert through - direct < 1_000_000


# 4


@pytest.mark.parametrize("begun", [b"", CHUNKED + b"1\r\n[\r\n"])
async def test_W_09_P_46_a_client_that_is_half_gone_is_let_go_with_its_token(
    tmp_path: Path, begun: bytes
) -> None:
    ended = asyncio.Event()

    async def hold(peer: Peer) -> None:
        await peer.send(begun)
        await peer.rest()
        ended.set()

    async with gate_and_client(hold, tmp_path) as (running, _):
        running.clock.now = NOW + timedelta(seconds=309.9)
        async with dial(running.url) as peer:
            await peer.send(get())
            await asyncio.wait_for(ended.wait(), SECONDS)
        running.clock.now = NOW


# 9 to 11


async def test_W_02_nobody_listens(tmp_path: Path, unused_tcp_port: int) -> None:
    async with (
        gate_before(URL(f"http://127.0.0.1:{unused_tcp_port}"), tmp_path, []) as running,
        aiohttp.ClientSession() as http,
    ):
        assert await ask(running, http) == (502, "electric_unreachable", AGAIN)


async def silent(peer: Peer) -> None:
    await peer.rest()


@pytest.mark.parametrize(
    ("query", "kind"), [(START, "catch_up"), (LIVE, "live"), (STREAM, "stream")], ids=["log", "live", "sse"]
)
async def test_W_02_W_09_it_says_nothing(tmp_path: Path, query: dict[str, str], kind: str) -> None:
    async with gate_and_client(silent, tmp_path, connect_seconds=0.1, **{f"{kind}_seconds": 0.1}) as (
        running,
        http,
    ):
        assert await ask(running, http, query) == (504, "electric_timeout", AGAIN)


@pytest.mark.parametrize(
    ("query", "begun"),
    [(START, CHUNKED + b"1\r\n[\r\n"), (LIVE, HEAD + b"content-length: 9\r\n\r\n["), (STREAM, STREAM_HEAD)],
    ids=["log", "live", "sse"],
)
async def test_W_01_W_09_it_stops_in_the_body(tmp_path: Path, query: dict[str, str], begun: bytes) -> None:
    async def stop(peer: Peer) -> None:
        await peer.send(begun)
        await peer.rest()

    short = {"catch_up_seconds": 0.2, "live_seconds": 0.2, "stream_seconds": 0.2}
    async with gate_and_client(stop, tmp_path, **short) as (running, http):
        assert await ask(running, http, query) == (200, "cut", {})


# 12, 13


async def test_W_02_it_resets_before_the_head(tmp_path: Path) -> None:
    async def reset(peer: Peer) -> None:
        peer.reset()

    async with gate_and_client(reset, tmp_path) as (running, http):
        assert await ask(running, http) == (502, "electric_unreachable", AGAIN)


async def test_W_01_it_resets_in_the_body(tmp_path: Path) -> None:
    async def reset(peer: Peer) -> None:
        await peer.send(CHUNKED + b"1\r\n[\r\n")
        await peer.quiet(0.05)
        peer.reset()

    async with gate_and_client(reset, tmp_path) as (running, http):
        assert await ask(running, http) == (200, "cut", {})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "cut",
    [
        CHUNKED + b'5\r\n[{"a"\r\n',
        CHUNKED + b'5\r\n[{"',
        CHUNKED + b"2\r\n[]\r\n",
        CHUNKED + b"2\r\n[]\r\n0\r\n",
        HEAD + b'content-length: 100\r\n\r\n[{"a"',
        HEAD.replace(b"200 OK", b"409 Conflict") + b"content-length: 100\r\n\r\n[",
    ],
)
async def test_W_01_W_03_a_cut_body_is_never_well_terminated(tmp_path: Path, path: str, cut: bytes) -> None:
    async with (
        gate_and_client(cut, tmp_path, catch_up_seconds=0.5) as (running, _),
        dial(running.url) as peer,
    ):
        await peer.send(get(target=TARGET.replace("/v1/shape", path)))
        head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head.lower() or b"content-length: 100" in head.lower()
        assert not body.endswith(b"0\r\n\r\n")
        assert len(body) < 100
        assert running.recorder.events[0].decision == "cut"


async def test_W_01_W_03_a_chunk_that_cannot_be_read_ends_the_body(tmp_path: Path) -> None:
    async def garble(peer: Peer) -> None:
        await peer.send(CHUNKED + b"1\r\n[\r\n")
        await peer.quiet(0.05)
        await peer.send(b"zz\r\n")

    async with gate_and_client(garble, tmp_path, catch_up_seconds=0.2) as (running, http):
        assert await ask(running, http) == (200, "cut", {})


@pytest.mark.parametrize("version", ["0.9", "1.0", "2.0"])
async def test_W_01_a_connection_whose_end_ends_the_body_gets_no_body(tmp_path: Path, version: str) -> None:
    async with (
        gate_and_client(CHUNKED + b"5\r\n[{}\r\n", tmp_path) as (running, _),
        dial(running.url) as peer,
    ):
        await peer.send(get().replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        received = await peer.rest()
        assert b"[{}" not in received
        assert b"http_version_not_supported" in received


# 14 to 17


def answering(head: bytes, status: bytes = b"200 OK") -> bytes:
    return HEAD.replace(b"200 OK", status) + head + b"content-length: 0\r\n\r\n"


SERVED: tuple[int, str, dict[str, str]] = (200, "", {})
UNREACHABLE = (502, "electric_unreachable", AGAIN)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b"garbage\r\n\r\n", UNREACHABLE),
        (b"HTTP/1.1 999999 no\r\n\r\n", UNREACHABLE),
        (b"\x16\x03\x01", UNREACHABLE),
        (answering(b"electric-cursor: 1\x01\r\n"), UNREACHABLE),
        (answering(b"electric-schema: {\x00}\r\n"), UNREACHABLE),
        (answering(b"electric-schema: \xff\xfe\r\n"), UNREACHABLE),
        (answering(b"electric-schema: a\rset-cookie: b\r\n"), UNREACHABLE),
        (answering(b"").replace(b"application/json", b"text/html"), UNREACHABLE),
        (answering(b"").replace(b"content-type: application/json\r\n", b""), UNREACHABLE),
        (answering(b"electric-schema: {}\r\n"), SERVED),
        (answering(b"electric-schema: {\r\n }\r\n"), None),
        (answering(b'electric-schema: {"gr\xc3\xb6\xc3\x9fe":{}}\r\n'), SERVED),
        (answering(b"retry-after: soon\r\nset-cookie: a\x01b\r\n"), None),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answering(b""), SERVED),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", UNREACHABLE),
        (answering(b"", b"204 No Content"), UNREACHABLE),
        (answering(b"", b"206 Partial Content"), UNREACHABLE),
        (answering(b"location: http://127.0.0.1:1/\r\n", b"302 Found"), UNREACHABLE),
        (answering(b"location: /v1/shape\r\n", b"308 Permanent Redirect"), UNREACHABLE),
        (answering(b"", b"404 Not Found"), UNREACHABLE),
        (answering(b"", b"413 Too Large"), UNREACHABLE),
        (answering(b"", b"999 Odd"), UNREACHABLE),
    ],
)
async def test_W_02_I_12_what_no_electric_answers_is_a_502(
    tmp_path: Path, told: bytes, expected: tuple[int, str, dict[str, str]] | None
) -> None:
    """What is not quite HTTP, but means one thing only, one client reads and another does not."""
    async with gate_and_client(told, tmp_path) as (running, http):
        assert await ask(running, http) in ([SERVED, UNREACHABLE] if expected is None else [expected])


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (80_000, 502)])
async def test_W_08_headers_up_to_64_kB_pass(tmp_path: Path, size: int, status: int) -> None:
    wide = answering(b"electric-schema: " + b"x" * size + b"\r\n")
    async with gate_and_client(wide, tmp_path) as (running, _), dial(running.url) as peer:
        await peer.send(get())
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert head.count(b"x") > size or status == 502


# 18 to 21


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
async def test_W_04_P_43_a_wrong_secret_is_the_gates_fault(tmp_path: Path, status: bytes) -> None:
    async with gate_and_client(answering(b"", status), tmp_path) as (running, http):
        assert await ask(running, http) == (502, "electric_secret_refused", AGAIN)


def failing(status: bytes, body: bytes, head: bytes = b"") -> bytes:
    fields = b"content-type: application/json\r\n" + head + b"content-length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + fields + body


SQL = b'{"message":"relation \\"hidden_table\\" does not exist: SELECT hidden_column"}'
OUT_OF_BOUNDS = b'{"message":"Invalid request","errors":{"offset":["out of bounds for this shape"]}}'


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        (failing(b"500 Internal Server Error", SQL), 500, "electric_unavailable"),
        (failing(b"503 Service Unavailable", SQL), 503, "electric_unavailable"),
        (failing(b"429 Too Many Requests", SQL), 429, "electric_unavailable"),
        (failing(b"400 Bad Request", SQL), 400, "electric_refused"),
        (failing(b"400 Bad Request", b"hidden_table"), 400, "electric_refused"),
        (failing(b"400 Bad Request", b"[" * 15_000), 400, "electric_refused"),
        (failing(b"400 Bad Request", b'{"hidden_table":' * 50_000), 400, "electric_refused"),
        (
            failing(b"400 Bad Request", gzip.compress(SQL), b"content-encoding: gzip\r\n"),
            400,
            "electric_refused",
        ),
        (failing(b"400 Bad Request", OUT_OF_BOUNDS), 400, "offset_out_of_bounds"),
    ],
)
async def test_W_02_P_44_I_06_an_error_of_electric_shows_nothing_of_its_text(
    tmp_path: Path, told: bytes, status: int, code: str
) -> None:
    async with gate_and_client(told, tmp_path) as (running, http):
        url = running.url / "v1/shape"
        async with http.get(url, params=START, headers=bearer()) as answer:
            text = await answer.text()
            assert (answer.status, (await answer.json())["code"]) == (status, code)
    assert "hidden" not in text + str(answer.headers)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"7", "7"),
        (b"0", "1"),
        (b"300", "300"),
        (b"86400", "300"),
        (b"9" * 30, "300"),
        (b"-1", "5"),
        (b"soon", "5"),
        (b"1.5", "5"),
        (b"Wed, 21 Oct 2026 07:28:00 GMT", "5"),
        (b"\xd9\xa3", "5"),
        (b"", "5"),
        (None, "5"),
    ],
)
@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
async def test_W_06_P_30_it_asks_to_come_back(
    tmp_path: Path, status: bytes, sent: bytes | None, kept: str
) -> None:
    head = b"" if sent is None else b"retry-after: " + sent + b"\r\n"
    async with gate_and_client(failing(status, b"{}", head), tmp_path) as (running, http):
        expected = (int(status[:3]), "electric_unavailable", {"retry-after": kept})
        assert await ask(running, http) == expected


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        (PATHS[0], {}, UNREACHABLE),
        (PATHS[0], {"if-none-match": '"h-1:-1:0_0"'}, UNREACHABLE),
        (PATHS[1], {}, UNREACHABLE),
        (PATHS[1], {"if-none-match": "no tag"}, UNREACHABLE),
        (PATHS[1], {"if-none-match": '"h-1:-1:0_0"'}, (304, "", {})),
    ],
)
async def test_W_07_304_answers_a_condition_that_electric_was_told(
    tmp_path: Path, path: str, asked: dict[str, str], expected: tuple[int, str, dict[str, str]]
) -> None:
    told = HEAD.replace(b"200 OK", b"304 Not Modified") + b'etag: "h-1:-1:0_0"\r\n\r\n'
    async with gate_and_client(told, tmp_path) as (running, http):
        assert await ask(running, http, path=path, headers=asked) == expected


# 22 to 24


async def test_W_02_I_17_a_bomb_is_not_let_in(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    told = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb) + bomb
    async with gate_and_client(told, tmp_path) as (running, http):
        assert await ask(running, http) == UNREACHABLE


@pytest.mark.parametrize("requests", [2, 50])
async def test_W_10_P_25_a_stale_pooled_connection_is_replaced_unseen(tmp_path: Path, requests: int) -> None:
    async def some_then_end(peer: Peer) -> None:
        for _ in range(requests):
            await peer.head()
            await peer.send(EMPTY_LOG)
        await peer.head()
        peer.reset()

    async with (
        serve_raw(some_then_end) as server,
        gate_before(server.url, tmp_path, []) as running,
        aiohttp.ClientSession() as http,
    ):
        for _ in range(2 * requests + 1):
            assert await ask(running, http) == (200, "[]", {})
    # An answer is there before it is told of.
    assert len(running.recorder.events) == 2 * requests + 1


@pytest.mark.parametrize(
    "told",
    [
        HEAD + b"\r\n[]",
        HEAD.replace(b"1.1", b"1.0") + b"\r\n[]",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: x\r\n\r\n[]",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        HEAD + b"content-length: 5, 6\r\n\r\nhello",
        HEAD + b"content-length: -1\r\n\r\nhello",
    ],
)
async def test_W_01_W_03_a_body_has_one_end(tmp_path: Path, told: bytes) -> None:
    async with gate_and_client(told, tmp_path) as (running, http):
        assert await ask(running, http) == UNREACHABLE


async def test_W_01_an_answer_of_http_1_0_with_a_length_passes(tmp_path: Path) -> None:
    async with gate_and_client(EMPTY_LOG.replace(b"1.1", b"1.0"), tmp_path) as (running, http):
        assert await ask(running, http) == (200, "[]", {})
