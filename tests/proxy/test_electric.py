"""Whoever brings requests to Electric, before servers that answer, stall, cut and lie.

Every client behind the port has to pass: `CONNECTS` names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shapegate_proxy.electric import ElectricState, ElectricTimeouts, read_state
from shapegate_proxy.electric_http import ElectricClient
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.errors import UpstreamFault, UpstreamTimeout
from shapegate_proxy.upstream import UpstreamRequest
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD, SECONDS, Peer, serve_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shapegate_proxy.electric import Chunk, UpstreamAnswer, UpstreamClient
    from tests.proxy.raw import RawServer, Script

    Connect = Callable[[URL, ElectricTimeouts], UpstreamClient]

CONNECTS = [ElectricClient, LeanClient]
LONG = 60.0


@pytest.fixture(params=CONNECTS)
def connect(request: pytest.FixtureRequest) -> Connect:
    found: Connect = request.param
    return found


def timeouts(**changes: float) -> ElectricTimeouts:
    """Timeouts that do not end a test, but for those named."""
    names = {field.name for field in fields(ElectricTimeouts)}
    return ElectricTimeouts(**(dict.fromkeys(names, LONG) | changes))


@asynccontextmanager
async def electric(
    connect: Connect, script: Script, within: ElectricTimeouts | None = None
) -> AsyncIterator[tuple[UpstreamClient, RawServer]]:
    async with serve_raw(script) as server:
        client = connect(server.url, within or timeouts())
        try:
            yield client, server
        finally:
            await client.close()


def asked(server: RawServer, kind: str = "catch_up", *, method: str = "GET") -> UpstreamRequest:
    return UpstreamRequest(
        method=method,
        url=server.url / "v1/shape",
        headers=(("accept", "application/json"), ("accept-encoding", "identity")),
        body=b'{"limit":1}' if method == "POST" else None,
        live=kind != "catch_up",
        sse=kind == "stream",
    )


@asynccontextmanager
async def opened(client: UpstreamClient, request: UpstreamRequest) -> AsyncIterator[UpstreamAnswer]:
    answer = await client.ask(request)
    try:
        yield answer
    finally:
        answer.close()
        answer.close()


@pytest.mark.parametrize("body", [b"", b"[]"])
async def test_a_whole_answer_is_taken_at_once_or_not_at_all(connect: Connect, body: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)

    async with electric(connect, script) as (client, server), opened(client, asked(server)) as answer:
        taken = answer.take_whole()
        assert taken in (None, body)
        assert await rest(answer) == (body if taken is None else b"")


async def test_W_01_a_part_is_not_taken_for_the_whole(connect: Connect) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"content-length: 3\r\n\r\n[]")

    async with electric(connect, script) as (client, server), opened(client, asked(server)) as answer:
        assert answer.take_whole() is None
        with pytest.raises(UpstreamFault):
            await rest(answer)


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_what_comes_while_it_is_waited_for_is_offered_first(connect: Connect, taken: int) -> None:
    go, offered = asyncio.Event(), list[bytes]()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        for number in range(3):
            await go.wait()
            await peer.send(b"1\r\n%d\r\n" % number)
            await peer.quiet(0.02)
        await peer.send(b"0\r\n\r\n")

    def sink(chunk: Chunk) -> bool:
        if len(offered) < taken:
            offered.append(bytes(chunk))
            return True
        return False

    async with electric(connect, script) as (client, server), opened(client, asked(server)) as answer:
        answer.pour(sink)
        waiting = asyncio.create_task(rest(answer))
        await asyncio.sleep(0)
        go.set()
        left = await asyncio.wait_for(waiting, SECONDS)
        assert b"".join(offered) + left == b"012"


async def test_W_09_what_is_taken_so_is_a_sign_of_life(connect: Connect) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        for _ in range(8):
            await peer.send(b"1\r\n.\r\n")
            await peer.quiet(0.05)
        await peer.rest()

    taken: list[Chunk] = []

    def take(chunk: Chunk) -> bool:
        taken.append(chunk)
        return True

    within = timeouts(stream_seconds=0.2)
    async with (
        electric(connect, script, within) as (client, server),
        opened(client, asked(server, "stream")) as answer,
    ):
        answer.pour(take)
        with pytest.raises(UpstreamTimeout):
            taken.append(await asyncio.wait_for(rest(answer), SECONDS))
    assert len(taken) in (0, 7, 8)  # of a client that offers nothing; with the first piece, or without


async def rest(answer: UpstreamAnswer) -> bytes:
    """Take the body to its end, which stays the end."""
    body = bytearray()
    while chunk := await answer.next():
        body += chunk
    assert answer.ready
    assert await answer.next() == b""
    return bytes(body)


async def fetch(client: UpstreamClient, request: UpstreamRequest) -> tuple[int, bytes]:
    async with opened(client, request) as answer:
        return answer.status, await rest(answer)


async def answer_all(peer: Peer) -> None:
    while True:
        head = await peer.head()
        if head.startswith(b"POST"):
            await peer.exactly(11)
        await peer.send(EMPTY_LOG)


async def test_a_whole_answer_comes_as_it_was_sent(connect: Connect) -> None:
    async with electric(connect, answer_all) as (client, server), opened(client, asked(server)) as answer:
        assert (answer.status, answer.headers["electric-handle"], answer.framed) == (200, "h-1", True)
        assert await rest(answer) == b"[]"


async def test_P_22_the_request_is_the_built_one_and_nothing_more(connect: Connect) -> None:
    heads: list[bytes] = []

    async def record(peer: Peer) -> None:
        while True:
            heads.append(await peer.head())
            await peer.send(EMPTY_LOG.replace(b"\r\n", b"\r\nset-cookie: a=b\r\n", 1))

    async with electric(connect, record) as (client, server):
        for _ in range(2):
            await fetch(client, asked(server))
        host = f"host: 127.0.0.1:{server.url.port}"
    assert len(heads) == 2
    for head in heads:
        line, *fields = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        assert line == "GET /v1/shape HTTP/1.1"
        sent = {field.lower() for field in fields}
        assert sent == {host, "accept: application/json", "accept-encoding: identity"}


async def test_a_connection_is_kept_after_a_whole_answer(connect: Connect) -> None:
    async with electric(connect, answer_all) as (client, server):
        for method in ("GET", "POST", "GET"):
            assert await fetch(client, asked(server, method=method)) == (200, b"[]")
        assert server.connections == 1


async def test_P_26_an_unused_connection_is_closed_before_electric_would(connect: Connect) -> None:
    closed = asyncio.Event()

    async def wait(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY_LOG)
        await peer.rest()
        closed.set()

    async with electric(connect, wait, timeouts(idle_seconds=0.1)) as (client, server):
        await fetch(client, asked(server))
        await asyncio.wait_for(closed.wait(), SECONDS)
    assert ElectricTimeouts().idle_seconds < 60


async def test_I_22_the_first_bytes_are_there_before_the_others(connect: Connect) -> None:
    more = asyncio.Event()

    async def drip(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        await peer.send(b"1\r\n[\r\n")
        await more.wait()
        await peer.send(b"1\r\n]\r\n0\r\n\r\n")

    async with electric(connect, drip) as (client, server), opened(client, asked(server)) as answer:
        assert await asyncio.wait_for(answer.next(), SECONDS) == b"["
        more.set()
        assert await rest(answer) == b"]"


async def test_I_22_who_takes_nothing_lets_electric_wait(connect: Connect) -> None:
    sent, stalled = 0, asyncio.Event()
    block = b"x" * 65_536

    async def flood(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        await peer.send(HEAD + b"content-length: 50000000\r\n\r\n")
        while True:
            try:
                await asyncio.wait_for(peer.send(block), 0.3)
            except TimeoutError:
                stalled.set()
                await asyncio.Event().wait()
            sent += len(block)

    # A silence that the client itself causes is none of Electric's.
    within = timeouts(catch_up_seconds=0.2)
    async with electric(connect, flood, within) as (client, server), opened(client, asked(server)) as answer:
        await answer.next()
        await asyncio.wait_for(stalled.wait(), 4 * SECONDS)
        assert sent < 16_000_000  # what the two sockets buffer
        assert len(await answer.next()) < 1_000_000


SILENCES = {
    "says nothing": (b"", b""),
    "drips a head": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "says 100 for ever": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "stops in the body": (CHUNKED + b"1\r\n[\r\n", b""),
    "drips what is no body": (CHUNKED + b"1;x=", b"x"),
}


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("kind", ["catch_up", "live", "stream"])
async def test_W_09_W_02_each_kind_of_request_has_its_own_patience(
    connect: Connect, kind: str, silence: str
) -> None:
    first, again = SILENCES[silence]

    async def stall(peer: Peer) -> None:
        await peer.head()
        await peer.send(first)
        while again:
            await peer.send(again)
            await peer.quiet(0.02)
        await peer.rest()

    within = timeouts(connect_seconds=0.1, **{f"{kind}_seconds": 0.1})
    async with electric(connect, stall, within) as (client, server):
        with pytest.raises(UpstreamTimeout):
            await asyncio.wait_for(fetch(client, asked(server, kind)), SECONDS)


async def test_W_09_the_patience_of_a_kind_is_not_anothers(connect: Connect) -> None:
    given = ElectricTimeouts()
    async with serve_raw(answer_all) as server:
        seconds = {
            kind: given.silence_seconds(asked(server, kind)) for kind in ("catch_up", "live", "stream")
        }
    assert seconds == {"catch_up": 60.0, "live": 30.0, "stream": 70.0}
    assert given.connect_seconds == 3.0


async def test_P_27_a_body_that_flows_may_take_longer_than_any_silence(connect: Connect) -> None:
    async def flow(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        for _ in range(10):
            await peer.quiet(0.05)
            await peer.send(b"1\r\n \r\n")
        await peer.send(b"0\r\n\r\n")

    async with electric(connect, flow, timeouts(catch_up_seconds=0.3)) as (client, server):
        assert await fetch(client, asked(server)) == (200, b" " * 10)


async def test_W_02_nobody_at_the_address_is_a_fault(connect: Connect, unused_tcp_port: int) -> None:
    async with serve_raw(answer_all) as server:
        request = asked(server)
    client = connect(server.url, timeouts())
    with pytest.raises(UpstreamFault):
        await asyncio.wait_for(fetch(client, request), SECONDS)
    await client.close()


async def test_W_09_a_host_that_does_not_answer_is_given_up(connect: Connect) -> None:
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(2):  # what the backlog holds; a further connection gets no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        client = connect(URL(f"http://127.0.0.1:{address[1]}"), timeouts(connect_seconds=0.2))
        request = UpstreamRequest(
            method="GET", url=URL(f"http://127.0.0.1:{address[1]}/"), headers=(), live=False, sse=False
        )
        with pytest.raises(UpstreamTimeout):
            await asyncio.wait_for(fetch(client, request), SECONDS)
        await client.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("ending", ["closed", "reset"])
async def test_W_10_P_25_stale_connections_are_replaced_once_by_a_fresh_one(
    connect: Connect, method: str, ending: str
) -> None:
    both = asyncio.Barrier(2)

    async def two_together_then_end(peer: Peer) -> None:
        first = server.connections <= 2
        await peer.head()
        if method == "POST":
            await peer.exactly(11)
        if first:
            await both.wait()
        await peer.send(HEAD + b"content-length: 0\r\n\r\n")
        await peer.head()
        if ending == "reset":
            peer.reset()

    async with electric(connect, two_together_then_end) as (client, server):
        request = asked(server, method=method)
        await asyncio.gather(fetch(client, request), fetch(client, request))
        assert await fetch(client, request) == (200, b"")
        assert server.connections == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_W_10_a_second_end_is_a_fault(connect: Connect, method: str) -> None:
    asked_times = 0

    async def end(peer: Peer) -> None:
        nonlocal asked_times
        await peer.head()
        asked_times += 1
        peer.reset()

    async with electric(connect, end) as (client, server):
        with pytest.raises(UpstreamFault):
            await fetch(client, asked(server, method=method))
    assert asked_times == 2


@pytest.mark.parametrize("place", ["before the head", "in the body"])
async def test_I_20_P_28_who_goes_takes_the_request_along(connect: Connect, place: str) -> None:
    held, ended = asyncio.Event(), asyncio.Event()

    async def hold(peer: Peer) -> None:
        await peer.head()
        if place == "in the body":
            await peer.send(CHUNKED + b"1\r\n[\r\n")
        held.set()
        await peer.rest()
        ended.set()

    async with electric(connect, hold) as (client, server):
        asking = asyncio.create_task(fetch(client, asked(server, "live")))
        await asyncio.wait_for(held.wait(), SECONDS)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert server.connections == 1


@pytest.mark.parametrize(
    ("head", "framed"),
    [
        (HEAD + b"content-length: 2\r\n\r\n[]", True),
        (CHUNKED + b"2\r\n[]\r\n0\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n", True),
        (HEAD.replace(b"1.1", b"1.0") + b"content-length: 2\r\n\r\n[]", True),
        (HEAD + b"\r\n[]", False),
        (HEAD.replace(b"1.1", b"1.0") + b"\r\n[]", False),
        (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n", False),
        (HEAD + b"transfer-encoding: x\r\n\r\n[]", False),
    ],
)
async def test_W_01_an_answer_says_where_it_ends(connect: Connect, head: bytes, framed: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(head)

    async with electric(connect, script) as (client, server), opened(client, asked(server)) as answer:
        assert answer.framed is framed


@pytest.mark.parametrize(
    "told",
    [
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n[]",
        HEAD + b"content-length: -2\r\n\r\n[]",
        HEAD + b"content-length: 2x\r\n\r\n[]",
        HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    ],
)
async def test_W_03_two_ends_are_none(connect: Connect, told: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(told)

    async with electric(connect, script) as (client, server):
        try:
            async with opened(client, asked(server)) as answer:
                assert not answer.framed
        except UpstreamFault:
            pass


@pytest.mark.parametrize(
    "body",
    [
        CHUNKED + b"5\r\n[{",
        CHUNKED + b"5\r\n[{}\r\n",
        CHUNKED + b"2\r\n[]\r\n",
        CHUNKED + b"2\r\n[]\r\n0\r\n",
        CHUNKED + b"zz\r\n[]\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n[]\r\n0\r\n\r\n",
        HEAD + b"content-length: 3\r\n\r\n[]",
    ],
)
async def test_W_01_W_03_a_cut_body_is_a_fault_and_ends_the_connection(connect: Connect, body: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(body)

    async with electric(connect, script) as (client, server):
        for connections in (1, 2):
            with pytest.raises(UpstreamFault):
                await fetch(client, asked(server))
            assert server.connections == connections


async def test_W_01_a_chunk_that_cannot_be_read_ends_the_answer(connect: Connect) -> None:
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"1\r\n[\r\n")
        await begun.wait()
        await peer.send(b"zz\r\n")

    within = timeouts(catch_up_seconds=0.2)
    async with electric(connect, script, within) as (client, server), opened(client, asked(server)) as answer:
        assert await answer.next() == b"["
        begun.set()
        with pytest.raises((UpstreamFault, UpstreamTimeout)):
            await asyncio.wait_for(answer.next(), SECONDS)


async def test_W_03_a_connection_left_in_the_body_is_not_used_again(connect: Connect) -> None:
    async with electric(connect, answer_all) as (client, server):
        async with opened(client, asked(server)):
            pass
        assert await fetch(client, asked(server)) == (200, b"[]")
        assert server.connections <= 2

    async def half(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"content-length: 4\r\n\r\n[]")
        await peer.rest()

    async with electric(connect, half) as (client, server):
        for connections in (1, 2):
            async with opened(client, asked(server)):
                assert server.connections == connections


@pytest.mark.parametrize(("size", "passes"), [(30_000, True), (60_000, True), (80_000, False)])
async def test_W_08_headers_up_to_64_kB_are_read(connect: Connect, size: int, passes: bool) -> None:
    async def wide(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"electric-schema: " + b"x" * size + b"\r\ncontent-length: 0\r\n\r\n")

    async with electric(connect, wide) as (client, server):
        if passes:
            async with opened(client, asked(server)) as answer:
                assert len(answer.headers["electric-schema"]) == size
        else:
            with pytest.raises(UpstreamFault):
                await fetch(client, asked(server))


@pytest.mark.parametrize(
    "told", [b"garbage\r\n\r\n", b"HTTP/1.1 999999 no\r\n\r\n", b"\x00\x01\x02", b"HTTP/1.1 2"]
)
async def test_W_02_garbage_is_a_fault(connect: Connect, told: bytes) -> None:
    async def lie(peer: Peer) -> None:
        await peer.head()
        await peer.send(told)

    async with electric(connect, lie) as (client, server):
        with pytest.raises(UpstreamFault):
            await fetch(client, asked(server))


async def test_I_12_a_redirect_is_not_followed(connect: Connect) -> None:
    async def elsewhere(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(b"HTTP/1.1 302 Found\r\nlocation: /v1/health\r\ncontent-length: 0\r\n\r\n")

    async with electric(connect, elsewhere) as (client, server):
        assert await fetch(client, asked(server)) == (302, b"")


async def test_an_early_hint_does_not_hide_the_answer(connect: Connect) -> None:
    async def hint(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + EMPTY_LOG)

    async with electric(connect, hint) as (client, server):
        assert await fetch(client, asked(server)) == (200, b"[]")


@pytest.mark.parametrize(
    ("status", "server", "body", "state"),
    [
        (200, "", b'{"status":"active"}', ElectricState.ACTIVE),
        (200, "ElectricSQL/1.7.12", b"", ElectricState.ACTIVE),
        (200, "ElectricSQL/1.10.0", b"", ElectricState.ACTIVE),
        (200, "ElectricSQL/2.0.0-beta-1", b"", ElectricState.ACTIVE),
        (200, "ElectricSQL/1.7.11", b"", ElectricState.OUTDATED),
        (202, "ElectricSQL/0.99.99", b"", ElectricState.OUTDATED),
        (200, "shapegate-dev/0.1.0", b"", ElectricState.ACTIVE),
        (200, "ElectricSQL/unknown", b"", ElectricState.ACTIVE),
        (202, "", b'{"status":"starting"}', ElectricState.STARTING),
        (202, "", b'{"status":"waiting"}', ElectricState.WAITING),
        (202, "", b"[" * 1_000, ElectricState.STARTING),
        (202, "", b"\xff", ElectricState.STARTING),
        (404, "", b"", ElectricState.UNREACHABLE),
        (302, "", b"", ElectricState.UNREACHABLE),
        (503, "", b"", ElectricState.UNREACHABLE),
    ],
)
def test_P_47_S_01_only_an_active_electric_of_a_known_age_is_ready(
    status: int, server: str, body: bytes, state: ElectricState
) -> None:
    found = read_state(status, server, body)
    assert found is state
    assert found.ready is (state is ElectricState.ACTIVE)


@given(st.integers(), st.text(max_size=40), st.binary(max_size=40))
def test_P_47_whatever_is_said_is_some_state(status: int, server: str, body: bytes) -> None:
    assert isinstance(read_state(status, server, body), ElectricState)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (b'HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{"status":"active"}', ElectricState.ACTIVE),
        (b'HTTP/1.1 202 Accepted\r\ncontent-length: 20\r\n\r\n{"status":"waiting"}', ElectricState.WAITING),
        (
            b"HTTP/1.1 200 OK\r\nelectric-server: ElectricSQL/1.6.2\r\ncontent-length: 0\r\n\r\n",
            ElectricState.OUTDATED,
        ),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", ElectricState.UNREACHABLE),
        (b"garbage\r\n\r\n", ElectricState.UNREACHABLE),
        (b"", ElectricState.UNREACHABLE),
    ],
)
async def test_P_47_the_state_is_what_electric_says(
    connect: Connect, told: bytes, state: ElectricState
) -> None:
    async def say(peer: Peer) -> None:
        assert (await peer.head()).startswith(b"GET /v1/health HTTP/1.1\r\n")
        await peer.send(told)

    async with electric(connect, say) as (client, _):
        assert await client.state() is state


async def test_P_47_a_silent_electric_is_not_ready(connect: Connect) -> None:
    async def hold(peer: Peer) -> None:
        await peer.rest()

    async with electric(connect, hold, timeouts(health_seconds=0.1)) as (client, _):
        assert await asyncio.wait_for(client.state(), SECONDS) is ElectricState.UNREACHABLE
