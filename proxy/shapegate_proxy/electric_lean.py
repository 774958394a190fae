"""A pool of connections to one Electric, on httptools: HTTP/1.1 and nothing that Electric does not need.

A request costs a fifth of the CPU time that `electric_http` takes. Every fault becomes a Refused here.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Final

from shapegate_proxy.descriptors import OpenFiles
from shapegate_proxy.electric import ElectricState, ElectricTimeouts, read_state
from shapegate_proxy.errors import GateFull, UpstreamFault, UpstreamTimeout
from shapegate_proxy.known_answers import Sending
from shapegate_proxy.lean_address import Address
from shapegate_proxy.lean_connection import READ_BYTES, Connection
from shapegate_proxy.lean_deadlines import Deadlines
from shapegate_proxy.lean_exchange import End, Exchange
from shapegate_proxy.lean_head import print_host, print_request
from shapegate_wire import names

if TYPE_CHECKING:
    from yarl import URL

    from shapegate_proxy.electric import Begun, Deliver, UpstreamAnswer
    from shapegate_proxy.upstream import UpstreamRequest

HEALTH_BYTES_MAX: Final = 1024


class LeanClient:
    """Sends requests over kept connections; `close` ends them. Made inside of the event loop it works in."""

    def __init__(
        self,
        electric_url: URL,
        timeouts: ElectricTimeouts | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        files: OpenFiles | None = None,
    ) -> None:
        """Without `ssl_context`, an https URL is verified by the certificates of the system.

        Every connection is one of `files`; None is for as many as there may be.

        Raises ValueError if the URL has no host or port.
        """
        self._url = electric_url
        self._timeouts = timeouts or ElectricTimeouts()
        self._host = print_host(electric_url)
        self._name = electric_url.raw_host or ""
        if electric_url.port is None:
            raise ValueError("the URL of Electric has no port")
        self._address = Address(self._name, electric_url.port)
        self._ssl: ssl.SSLContext | None = None
        if electric_url.scheme == "https":
            self._ssl = ssl_context or ssl.create_default_context()
        self._loop = asyncio.get_running_loop()
        # Made of bytes, so that its pages are there from the start, and no stream takes longer for them.
        self._buffer = memoryview(bytearray(bytes(READ_BYTES)))
        self._idle = Deadlines(self._loop, self._timeouts.idle_seconds, Connection.abort)
        self._patience: dict[float, Deadlines[Exchange]] = {}
        self._connections: set[Connection] = set()
        self._connecting: set[asyncio.Timeout] = set()
        self._files = files or OpenFiles(sys.maxsize)
        self._files.lend(self._close_idle)
        self._closed = False

    def begin(self, request: UpstreamRequest) -> Begun | None:
        """Send one request over a kept connection, if there is one."""
        sending = request.sending
        if sending is None:
            sending = Sending(self._print(request))
            request.keep(sending)
        connection = self._pooled()
        if connection is None:
            return None
        write = connection.write
        write(sending.message)  # Electric waits for nothing of what follows.
        begun = _Begun(self._loop, connection, sending)
        begun.client, begun.request = self, request
        connection.expect(begun, request.method == "HEAD")
        return begun

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Send one request and wait for the head of its answer.

        Raises ValueError for a request that cannot be printed.
        """
        message = self._print(request)
        exchange = self._send(request, message, self._pooled() or await self._connect())
        del message  # Electric may hold the request for long.
        exchange.deliver = deliver
        return await self.answer_to(request, exchange)

    def _send(self, request: UpstreamRequest, message: bytes, connection: Connection) -> Exchange:
        connection.write(message)
        exchange = Exchange(self._loop, connection)
        connection.expect(exchange, request.method == "HEAD")
        return exchange

    async def answer_to(self, request: UpstreamRequest, exchange: Exchange) -> UpstreamAnswer:
        """Wait for the head of the answer to a request that was sent.

        Electric closes a connection after 50 requests without a word, so one that ends before it answered
        is replaced once, unseen (REQUIREMENTS P-25, SECURITY W-10). A POST too: it asks for a subset and
        changes nothing.
        """
        patience = self._patience_of(self._timeouts.silence_seconds(request))
        exchange.unwatch()
        exchange.patience = patience
        await exchange.head()
        exchange.deliver = None
        if exchange.end is End.UNANSWERED:
            exchange = self._send(request, self._print(request), await self._connect())
            exchange.patience = patience
            await exchange.head()
        if not exchange.answered:
            raise exchange.fault()
        return exchange

    def _print(self, request: UpstreamRequest) -> bytes:
        return print_request(request.method, request.url, request.headers, request.body, host=self._host)

    async def state(self) -> ElectricState:
        """Ask `/v1/health` on a connection of its own."""
        try:
            async with asyncio.timeout(self._timeouts.health_seconds):
                return await self._state()
        except (UpstreamFault, UpstreamTimeout, TimeoutError):
            return ElectricState.UNREACHABLE

    async def close(self) -> None:
        """End every connection; who waits for an answer gets UpstreamFault."""
        self._closed = True
        for timeout in self._connecting:
            if not timeout.expired():
                timeout.reschedule(self._loop.time())
        for connection in tuple(self._connections):
            connection.abort()
        for patience in self._patience.values():
            patience.close()
        self._idle.close()
        await asyncio.sleep(0)  # The loop tells its sockets that they are closed.

    # What a connection calls.

    def keep(self, connection: Connection) -> None:
        """Keep it for the next request."""
        self._idle.start(connection)

    def forget(self, connection: Connection) -> None:
        """Drop one that has ended."""
        self._idle.stop(connection)
        self._connections.discard(connection)
        self._files.give_back()

    # How a connection is found.

    def _pooled(self) -> Connection | None:
        while (connection := self._idle.take_newest()) is not None:
            if connection.quiet():
                return connection
            connection.abort()
        return None

    def _close_idle(self) -> bool:
        connection = self._idle.take_newest()
        if connection is None:
            return False
        connection.abort()
        return True

    async def _connect(self, *, reserved: bool = False) -> Connection:
        """Make a connection; one that is `reserved` for needs no file that is left.

        Raises GateFull, UpstreamFault or UpstreamTimeout.
        """
        if self._closed:
            raise UpstreamFault("The connections to Electric are closed")
        if not reserved and not self._files.room():
            raise GateFull("The gate has as many connections as it can have")
        seconds = self._timeouts.connect_seconds
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                self._connecting.add(timeout)
                return await self._open(seconds)
        except TimeoutError as exc:
            if self._closed:
                raise UpstreamFault("The connections to Electric are closed") from exc
            raise UpstreamTimeout("Electric did not take the connection in time") from exc
        except (OSError, UnicodeError) as exc:
            raise UpstreamFault("Electric cannot be reached") from exc
        finally:
            self._connecting.discard(timeout)

    async def _open(self, seconds: float) -> Connection:
        self._files.take()
        try:
            sock = await self._address.dial(seconds)
        except BaseException:
            self._files.give_back()
            raise
        # From here on `forget` gives it back.
        connection = Connection(self, sock, self._buffer)
        try:
            await self._loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=self._ssl,
                server_hostname=self._name if self._ssl is not None else None,
            )
        except BaseException:
            connection.abort()  # The loop owns the socket already, and closes it.
            raise
        if self._closed:
            connection.abort()
        if not connection.closed:
            self._connections.add(connection)
        return connection

    def _patience_of(self, seconds: float) -> Deadlines[Exchange]:
        found = self._patience.get(seconds)
        if found is None:
            found = self._patience[seconds] = Deadlines(self._loop, seconds, Exchange.expire)
        return found

    async def _state(self) -> ElectricState:
        url = self._url.joinpath("v1", "health").with_query(None)
        message = print_request("GET", url, [("connection", "close")], None, host=self._host)
        connection = await self._connect(reserved=True)
        exchange = Exchange(self._loop, connection)
        exchange.patience = self._patience_of(self._timeouts.health_seconds)
        connection.write(message)
        connection.expect(exchange, False)
        try:
            await exchange.head()
            if not exchange.answered:
                return ElectricState.UNREACHABLE
            body = b""
            while len(body) < HEALTH_BYTES_MAX and (chunk := await exchange.next()):
                body += chunk
            return read_state(
                exchange.status, exchange.headers.get(names.ELECTRIC_SERVER, ""), body[:HEALTH_BYTES_MAX]
            )
        finally:
            exchange.close()
            connection.abort()


class _Begun(Exchange):
    """A request on a connection that nobody waits for at first."""

    __slots__ = ("client", "request")

    client: LeanClient
    request: UpstreamRequest

    async def answer(self) -> UpstreamAnswer:
        """Wait for the head; if the connection was dead, on a new one."""
        return await self.client.answer_to(self.request, self)

    def leave(self) -> None:
        """End the connection, unless all has come."""
        self.close()
