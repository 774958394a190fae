"""What the lean client does beyond the suite of every client: on both event loops, with TLS, at its end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yarl import URL

from shapegate_proxy.descriptors import OpenFiles
from shapegate_proxy.electric import ElectricState, ElectricTimeouts
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.errors import GateFull, UpstreamFault, UpstreamTimeout
from shapegate_proxy.upstream import UpstreamRequest
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD, SECONDS, Peer, serve_raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from pathlib import Path

    from shapegate_proxy.electric import UpstreamAnswer

    Scenario = Coroutine[None, None, None]

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    def run_it(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(scenario, 4 * SECONDS))

    return run_it


def asked(url: URL, method: str = "GET", body: bytes | None = None) -> UpstreamRequest:
    return UpstreamRequest(method=method, url=url / "v1/shape", headers=(), body=body, live=True, sse=False)


async def rest(answer: UpstreamAnswer) -> bytes:
    body = bytearray()
    while chunk := await answer.next():
        body += chunk
    answer.close()
    return bytes(body)


async def fetch(client: LeanClient, request: UpstreamRequest) -> bytes:
    return await rest(await client.ask(request))


@asynccontextmanager
async def open_client(
    url: URL,
    timeouts: ElectricTimeouts | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    files: OpenFiles | None = None,
) -> AsyncIterator[LeanClient]:
    client = LeanClient(url, timeouts, ssl_context=ssl_context, files=files)
    try:
        yield client
    finally:
        await client.close()


async def answer_all(peer: Peer) -> None:
    while True:
        await peer.head()
        await peer.send(EMPTY_LOG)


def test_I_08_a_request_that_no_file_is_left_for_is_refused(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        files = OpenFiles(1)
        async with serve_raw(answer_all) as server, open_client(server.url, files=files) as client:
            held = await client.ask(asked(server.url))
            assert await rest(held) == b"[]"
            assert await fetch(client, asked(server.url)) == b"[]"  # over the kept one
            files.take()
            assert await fetch(client, asked(server.url)) == b"[]"
            assert (files.taken, server.connections) == (2, 1)
            assert files.room()  # The kept one makes room.
            with pytest.raises(GateFull) as refused:
                await client.ask(asked(server.url))
            assert (refused.value.status, refused.value.headers) == (503, {"retry-after": "5"})
            assert await client.state() is ElectricState.ACTIVE  # by a file that is reserved
            assert files.taken == 1
            files.give_back()
            assert await fetch(client, asked(server.url)) == b"[]"
            assert files.taken == 1
        assert files.taken == 0

    run(scenario())


def test_I_08_a_connection_that_fails_or_ends_is_counted_no_more(run: Callable[[Scenario], None]) -> None:
    async def cut(peer: Peer) -> None:
        await peer.head()

    async def scenario() -> None:
        files = OpenFiles(3)
        async with serve_raw(cut) as server, open_client(server.url, files=files) as client:
            with pytest.raises(UpstreamFault):
                await client.ask(asked(server.url))
            assert files.taken == 0
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = URL(f"http://127.0.0.1:{nobody.getsockname()[1]}")
            async with open_client(url, files=files) as client:
                with pytest.raises(UpstreamFault):
                    await client.ask(asked(url))
        assert files.taken == 0

    run(scenario())


def test_connections_are_kept_and_used_again(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        async with serve_raw(answer_all) as server, open_client(server.url) as client:
            for _ in range(3):
                assert await fetch(client, asked(server.url)) == b"[]"
            assert server.connections == 1
            assert (
                await asyncio.gather(*[fetch(client, asked(server.url)) for _ in range(20)]) == [b"[]"] * 20
            )
            assert await fetch(client, asked(server.url)) == b"[]"
            assert server.connections <= 20

    run(scenario())


def test_P_25_one_of_50_requests_is_not_lost_when_its_connection_ends(
    run: Callable[[Scenario], None],
) -> None:
    async def fifty(peer: Peer) -> None:
        for _ in range(50):
            await peer.head()
            await peer.send(EMPTY_LOG)

    async def scenario() -> None:
        async with serve_raw(fifty) as server, open_client(server.url) as client:
            for _ in range(120):
                assert await fetch(client, asked(server.url)) == b"[]"
            assert server.connections == 3

    run(scenario())


def test_I_22_a_large_body_comes_whole_and_in_pieces(run: Callable[[Scenario], None]) -> None:
    block = bytes(range(256)) * 64
    frame = b"%x\r\n%b\r\n" % (len(block), block)

    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        for _ in range(300):
            await peer.send(frame)
        await peer.send(b"0\r\n\r\n")
        await peer.rest()

    async def scenario() -> None:
        async with serve_raw(stream) as server, open_client(server.url) as client:
            answer = await client.ask(asked(server.url))
            body, sizes = bytearray(), set[int]()
            while chunk := await answer.next():
                body += chunk
                sizes.add(len(chunk))
                await asyncio.sleep(0)
            answer.close()
            assert body == block * 300
            assert max(sizes) <= 192 * 1024

    run(scenario())


POISON = HEAD.replace(b"h-1", b"evil") + b"content-length: 4\r\n\r\nevil"


def test_W_03_what_follows_an_answer_is_never_the_next_one(run: Callable[[Scenario], None]) -> None:
    async def poison(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(EMPTY_LOG)
            await peer.send(POISON)

    async def scenario() -> None:
        async with serve_raw(poison) as server, open_client(server.url) as client:
            for _ in range(20):
                assert await fetch(client, asked(server.url)) == b"[]"
            assert server.connections == 20

    run(scenario())


def test_W_03_what_came_after_an_answer_but_was_not_read_is_not_the_next_one(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            listening.setblocking(False)
            url = URL(f"http://127.0.0.1:{listening.getsockname()[1]}")
            async with open_client(url) as client:
                for _ in range(2):
                    asking = asyncio.create_task(fetch(client, asked(url)))
                    electric, _ = await asyncio.wait_for(loop.sock_accept(listening), SECONDS)
                    with electric:
                        await loop.sock_recv(electric, 65_536)
                        await loop.sock_sendall(electric, EMPTY_LOG)
                        assert await asking == b"[]"
                        electric.send(POISON)  # The client's loop has not looked when it is asked again.
                        asking = asyncio.create_task(fetch(client, asked(url)))
                        again, _ = await asyncio.wait_for(loop.sock_accept(listening), SECONDS)
                        with again:
                            await loop.sock_recv(again, 65_536)
                            await loop.sock_sendall(again, EMPTY_LOG)
                            assert await asking == b"[]"
                            again.send(POISON)

    run(scenario())


def test_W_03_a_head_with_a_body_does_not_answer_the_next_request(run: Callable[[Scenario], None]) -> None:
    async def lie(peer: Peer) -> None:
        while True:
            if (await peer.head()).startswith(b"HEAD"):
                await peer.send(HEAD + b"content-length: %d\r\n\r\n" % len(POISON))
                await peer.send(POISON)
            await peer.send(EMPTY_LOG)

    async def scenario() -> None:
        async with serve_raw(lie) as server, open_client(server.url) as client:
            for method, body in (("HEAD", b""), ("GET", b"[]"), ("HEAD", b""), ("GET", b"[]")):
                assert await fetch(client, asked(server.url, method)) == body

    run(scenario())


def test_an_answer_before_a_body_was_sent_is_taken(run: Callable[[Scenario], None]) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with serve_raw(refuse) as server, open_client(server.url) as client:
            for connections in (1, 2):
                answer = await client.ask(asked(server.url, "POST", b"x" * 20_000_000))
                assert (answer.status, await rest(answer)) == (413, b"no")
                assert server.connections == connections

    run(scenario())


@pytest.mark.parametrize("sent", [b"", CHUNKED + b"1\r\n[\r\n"])
def test_who_waits_when_the_client_is_closed_gets_a_fault(
    run: Callable[[Scenario], None], sent: bytes
) -> None:
    async def scenario() -> None:
        held, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def hold(peer: Peer) -> None:
            await peer.head()
            await peer.send(sent)
            held.release()
            await peer.rest()
            ended.release()

        async with serve_raw(hold) as server, open_client(server.url) as client:
            waiting = [asyncio.create_task(fetch(client, asked(server.url))) for _ in range(3)]
            for _ in waiting:
                await held.acquire()
            await client.close()
            done, _ = await asyncio.wait(waiting, timeout=0)
            assert all(isinstance(task.exception(), UpstreamFault) for task in done)
            await asyncio.gather(*waiting, return_exceptions=True)
            assert len(done) == 3
            for _ in waiting:
                await ended.acquire()
            with pytest.raises(UpstreamFault):
                await client.ask(asked(server.url))
            assert await client.state() is ElectricState.UNREACHABLE

    run(scenario())


@asynccontextmanager
async def serve_tls(context: ssl.SSLContext, script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[URL]:
    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(follow, "127.0.0.1", 0, ssl=context)
    async with server:
        yield URL(f"https://localhost:{server.sockets[0].getsockname()[1]}")


class Authority:
    """A self-signed certificate for localhost, and who believes it."""

    def __init__(self, folder: Path) -> None:
        key = generate_private_key(SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = certificate.public_bytes(Encoding.PEM)
        both = folder / "both.pem"
        both.write_bytes(private + public)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(both)
        self.names: list[str | None] = []
        self.server.set_servername_callback(lambda _socket, name, _context: self.names.append(name))
        self.client = ssl.create_default_context(cadata=public.decode())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_https_is_verified_and_kept(run: Callable[[Scenario], None], authority: Authority) -> None:
    async def scenario() -> None:
        async with (
            serve_tls(authority.server, answer_all) as url,
            open_client(url, ssl_context=authority.client) as client,
        ):
            for _ in range(3):
                assert await fetch(client, asked(url)) == b"[]"
            assert authority.names == ["localhost"]
            assert await client.state() is ElectricState.ACTIVE

    run(scenario())


def test_https_streams_with_back_pressure(run: Callable[[Scenario], None], authority: Authority) -> None:
    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"content-length: 3000000\r\n\r\n")
        await peer.send(b"x" * 3_000_000)
        await peer.rest()

    async def scenario() -> None:
        async with (
            serve_tls(authority.server, stream) as url,
            open_client(url, ssl_context=authority.client) as client,
        ):
            answer = await client.ask(asked(url))
            size = 0
            while chunk := await answer.next():
                assert len(chunk) <= 192 * 1024
                size += len(chunk)
                await asyncio.sleep(0)
            assert size == 3_000_000
            answer.close()

    run(scenario())


@pytest.mark.filterwarnings("ignore")  # The server's side of a handshake that fails is none of ours.
def test_https_that_is_not_verified_is_a_fault(run: Callable[[Scenario], None], authority: Authority) -> None:
    async def scenario() -> None:
        async with serve_tls(authority.server, answer_all) as url:
            strangers = [(url, None), (url.with_host("127.0.0.1"), authority.client)]
            for stranger, context in strangers:
                async with open_client(stranger, ssl_context=context) as client:
                    with pytest.raises(UpstreamFault):
                        await client.ask(asked(url))
                    assert await client.state() is ElectricState.UNREACHABLE

    run(scenario())


def test_W_09_a_handshake_is_given_up(run: Callable[[Scenario], None], authority: Authority) -> None:
    async def silent(peer: Peer) -> None:
        await peer.rest()

    async def scenario() -> None:
        async with serve_raw(silent) as server:
            url = server.url.with_scheme("https")
            within = ElectricTimeouts(connect_seconds=0.1)
            async with open_client(url, within, ssl_context=authority.client) as client:
                with pytest.raises(UpstreamTimeout):
                    await client.ask(asked(url))

    run(scenario())


def test_who_connects_when_the_client_is_closed_gets_a_fault(
    run: Callable[[Scenario], None], authority: Authority
) -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def silent(peer: Peer) -> None:
            await peer.exactly(1)
            begun.set()
            await peer.rest()

        async with serve_raw(silent) as server:
            url = server.url.with_scheme("https")
            async with open_client(url, ssl_context=authority.client) as client:
                asking = asyncio.create_task(client.ask(asked(url)))
                await begun.wait()
                await client.close()
                with pytest.raises(UpstreamFault):
                    await asyncio.wait_for(asking, 1)

    run(scenario())


async def test_a_request_that_would_be_two_is_not_sent() -> None:
    async with serve_raw(answer_all) as server, open_client(server.url) as client:
        headers = (("a", "b\r\nhost: x"),)
        request = UpstreamRequest(method="GET", url=server.url, headers=headers, live=False, sse=False)
        with pytest.raises(ValueError, match="line break"):
            await client.ask(request)
        assert server.connections == 0


async def test_a_url_that_leads_nowhere_is_refused() -> None:
    for url in ("/v1/shape", "postgresql://electric"):
        with pytest.raises(ValueError, match="the URL of Electric"):
            LeanClient(URL(url))
