"""What the gate says of its work: past facts, without a token, a secret, a filter value or a row."""

from __future__ import annotations

import hashlib
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from shapegate_proxy.logs import LogEvent

if TYPE_CHECKING:
    from shapegate_wire.request import ShapeRequest


class Decision(StrEnum):
    """What became of a request."""

    SERVED = "served"
    REFUSED = "refused"
    CUT = "cut"
    """Broken off by the gate when its answer was under way; the code says why."""
    GONE = "gone"
    """The client went away before the end."""


class Kind(StrEnum):
    """What a shape request is after."""

    INITIAL = "initial"
    CATCH_UP = "catch_up"
    LIVE = "live"
    SSE = "sse"
    SUBSET = "subset"


def kind_of(asked: ShapeRequest) -> Kind:
    """Name the kind of a request."""
    if asked.subset is not None:
        return Kind.SUBSET
    if asked.live:
        return Kind.SSE if asked.live_sse else Kind.LIVE
    return Kind.INITIAL if asked.handle is None else Kind.CATCH_UP


class ShapeServed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One shape request was answered, refused or broken off.

    A struct, since one is made for every request: a frozen dataclass takes six times as long to make.
    """

    request_id: str
    method: str
    decision: Decision
    status: int
    """499 if there was no answer."""
    code: str
    """`served`, `gone`, or the code of the refusal."""
    org: str | None
    user: str | None
    """The token's user; a name that holds an address is told by its hash."""
    table: str | None
    """As the policy names it; None if the policy does not name what was asked."""
    kind: Kind | None
    """None if the request could not be read."""
    offset: str | None
    handle: str | None
    live: bool
    body_bytes: int
    first_byte_seconds: float | None
    """Until the head of the answer was sent; None if none was."""
    seconds: float


class Observer(Protocol):
    """Who is told."""

    def served(self, event: ShapeServed) -> None:
        """Take note of one answered request; must not raise and must not wait."""


class Observers:
    """Tells several observers, in order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def served(self, event: ShapeServed) -> None:
        """Pass the event on."""
        for observer in self._observers:
            observer.served(event)


class LogObserver:
    """Writes one line per request to the log `shapegate.proxy`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("shapegate.proxy")

    def served(self, event: ShapeServed) -> None:
        """Write the event."""
        if self._log.isEnabledFor(logging.INFO):  # what nobody reads is not made
            self._log.info(LogEvent(name="shape_served", fields=msgspec.structs.asdict(event)))


def loggable_user(user: str) -> str:
    """Return a user's id as logs may hold it: an e-mail address is replaced by a hash of it."""
    if "@" not in user:
        return user
    return "hash:" + hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
