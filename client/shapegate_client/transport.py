"""Shape requests over HTTP, and the streams that they open.

Bounded in size and time; no cookies, no redirects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import aiohttp

from shapegate_client.backoff import parse_retry_after
from shapegate_client.config import NAME
from shapegate_client.event import (
    Ending,
    Failed,
    Malformed,
    StreamEnded,
    StreamOpened,
    read_event,
    read_opening,
)
from shapegate_client.stream import StreamReader
from shapegate_client.subset_event import addressed, read_subset_event
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from yarl import URL

    from shapegate_client.clock import Clock
    from shapegate_client.config import ClientSettings
    from shapegate_client.event import Answer, News
    from shapegate_client.principal import AccessToken
    from shapegate_client.subset_event import SubsetAnswer
    from shapegate_wire.request import ShapeRequest

    OnBytes = Callable[[int], None]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

HEADER_BYTES_MAX: Final = 65_536
"""`electric-schema` of a wide table is longer than aiohttp's default allows (SECURITY W-08)."""
INLINE_BYTES_MAX: Final = 65_536
"""Larger bodies are parsed on a thread, so that the event loop goes on."""
_BLOCK_BYTES: Final = 262_144
_EVENTS: Final = "text/event-stream"
_JSON: Final = "application/json"
_WITHOUT_BODY: Final = (204, 401, 409)
"""Their status says all: a body that an intermediary spoiled must not hide it (REQUIREMENTS C-13)."""


class Parse(Protocol[T_co]):
    """What says of a complete answer what it is."""

    def __call__(
        self, status: int, headers: Mapping[str, str], body: bytes, *, retry_after: float | None
    ) -> T_co:
        """Look at status, headers and body."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A complete answer that nobody has looked at yet."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: float | None = None


Fetched = Unread | tuple["Answer", "EventStream | None"]
"""What came of a request: a body to be read, or what needs no more reading."""


def open_http() -> aiohttp.ClientSession:
    """Make the HTTP client of a session; the caller closes it."""
    return aiohttp.ClientSession(
        # Each live shape holds one connection, so their number is that of the subscriptions.
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": NAME},
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )


class Transport:
    """Asks the proxy on behalf of one org."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        proxy_url: URL,
        organization_id: str,
        *,
        settings: ClientSettings,
        clock: Clock,
    ) -> None:
        """Name the org in the path, so that no cache can mix up two of them (PROTOCOL 4.7)."""
        self._http = http
        self._url = proxy_url / "api" / "electric" / "orgs" / organization_id / "sync"
        self._settings = settings
        self._clock = clock

    async def ask(
        self,
        request: ShapeRequest,
        token: AccessToken,
        *,
        on_bytes: OnBytes = lambda _bytes: None,
    ) -> tuple[Answer, EventStream | None]:
        """Ask once and say what came back; never raises but when cancelled.

        With StreamOpened comes the stream, which the caller closes. `on_bytes` hears of each part of a body.
        """
        return await self.understand(request, await self.fetch(request, token, on_bytes=on_bytes))

    async def fetch(
        self,
        request: ShapeRequest,
        token: AccessToken,
        *,
        on_bytes: OnBytes = lambda _bytes: None,
    ) -> Fetched:
        """Ask once and take the body as it is; `understand` says what it is, the rest is as for `ask`."""
        seconds = self._settings.live_seconds if request.live else self._settings.chunk_seconds
        read = partial(self._answer, request, on_bytes=on_bytes)
        answer = await self._exchange(request, token, seconds, read)
        return (answer, None) if isinstance(answer, Failed) else answer

    async def understand(self, request: ShapeRequest, fetched: Fetched) -> tuple[Answer, EventStream | None]:
        """Say what was fetched; a large body is parsed on a thread."""
        if isinstance(fetched, Unread):
            return await _parsed(fetched, partial(read_event, live=request.live)), None
        return fetched

    async def ask_subset(self, request: ShapeRequest, token: AccessToken) -> SubsetAnswer:
        """Ask for some rows of a shape and say what came back; never raises but when cancelled."""
        answer = await self._exchange(request, token, self._settings.chunk_seconds, self._read_answer)
        return await _parsed(answer, read_subset_event) if isinstance(answer, Unread) else answer

    async def _exchange(
        self,
        request: ShapeRequest,
        token: AccessToken,
        seconds: float,
        read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    ) -> T | Failed:
        method, query, body = addressed(request)
        headers = {
            "authorization": f"Bearer {token.value}",
            "accept": _EVENTS if request.live_sse else _JSON,
        }
        if body is not None:
            headers["content-type"] = _JSON
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(
                    method,
                    self._url.with_query(query),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=self._timeout(),
                )
                try:
                    return await read(response)
                except BaseException:
                    response.close()
                    raise
        except TimeoutError:
            return Failed(reason="it did not answer in time")
        except aiohttp.ClientError as exc:
            return Failed(reason=_explain(exc))

    async def _answer(
        self, request: ShapeRequest, response: aiohttp.ClientResponse, *, on_bytes: OnBytes
    ) -> Fetched:
        if request.live_sse and response.status == 200 and response.content_type == _EVENTS:
            opening = read_opening(response.headers)
            if isinstance(opening, StreamOpened):
                return opening, EventStream(response, settings=self._settings)
            response.close()
            return opening, None
        answer = await self._read_answer(response, on_bytes=on_bytes)
        return answer if isinstance(answer, Unread) else (answer, None)

    async def _read_answer(
        self, response: aiohttp.ClientResponse, *, on_bytes: OnBytes = lambda _bytes: None
    ) -> Unread | Malformed:
        if response.status in _WITHOUT_BODY:
            response.close()
            return Unread(status=response.status, headers=response.headers, body=b"")
        try:
            body = await self._read(response, on_bytes)
        except aiohttp.ClientPayloadError:
            if response.status == 200:
                raise
            response.close()
            body = b""
        if body is None:
            response.close()
            return Malformed(f"the body has more than {self._settings.body_bytes_max} bytes")
        retry_after = parse_retry_after(response.headers.get(names.RETRY_AFTER), now=self._clock.now())
        return Unread(status=response.status, headers=response.headers, body=body, retry_after=retry_after)

    def _timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=self._settings.connect_seconds, sock_read=self._settings.read_seconds
        )

    async def _read(self, response: aiohttp.ClientResponse, on_bytes: OnBytes) -> bytes | None:
        """Read the whole body; None if it is larger than allowed."""
        # Its value is not copied out, as joined blocks would be.
        body = BytesIO()
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            body.write(block)
            on_bytes(len(block))
            if body.tell() > self._settings.body_bytes_max:
                return None
        return body.getvalue()


class EventStream:
    """An open stream of one shape. Made by `Transport.ask`, closed by whoever asked."""

    def __init__(self, response: aiohttp.ClientResponse, *, settings: ClientSettings) -> None:
        """Only `Transport` calls this."""
        self._response = response
        self._silence_seconds = settings.silence_seconds
        self._ends_at = asyncio.get_running_loop().time() + settings.stream_seconds
        self._reader = StreamReader(event_bytes_max=settings.body_bytes_max)
        self._news: deque[News] = deque()

    async def next(self) -> News:
        """Wait for news; after StreamEnded or Malformed there are none."""
        while not self._news:
            self._news.extend(await self._read())
        return self._news.popleft()

    async def _read(self) -> Sequence[News]:
        silent_at = asyncio.get_running_loop().time() + self._silence_seconds
        try:
            async with asyncio.timeout_at(min(self._ends_at, silent_at)):
                block = await self._response.content.read(INLINE_BYTES_MAX)
        except TimeoutError:
            return (self._ended(Ending.SILENT if silent_at < self._ends_at else Ending.CLOSED),)
        except aiohttp.ClientError:
            return (self._ended(Ending.CUT),)
        return self._reader.feed(block) if block else (self._ended(Ending.CLOSED),)

    def _ended(self, ending: Ending) -> StreamEnded:
        return StreamEnded(ending, half_received=self._reader.half_received)

    def close(self) -> None:
        """End the connection; idempotent."""
        self._response.close()


async def _parsed(answer: Unread, parse: Parse[T]) -> T:
    parsed = partial(parse, answer.status, answer.headers, answer.body, retry_after=answer.retry_after)
    return parsed() if len(answer.body) <= INLINE_BYTES_MAX else await asyncio.to_thread(parsed)


def _explain(exc: aiohttp.ClientError) -> str:
    """Say in a few words what failed, without the URL, which names the org."""
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"it cannot be connected to: {exc.os_error.strerror or 'unknown address'}"
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "the answer was cut short"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    return f"the exchange failed with {type(exc).__name__}"
