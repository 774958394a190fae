"""The gate's routes, and the one boundary that turns a Refused into an answer.

`get_shape` is the whole road of a request; a route that forgets a step does not type-check, since `build`
takes only what `confine` makes, and `confine` only what a verifier makes.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import HttpVersion11, web

from shapegate_proxy import answers
from shapegate_proxy.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    OrgMismatch,
    Refused,
    RequestTooLong,
    VersionNotSupported,
)
from shapegate_proxy.observe import ShapeServed
from shapegate_proxy.policy import ConfinedRequest, confine
from shapegate_proxy.principal import Principal
from shapegate_proxy.relay import Progress, break_off, relay
from shapegate_proxy.services import Services
from shapegate_proxy.tokens import bearer_token
from shapegate_proxy.upstream import build
from shapegate_wire.errors import MalformedRequest
from shapegate_wire.request import ShapeRequest, parse_request

SERVICES: Final = web.AppKey("services", Services)
REQUEST_ID: Final = web.RequestKey("request_id", str)
PROGRESS: Final = web.RequestKey("progress", Progress)
PRINCIPAL: Final = web.RequestKey("principal", Principal)
ASKED: Final = web.RequestKey("asked", ShapeRequest)

TARGET_CHARS_MAX: Final = 10_000
_LOG: Final = logging.getLogger("shapegate.proxy")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _InternalError(Refused):
    """Something that nobody foresaw; the cause is in the log only."""

    status = 500
    code = "internal_error"
    hint = "The operator of this gate finds the cause in its log under the request id."


async def get_shape(request: web.Request) -> web.StreamResponse:
    """Answer one shape request of a caller who proves who they are."""
    if request.version != HttpVersion11:
        raise VersionNotSupported("Shapes are served over HTTP/1.1 only")
    services = request.app[SERVICES]
    token = bearer_token(request.headers.getall("authorization", []))
    principal = request[PRINCIPAL] = await services.verifier.verify(token)
    seconds_left = max(0.0, (principal.expires_at - services.clock()).total_seconds())
    async with services.held.hold(session=principal.session, seconds=seconds_left) as hold:
        # Held before it is confirmed: a revocation in between ends it.
        await services.sessions.confirm(principal)
        _check_org(principal, request.match_info.get("org"))
        asked = request[ASKED] = _parse(request)
        if asked.live:
            services.held.mark_live(hold)
        confined = confine(principal, asked, services.policy)
        return await _relay(request, confined)


async def _relay(request: web.Request, confined: ConfinedRequest) -> web.StreamResponse:
    services, org_in_url = request.app[SERVICES], "org" in request.match_info
    built = build(
        confined,
        electric_url=services.electric_url,
        secret=services.electric_secret,
        method=request.method,
        if_none_match=request.headers.get("if-none-match") if org_in_url else None,
    )
    return await relay(services.electric, built, request, org_in_url=org_in_url, progress=request[PROGRESS])


def _check_org(principal: Principal, org: str | None) -> None:
    if org is not None and org.lower() != principal.org:
        raise OrgMismatch("The organization in the URL is not the token's")


def _parse(request: web.Request) -> ShapeRequest:
    if request.can_read_body:
        raise InvalidRequest("The request has a body: expected none")
    try:
        return parse_request(request.rel_url.query.items())
    except MalformedRequest as exc:
        raise InvalidRequest(str(exc)) from exc


async def preflight(_request: web.Request) -> web.Response:
    """Answer a browser's preflight here, without authentication (REQUIREMENTS P-35, P-53)."""
    return web.Response(status=204)


async def health(_request: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "ok"}, headers={"cache-control": "no-store"})


async def health_detailed(request: web.Request) -> web.Response:
    """Say whether the gate can serve: Electric is ready and tokens can be verified."""
    services = request.app[SERVICES]
    electric, keys, sessions = await asyncio.gather(
        services.electric.healthy(), services.keys.available(), services.sessions.available()
    )
    checks = {"electric": electric, "keys": keys, "sessions": sessions}
    return web.json_response(
        {
            "status": "ready" if all(checks.values()) else "not_ready",
            "checks": {name: "ok" if passed else "failed" for name, passed in checks.items()},
        },
        status=200 if all(checks.values()) else 503,
        headers={"cache-control": "no-store"},
    )


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, answer every refusal as JSON and tell the observer."""
    started = time.monotonic()
    request_id = request[REQUEST_ID] = uuid.uuid4().hex
    progress = request[PROGRESS] = Progress()
    code = "served"
    try:
        if len(request.raw_path) > TARGET_CHARS_MAX:
            raise RequestTooLong(f"The request target is longer than {TARGET_CHARS_MAX} characters")
        return await handler(request)
    except asyncio.CancelledError:
        progress.aborted = True
        raise
    except Exception as exc:  # noqa: BLE001  # the boundary: nothing may pass it but an answer
        refused = _as_refused(exc, request_id)
        code = refused.code
        if progress.response is not None:
            break_off(request, progress)
            return progress.response
        progress.status = refused.status
        body = answers.error_body(refused, request_id)
        progress.body_bytes = len(body)
        return web.Response(
            status=refused.status,
            body=body,
            content_type="application/json",
            headers={**refused.headers, "cache-control": answers.NO_STORE},
        )
    finally:
        _tell(request, progress, code, time.monotonic() - started)


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
            _LOG.error("request %s failed", request_id, exc_info=exc)
            return _InternalError("Something went wrong inside of the gate")


def _tell(request: web.Request, progress: Progress, code: str, seconds: float) -> None:
    """Report shape requests; health checks and preflights leave no line (REQUIREMENTS P-53)."""
    principal, asked = request.get(PRINCIPAL), request.get(ASKED)
    if request.match_info.handler is not get_shape:
        return
    request.app[SERVICES].observer.served(
        ShapeServed(
            request_id=request[REQUEST_ID],
            method=request.method,
            status=progress.status or 499,
            code="aborted" if progress.aborted else code,
            org=principal.org if principal else None,
            user=principal.user if principal else None,
            table=asked.definition.table if asked else None,
            offset=str(asked.offset) if asked else None,
            handle=asked.handle if asked else None,
            live=asked.live if asked else False,
            body_bytes=progress.body_bytes,
            seconds=round(seconds, 4),
        )
    )


async def set_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put on every answer, before its head is written: CORS, vary, request id, nosniff."""
    origin, allowed = request.headers.get("origin"), request.app[SERVICES].origins
    headers = answers.preflight_headers if request.method == "OPTIONS" else answers.cors_headers
    response.headers.update(headers(origin, allowed))
    response.headers["server"] = "shapegate"  # not which versions of what (SECURITY I-10)
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["x-request-id"] = request.get(REQUEST_ID, "")
