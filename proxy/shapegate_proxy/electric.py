"""Electric as the gate sees it: one request out, one answer back, streamed; on aiohttp.

Every fault of the connection becomes a Refused here; nothing above knows aiohttp's client errors.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from shapegate_proxy.errors import UpstreamFault, UpstreamTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from yarl import URL

    from shapegate_proxy.upstream import UpstreamRequest

CONNECT_SECONDS: Final = 3.0
FIRST_BYTE_SECONDS: Final = 60.0
"""Longer than Electric waits for an out-of-bounds offset (10 s) or a large first snapshot takes to begin."""
LIVE_SECONDS: Final = 45.0
"""Electric answers a long poll within 20 s and an SSE stream has a keep-alive comment each 21 s."""
HEALTH_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 30.0
"""Below the 60 s after which Electric closes an idle connection (REQUIREMENTS P-26)."""
HEADER_BYTES_MAX: Final = 64 * 1024
"""`electric-schema` of a wide table passes aiohttp's default of 8,190 (SECURITY W-08)."""


class UpstreamAnswer(Protocol):
    """The answer to one request; valid inside of its context only."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; looked up without regard to case."""

    @property
    def framed(self) -> bool:
        """Whether the end of the body shows, so that a cut one is noticed."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises UpstreamFault or UpstreamTimeout if it is cut short."""


class UpstreamClient(Protocol):
    """Whoever brings a request to Electric."""

    def open(self, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send it and wait for the head. Raises UpstreamFault or UpstreamTimeout."""

    async def healthy(self) -> bool:
        """Ask whether Electric is ready: 200 is, 202 (starting, waiting) is not."""


class ElectricClient:
    """A pool of connections to one Electric; `close` ends it."""

    def __init__(self, electric_url: URL) -> None:
        self._url = electric_url
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            skip_auto_headers=("user-agent",),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    @asynccontextmanager
    async def open(self, request: UpstreamRequest) -> AsyncIterator[UpstreamAnswer]:
        """Send one request; a pooled connection found dead is replaced once, unseen (SECURITY W-10)."""
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=CONNECT_SECONDS,
            sock_read=LIVE_SECONDS if request.live else FIRST_BYTE_SECONDS,
        )
        try:
            answer = await self._http.request(
                request.method,
                request.url,
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,
            )
        except TimeoutError as exc:
            raise UpstreamTimeout("Electric did not answer in time") from exc
        except aiohttp.ClientError as exc:
            raise UpstreamFault("Electric cannot be reached") from exc
        async with answer:
            yield _Answer(answer)

    async def healthy(self) -> bool:
        """Ask `/v1/health`; any fault counts as not ready."""
        timeout = aiohttp.ClientTimeout(total=HEALTH_SECONDS)
        try:
            async with self._http.get(
                self._url.with_path("/v1/health"), timeout=timeout, allow_redirects=False
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


class _Answer:
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def framed(self) -> bool:
        headers = self._answer.headers
        return "content-length" in headers or headers.get("transfer-encoding", "").lower() == "chunked"

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except TimeoutError as exc:
            raise UpstreamTimeout("Electric stopped in the middle of its answer") from exc
        except aiohttp.ClientError as exc:
            raise UpstreamFault("Electric's answer was cut short") from exc
