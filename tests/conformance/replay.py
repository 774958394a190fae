"""Plays a recording to a server, step by step, and tells how each answer differs."""

from __future__ import annotations

import asyncio
import gzip
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from tests.conformance.compare import Difference, differences
from tests.conformance.correspondence import Correspondence
from tests.conformance.recording import (
    RECORDED_SECRET,
    Exchange,
    Outage,
    Recording,
    Request,
    Response,
    Sql,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.servers import Server

_EVENTS: Final = "text/event-stream"
_UP_TO_DATE: Final = b'"up-to-date"'
# Only what was recorded is sent.
_NOT_BY_ITSELF: Final = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One exchange, and how the answer differed from the recorded one."""

    exchange: Exchange
    differences: tuple[Difference, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """Where it differed."""
        return tuple(difference.place for difference in self.differences)

    def __str__(self) -> str:
        return "\n    ".join((str(self.exchange), *map(str, self.differences)))


async def replay(recording: Recording, server: Server) -> tuple[Outcome, ...]:
    """Run all steps in order; SQL right before a live request runs while the server holds that."""
    pairs = Correspondence()
    pending: list[Sql] = []
    outcomes: list[Outcome] = []
    connection = _Connection(server.url)
    try:
        for step in recording.steps:
            match step:
                case Sql():
                    pending.append(step)
                case Outage():
                    await server.outage(step)
                case Exchange():
                    request = _request(step.request, recording, server, pairs)
                    if step.times > 1 or step.response is None:
                        await _run(server, pending)
                        found = await asyncio.to_thread(_repeated, step, request, connection, pairs)
                    else:
                        found = await _exchanged(step, request, server, pending, pairs)
                    pending.clear()
                    outcomes.append(Outcome(exchange=step, differences=found))
                case _:
                    assert_never(step)
    finally:
        connection.close()
    return tuple(outcomes)


def _request(recorded: Request, recording: Recording, server: Server, pairs: Correspondence) -> Request:
    target = pairs.target(recorded.target)
    if server.secret is not None and recording.needs_secret:
        target = target.replace(f"secret={RECORDED_SECRET}", f"secret={server.secret}")
    elif server.secret is not None and target.startswith("/v1/shape"):
        target += f"{'&' if '?' in target else '?'}secret={server.secret}"
    sent = dict(recorded.headers)
    if "if-none-match" in sent:
        sent["if-none-match"] = pairs.if_none_match(sent["if-none-match"])
    return Request(method=recorded.method, target=target, headers=sent, body=recorded.body)


async def _run(server: Server, pending: Sequence[Sql]) -> None:
    for sql in pending:
        await server.run(sql.text)


async def _exchanged(
    step: Exchange, request: Request, server: Server, pending: Sequence[Sql], pairs: Correspondence
) -> tuple[Difference, ...]:
    try:
        async with asyncio.timeout(server.answer_seconds_max):
            if request.live and step.response is not None and step.response.status != 400:
                if "live_sse=true" in request.target:
                    seen = await _streamed(request, server, pending)
                else:
                    seen = await _held(request, server, pending)
            else:
                await _run(server, pending)
                seen = await _asked(request, server)
    except (TimeoutError, aiohttp.ClientError) as exc:
        return (Difference(place=f"no answer ({type(exc).__name__})", expected="an answer", seen=str(exc)),)
    return differences(step, seen, pairs)


async def _held(request: Request, server: Server, pending: Sequence[Sql]) -> Response:
    task = asyncio.create_task(_asked(request, server))
    try:
        await server.until_held(task)
        await _run(server, pending)
        return await task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _asked(request: Request, server: Server) -> Response:
    async with _session() as session, _sent(session, request, server) as response:
        return _response(response, await response.read())


async def _streamed(request: Request, server: Server, pending: Sequence[Sql]) -> Response:
    """Follow a stream to its end; each transaction runs once the one before has arrived."""
    async with _session() as session, _sent(session, request, server) as response:
        body = b""
        for sql in pending:
            before = body.count(_UP_TO_DATE)
            await server.run(sql.text)
            while sql is not pending[-1] and body.count(_UP_TO_DATE) == before:
                data = await response.content.readany()
                if not data:
                    break
                body += data
        return _response(response, body + await response.read())


def _session() -> aiohttp.ClientSession:
    """Make a session for one request: a real server closes a connection that has served fifty."""
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(
        auto_decompress=False, skip_auto_headers=_NOT_BY_ITSELF, timeout=timeout, read_bufsize=1 << 20
    )


def _sent(
    session: aiohttp.ClientSession, request: Request, server: Server
) -> aiohttp.client._RequestContextManager:
    return session.request(
        request.method,
        URL(server.url + request.target, encoded=True),
        headers=request.headers,
        data=request.body,
        allow_redirects=False,
    )


def _response(response: aiohttp.ClientResponse, body: bytes) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(status=response.status, headers=headers, body=_decoded(headers, body))


def _decoded(headers: dict[str, str], body: bytes) -> str:
    plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" and body else body
    return plain.decode()


class _Connection:
    """One connection that is never opened a second time; blocking."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._open = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        self._connected = False

    def ask(self, request: Request) -> Response:
        """Send a request on the connection. Raises OSError or HTTPException if it is closed."""
        if not self._connected:
            self._open.connect()
            self._open.auto_open = 0
            self._connected = True
        self._open.putrequest(request.method, request.target, skip_accept_encoding=True)
        for name, value in request.headers.items():
            self._open.putheader(name, value)
        self._open.endheaders()
        response = self._open.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(status=response.status, headers=headers, body=_decoded(headers, response.read()))

    def close(self) -> None:
        self._open.close()


def _repeated(
    step: Exchange, request: Request, connection: _Connection, pairs: Correspondence
) -> tuple[Difference, ...]:
    """Ask the same on one connection as often as recorded; each answer has to be the recorded one."""
    found: dict[str, Difference] = {}
    for number in range(1, step.times + 1):
        try:
            seen = connection.ask(request)
        except (OSError, http.client.HTTPException) as exc:
            if step.response is not None:
                place = f"closed at request {number}"
                return (Difference(place=place, expected="an answer", seen=type(exc).__name__),)
            return ()
        if step.response is None:
            return (Difference(place="answered", expected="a closed connection", seen=str(seen.status)),)
        found |= {difference.place: difference for difference in differences(step, seen, pairs)}
    return tuple(found.values())
