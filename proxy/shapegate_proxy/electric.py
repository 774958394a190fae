"""Electric as the gate sees it: one request out, one answer back, streamed.

This is the port and what holds for everyone behind it; `electric_http` speaks to a real one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shapegate_proxy.upstream import UpstreamRequest


Chunk: TypeAlias = bytes | memoryview
"""A piece of a body; it does not change later."""

Deliver: TypeAlias = "Callable[[UpstreamAnswer], None]"
"""Takes an answer that is all there, or leaves it to whoever asked; see `UpstreamClient.ask`."""

Sink: TypeAlias = "Callable[[Chunk], bool]"
"""Takes a piece of a body at once, or says that it does not; it must not raise and must not wait."""

VERSION_MIN: Final = (1, 7, 12)
"""Earlier ones check their secret on some spellings of the path only (REQUIREMENTS S-01, PROTOCOL 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectricTimeouts:
    """How long Electric may keep silent, by kind of request; a body that flows has no bound (P-27)."""

    connect_seconds: float = 3.0
    catch_up_seconds: float = 60.0
    """Electric takes 10 s over an offset that is out of bounds, and longer to begin a large snapshot."""
    live_seconds: float = 30.0
    """Electric answers a long poll within 20 s, and within 5 s more while its database is away."""
    stream_seconds: float = 70.0
    """Electric ends an event stream after 60 s, and says in it each 21 s that it lives."""
    health_seconds: float = 5.0
    idle_seconds: float = 30.0
    """How long an unused connection is kept; Electric closes it after 60 s (REQUIREMENTS P-26)."""

    def silence_seconds(self, request: UpstreamRequest) -> float:
        """Say how long the head, or the next bytes of the body, may take."""
        if request.sse:
            return self.stream_seconds
        return self.live_seconds if request.live else self.catch_up_seconds


class ElectricState(Enum):
    """What Electric says of itself (PROTOCOL 7)."""

    ACTIVE = "active"
    STARTING = "starting"
    """It has no connection to its database, or not yet."""
    WAITING = "waiting"
    """Another Electric holds the lock; this one serves old shapes only."""
    OUTDATED = "outdated"
    """Its version is below `VERSION_MIN`."""
    UNREACHABLE = "unreachable"
    """It says nothing, or what no Electric says."""

    @property
    def ready(self) -> bool:
        """Whether shapes can be asked for; 202 is alive, but not ready (REQUIREMENTS P-47)."""
        return self is ElectricState.ACTIVE


_VERSION: Final = re.compile(r"ElectricSQL/([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})", re.ASCII)


def read_state(status: int, server: str, body: bytes) -> ElectricState:
    """Read an answer of `/v1/health` and its header `electric-server`.

    A server that does not say to be Electric in some version is taken at its word: a development server has
    versions of its own.
    """
    version = _VERSION.match(server)
    if version is not None and tuple(map(int, version.groups())) < VERSION_MIN:
        return ElectricState.OUTDATED
    if status == 200:
        return ElectricState.ACTIVE
    if status != 202:
        return ElectricState.UNREACHABLE
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    return ElectricState.WAITING if said == {"status": "waiting"} else ElectricState.STARTING


class UpstreamAnswer(Protocol):
    """The answer to one request; whoever got it closes it."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case; of one that came twice, the first."""

    @property
    def framed(self) -> bool:
        """Whether the end of the body shows in one way only, so that a cut one is noticed."""

    @property
    def ready(self) -> bool:
        """Whether `next` has something to return, or to raise, without waiting."""

    def take_whole(self) -> Chunk | None:
        """Take the whole body before anything was taken, if all of it is there; else take nothing."""

    def pour(self, sink: Sink) -> None:
        """Offer each piece to `sink` that comes while `next` is waited for; `next` returns what it left.

        So nobody has to be woken for it. Whoever has no use of it ignores it.
        """

    async def next(self) -> Chunk:
        """Wait for the next bytes of the body; none are its end, also when asked again.

        Nothing is read ahead beyond a small buffer: who takes the bytes slowly slows Electric.
        Raises UpstreamFault or UpstreamTimeout if the body is cut short.
        """

    def close(self) -> None:
        """Take nothing more; before the end this ends the request at Electric. May be called again."""


class Watcher(Protocol):
    """Who began a request without a task; one of the two is called, once, and may not raise."""

    def deliver(self, answer: UpstreamAnswer) -> None:
        """Take the answer, all of which is there, and close it."""

    def stuck(self) -> None:
        """Take note that something else came of it, which `Begun.answer` tells."""


class Begun(Protocol):
    """A request that is under way without a task that waits for it; see `UpstreamClient.begin`."""

    def watch(self, watcher: Watcher) -> None:
        """Say whom to tell what becomes of it; before the event loop goes on, by whoever began the request.

        Who watches is called, but never within this call, unless who asked took it in hand before: `answer`
        does with its first step, not when a task is made of it. Whoever is not called soon asks for the
        `answer`: until then nothing bounds how long Electric keeps silent.
        """

    async def answer(self) -> UpstreamAnswer:
        """Wait for the head of the answer as `ask` does; nobody is called any more. At most once."""

    def leave(self) -> None:
        """End it at Electric, unless its answer is all there: nobody wants it. Nobody is called any more."""


class UpstreamClient(Protocol):
    """Whoever brings a request to Electric."""

    def begin(self, request: UpstreamRequest) -> Begun | None:
        """Send it now; None, and nothing is done, if that has to be waited for: `ask` does."""

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        """Send it and wait for the head of its answer, which the caller has to close.

        `deliver` may be called before with an answer that is all there, at the moment it is: so nobody who
        waits for it has to be woken first. It must not raise, and is not called once the caller is cancelled.
        Cancelled meanwhile, the request ends at Electric too. Raises UpstreamFault or UpstreamTimeout.
        """

    async def state(self) -> ElectricState:
        """Ask how Electric is; never raises."""

    async def close(self) -> None:
        """Close every connection."""
