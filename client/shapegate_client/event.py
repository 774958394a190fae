"""What can come back for a shape request, read from status, headers and body. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_wire import names
from shapegate_wire.errors import MalformedResponse, MissingHeaders
from shapegate_wire.head import ResponseHead, parse_head
from shapegate_wire.message import Message, parse_body

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_CHARS_MAX: Final = 300
"""As much of a peer's explanation as is shown."""

_TRANSIENT: Final = frozenset({408, 429})
_OUT_OF_BOUNDS: Final = b"out of bounds for this shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A complete 200 of a log."""

    head: ResponseHead
    messages: tuple[Message, ...]


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
    """A 200 that is no log."""

    reason: str


@dataclass(frozen=True, slots=True)
class HeadersLost:
    """A 200 without headers that it must have."""

    names: tuple[str, ...]


Event = (
    Answered | NoContent | Conflict | OutOfBounds | Unauthorized | Rejected | Failed | Malformed | HeadersLost
)


def read_event(
    status: int, headers: Mapping[str, str], body: bytes, *, live: bool, retry_after: float | None
) -> Event:
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
    if 300 <= status < 400:
        message = "it redirects, and redirects are not followed: expected the address of the proxy itself"
    return Rejected(status=status, code=code or "refused", message=message or "no explanation was given")


def _read_log(headers: Mapping[str, str], body: bytes, *, live: bool) -> Event:
    try:
        head = parse_head(headers, live=live)
        return Answered(head=head, messages=parse_body(msgspec.json.decode(body)))
    except MissingHeaders as exc:
        return HeadersLost(exc.names)
    except MalformedResponse as exc:
        return Malformed(str(exc))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Malformed("the body is not JSON")


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
