"""A shape request as it came in, whoever read it from the socket; nothing of it is believed yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.electric import Chunk
    from shapegate_proxy.errors import Refused
    from shapegate_proxy.printed_head import ClientHead


@dataclass(slots=True, kw_only=True, eq=False)
class Incoming:
    """One request to one of the paths of shapes."""

    method: str
    target: str
    """The request target, character for character."""
    org: str | None
    """The organization that the path names; None for a path that leaves it to the token."""
    values: Callable[[str], Sequence[str]] = field(repr=False)
    """All values of a header, by its name in lower case, in their order."""
    query: Callable[[], Iterable[tuple[str, str]]] = field(repr=False)
    """The decoded parameters of the target, in their order."""
    read_body: Callable[[], Awaitable[bytes | None]]
    """Reads the whole body; None if there is none. Raises a Refused."""
    peer: Callable[[], str | None]
    """Says the address of the other end of the connection."""
    http_1_1: bool = True
    head: bytes | None = field(default=None, repr=False)
    """As it came, if that is all that it is made of."""
    admission: Admission | None = None
    """What was found out when the same head came before; it may not hold any more."""

    def forget(self) -> None:
        """Let go of the head and what it says, which nobody needs while Electric is asked, which may last."""
        self.values, self.query, self.head = _none, _none, None


def _none(*_: str) -> Sequence[Any]:
    return ()


class Responder(Protocol):
    """Where the answer to one request goes: either one refusal, or a head, its body and its end."""

    def known(self) -> None:
        """Take note that the caller proved who they are: until then others come first."""

    async def begin(self, status: int, head: ClientHead, *, request_id: str) -> None:
        """Take the head of an answer; it leaves with the first bytes of the body, or by `flush`.

        The caller gives what depends on the answer; CORS, `vary`, the id and the date come by themselves.
        """

    async def answer(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        """Send a whole answer, instead of `begin` and what follows it."""

    def at_once(self) -> bool:
        """Say whether something may be sent `now`: nothing that was sent before waits to be taken."""

    def answer_now(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        """Send a whole answer as `answer` does, without waiting for its reader."""

    def write_now(self, chunk: Chunk) -> None:
        """Send a piece of the body as `write` does, without waiting for its reader; only if `at_once`."""

    async def flush(self) -> None:
        """Send what was taken so far."""

    async def write(self, chunk: Chunk, *, more: bool) -> None:
        """Take a piece of the body; waits while the client takes nothing.

        `more` says that the next piece is there already, so that small ones leave together. Raises
        ConnectionError if the client is gone.
        """

    async def end(self) -> None:
        """Send what was taken, and the end of the body."""

    def break_off(self) -> None:
        """End the connection in the middle of an answer, so that nobody takes it for complete."""

    async def refuse(self, refused: Refused, *, request_id: str) -> int:
        """Answer by a refusal; `begin` was not called. Returns the bytes of its body."""


class Ground(Protocol):
    """The connection that a request came on, which may go on without a task at first."""

    def at_once(self) -> bool:
        """Say whether something may be sent `now`; see `Responder`."""

    def answer_now(
        self, status: int, head: ClientHead, body: Chunk, origin: str | None, request_id: str
    ) -> None:
        """Send a whole answer; `origin` is the page that asks, if it may read the answer."""

    def responder(self, origin: str | None) -> Responder:
        """Make who answers the request by more than that."""

    def landed(self) -> None:
        """Take note that the request is answered."""

    def take_over(self, answering: Callable[[], Awaitable[None]]) -> None:
        """Answer the request in a task."""


class UnderWay(Protocol):
    """A request under way that has no task yet."""

    def take_task(self) -> None:
        """Go on in a task; may be called again."""

    def leave(self) -> None:
        """End it, unless it is over or a task works on it: the client went away."""
