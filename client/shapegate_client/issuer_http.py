"""One exchange with the token issuer, bounded in size and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from shapegate_client.config import NAME
from shapegate_client.errors import IssuerFault, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

EXCHANGE_SECONDS: Final = 15.0
BODY_BYTES_MAX: Final = 1_000_000
_SAID_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerAnswer:
    """What the issuer answered; its content may hold tokens."""

    status: int
    content: Mapping[str, object] = field(repr=False)

    @property
    def code(self) -> str:
        """The issuer's stable name for why it refused; empty where it gives none."""
        code = self.content.get("code")
        return code if isinstance(code, str) else ""

    def explain(self) -> str:
        """Say why it refused, in the issuer's words."""
        message = self.content.get("message")
        text = message if isinstance(message, str) else f"status {self.status}"
        return "".join(char if char.isprintable() else " " for char in text[:_SAID_CHARS_MAX])


async def post(url: URL, body: Mapping[str, str], *, bearer: str | None = None) -> IssuerAnswer:
    """Send a JSON object and read one. Raises Unreachable, also for 429 and 5xx, and IssuerFault."""
    headers = {"user-agent": NAME, "accept": "application/json"}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.post(
                url,
                json=dict(body),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=EXCHANGE_SECONDS),
            ) as response,
        ):
            status, text = response.status, await response.content.read(BODY_BYTES_MAX)
            while len(text) < BODY_BYTES_MAX and (more := await response.content.read(BODY_BYTES_MAX)):
                text += more
    except TimeoutError as exc:
        raise Unreachable("token issuer", "it did not answer in time") from exc
    except aiohttp.ClientConnectorError as exc:
        raise Unreachable("token issuer", exc.os_error.strerror or "unknown address") from exc
    except aiohttp.ClientError as exc:
        raise Unreachable("token issuer", type(exc).__name__) from exc
    if status == 429 or status >= 500:
        raise Unreachable("token issuer", f"it answered {status}")
    return IssuerAnswer(status=status, content=_parse(status, text))


def _parse(status: int, text: bytes) -> Mapping[str, object]:
    if not text:
        return {}
    try:
        loaded: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise IssuerFault(f"the issuer answered {status} without a JSON object: check the issuer's address")
    return loaded
