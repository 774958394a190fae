"""Plain sockets on both sides of the gate, for tests that cut, stall and lie."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

from tests.proxy.builders import ACME, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: h-1\r\nelectric-offset: 0_0\r\n"
)
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
EMPTY_LOG = HEAD + b"content-length: 2\r\n\r\n[]"
TARGET = "/v1/shape?table=items&offset=-1"
SECONDS = 5.0
"""How long a test waits for what has to happen."""


class Peer:
    """One connection, from either end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """Read up to the empty line after a head. Raises IncompleteReadError at the end."""
        async with asyncio.timeout(SECONDS):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def line(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            return (await self._reader.readuntil(b"\r\n"))[:-2]

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read until the other side closes or resets."""
        received = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(SECONDS):
                while chunk := await self._reader.read(65_536):
                    received += chunk
        return received

    async def quiet(self, seconds: float) -> None:
        """Wait for so long. Raises ConnectionError if the other side says anything or closes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._reader.read(1)
                raise ConnectionError("the other side did not keep quiet")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """End the connection with RST."""
        found: socket.socket = self._writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


if TYPE_CHECKING:
    Script = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    """A socket server that follows a script."""

    url: URL
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def serve_raw(script: Script) -> AsyncIterator[RawServer]:
    """Follow the script with each connection, then close it."""

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.tasks.add(task)
        running.connections += 1
        peer = Peer(reader, writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await script(peer)
        finally:
            running.tasks.discard(task)
            await peer.close()

    server = await asyncio.start_server(follow, "127.0.0.1", 0)
    running = RawServer(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    async with server:
        yield running
        for task in running.tasks.copy():
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def dial(url: URL, *, receive_bytes: int | None = None) -> AsyncIterator[Peer]:
    """Open a connection to a server; `receive_bytes` bounds what the system takes in before it is read."""
    assert url.host is not None
    assert url.port is not None
    ours = socket.socket()
    if receive_bytes is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    ours.setblocking(False)
    await asyncio.get_running_loop().sock_connect(ours, (url.host, url.port))
    peer = Peer(*await asyncio.open_connection(sock=ours, limit=receive_bytes or 65_536))
    try:
        yield peer
    finally:
        await peer.close()


def get(*fields: str, target: str = TARGET, org: str = ACME, method: str = "GET") -> bytes:
    """Print a request with a good token."""
    token = bearer(organization_id=org)["authorization"]
    lines = (f"{method} {target} HTTP/1.1", "host: gate", f"authorization: {token}", *fields, "", "")
    return "\r\n".join(lines).encode()


async def answered(peer: Peer) -> tuple[int, dict[str, str], bytes]:
    """Read one answer, with a length or in chunks."""
    line, *fields = (await peer.head()).decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    status = int(line.split(" ")[1])
    if headers.get("transfer-encoding") != "chunked":
        return status, headers, await peer.exactly(int(headers["content-length"]))
    body = b""
    while size := int(await peer.line(), 16):
        body += (await peer.exactly(size + 2))[:-2]
    await peer.line()
    return status, headers, body
