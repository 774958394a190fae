"""The boundary around every handler: an id for each request, an answer for a refusal, a line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from shapegate_proxy import answers
from shapegate_proxy.errors import (
    GateStopping,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Refused,
    RequestTooLong,
)
from shapegate_proxy.logs import LogEvent
from shapegate_proxy.observe import Decision, ShapeServed, kind_of, loggable_user
from shapegate_proxy.principal import Principal
from shapegate_proxy.relay import Progress, break_off
from shapegate_proxy.services import Services
from shapegate_wire.errors import WireError
from shapegate_wire.identifier import parse_table
from shapegate_wire.request import ShapeRequest

SERVICES: Final = web.AppKey("services", Services)
TOLD: Final = web.AppKey("told", frozenset)
"""The handlers whose requests leave a line; health checks and preflights leave none (REQUIREMENTS P-53)."""
REQUEST_ID: Final = web.RequestKey("request_id", str)
PROGRESS: Final = web.RequestKey("progress", Progress)
PRINCIPAL: Final = web.RequestKey("principal", Principal)
ASKED: Final = web.RequestKey("asked", ShapeRequest)
HEAD_AT: Final = web.RequestKey("head_at", float)
"""When the head of the answer was ready to be sent, on the monotonic clock."""

TARGET_CHARS_MAX: Final = 10_000
STREAM_END_SECONDS: Final = 1.0
"""How long the end of an event stream may take to be written; a reader that does not read is broken off."""
_LOG: Final = logging.getLogger("shapegate.proxy")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, answer every refusal as JSON and tell the observer."""
    started = time.monotonic()
    request_id = request[REQUEST_ID] = uuid.uuid4().hex
    progress = request[PROGRESS] = Progress()
    decision, code = Decision.SERVED, "served"
    try:
        if len(request.raw_path) > TARGET_CHARS_MAX:
            raise RequestTooLong(f"The request target is longer than {TARGET_CHARS_MAX} characters")
        return await handler(request)
    except asyncio.CancelledError:
        progress.aborted = True
        decision, code = Decision.GONE, "gone"
        raise
    except Exception as exc:  # noqa: BLE001  # the boundary: nothing may pass it but an answer
        refused = _as_refused(exc, request_id)
        decision, code = Decision.REFUSED, refused.code
        if isinstance(exc, ConnectionResetError):
            decision, code = Decision.GONE, "gone"
        if progress.response is not None:
            decision = Decision.CUT if decision is Decision.REFUSED else decision
            await _end(request, progress, refused)
            return progress.response
        return _refusal(refused, request_id, progress)
    finally:
        _tell(request, started, decision, code)


def _refusal(refused: Refused, request_id: str, progress: Progress) -> web.Response:
    body = answers.error_body(refused, request_id)
    progress.status, progress.body_bytes = refused.status, len(body)
    return web.Response(
        status=refused.status,
        body=body,
        content_type="application/json",
        headers={**refused.headers, "cache-control": answers.NO_STORE},
    )


async def _end(request: web.Request, progress: Progress, refused: Refused) -> None:
    """End an answer under way by breaking it off, so that nobody takes it for complete.

    Only a gate that stops lets an event stream end well, between two events, as Electric ends one: the client
    missed nothing and comes back at once.
    """
    if isinstance(refused, GateStopping) and progress.between_events and progress.response is not None:
        try:
            async with asyncio.timeout(STREAM_END_SECONDS):
                await progress.response.write_eof()
        except (TimeoutError, ConnectionError):
            pass
        else:
            return
    break_off(request, progress)


def _as_refused(exc: Exception, request_id: str) -> Refused:
    match exc:
        case Refused():
            return exc
        case web.HTTPNotFound():
            return NotFound("There is nothing at this path")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted({*exc.allowed_methods} | {"OPTIONS"}))
            return MethodNotAllowed("This method is not allowed here", headers={"allow": allowed})
        case ConnectionResetError():
            return InvalidRequest("The client went away")
        case web.HTTPException() if exc.status < 500:
            return InvalidRequest("The request cannot be read")
        case _:
            _LOG.error(LogEvent(name="request_failed", fields={"request_id": request_id}), exc_info=exc)
            return InternalError("Something went wrong inside of the gate")


def _tell(request: web.Request, started: float, decision: Decision, code: str) -> None:
    if request.match_info.handler not in request.app[TOLD]:
        return
    principal, asked, progress = request.get(PRINCIPAL), request.get(ASKED), request[PROGRESS]
    now = time.monotonic()
    head_at = now if decision is Decision.REFUSED else request.get(HEAD_AT)
    request.app[SERVICES].observer.served(
        ShapeServed(
            request_id=request[REQUEST_ID],
            method=request.method,
            decision=decision,
            status=progress.status or 499,
            code=code,
            org=principal.org if principal else None,
            user=loggable_user(principal.user) if principal else None,
            table=_table(asked, request.app[SERVICES]) if asked else None,
            kind=kind_of(asked) if asked else None,
            offset=str(asked.offset) if asked else None,
            handle=asked.handle if asked else None,
            live=asked.live if asked else False,
            body_bytes=progress.body_bytes,
            first_byte_seconds=None if head_at is None else round(head_at - started, 4),
            seconds=round(now - started, 4),
        )
    )


def _table(asked: ShapeRequest, services: Services) -> str | None:
    """Name the table as the policy does; a name that it does not have is the client's text, and not told."""
    try:
        table = parse_table(asked.definition.table)
    except WireError:
        return None
    return table.to_sql() if table in services.policy.tables else None


async def set_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put on every answer, before its head is written: CORS, vary, request id, nosniff."""
    request[HEAD_AT] = time.monotonic()
    origin, allowed = request.headers.get("origin"), request.app[SERVICES].origins
    headers = answers.preflight_headers if request.method == "OPTIONS" else answers.cors_headers
    response.headers.update(headers(origin, allowed))
    # An answer from before the boundary has an id of its own.
    request_id = response.headers.get("x-request-id") or request.get(REQUEST_ID, "")
    response.headers.update(answers.plain_headers(request_id))
