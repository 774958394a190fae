"""What can happen to the sync of a shape: answers to its requests, and news of an open stream.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_client.decode import LogItem, read_again, read_log
from shapegate_wire import names
from shapegate_wire.errors import MalformedResponse, MissingHeaders
from shapegate_wire.head import ResponseHead, parse_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.message import Message

MESSAGE_CHARS_MAX: Final = 300
"""As much of a peer's explanation as is shown."""

_TRANSIENT: Final = frozenset({408, 429})
_OUT_OF_BOUNDS: Final = b"out of bounds for this shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A complete 200 of a log."""

    head: ResponseHead
    messages: tuple[LogItem, ...]


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The head of a 200 whose body is a stream of events."""

    head: ResponseHead


@dataclass(frozen=True, slots=True)
class NoContent:
    """A 204: up to date."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A 409: the log is gone; `handle` is its successor's, if the answer names it."""

    handle: str | None


@dataclass(frozen=True, slots=True)
class OutOfBounds:
    """A 400 for an offset that the log does not reach."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """A 401: the token is not, or no longer, accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A refusal that asking again does not change."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No answer, a cut answer, or one that says: later."""

    reason: str
    retry_after: float | None = None
    """The least wait in seconds that the peer asked for."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A 200 that is no log, or something on a stream that is no message."""

    reason: str


@dataclass(frozen=True, slots=True)
class HeadersLost:
    """A 200 without headers that it must have."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Woken:
    """The machine slept meanwhile: what was under way may be dead without a sign of it."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Messages of a stream, in order: up to an up-to-date or must-refetch, or a part of the way there."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class KeptAlive:
    """A comment between two messages of a stream: its peer lives and has had nothing to say."""


class Ending(enum.Enum):
    """How a stream ends."""

    CLOSED = "closed"
    """In good order: by the server, or because it had lasted long enough."""
    CUT = "cut"
    SILENT = "silent"
    """Not even a keep-alive came any more."""


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """Nothing more comes from this stream."""

    ending: Ending
    half_received: bool = False
    """Whether messages had come without their up-to-date; they are lost."""


Answer = (
    Answered
    | StreamOpened
    | NoContent
    | Conflict
    | OutOfBounds
    | Unauthorized
    | Rejected
    | Failed
    | Malformed
    | HeadersLost
    | Woken
)
"""What can come of a request."""
News = Arrived | KeptAlive | StreamEnded | Malformed | Woken
"""What can come of an open stream."""
Event = Answer | News


def read_event(
    status: int, headers: Mapping[str, str], body: bytes, *, live: bool, retry_after: float | None
) -> Answer:
    """Say what an answer is; `headers` looks names up without regard to case."""
    if status == 200:
        return _read_log(headers, body, live=live)
    if status == 204:
        return NoContent()
    if status == 409:
        # The body is ignored: an intermediary may have replaced it (REQUIREMENTS C-13).
        return Conflict(headers.get(names.ELECTRIC_HANDLE) or None)
    if status == 401:
        return Unauthorized()
    code, message = _read_refusal(body)
    if status >= 500 or status in _TRANSIENT:
        return Failed(reason=f"it answered {status} {code}".rstrip(), retry_after=retry_after)
    if status == 400 and _OUT_OF_BOUNDS in body:
        return OutOfBounds()
    if status == 304:
        return Malformed("a 304 came for a request that was not conditional")
    if 300 <= status < 400:
        message = "it redirects, and redirects are not followed: expected the address of the proxy itself"
    return Rejected(status=status, code=code or "refused", message=message or "no explanation was given")


def read_strictly(answer: Answered) -> Answered | Malformed:
    """Say what an answer is of which something was misread."""
    try:
        return replace(answer, messages=read_again(answer.messages))
    except MalformedResponse as exc:
        return Malformed(str(exc))


def read_opening(headers: Mapping[str, str]) -> StreamOpened | Malformed | HeadersLost:
    """Say what the head of an event stream is; it has the headers of a live answer."""
    try:
        return StreamOpened(parse_head(headers, live=True))
    except MissingHeaders as exc:
        return HeadersLost(exc.names)
    except MalformedResponse as exc:
        return Malformed(str(exc))


def _read_log(headers: Mapping[str, str], body: bytes, *, live: bool) -> Answer:
    try:
        head = parse_head(headers, live=live)
        return Answered(head=head, messages=read_log(body, head.schema))
    except MissingHeaders as exc:
        return HeadersLost(exc.names)
    except MalformedResponse as exc:
        return Malformed(str(exc))


def _read_refusal(body: bytes) -> tuple[str, str]:
    """Read code and message of an error body; empty where it has none."""
    try:
        loaded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not isinstance(loaded, dict):
        return "", ""
    code, message, errors = loaded.get("code"), loaded.get("message"), loaded.get("errors")
    details = f" ({_printable(str(errors))})" if errors else ""
    return _printable(code), _printable(message) + details


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:MESSAGE_CHARS_MAX])
