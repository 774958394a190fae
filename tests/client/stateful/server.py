"""A gate and its Electric with the logs of random histories, on a real socket, and faults on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from aiohttp import web

from shapegate_wire.offset import Offset, parse_offset
from tests.client.stateful.faults import (
    Busy,
    Cached,
    Cut,
    Dribble,
    Forbidden,
    OutOfBounds,
    Rotate,
    Spoil,
    Stall,
    Unauthorized,
)
from tests.client.stateful.reply import Reply, gone, log_reply, out_of_bounds, refusal, spoilt, up_to_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.client.stateful.faults import Fault
    from tests.client.stateful.shape_log import Log, Message, Page
    from tests.client.stateful.world import Org

POLL_SECONDS: Final = 20.0
STREAM_SECONDS: Final = 60.0
KEEP_ALIVE_SECONDS: Final = 21.0
_PAST_CACHES: Final = ("cache-buster", "expired_handle")


@dataclass(slots=True)
class Wire:
    """What the network lets through of one answer's body."""

    response: web.StreamResponse
    request: web.Request
    fault: Fault | None
    whole_bytes: int
    sent: int = 0

    async def write(self, content: bytes) -> None:
        match self.fault:
            case Cut(at=at) | Stall(at=at) if self.sent + len(content) >= (
                most := int(at * self.whole_bytes)
            ):
                await self.response.write(content[: most - self.sent])
                await self._end()
            case Dribble():
                for byte in content:
                    await self.response.write(bytes([byte]))
            case _:
                await self.response.write(content)
        self.sent += len(content)

    async def _end(self) -> None:
        if isinstance(self.fault, Stall):
            await asyncio.Event().wait()
        await hang_up(self.request)


async def hang_up(request: web.Request) -> None:
    """Break the connection, and do nothing more for this request."""
    if request.transport is not None:
        request.transport.close()
    await asyncio.Event().wait()


@dataclass
class World:
    """The orgs behind the gate and what comes between them and the client."""

    orgs: dict[str, Org]
    faults: deque[Fault | None] = field(default_factory=deque)
    met: list[Fault] = field(default_factory=list)
    """Faults that requests ran into."""
    asked_at: list[float] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    cache: dict[str, Reply] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()


class Server:
    """Serves one world after the other."""

    def __init__(self) -> None:
        self.world = World({})
        self.app = web.Application()
        self.app.router.add_get("/api/electric/orgs/{org}/sync", self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ConnectionResetError:
            await asyncio.Event().wait()  # the reader left while something was written to it
            raise

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        world, org_name = self.world, request.match_info["org"]
        org, query = world.orgs[org_name], request.query
        assert request.headers["authorization"].split("-")[1] == org_name, "the token of another org"
        assert query.get("handle", org_name).startswith(org_name), "the handle of another org"
        world.asked_at.append(asyncio.get_running_loop().time())
        world.asked.append({"org": org_name, **query})
        fault = world.faults.popleft() if world.faults else None
        if fault is not None:
            world.met.append(fault)
        if isinstance(fault, Cut | Stall) and fault.at < 0:
            await (hang_up(request) if isinstance(fault, Cut) else asyncio.Event().wait())
        reply = await _scripted(fault, world, org, query) or await _found(world, org, query)
        if not isinstance(reply, Reply):
            return await _stream(request, world, *reply, fault)
        if isinstance(fault, Spoil):
            reply = spoilt(fault, reply)
        elif reply.status in (200, 409):
            for blunt in (False, True):
                world.cache.setdefault(_url(org, query, blunt=blunt), reply)
        return await _send(request, reply, fault)


async def _scripted(fault: Fault | None, world: World, org: Org, query: Mapping[str, str]) -> Reply | None:
    """Answer as a fault says; None where it says nothing of the answer itself."""
    match fault:
        case Busy(status=status, retry_after=after):
            return refusal(status, {} if after is None else {"retry-after": after})
        case Rotate(handle=named):
            dead = org.log.handle
            org.rotate()
            world.wake()
            if named == "body":
                return log_reply(
                    org.log, [{"headers": {"control": "must-refetch"}}], org.log.end, live="live" in query
                )
            handle = {"new": org.log.handle, "dead": dead}.get(named)
            return gone(handle)
        case OutOfBounds():
            return out_of_bounds()
        case Unauthorized():
            return refusal(401, {})
        case Forbidden():
            return refusal(403, {})
        case Cached(blunt=blunt):
            return world.cache.get(_url(org, query, blunt=blunt))
        case Cut() | Stall() | Dribble() | Spoil() | None:
            return None
        case never:
            assert_never(never)


def _url(org: Org, query: Mapping[str, str], *, blunt: bool) -> str:
    """Name an answer as a cache does: by the whole URL, or by what it believes to matter."""
    pairs = [(name, value) for name, value in query.items() if not (blunt and name in _PAST_CACHES)]
    return json.dumps([blunt, org.name, sorted(pairs)])


async def _found(world: World, org: Org, query: Mapping[str, str]) -> Reply | tuple[Log, Page]:
    """Answer as the server does; a stream is told by its log and what it begins with."""
    after, live = parse_offset(query["offset"]), query.get("live") == "true"
    assert isinstance(after, Offset)
    log = org.log
    if query["offset"] != "-1" and query["handle"] != log.handle:
        return gone(log.handle)
    page = log.page(after)
    if page is None:
        await asyncio.sleep(POLL_SECONDS / 2)
        return out_of_bounds() if not log.retired else gone(None)
    if query.get("live_sse") == "true":
        return log, page
    ends_at = asyncio.get_running_loop().time() + POLL_SECONDS
    while live and not page.messages and not log.retired:
        if not await _news(world, ends_at):
            break
        page = log.page(after)
        assert page is not None
    if live and log.retired:
        return gone(None)
    return log_reply(
        log, list(page.messages), page.offset, live=live, at_end=page.at_end, cursor=query.get("cursor")
    )


async def _news(world: World, until: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await world.moved.wait()
            return True
    return False


async def _send(request: web.Request, reply: Reply, fault: Fault | None) -> web.StreamResponse:
    if not isinstance(fault, Cut | Stall | Dribble):
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await Wire(response, request, fault, len(reply.body)).write(reply.body)
    return response


async def _stream(
    request: web.Request, world: World, log: Log, page: Page, fault: Fault | None
) -> web.StreamResponse:
    """Send what came since as events; whoever lags gets just that, and the stream ends (PROTOCOL 3.6)."""
    headers = dict(log_reply(log, [], page.offset, live=True, at_end=page.at_end).headers)
    response = web.StreamResponse(headers=headers | {"content-type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    wire = Wire(response, request, fault, whole_bytes=600)
    lagging = bool(page.messages)
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS
    while True:
        for message in page.messages:
            await _event(wire, message)
        if page.messages and page.at_end:
            await _event(wire, up_to_date(page.offset.lsn))
        now = asyncio.get_running_loop().time()
        if lagging or log.retired or now >= ends_at:
            return response
        found = log.page(page.offset)
        assert found is not None
        if not found.messages and not await _news(world, min(ends_at, now + KEEP_ALIVE_SECONDS)):
            await wire.write(b": keep-alive\n\n")
        page = found


async def _event(wire: Wire, message: Message) -> None:
    for piece in (b"data: ", json.dumps(message).encode(), b"\n\n"):
        await wire.write(piece)
