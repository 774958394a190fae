"""The boundary around aiohttp's handlers: an id for each request, and an answer for every refusal.

Shape requests have theirs in `serving`, since not all of them come by aiohttp.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from shapegate_proxy import answers
from shapegate_proxy.errors import InvalidRequest, MethodNotAllowed, NotFound, Refused
from shapegate_proxy.services import Services
from shapegate_proxy.serving import as_refused, new_request_id

SERVICES: Final = web.AppKey("services", Services)
REQUEST_ID: Final = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and answer every refusal as JSON."""
    request_id = request[REQUEST_ID] = new_request_id()
    try:
        return await handler(request)
    except Exception as exc:  # noqa: BLE001  # the boundary: nothing may pass it but an answer
        return refusal_of(_as_refused(exc, request_id), request_id)


def refusal_of(refused: Refused, request_id: str) -> web.Response:
    """Print a refusal; the headers that every answer has come later."""
    body = answers.error_body(refused, request_id)
    return web.Response(status=refused.status, body=body, headers=answers.refusal_headers(refused, body))


def _as_refused(exc: Exception, request_id: str) -> Refused:
    match exc:
        case web.HTTPNotFound():
            return NotFound("There is nothing at this path")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted({*exc.allowed_methods} | {"OPTIONS"}))
            return MethodNotAllowed("This method is not allowed here", headers={"allow": allowed})
        case web.HTTPException() if exc.status < 500:
            return InvalidRequest("The request cannot be read")
        case _:
            return as_refused(exc, request_id)


async def set_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put on every answer, before its head is written: CORS, vary, request id, nosniff."""
    origin, allowed = request.headers.get("origin"), request.app[SERVICES].origins
    headers = answers.preflight_headers if request.method == "OPTIONS" else answers.cors_headers
    response.headers.update(headers(origin, allowed))
    # An answer from before the boundary has an id of its own.
    request_id = response.headers.get("x-request-id") or request.get(REQUEST_ID, "")
    response.headers.update(answers.plain_headers(request_id))
