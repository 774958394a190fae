"""A pool of connections to one Electric, on aiohttp.

Every fault of a connection becomes a Refused here; nothing above knows aiohttp's client errors.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp

from shapegate_proxy.answer_head import AnswerHeaders
from shapegate_proxy.electric import ElectricState, ElectricTimeouts, read_state
from shapegate_proxy.errors import UpstreamFault, UpstreamTimeout
from shapegate_wire import names

if TYPE_CHECKING:
    from yarl import URL

    from shapegate_proxy.electric import Begun, Chunk, Deliver, Sink, UpstreamAnswer
    from shapegate_proxy.upstream import UpstreamRequest

HEADER_BYTES_MAX: Final = 64 * 1024
"""`electric-schema` of a wide table passes aiohttp's default of 8,190 (SECURITY W-08)."""
READ_BYTES: Final = 32 * 1024
"""aiohttp stops reading when twice this waits to be taken."""
CHUNK_BYTES_MAX: Final = 64 * 1024
"""Together they keep what a request holds of a body below 1 MB (SECURITY I-22); measured: 0.4 MB."""
HEALTH_BYTES_MAX: Final = 1024


class ElectricClient:
    """Sends requests over kept connections; `close` ends them."""

    def __init__(self, electric_url: URL, timeouts: ElectricTimeouts | None = None) -> None:
        self._url = electric_url
        self._timeouts = timeouts or ElectricTimeouts()
        self._pooled = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=self._timeouts.idle_seconds))
        self._fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def close(self) -> None:
        """Close every connection."""
        await self._pooled.close()
        await self._fresh.close()

    def begin(self, request: UpstreamRequest) -> Begun | None:
        """Do nothing: aiohttp sends in a task only."""

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:  # noqa: ARG002  # the end shows only by waiting for it
        """Send one request and wait for the head of its answer.

        Electric closes a connection after 50 requests without a word, so one that ends before it answered
        is replaced once, unseen (REQUIREMENTS P-25, SECURITY W-10). A POST too: it asks for a subset and
        changes nothing.
        """
        silence_seconds = self._timeouts.silence_seconds(request)
        try:
            async with asyncio.timeout(self._timeouts.connect_seconds + silence_seconds):
                return _Answer(await self._ask(request), silence_seconds)
        except TimeoutError as exc:
            raise UpstreamTimeout("Electric did not answer in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamFault("Electric cannot be reached") from exc

    async def _ask(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        try:
            return await self._send(self._pooled, request)
        except aiohttp.ClientConnectorError:
            raise  # Nobody listens; a pooled connection was not even tried.
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._send(self._fresh, request)

    async def _send(self, http: aiohttp.ClientSession, request: UpstreamRequest) -> aiohttp.ClientResponse:
        connect_seconds = self._timeouts.connect_seconds
        return await http.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds, sock_connect=connect_seconds),
            allow_redirects=False,
        )

    async def state(self) -> ElectricState:
        """Ask `/v1/health`."""
        timeout = aiohttp.ClientTimeout(total=self._timeouts.health_seconds)
        try:
            async with self._fresh.get(
                self._url.joinpath("v1", "health").with_query(None), timeout=timeout, allow_redirects=False
            ) as answer:
                server = answer.headers.get(names.ELECTRIC_SERVER, "")
                return read_state(answer.status, server, await answer.content.read(HEALTH_BYTES_MAX))
        except (aiohttp.ClientError, OSError):
            return ElectricState.UNREACHABLE


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        skip_auto_headers=("user-agent",),
        read_bufsize=READ_BYTES,
    )
    # The one replay is ours and goes to a fresh connection; aiohttp's own may meet a second stale one.
    session._retry_connection = False
    return session


class _Answer:
    def __init__(self, answer: aiohttp.ClientResponse, silence_seconds: float) -> None:
        self._answer = answer
        self._silence_seconds = silence_seconds
        self._taken = 0
        self.headers = AnswerHeaders()
        for name, value in answer.headers.items():
            self.headers.setdefault(name.lower(), value)

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def framed(self) -> bool:
        headers = self._answer.headers
        chunked = headers.getall("transfer-encoding", [])
        if not chunked:
            return len(headers.getall("content-length", [])) == 1
        return [coding.lower() for coding in chunked] == ["chunked"] and "content-length" not in headers

    @property
    def ready(self) -> bool:
        content = self._answer.content
        return content.total_bytes > self._taken or content.is_eof() or content.exception() is not None

    def take_whole(self) -> Chunk | None:
        """Nothing: the end shows only by waiting for it."""
        return None

    def pour(self, sink: Sink) -> None:
        """Do nothing: what comes is seen only by waiting for it."""

    async def next(self) -> Chunk:
        """See the port.

        The time is ours: aiohttp's own starts anew with bytes that are no body, and ends with the connection,
        also where a chunk that cannot be read ended that, which it does not tell.
        """
        try:
            async with asyncio.timeout(self._silence_seconds):
                chunk = await self._answer.content.read(CHUNK_BYTES_MAX)
        except TimeoutError as exc:
            raise UpstreamTimeout("Electric stopped in the middle of its answer") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamFault("Electric's answer was cut short") from exc
        self._taken += len(chunk)
        return chunk

    def close(self) -> None:
        # Not `close`: that ends the connection of an answer that was taken to its end, too.
        self._answer.release() if self._answer.content.is_eof() else self._answer.close()
