"""A client to Electric that answers when and what the test says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

from shapegate_proxy.electric import ElectricState
from shapegate_proxy.upstream import UpstreamRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.electric import Chunk, Deliver, Sink, UpstreamAnswer, UpstreamClient, Watcher

KEPT_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "public, max-age=60, stale-while-revalidate=300",
    "electric-handle": "h-1",
    "electric-offset": "0_0",
}


def request(
    query: str = "offset=-1",
    *,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (("accept", "application/json"),),
    body: bytes | None = None,
) -> UpstreamRequest:
    """A request for a part of one shape's log."""
    return UpstreamRequest(
        method=method,
        url=URL(f"http://electric/v1/shape?table=items&where=x&params[1]=acme&{query}"),
        headers=headers,
        body=body,
        live="live=true" in query,
        sse="live_sse=true" in query,
    )


async def ticks(count: int = 6) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass(eq=False)
class ScriptedAnswer:
    """An answer whose body the test sends; `taken` counts the chunks that were asked for."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(KEPT_HEADERS))
    framed: bool = True
    taken: int = 0
    closed: bool = False
    whole: bytes | None = None
    """The body, if all of it is there before anything is asked for."""
    _pieces: list[bytes | Exception] = field(default_factory=list)
    _sink: Sink | None = None
    _waiter: asyncio.Future[None] | None = None

    def send(self, *pieces: bytes | Exception) -> ScriptedAnswer:
        """Send bytes; none are the end, and an exception breaks the body off."""
        for piece in pieces:
            if self._offered(piece):
                continue
            self._pieces.append(piece)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        return self

    def _offered(self, piece: bytes | Exception) -> bool:
        if self._waiter is None or self._waiter.done():  # Nobody waits, or who does is cancelled.
            return False
        if self._sink is None or self._pieces or not isinstance(piece, bytes) or not piece:
            return False
        return self._sink(piece)

    @property
    def ready(self) -> bool:
        return bool(self._pieces) or self.whole is not None

    def take_whole(self) -> Chunk | None:
        whole, self.whole = self.whole, None
        if whole is not None:
            self.taken += 1
            self._pieces = [b""]
        return whole

    def pour(self, sink: Sink) -> None:
        self._sink = sink

    async def next(self) -> Chunk:
        if self.whole:
            return self.take_whole() or b""
        while not self._pieces and self.whole is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces[0] if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        if piece:
            self._pieces.pop(0)
            self.taken += 1
        return piece

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class Asked:
    """One request that reached the client, and what it gets."""

    request: UpstreamRequest
    outcome: asyncio.Future[ScriptedAnswer]
    cancelled: bool = False

    def answer(self, *pieces: bytes | Exception, **changes: object) -> ScriptedAnswer:
        """Answer it, with so much of the body."""
        answer = ScriptedAnswer(**changes).send(*pieces)  # type: ignore[arg-type]  # fields by name
        self.outcome.set_result(answer)
        return answer


@dataclass(eq=False)
class ScriptedBegun:
    """One request that was begun: the test calls `deliver`, or `stick` and answers then."""

    asked: Asked
    _watcher: Watcher | None = None
    taken_in_hand: bool = False
    """Whether somebody waits for the answer."""
    left: bool = False
    stuck: bool = False

    def watch(self, watcher: Watcher) -> None:
        """Call it once."""
        self._watcher = watcher

    def deliver(self, body: bytes, **changes: object) -> ScriptedAnswer:
        """Give an answer that is all there to whoever is called, or else to whoever waits."""
        answer = ScriptedAnswer(whole=body, **changes)  # type: ignore[arg-type]  # fields by name
        watcher, self._watcher = self._watcher, None
        if not self.asked.outcome.done():
            self.asked.outcome.set_result(answer)
        if watcher is not None:
            watcher.deliver(answer)
        return answer

    def stick(self) -> None:
        """Say that it has to be waited for."""
        watcher, self._watcher, self.stuck = self._watcher, None, True
        if watcher is not None:
            watcher.stuck()

    async def answer(self) -> UpstreamAnswer:
        assert not self.taken_in_hand
        self.taken_in_hand, self._watcher = True, None
        try:
            return await self.asked.outcome
        except asyncio.CancelledError:
            self.asked.cancelled = True
            raise

    def leave(self) -> None:
        self.left, self._watcher = True, None
        if not self.asked.outcome.done():
            self.asked.cancelled = True
        elif not self.asked.outcome.cancelled() and self.asked.outcome.exception() is None:
            self.asked.outcome.result().close()


@dataclass(eq=False)
class ScriptedClient:
    """Remembers what it was asked."""

    asked: list[Asked] = field(default_factory=list)
    closed: bool = False
    begun: list[ScriptedBegun] | None = None
    """What was begun; without it everybody has to ask."""

    def begin(self, request: UpstreamRequest) -> ScriptedBegun | None:
        if self.begun is None:
            return None
        asked = Asked(request, asyncio.get_running_loop().create_future())
        self.asked.append(asked)
        self.begun.append(ScriptedBegun(asked))
        return self.begun[-1]

    async def ask(self, request: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        asked = Asked(request, asyncio.get_running_loop().create_future())
        self.asked.append(asked)
        try:
            return await asked.outcome
        except asyncio.CancelledError:
            asked.cancelled = True
            raise

    async def state(self) -> ElectricState:
        return ElectricState.WAITING

    async def close(self) -> None:
        self.closed = True


async def body_of(answer: UpstreamAnswer) -> bytes:
    """Take the rest of a body and close it."""
    body = bytearray()
    try:
        while chunk := await answer.next():
            body += chunk
    finally:
        answer.close()
    return bytes(body)


async def fetch(client: UpstreamClient, asked: UpstreamRequest) -> tuple[int, bytes]:
    """Ask and take the whole answer."""
    answer = await client.ask(asked)
    return answer.status, await body_of(answer)
