"""Asks HTTP peers, one question each, bounded in time and size; redirects are not followed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp

from shapegate_cli.doctor.answered import Answered, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from yarl import URL

    from shapegate_cli.doctor.answered import Reply

ASK_SECONDS: Final = 10.0
BODY_BYTES_MAX: Final = 64 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024


class Asker:
    """Asks; made by `open_asker`."""

    def __init__(self, http: aiohttp.ClientSession, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._clock = clock

    async def get(self, url: URL) -> Reply:
        """Ask once; never raises but when cancelled. A longer body is cut."""
        began = self._clock()
        try:
            async with self._http.get(url, allow_redirects=False) as response:
                answered = self._clock()
                body = await response.content.read(BODY_BYTES_MAX)
                while len(body) < BODY_BYTES_MAX and (more := await response.content.read(BODY_BYTES_MAX)):
                    body += more
        except TimeoutError:
            return Silent(f"none within {ASK_SECONDS:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            return Silent(type(exc).__name__)
        headers = {name.lower(): value for name, value in response.headers.items()}
        asked_at = began + (answered - began) / 2
        return Answered(status=response.status, headers=headers, body=body, asked_at=asked_at)


@asynccontextmanager
async def open_asker(clock: Callable[[], datetime]) -> AsyncIterator[Asker]:
    """Open connections for the length of the block; `clock` is the present, aware and in UTC."""
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=ASK_SECONDS),
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    ) as http:
        yield Asker(http, clock)
