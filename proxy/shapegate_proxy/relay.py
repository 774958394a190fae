"""Electric's answer, streamed to the client with the gate's own headers.

A body that is cut short is never well terminated (SECURITY W-01); what is not a 200, 304 or 409 is replaced
by an answer of the gate (PROTOCOL 6, REQUIREMENTS P-30 to P-45).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web
from multidict import CIMultiDict

from shapegate_proxy import answers
from shapegate_proxy.errors import (
    OffsetOutOfBounds,
    UpstreamBusy,
    UpstreamFault,
    UpstreamRefusedRequest,
    UpstreamRefusedSecret,
)
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.electric import UpstreamAnswer, UpstreamClient
    from shapegate_proxy.upstream import UpstreamRequest

ERROR_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_SECONDS_MAX: Final = 300


@dataclass(slots=True)
class Progress:
    """How far an answer has come; kept by the caller, so that it is known after a fault too."""

    response: web.StreamResponse | None = None
    """Set when its head was sent: from then on a fault can only break the connection off."""
    status: int | None = None
    body_bytes: int = 0
    aborted: bool = False


async def relay(
    client: UpstreamClient,
    built: UpstreamRequest,
    request: web.Request,
    *,
    org_in_url: bool,
    progress: Progress,
) -> web.StreamResponse:
    """Bring one request to Electric and its answer back.

    An answer that names its org in the URL may be revalidated, every other one is stored nowhere (DESIGN 5).
    Raises a Refused; once `progress` has a response, the caller has to break it off by `break_off`.
    """
    async with client.open(built) as answer:
        if answer.status not in (200, 304, 409):
            raise await _refusal(answer)
        if answer.status == 304 and "if-none-match" not in request.headers:
            raise UpstreamFault("Electric answered 304 to a request that was not conditional")
        if not answer.framed and request.method != "HEAD" and answer.status != 304:
            raise UpstreamFault("Electric's answer says neither its length nor its end")
        response = web.StreamResponse(status=answer.status, headers=_headers(answer, org_in_url=org_in_url))
        await response.prepare(request)
        progress.response, progress.status = response, answer.status
        async for chunk in answer.chunks():
            await response.write(chunk)
            progress.body_bytes += len(chunk)
        await response.write_eof()
        return response


def break_off(request: web.Request, progress: Progress) -> None:
    """End an answer under way so that nobody takes it for complete."""
    progress.aborted = True
    if request.transport is not None:
        request.transport.abort()


def _headers(answer: UpstreamAnswer, *, org_in_url: bool) -> CIMultiDict[str]:
    """Choose what passes, empty values included, and say who may keep it."""
    passed = CIMultiDict(
        {name: answer.headers[name] for name in answers.PASSED_HEADERS if name in answer.headers}
    )
    length = answer.headers.get("content-length")
    if length is not None and answer.status == 200:
        passed["content-length"] = length
    revalidated = org_in_url and answer.status != 409
    if revalidated and names.ETAG in answer.headers:
        passed[names.ETAG] = answer.headers[names.ETAG]
    passed[names.CACHE_CONTROL] = answers.REVALIDATE if revalidated else answers.NO_STORE
    return passed


async def _refusal(answer: UpstreamAnswer) -> Exception:
    """Turn an answer that must not be shown into one of the gate's own."""
    status = answer.status
    if status in (401, 403):
        return UpstreamRefusedSecret("Electric does not take this gate's secret")
    if status == 400:
        if _is_out_of_bounds(await _body(answer)):
            return OffsetOutOfBounds("The offset lies behind the end of the log")
        return UpstreamRefusedRequest("Electric refused the request for this shape")
    if status == 429 or 500 <= status <= 599:
        return UpstreamBusy("Electric cannot answer now", status=status, headers=_retry(answer.headers))
    return UpstreamFault(f"Electric answered {status}, which no shape request leads to")


def _retry(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Keep a sane Retry-After and the mark of a known error."""
    text = headers.get(names.RETRY_AFTER, "")
    seconds = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 5
    kept = {names.RETRY_AFTER: str(min(seconds, RETRY_AFTER_SECONDS_MAX))}
    if headers.get(names.ELECTRIC_KNOWN_ERROR) == "true":
        kept[names.ELECTRIC_KNOWN_ERROR] = "true"
    return kept


async def _body(answer: UpstreamAnswer) -> bytes:
    body = b""
    async for chunk in answer.chunks():
        body += chunk
        if len(body) > ERROR_BYTES_MAX:
            return b""
    return body


def _is_out_of_bounds(body: bytes) -> bool:
    try:
        loaded: object = json.loads(body)
    except (ValueError, RecursionError):
        return False
    errors = loaded.get("errors") if isinstance(loaded, dict) else None
    return isinstance(errors, dict) and errors.get("offset") == ["out of bounds for this shape"]
