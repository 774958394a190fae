"""A wire to Postgres that a test can cut or silence."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay:
    """Passes bytes both ways between a port of its own and the server of a URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._parts = parts
        self._target = (parts.hostname, parts.port)
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._links: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[tuple[Relay, str]]:
        """Run a relay; gives it and the URL that leads through it."""
        relay = cls(url)
        server = await asyncio.start_server(relay._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        login = relay._parts.netloc.rpartition("@")[0]
        try:
            yield relay, urlunsplit(relay._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        finally:
            server.close()
            await relay.cut()
            await server.wait_closed()

    async def cut(self) -> None:
        """Close every connection, and each new one at once."""
        self._refusing = True
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def silence(self) -> None:
        """Keep connections, but pass nothing on any more."""
        self._open.clear()

    def restore(self) -> None:
        """Pass everything on again."""
        self._refusing = False
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            if not self._refusing:
                await self._join(reader, writer)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, there_writer))
                group.create_task(self._pass(there_reader, writer))
        finally:
            there_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()
