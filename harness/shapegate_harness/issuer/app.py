"""The issuer's HTTP face: routes, bodies in, JSON out, one error boundary.

Every answer says that this is a development issuer and forbids to store it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from shapegate_harness.issuer.answers import Health, KeySet, print_answer, problem, problem_headers
from shapegate_harness.issuer.errors import (
    InternalFault,
    LargeBody,
    MalformedBody,
    Refused,
    SlowBody,
    UnknownPath,
    WrongMethod,
)
from shapegate_harness.issuer.forms import (
    BODY_BYTES_MAX,
    parse_bearer,
    parse_login,
    parse_logout,
    parse_password,
    parse_refresh,
    parse_switch,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from shapegate_harness.issuer.answers import Answer
    from shapegate_harness.issuer.service import IssuerService

_LOG: Final = logging.getLogger("shapegate.issuer")

BODY_SECONDS: Final = 10.0
"""How long a body of a few hundred bytes may take to arrive."""
_EVERY_ANSWER: Final = {
    "Cache-Control": "no-store",
    "Server": "shapegate-dev-issuer",
    "X-Shapegate-Development": "issuer",
}


def create_app(service: IssuerService, *, body_seconds: float = BODY_SECONDS) -> web.Application:
    """Route the endpoints to a service."""
    endpoints = Endpoints(service, body_seconds=body_seconds)
    app = web.Application(middlewares=[boundary], client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.post("/api/auth/login", endpoints.login),
            web.post("/api/auth/refresh", endpoints.refresh),
            web.post("/api/auth/switch", endpoints.switch),
            web.post("/api/auth/password", endpoints.password),
            web.post("/api/auth/logout", endpoints.logout),
            web.get("/api/auth/me", endpoints.me),
            web.get("/.well-known/jwks.json", endpoints.key_set),
            web.get("/health", endpoints.health),
        ]
    )
    return app


class Endpoints:
    """One method for each endpoint: read, ask the service, print."""

    def __init__(self, service: IssuerService, *, body_seconds: float) -> None:
        self._service = service
        self._body_seconds = body_seconds

    async def login(self, request: web.Request) -> web.Response:
        """POST /api/auth/login."""
        return _answer(await self._service.login(parse_login(await self._body(request)), peer=_peer(request)))

    async def refresh(self, request: web.Request) -> web.Response:
        """POST /api/auth/refresh."""
        return _answer(
            await self._service.refresh(parse_refresh(await self._body(request)), peer=_peer(request))
        )

    async def switch(self, request: web.Request) -> web.Response:
        """POST /api/auth/switch."""
        token = _bearer(request)
        form = parse_switch(await self._body(request))
        return _answer(await self._service.switch(token, form, peer=_peer(request)))

    async def password(self, request: web.Request) -> web.Response:
        """POST /api/auth/password."""
        token = _bearer(request)
        form = parse_password(await self._body(request))
        await self._service.change_password(token, form, peer=_peer(request))
        return web.Response(status=204)

    async def logout(self, request: web.Request) -> web.Response:
        """POST /api/auth/logout."""
        token = _bearer(request)
        await self._service.logout(token, parse_logout(await self._body(request)))
        return web.Response(status=204)

    async def me(self, request: web.Request) -> web.Response:
        """GET /api/auth/me."""
        return _answer(await self._service.me(_bearer(request)))

    async def key_set(self, _: web.Request) -> web.Response:
        """GET /.well-known/jwks.json."""
        return _answer(KeySet(keys=self._service.tokens.keys.ring().public_jwks()))

    async def health(self, _: web.Request) -> web.Response:
        """GET /health: that the process lives; it asks nothing of the database."""
        return _answer(Health())

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await request.read()
        except TimeoutError:
            raise SlowBody from None
        except web.HTTPRequestEntityTooLarge:
            raise LargeBody(f"the body is larger than {BODY_BYTES_MAX} bytes") from None
        except (web.RequestPayloadError, HttpProcessingError):
            raise MalformedBody("the body breaks off, or its transfer coding is broken") from None


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal into JSON and everything else into a 500 without detail."""
    try:
        response = await handler(request)
    except Refused as refused:
        response = _refusal(refused)
    except web.HTTPMethodNotAllowed as exc:
        response = _refusal(WrongMethod(), {"Allow": ", ".join(sorted(exc.allowed_methods))})
    except web.HTTPNotFound:
        response = _refusal(UnknownPath())
    except Exception as exc:  # noqa: BLE001  # the boundary: whatever it is, the caller learns nothing of it
        # The class alone: the text of a foreign exception may quote a token or a row.
        _LOG.error("unexpected %s at %s %s", type(exc).__name__, request.method, request.rel_url.path)
        response = _refusal(InternalFault())
    response.headers.update(_EVERY_ANSWER)
    return response


def _bearer(request: web.Request) -> str:
    return parse_bearer(request.headers.getall("Authorization", []))


def _peer(request: web.Request) -> str:
    return request.remote or ""


def _answer(answer: Answer, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=print_answer(answer), status=status, headers=headers, content_type="application/json"
    )


def _refusal(refused: Refused, headers: Mapping[str, str] | None = None) -> web.Response:
    return _answer(problem(refused), refused.status, {**problem_headers(refused), **(headers or {})})
