"""Electric's answer, streamed to the client with the gate's own headers.

A body that is cut short is never well terminated (SECURITY W-01); what is not a 200, 304 or 409 is replaced
by an answer of the gate (PROTOCOL 6, REQUIREMENTS P-30 to P-45).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.allowed_headers import client_head
from shapegate_proxy.errors import (
    OffsetOutOfBounds,
    Refused,
    UpstreamBusy,
    UpstreamFault,
    UpstreamRefusedRequest,
    UpstreamRefusedSecret,
)
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.electric import Chunk, UpstreamAnswer, UpstreamClient
    from shapegate_proxy.incoming import Responder
    from shapegate_proxy.printed_head import ClientHead
    from shapegate_proxy.upstream import UpstreamRequest

SHOWN: Final = frozenset({200, 304, 409})
"""What of Electric's statuses a client sees; the others become answers of the gate."""
ERROR_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_SECONDS_MAX: Final = 300
RETRY_AFTER_SECONDS_DEFAULT: Final = 5


@dataclass(slots=True)
class Progress:
    """How far an answer has come; kept by the caller, so that it is known after a fault too."""

    status: int | None = None
    """Set when its head was given to the responder: from then on a fault can only break the answer off."""
    head_at: float | None = None
    """When that was, on the monotonic clock."""
    body_bytes: int = 0
    between_events: bool = False
    """Whether it is an event stream that could end here, as Electric ends one (PROTOCOL 3.6)."""
    delivered: bool = False
    """Whether the whole answer was sent before whoever waits for it was woken."""
    aborted: bool = False

    def begin(self, status: int) -> None:
        """Take note that the head is given to the responder now."""
        self.status, self.head_at = status, time.monotonic()

    def deliver(self, status: int, body_bytes: int) -> None:
        """Take note that the whole answer was sent, before anybody who waits for it was woken."""
        self.begin(status)
        self.body_bytes, self.delivered = body_bytes, True


async def relay(
    client: UpstreamClient,
    built: UpstreamRequest,
    responder: Responder,
    *,
    request_id: str,
    org_in_url: bool,
    progress: Progress,
) -> None:
    """Bring one request to Electric and its answer back.

    Chunks pass as they come, and none is read before the last was taken (SECURITY I-22, REQUIREMENTS P-41).
    Raises a Refused; once `progress` has a status, the caller has to break the answer off.
    """

    def deliver(answer: UpstreamAnswer) -> None:
        head = head_to_send(built, answer, org_in_url) if responder.at_once() else None
        body = None if head is None else answer.take_whole()
        if head is not None and body is not None:
            responder.answer_now(answer.status, head, body, request_id=request_id)
            progress.deliver(answer.status, len(body))

    answer = await client.ask(built, deliver)
    await relay_answer(
        built, answer, responder, request_id=request_id, org_in_url=org_in_url, progress=progress
    )


def head_to_send(built: UpstreamRequest, answer: UpstreamAnswer, org_in_url: bool) -> ClientHead | None:
    """Choose what the client gets of the head of an answer; None if `relay_answer` has to."""
    status = answer.status
    try:
        if status == 200 and answer.framed:
            return client_head(status, answer.headers, org_in_url, built.sse)
        return _head(built, answer, org_in_url=org_in_url) if status in SHOWN else None
    except Refused:
        return None


async def relay_answer(
    built: UpstreamRequest,
    answer: UpstreamAnswer,
    responder: Responder,
    *,
    request_id: str,
    org_in_url: bool,
    progress: Progress,
) -> None:
    """Bring an answer to the client, and close it. Raises as `relay`."""
    try:
        if progress.delivered:
            return
        if answer.status not in SHOWN:
            raise await _refusal(answer)
        head = _head(built, answer, org_in_url=org_in_url)
        progress.begin(answer.status)
        body = answer.take_whole()
        if body is not None:
            await responder.answer(answer.status, head, body, request_id=request_id)
            progress.body_bytes = len(body)
            return
        await responder.begin(answer.status, head, request_id=request_id)
        if not answer.ready:
            await responder.flush()
        answer.pour(_Pouring(responder, progress, sse=built.sse).pour)
        while chunk := await answer.next():
            progress.between_events = False
            await responder.write(chunk, more=answer.ready)
            progress.body_bytes += len(chunk)
            progress.between_events = built.sse and chunk[-2:] == b"\n\n"
        await responder.end()
    finally:
        answer.close()


class _Pouring:
    """The rest of a body, as it comes while somebody waits for it."""

    __slots__ = ("_progress", "_responder", "_sse")

    def __init__(self, responder: Responder, progress: Progress, *, sse: bool) -> None:
        self._responder = responder
        self._progress = progress
        self._sse = sse

    def pour(self, chunk: Chunk) -> bool:
        """Send a piece at the moment it comes, if the reader took all before."""
        responder, progress = self._responder, self._progress
        if not responder.at_once():
            return False
        responder.write_now(chunk)
        progress.body_bytes += len(chunk)
        progress.between_events = self._sse and chunk[-2:] == b"\n\n"
        return True


def _head(built: UpstreamRequest, answer: UpstreamAnswer, *, org_in_url: bool) -> ClientHead:
    """Choose what the client gets of the head of an answer that may be shown. Raises UpstreamFault."""
    if answer.status == 304 and not _is_conditional(built):
        raise UpstreamFault("Electric answered 304 to a request that was not conditional")
    if not answer.framed and built.method != "HEAD" and answer.status != 304:
        raise UpstreamFault("Electric's answer does not say its end, or says it twice")
    return client_head(answer.status, answer.headers, org_in_url, built.sse)


def _is_conditional(built: UpstreamRequest) -> bool:
    return any(name == "if-none-match" for name, _ in built.headers)


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
    """Keep a sane Retry-After and the mark of a known error.

    Electric writes seconds (PROTOCOL 2.1); a date is somebody else's, and counts as none.
    """
    text = headers.get(names.RETRY_AFTER, "")
    seconds = RETRY_AFTER_SECONDS_DEFAULT
    if text.isascii() and text.isdecimal():
        seconds = min(max(int(text[:10]), 1), RETRY_AFTER_SECONDS_MAX)
    kept = {names.RETRY_AFTER: str(seconds)}
    if headers.get(names.ELECTRIC_KNOWN_ERROR) == "true":
        kept[names.ELECTRIC_KNOWN_ERROR] = "true"
    return kept


async def _body(answer: UpstreamAnswer) -> bytes:
    body = b""
    while chunk := await answer.next():
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
