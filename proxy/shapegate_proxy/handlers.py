"""The gate's routes.

`get_shape` is the whole road of a request; a route that forgets a step does not type-check, since `build`
takes only what `confine` makes, and `confine` only what a verifier makes.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

from shapegate_proxy.addresses import client_address
from shapegate_proxy.allowed_headers import condition, trace_parent
from shapegate_proxy.body import read_json
from shapegate_proxy.boundary import ASKED, PRINCIPAL, PROGRESS, REQUEST_ID, SERVICES
from shapegate_proxy.errors import (
    ExpiredToken,
    InvalidRequest,
    InvalidToken,
    OrgMismatch,
    VersionNotSupported,
)
from shapegate_proxy.policy import ConfinedRequest, confine
from shapegate_proxy.relay import relay
from shapegate_proxy.tokens import bearer_token
from shapegate_proxy.too_many import TooManyFailures
from shapegate_proxy.turns import is_costly
from shapegate_proxy.upstream import build
from shapegate_wire.errors import MalformedRequest
from shapegate_wire.request import ShapeRequest, parse_request
from shapegate_wire.subset import BODY_BYTES_MAX

if TYPE_CHECKING:
    from shapegate_proxy.principal import Principal


async def get_shape(request: web.Request) -> web.StreamResponse:
    """Answer one shape request of a caller who proves who they are."""
    if request.version != HttpVersion11:
        raise VersionNotSupported("Shapes are served over HTTP/1.1 only")
    services, progress = request.app[SERVICES], request[PROGRESS]
    token = bearer_token(request.headers.getall("authorization", []))
    principal = request[PRINCIPAL] = await _verify(request, token)
    seconds_left = max(0.0, (principal.expires_at - services.clock()).total_seconds())
    with services.limits.enter(principal):
        async with services.held.hold(session=principal.session, seconds=seconds_left) as hold:
            # Held before it is confirmed: a revocation in between ends it.
            await services.sessions.confirm(principal)
            _check_org(request, principal)
            asked = request[ASKED] = await _parse(request)
            if asked.live:
                services.held.mark_live(hold, while_=lambda: progress.response is None or asked.live_sse)
            async with services.turns.turn(principal.org) if is_costly(asked) else nullcontext():
                confined = confine(principal, asked, services.policy)
            with services.limits.admit(confined):
                return await _relay(request, confined)


async def _verify(request: web.Request, token: str) -> Principal:
    """Verify the token, unless its address showed too many bad ones; a token proven before always passes."""
    services, failures = request.app[SERVICES], request.app[SERVICES].failures
    if services.verifier.knows(token):
        return await services.verifier.verify(token)
    forwarded = request.headers.getall("x-forwarded-for", [])
    address = client_address(request.remote, forwarded, services.trusted_proxies)
    if failures.exhausted(address):
        user = services.verifier.claimed_user(token)
        if user is None or not failures.admits(address, user):
            raise TooManyFailures(failures.seconds_until(address))
    try:
        principal = await services.verifier.verify(token)
    except InvalidToken as exc:
        if not isinstance(exc, ExpiredToken):
            failures.failed(address)
        raise
    failures.succeeded(address, principal.user)
    return principal


async def _relay(request: web.Request, confined: ConfinedRequest) -> web.StreamResponse:
    services, org_in_url = request.app[SERVICES], "org" in request.match_info
    headers = request.headers
    built = build(
        confined,
        electric_url=services.electric_url,
        secret=services.electric_secret,
        method=request.method,
        if_none_match=condition(headers.getall("if-none-match", [])) if org_in_url else None,
        trace_parent=trace_parent(headers.getall("traceparent", [])),
    )
    return await relay(services.electric, built, request, org_in_url=org_in_url, progress=request[PROGRESS])


def _check_org(request: web.Request, principal: Principal) -> None:
    """Refuse another org in the URL, and leave a record of it: somebody tried a door that is not theirs."""
    org = request.match_info.get("org")
    if org is not None and org.lower() != principal.org:
        request.app[SERVICES].audit.cross_org_refused(
            principal, asked_org=org, request_id=request[REQUEST_ID], method=request.method
        )
        raise OrgMismatch("The organization in the URL is not the token's")


async def _parse(request: web.Request) -> ShapeRequest:
    body: bytes | None = None
    if request.method == "POST":
        body = await read_json(request, bytes_max=BODY_BYTES_MAX)
    elif request.can_read_body:
        raise InvalidRequest("The request has a body: expected none")
    try:
        return parse_request(request.rel_url.query.items(), body)
    except MalformedRequest as exc:
        raise InvalidRequest(str(exc)) from exc


async def preflight(_request: web.Request) -> web.Response:
    """Answer a browser's preflight here, without authentication (REQUIREMENTS P-35, P-53)."""
    return web.Response(status=204)


async def health(_request: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "ok"}, headers={"cache-control": "no-store"})


async def health_detailed(request: web.Request) -> web.Response:
    """Say whether the gate can serve, and how each part that it needs is, in a word (REQUIREMENTS P-47)."""
    report = await request.app[SERVICES].readiness.report()
    return web.json_response(
        {"status": "ready" if report.ready else "not_ready", "checks": dict(report.parts)},
        status=200 if report.ready else 503,
        headers={"cache-control": "no-store"},
    )
