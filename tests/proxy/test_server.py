"""The edge of the server: heads that are slow, too large, ambiguous or none, over plain sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.connection import FIELD_BYTES_MAX, FIELDS_MAX, LINE_BYTES_MAX
from shapegate_proxy.limit_settings import LimitSettings
from tests.proxy.builders import ACME, GLOBEX, Gate, bearer, gate, log_answer
from tests.proxy.raw import SECONDS, TARGET, Peer, answered, dial, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

MARK = "a-text-that-nobody-may-quote"


@pytest.fixture
async def before_electric(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(log_answer, tmp_path) as running:
        yield running


SECOND = b"GET /health HTTP/1.1\r\nhost: gate\r\n\r\n"
AMBIGUOUS = {
    "length and coding": get("content-length: 4", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "coding and length": get("transfer-encoding: chunked", "content-length: 4") + b"0\r\n\r\n",
    "two lengths": get("content-length: 0", "content-length: 5") + b"GET /",
    "two equal lengths": get("content-length: 0", "content-length: 0"),
    "a list of lengths": get("content-length: 0, 0"),
    "a signed length": get("content-length: +0"),
    "a length in hex": get("content-length: 0x5"),
    "an unknown coding": get("transfer-encoding: x"),
    "chunked is not last": get("transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "two codings": get("transfer-encoding: chunked", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "a disguised coding": get("transfer-encoding: \x0bchunked") + b"0\r\n\r\n",
    "a space before the colon": get("transfer-encoding : chunked") + b"0\r\n\r\n",
    "a folded header": get("x-a: b", f" {MARK}"),
    "a folded coding": get("transfer-encoding:", " chunked") + b"0\r\n\r\n",
    "a bare line feed": get("x-a: b").replace(b"x-a: b\r\n", b"x-a: b\n"),
    "a bare carriage return": get(f"x-a: b\r{MARK}: c"),
    "NUL in a header": get(f"x-a: {MARK}\x00"),
    "a control character in a header": get(f"x-a: {MARK}\x01"),
    "no name": get(f": {MARK}"),
    "two hosts": get("host: other"),
    "no host": get().replace(b"host: gate\r\n", b""),
    "a space in the target": get(target="/v1/shape?table=items &offset=-1"),
    "no target": b"GET\r\n\r\n",
    "a target with half a host": get(target=f"http://1[]@{TARGET}"),
    "a target with a host that is no name": get(target=f"http://xn--a{TARGET}"),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK.encode(),
    "a wrong version": get().replace(b"HTTP/1.1", b"HTTP/x.1"),
    "an unknown method": get(method="FETCH"),
    "a letter that is not ASCII in the target": get(target=f"{TARGET}&handle=\u00e4"),
    "a bare line feed in a chunk": get("transfer-encoding: chunked") + b"5;x=\n\r\nhello\r\n0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "text": MARK.encode() + b"\r\n\r\n",
}


@pytest.mark.parametrize("case", AMBIGUOUS)
async def test_I_19_P_52_what_can_be_read_in_two_ways_is_read_in_none(
    before_electric: Gate, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    async with dial(before_electric.url) as peer:
        await peer.send(AMBIGUOUS[case] + SECOND)
        status, headers, body = await answered(peer)
        assert (status, headers["content-type"]) == (400, "application/json")
        assert headers["cache-control"] == "private, no-store"
        assert set(json.loads(body)) == {"message", "code", "hint", "request_id"}
        assert await peer.rest() == b""  # neither the second request nor anything else is answered
    assert before_electric.upstream == []
    assert MARK not in str(headers) + body.decode() + caplog.text
    assert bearer()["authorization"] not in caplog.text


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (get(target=f"{TARGET}&cache-buster={'x' * 12_000}"), 414, "request_too_long"),
        (get(target=f"{TARGET}&cache-buster={'x' * LINE_BYTES_MAX}"), 414, "request_too_long"),
        (get(f"cookie: {'x' * (FIELD_BYTES_MAX + 1)}"), 431, "headers_too_large"),
        (get(f"{'x' * (FIELD_BYTES_MAX + 1)}: y"), 431, "headers_too_large"),
        (get(*(f"x-{number}: y" for number in range(FIELDS_MAX))), 431, "headers_too_large"),
    ],
)
async def test_P_18_P_34_I_08_what_is_too_large_is_refused_so_that_a_page_can_read_it(
    before_electric: Gate, sent: bytes, status: int, code: str
) -> None:
    async with dial(before_electric.url) as peer:
        await peer.send(sent.replace(b"host: gate", b"host: gate\r\norigin: https://app.example"))
        found, headers, body = await answered(peer)
    assert (found, json.loads(body)["code"]) == (status, code)
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["vary"] == "authorization, origin"
    assert (headers["server"], headers["x-content-type-options"]) == ("shapegate", "nosniff")
    assert headers["x-request-id"] == json.loads(body)["request_id"]
    assert before_electric.upstream == []


async def test_I_08_a_token_as_long_as_can_be_is_answered_by_the_gate(before_electric: Gate) -> None:
    async with dial(before_electric.url) as peer:
        await peer.send(get().replace(b"Bearer ", b"Bearer " + b"x" * 8_192))
        status, headers, _ = await answered(peer)
    assert status == 400
    assert "www-authenticate" in headers


@pytest.mark.parametrize("path", [TARGET, "/nowhere"])
async def test_P_52_an_unknown_expectation_is_refused_without_quoting_it(
    before_electric: Gate, path: str
) -> None:
    async with dial(before_electric.url) as peer:
        await peer.send(get(f"expect: {MARK}", "origin: https://app.example", target=path))
        status, headers, body = await answered(peer)
    assert (status, json.loads(body)["code"]) == (417, "expectation_failed")
    assert MARK not in body.decode()
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["x-request-id"] == json.loads(body)["request_id"]


async def test_I_19_each_pipelined_request_is_authenticated_on_its_own(before_electric: Gate) -> None:
    anonymous = get().replace(b"authorization", b"x-authorization")
    foreign = get(target=f"/api/electric/orgs/{GLOBEX}/sync?table=items&offset=-1")
    async with dial(before_electric.url) as peer:
        again = get(target=f"{TARGET}&cache-buster=1")
        await peer.send(get() + anonymous + get(org=GLOBEX) + foreign + again)
        statuses = [(await answered(peer))[0] for _ in range(5)]
    assert statuses == [200, 401, 200, 403, 200]
    assert [request.query["params[1]"] for request in before_electric.upstream] == [ACME, GLOBEX, ACME]


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (get("connection: upgrade", "upgrade: h2c"), 200),
        (get("connection: upgrade", "upgrade: websocket"), 200),
        (get(target=f"http://elsewhere{TARGET}"), 200),
        (get("content-length: 5") + b"hello", 400),
        (get("x-http-method-override: DELETE"), 200),
        (b"CONNECT elsewhere:80 HTTP/1.1\r\nhost: elsewhere\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nhost: gate\r\n\r\n", 404),
    ],
)
async def test_I_13_I_19_what_else_a_head_may_hold_changes_nothing(
    before_electric: Gate, first: bytes, status: int
) -> None:
    async with dial(before_electric.url) as peer:
        for sent, expected in ((first, status), (get(), 200), (get().replace(b"authorization", b"x-a"), 401)):
            await peer.send(sent)
            assert (await answered(peer))[0] == expected
    for request in before_electric.upstream:
        assert (request.method, request.path, request.query["params[1]"]) == ("GET", "/v1/shape", ACME)


@pytest.mark.parametrize("together", [True, False])
async def test_I_15_I_19_a_trailer_is_no_header_of_the_next_request(
    before_electric: Gate, together: bool
) -> None:
    chunks = (
        get("transfer-encoding: chunked")
        + f"0\r\nauthorization: {bearer(organization_id=GLOBEX)['authorization']}\r\n\r\n".encode()
    )
    anonymous = get().replace(b"authorization", b"x-a")
    async with dial(before_electric.url) as peer:
        await peer.send(chunks + anonymous if together else chunks)
        assert (await answered(peer))[0] == 200
        if not together:
            await peer.send(anonymous)
        assert await peer.rest() == b""
    assert [request.query["params[1]"] for request in before_electric.upstream] == [ACME]


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nhost:", b"GET /hea"])
async def test_I_08_I_19_a_connection_that_sends_no_head_is_closed(tmp_path: Path, sent: bytes) -> None:
    async with gate(log_answer, tmp_path, idle_seconds=0.2) as running, dial(running.url) as peer:
        await peer.send(sent)
        assert await peer.rest() == b""


async def trickle(peer: Peer, text: bytes) -> None:
    for byte in text:
        await peer.send(bytes([byte]))
        await peer.quiet(0.02)


async def test_I_08_I_19_a_head_that_trickles_is_no_head(tmp_path: Path) -> None:
    async with gate(log_answer, tmp_path, idle_seconds=0.2) as running, dial(running.url) as peer:
        await peer.send(get())
        assert (await answered(peer))[0] == 200  # a connection that was good before is no better
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(trickle(peer, get() * 100), SECONDS)
    assert len(running.upstream) == 1


async def test_I_08_the_connection_that_idled_longest_makes_room(tmp_path: Path) -> None:
    async with (
        gate(log_answer, tmp_path, limits=LimitSettings(connections=3)) as running,
        dial(running.url) as silent,
        dial(running.url) as first,
        dial(running.url) as second,
    ):
        for peer in (second, first):
            await peer.send(SECOND)
            assert (await answered(peer))[0] == 200
        async with dial(running.url) as third:
            assert await silent.rest() == b""
            await third.send(SECOND)
            assert (await answered(third))[0] == 200
            async with dial(running.url) as fourth:
                assert await second.rest() == b""
                for peer in (first, third, fourth):
                    await peer.send(SECOND)
                    assert (await answered(peer))[0] == 200


async def test_I_08_a_connection_with_a_request_under_way_makes_no_room(tmp_path: Path) -> None:
    reached, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        reached.set()
        await release.wait()
        return await log_answer(request)

    async with (
        gate(hold, tmp_path, limits=LimitSettings(connections=1)) as running,
        dial(running.url) as busy,
    ):
        await busy.send(get())
        await asyncio.wait_for(reached.wait(), SECONDS)
        for _ in range(3):
            async with dial(running.url) as other:
                assert await other.rest() == b""
        release.set()
        assert (await answered(busy))[0] == 200
        async with dial(running.url) as other:
            assert await busy.rest() == b""
            await other.send(SECOND)
            assert (await answered(other))[0] == 200


async def test_I_08_connections_that_end_are_not_counted(tmp_path: Path) -> None:
    async with (
        gate(log_answer, tmp_path, limits=LimitSettings(connections=2)) as running,
        dial(running.url) as kept,
    ):
        for _ in range(4):
            async with dial(running.url) as peer:
                await peer.send(SECOND.replace(b"host", b"connection: close\r\nhost"))
                assert (await answered(peer))[0] == 200
                assert await peer.rest() == b""
        await kept.send(SECOND)
        assert (await answered(kept))[0] == 200


async def test_I_08_a_burst_of_connections_waits_to_be_accepted(tmp_path: Path) -> None:
    async with gate(log_answer, tmp_path, limits=LimitSettings(connections=4)) as running:
        ours = [socket.socket() for _ in range(200)]
        try:
            for each in ours:
                each.connect((running.url.host, running.url.port))  # nobody accepts until this is over
            async with dial(running.url) as peer:
                await peer.send(SECOND)
                assert (await answered(peer))[0] == 200
        finally:
            for each in ours:
                each.close()
