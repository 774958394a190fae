"""The body of a request, read with a bound; a shell: it does not look inside."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from shapegate_proxy.errors import BodyTooLarge, BodyTooSlow, BodyTypeNotSupported, InvalidRequest

JSON_TYPE: Final = "application/json"
SECONDS_MAX: Final = 10.0
"""Much more than 64 KiB take; a sender who needs longer only holds a place."""


async def read_json(request: web.Request, *, bytes_max: int, seconds_max: float = SECONDS_MAX) -> bytes:
    """Read the whole body of a request that says that it is JSON.

    Raises BodyTypeNotSupported and BodyTooLarge before anything is read where the head tells, else as soon as
    it shows; BodyTooSlow, or InvalidRequest if the body breaks off.
    """
    _check_type(request)
    if request.content_length is not None and request.content_length > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as exc:
        raise BodyTooSlow(f"The body did not come within {seconds_max:g} seconds") from exc
    except web.RequestPayloadError as exc:
        raise InvalidRequest("The body breaks off or is not framed as its head says") from exc
    return bytes(body)


def _check_type(request: web.Request) -> None:
    if request.content_type != JSON_TYPE or (request.charset or "utf-8").lower() != "utf-8":
        raise BodyTypeNotSupported(f"The body is not {JSON_TYPE} in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BodyTypeNotSupported("The body is compressed: expected it as it is")


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {bytes_max} bytes")
