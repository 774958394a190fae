"""The whole road of a shape request, from what came in to the answer.

A step that is forgotten does not type-check: `build` takes only what `confine` makes, and `confine` only what
a verifier makes. A refusal is answered here, and the observer is told of every request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from shapegate_proxy.addresses import client_address
from shapegate_proxy.admissions import Admission
from shapegate_proxy.allowed_headers import condition, trace_parent
from shapegate_proxy.errors import (
    ExpiredToken,
    GateStopping,
    InternalError,
    InvalidRequest,
    InvalidToken,
    OrgMismatch,
    Refused,
    RequestTooLong,
    VersionNotSupported,
)
from shapegate_proxy.limits import account
from shapegate_proxy.logs import LogEvent
from shapegate_proxy.observe import Decision, ShapeServed, kind_of, loggable_user
from shapegate_proxy.policy import confine
from shapegate_proxy.relay import Progress, relay
from shapegate_proxy.tokens import bearer_token
from shapegate_proxy.too_many import TooManyFailures
from shapegate_proxy.turns import is_costly
from shapegate_proxy.upstream import TRACE_PARENT, build
from shapegate_wire.errors import MalformedRequest, WireError
from shapegate_wire.identifier import parse_table
from shapegate_wire.request import ShapeRequest, parse_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shapegate_proxy.incoming import Incoming, Responder
    from shapegate_proxy.principal import Principal
    from shapegate_proxy.proven import ProvenToken
    from shapegate_proxy.services import Services

TARGET_CHARS_MAX: Final = 10_000
AT_ONCE_BYTES_MAX: Final = 64 * 1024
"""Larger answers wait for their reader."""
STREAM_END_SECONDS: Final = 1.0
"""How long the end of an event stream may take to be written; a reader that does not read is broken off."""
_ID_BYTES: Final = 16
_LOG: Final = logging.getLogger("shapegate.proxy")


class Trail:
    """What is known of a request by now, for the one line that is written about it."""

    __slots__ = ("admission", "asked", "principal", "progress", "request_id", "started")

    def __init__(self, request_id: str | None = None, started: float | None = None) -> None:
        self.request_id = request_id or new_request_id()
        self.started = time.monotonic() if started is None else started
        self.principal: Principal | None = None
        self.asked: ShapeRequest | None = None
        self.admission: Admission | None = None
        self.progress = Progress()

    def admit(self, admission: Admission) -> None:
        """Take note of what was found out when the same came before."""
        self.principal, self.asked, self.admission = admission.proven.principal, admission.asked, admission


_ids: Final[list[str]] = []


def new_request_id() -> str:
    """Make an id that tells nothing, not even how many there were before."""
    if not _ids:
        random = os.urandom(_ID_BYTES * 256)  # To ask for more at once costs no more.
        _ids.extend(random[at : at + _ID_BYTES].hex() for at in range(0, len(random), _ID_BYTES))
    return _ids.pop()


async def serve(services: Services, incoming: Incoming, responder: Responder) -> None:
    """Answer one request, whatever becomes of it; raises nothing but cancellation."""
    trail = Trail()
    await bounded(services, incoming.method, responder, trail, _answer(services, incoming, responder, trail))


async def bounded(
    services: Services, method: str, responder: Responder, trail: Trail, answering: Awaitable[None]
) -> None:
    """Answer one request, and a fault of that by a refusal; raises nothing but cancellation."""
    decision, code = Decision.SERVED, "served"
    try:
        await answering
    except asyncio.CancelledError:
        trail.progress.aborted = True
        decision, code = Decision.GONE, "gone"
        raise
    except Exception as exc:  # noqa: BLE001  # the boundary: nothing may pass it but an answer
        refused = as_refused(exc, trail.request_id)
        decision, code = Decision.REFUSED, refused.code
        if isinstance(exc, ConnectionError):
            decision, code = Decision.GONE, "gone"
        if trail.progress.status is None:
            await _refuse(responder, refused, trail)
        else:
            decision = Decision.CUT if decision is Decision.REFUSED else decision
            await _end(responder, trail.progress, refused)
        del refused  # It has the frames that it came through, and this one has it.
    finally:
        tell(services, method, trail, decision, code)


def still_admitted(services: Services, admission: Admission, seconds: float = 0.0) -> bool:
    """Say, without asking anybody, whether it is sure that a request is let in that was admitted before.

    The token's times, its key and its session are looked at on each use (SECURITY J-14, J-15), and the
    limits. A token that ends within so many `seconds` does not count.
    """
    proven, clock = admission.proven, services.clock
    return (
        proven.counts(clock(), seconds)
        and services.sessions.believes(proven.principal)
        and services.limits.admits_now(admission.account)
    )


def serve_at_once(services: Services, admission: Admission, send: Callable[[bytes], object]) -> bool:
    """Send the answer to a request that was admitted before, if it is kept; else do nothing.

    In doubt `serve` says what is wrong.
    """
    kept = None if services.kept is None else services.kept.peek(admission.built)
    if kept is None or len(kept.body) > AT_ONCE_BYTES_MAX:
        return False
    if not still_admitted(services, admission):
        return False
    request_id, head = new_request_id(), kept.head(org_in_url=admission.org is not None)
    send(services.printer.print_whole(kept.status, head, kept.body, admission.origin, request_id))
    # The client waits for nothing of what follows.
    trail = Trail(request_id)
    trail.admit(admission)
    trail.progress = Progress(kept.status, trail.started, len(kept.body))
    tell(services, admission.built.method, trail, Decision.SERVED, "served")
    return True


async def _answer(services: Services, incoming: Incoming, responder: Responder, trail: Trail) -> None:
    if len(incoming.target) > TARGET_CHARS_MAX:
        raise RequestTooLong(f"The request target is longer than {TARGET_CHARS_MAX} characters")
    if not incoming.http_1_1:
        raise VersionNotSupported("Shapes are served over HTTP/1.1 only")
    now = services.clock()
    admission = incoming.admission
    if admission is not None and not admission.proven.counts(now):
        admission = None
    proven = await _proven(services, incoming) if admission is None else admission.proven
    principal = trail.principal = proven.principal
    responder.known()
    with services.limits.enter(principal):
        async with services.held.hold(session=principal.session, seconds=proven.lifetime.ends - now) as hold:
            # Held before it is confirmed: a revocation in between ends it.
            await services.sessions.confirm(principal)
            if admission is None:
                admission = await _admit(services, incoming, proven, trail)
            incoming.forget()
            trail.admission, trail.asked, progress = admission, admission.asked, trail.progress
            if admission.asked.live:
                stream = admission.asked.live_sse
                services.held.mark_live(hold, while_=lambda: progress.status is None or stream)
            with services.limits.admit(admission.account):
                await relay(
                    services.electric,
                    admission.built,
                    responder,
                    request_id=trail.request_id,
                    org_in_url=incoming.org is not None,
                    progress=progress,
                )


async def _proven(services: Services, incoming: Incoming) -> ProvenToken:
    """Verify the token, unless its address showed too many bad ones; a token proven before always passes."""
    token, failures = bearer_token(incoming.values("authorization")), services.failures
    proven = await services.verifier.recall(token)
    if proven is not None:
        return proven
    forwarded = incoming.values("x-forwarded-for")
    address = client_address(incoming.peer(), forwarded, services.trusted_proxies)
    if failures.exhausted(address):
        user = services.verifier.claimed_user(token)
        if user is None or not failures.admits(address, user):
            raise TooManyFailures(failures.seconds_until(address))
    try:
        proven = await services.verifier.prove(token)
    except InvalidToken as exc:
        if not isinstance(exc, ExpiredToken):
            failures.failed(address)
        raise
    failures.succeeded(address, proven.principal.user)
    return proven


async def _admit(services: Services, incoming: Incoming, proven: ProvenToken, trail: Trail) -> Admission:
    """Read the request, confine it and build what Electric is asked; keep that for the next like it."""
    principal = proven.principal
    _check_org(services, incoming, principal, trail)
    asked = trail.asked = await _parse(incoming)
    async with services.turns.turn(principal.org) if is_costly(asked) else nullcontext():
        confined = confine(principal, asked, services.policy, compiled=services.filters.compile)
    org_in_url = incoming.org is not None
    built = build(
        confined,
        electric_url=services.electric_url,
        secret=services.electric_secret,
        method=incoming.method,
        if_none_match=condition(incoming.values("if-none-match")) if org_in_url else None,
        trace_parent=trace_parent(incoming.values(TRACE_PARENT)),
    )
    admission = Admission(
        proven=proven,
        asked=asked,
        confined=confined,
        account=account(confined),
        built=built,
        target=incoming.target,
        org=incoming.org,
        origin=next((page for page in incoming.values("origin")[:1] if page in services.origins), None),
        table=confined.table.to_sql(),
        kind=kind_of(asked),
        offset=str(asked.offset),
        user=loggable_user(principal.user),
    )
    if incoming.head is not None and not asked.live and not incoming.values(TRACE_PARENT):
        services.admissions.remember(incoming.head, admission)
    return admission


def _check_org(services: Services, incoming: Incoming, principal: Principal, trail: Trail) -> None:
    """Refuse another org in the URL, and leave a record of it: somebody tried a door that is not theirs."""
    if incoming.org is not None and incoming.org.lower() != principal.org:
        services.audit.cross_org_refused(
            principal, asked_org=incoming.org, request_id=trail.request_id, method=incoming.method
        )
        raise OrgMismatch("The organization in the URL is not the token's")


async def _parse(incoming: Incoming) -> ShapeRequest:
    body = await incoming.read_body()
    try:
        return parse_request(incoming.query(), body)
    except MalformedRequest as exc:
        raise InvalidRequest(str(exc)) from exc


async def _refuse(responder: Responder, refused: Refused, trail: Trail) -> None:
    progress = trail.progress
    progress.head_at = time.monotonic()
    progress.status = refused.status
    try:
        progress.body_bytes = await responder.refuse(refused, request_id=trail.request_id)
    except ConnectionError:
        progress.aborted = True  # Nobody is left to be told.


async def _end(responder: Responder, progress: Progress, refused: Refused) -> None:
    """End an answer under way by breaking it off, so that nobody takes it for complete.

    Only a gate that stops lets an event stream end well, between two events, as Electric ends one: the client
    missed nothing and comes back at once.
    """
    if isinstance(refused, GateStopping) and progress.between_events:
        try:
            async with asyncio.timeout(STREAM_END_SECONDS):
                await responder.end()
        except (TimeoutError, ConnectionError):
            pass
        else:
            return
    progress.aborted = True
    responder.break_off()


def as_refused(exc: Exception, request_id: str) -> Refused:
    """Say as a refusal what went wrong; what nobody foresaw is logged, and says nothing of itself."""
    match exc:
        case Refused():
            return exc
        case ConnectionError():
            return InvalidRequest("The client went away")
        case _:
            _LOG.error(LogEvent(name="request_failed", fields={"request_id": request_id}), exc_info=exc)
            return InternalError("Something went wrong inside of the gate")


def tell(services: Services, method: str, trail: Trail, decision: Decision, code: str) -> None:
    """Tell the observer what became of a request."""
    principal, progress, started = trail.principal, trail.progress, trail.started
    asked, head_at = trail.asked, progress.head_at
    known = trail.admission or _Unadmitted(principal, asked, services)
    services.observer.served(
        ShapeServed(
            request_id=trail.request_id,
            method=method,
            decision=decision,
            status=progress.status or 499,
            code=code,
            org=principal.org if principal else None,
            user=known.user,
            table=known.table,
            kind=known.kind,
            offset=known.offset,
            handle=asked.handle if asked else None,
            live=asked.live if asked else False,
            body_bytes=progress.body_bytes,
            first_byte_seconds=None if head_at is None else round(head_at - started, 4),
            seconds=round(time.monotonic() - started, 4),
        )
    )


class _Unadmitted:
    """What the observer is told of a request that was refused, as an admission says it."""

    def __init__(self, principal: Principal | None, asked: ShapeRequest | None, services: Services) -> None:
        self.user = None if principal is None else loggable_user(principal.user)
        self.table = None if asked is None else _table(asked, services)
        self.kind = None if asked is None else kind_of(asked)
        self.offset = None if asked is None else str(asked.offset)


def _table(asked: ShapeRequest, services: Services) -> str | None:
    """Name the table as the policy does; a name that it does not have is the client's text, and not told."""
    try:
        table = parse_table(asked.definition.table)
    except WireError:
        return None
    return table.to_sql() if table in services.policy.tables else None
