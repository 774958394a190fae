"""One shape request over HTTP: bounded in size and time, no cookies, no redirects."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp

from shapegate_client.backoff import parse_retry_after
from shapegate_client.config import NAME
from shapegate_client.event import Event, Failed, Malformed, read_event
from shapegate_wire import names

if TYPE_CHECKING:
    from yarl import URL

    from shapegate_client.clock import Clock
    from shapegate_client.config import ClientSettings
    from shapegate_client.principal import AccessToken
    from shapegate_wire.request import ShapeRequest

HEADER_BYTES_MAX: Final = 65_536
"""`electric-schema` of a wide table is longer than aiohttp's default allows (SECURITY W-08)."""
INLINE_BYTES_MAX: Final = 65_536
"""Larger bodies are parsed on a thread, so that the event loop goes on."""
_BLOCK_BYTES: Final = 262_144


def open_http() -> aiohttp.ClientSession:
    """Make the HTTP client of a session; the caller closes it."""
    return aiohttp.ClientSession(
        # Each live shape holds one connection, so their number is that of the subscriptions.
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": NAME, "accept": "application/json"},
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

    async def fetch(self, request: ShapeRequest, token: AccessToken) -> Event:
        """Ask once and say what came back; never raises but when cancelled."""
        try:
            async with (
                asyncio.timeout(
                    self._settings.live_seconds if request.live else self._settings.chunk_seconds
                ),
                self._http.get(
                    self._url.with_query(request.to_query()),
                    headers={"authorization": f"Bearer {token.value}"},
                    allow_redirects=False,
                    timeout=self._timeout(),
                ) as response,
            ):
                body = await self._read(response)
                status, headers = response.status, response.headers
        except TimeoutError:
            return Failed(reason="it did not answer in time")
        except aiohttp.ClientError as exc:
            return Failed(reason=_explain(exc))
        if body is None:
            return Malformed(f"the body has more than {self._settings.body_bytes_max} bytes")
        retry_after = parse_retry_after(headers.get(names.RETRY_AFTER), now=self._clock.now())
        parse = partial(read_event, status, headers, body, live=request.live, retry_after=retry_after)
        return parse() if len(body) <= INLINE_BYTES_MAX else await asyncio.to_thread(parse)

    def _timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=self._settings.connect_seconds, sock_read=self._settings.read_seconds
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read the whole body; None if it is larger than allowed."""
        body = bytearray()
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            body += block
            if len(body) > self._settings.body_bytes_max:
                return None
        return bytes(body)


def _explain(exc: aiohttp.ClientError) -> str:
    """Say in a few words what failed, without the URL, which names the org."""
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"it cannot be connected to: {exc.os_error.strerror or 'unknown address'}"
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "the answer was cut short"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    return f"the exchange failed with {type(exc).__name__}"
