"""The answer that is asked for before its turn, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from yarl import URL

from shapegate_client import Session, ShapeDefinition
from shapegate_client.backoff import REQUESTS_AT_ONCE_MAX
from shapegate_client.config import ClientSettings
from shapegate_client.event import Answered, Failed
from shapegate_client.prefetch import AHEAD_BYTES_MIN, Prefetch, request_after
from shapegate_client.principal import AccessToken
from shapegate_client.transport import Transport, Unread, open_http
from shapegate_wire.offset import BEFORE_ALL, Offset
from shapegate_wire.request import ShapeRequest
from tests.client.builders import DEFINITION
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import SCHEMA, Gate, cut, served, stall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_client.event import Answer
    from tests.client.servers import Responder

FIRST = ShapeRequest(definition=DEFINITION, offset=BEFORE_ALL)
SECOND = ShapeRequest(definition=DEFINITION, offset=Offset(0, 0), handle="h")
TOKEN = AccessToken(value="t0ken", organization_id="acme", expires_at=datetime.datetime.now(datetime.UTC))
HEAD = {"electric-handle": "h", "electric-offset": "0_0", "electric-schema": json.dumps(SCHEMA)}
LARGE = b"[" + b" " * AHEAD_BYTES_MIN + b"]"


def test_the_request_after_a_large_part_of_a_log_continues_where_it_ends() -> None:
    assert request_after(FIRST, Unread(status=200, headers=HEAD, body=LARGE)) == SECOND
    further = Unread(status=200, headers={**HEAD, "electric-offset": "0_1"}, body=LARGE)
    assert request_after(SECOND, further) == replace(SECOND, offset=Offset(0, 1))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (FIRST, Unread(status=200, headers=HEAD, body=b"[]")),
        (FIRST, Unread(status=200, headers={**HEAD, "electric-up-to-date": ""}, body=LARGE)),
        (FIRST, Unread(status=200, headers={**HEAD, "electric-offset": "-1"}, body=LARGE)),
        (FIRST, Unread(status=200, headers={**HEAD, "electric-offset": "now"}, body=LARGE)),
        (FIRST, Unread(status=200, headers={"electric-handle": "h"}, body=LARGE)),
        (FIRST, Unread(status=409, headers=HEAD, body=LARGE)),
        (FIRST, Unread(status=500, headers=HEAD, body=LARGE)),
        (replace(FIRST, expired_handle="g"), Unread(status=200, headers=HEAD, body=LARGE)),
        (replace(FIRST, cache_buster="b"), Unread(status=200, headers=HEAD, body=LARGE)),
        (replace(SECOND, handle="g", offset=Offset(0, 9)), Unread(status=200, headers=HEAD, body=LARGE)),
        (SECOND, Unread(status=200, headers=HEAD, body=LARGE)),
        (replace(SECOND, live=True, offset=Offset(0, 9)), Unread(status=200, headers=HEAD, body=LARGE)),
    ],
)
def test_nothing_is_asked_ahead_where_the_answer_has_a_say_in_what_comes_next(
    request_: ShapeRequest, answer: Unread
) -> None:
    assert request_after(request_, answer) is None


class Peer:
    """Answers the start of a log with a large part of it, and what follows as it is told."""

    def __init__(self, following: Responder) -> None:
        self.asked: list[str] = []
        self.second = asyncio.Event()
        self.left = asyncio.Event()
        self._following = following

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.query["offset"])
        if request.query["offset"] == "-1":
            return web.Response(body=LARGE, headers=HEAD)
        self.second.set()
        try:
            return await self._following(request)
        except asyncio.CancelledError:
            self.left.set()
            raise


@contextlib.asynccontextmanager
async def asking(peer: Peer) -> AsyncIterator[Prefetch]:
    app = web.Application()
    app.router.add_get("/api/electric/orgs/acme/sync", peer.answer)
    async with served(app) as url, open_http() as http:
        transport = Transport(http, URL(url), "acme", settings=ClientSettings(), clock=HeldClock())
        prefetch = Prefetch(transport, HeldClock())
        try:
            yield prefetch
        finally:
            await prefetch.drop()


async def ask(
    prefetch: Prefetch, request: ShapeRequest, token: AccessToken = TOKEN, *, booked_until: float = 0.0
) -> Answer:
    async with asyncio.timeout(10):
        answer, stream = await prefetch.ask(
            request, token, booked_until=booked_until, on_bytes=lambda _bytes: None
        )
    assert stream is None
    return answer


async def empty(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"[]", headers={**HEAD, "electric-offset": "0_1"})


async def test_the_next_part_is_on_its_way_before_it_is_asked_for_and_asked_for_once() -> None:
    peer = Peer(empty)
    async with asking(peer) as prefetch:
        assert isinstance(await ask(prefetch, FIRST), Answered)
        async with asyncio.timeout(10):
            await peer.second.wait()
        answer = await ask(prefetch, SECOND)
    assert isinstance(answer, Answered)
    assert answer.head.offset == Offset(0, 1)
    assert peer.asked == ["-1", "0_0"]


async def test_a_failure_ahead_is_the_answer_to_its_request_and_to_no_other() -> None:
    peer = Peer(cut)
    async with asking(peer) as prefetch:
        await ask(prefetch, FIRST)
        assert isinstance(await ask(prefetch, SECOND), Failed)
        assert isinstance(await ask(prefetch, FIRST), Answered)


@pytest.mark.parametrize(
    ("request_", "token"),
    [
        (FIRST, TOKEN),
        (replace(SECOND, expired_handle="g"), TOKEN),
        (replace(SECOND, offset=Offset(0, 5)), TOKEN),
        (SECOND, replace(TOKEN, value="another")),
    ],
)
async def test_an_answer_ahead_is_used_for_exactly_its_request_and_token(
    request_: ShapeRequest, token: AccessToken
) -> None:
    turns = 0

    async def once_stalled(request: web.Request) -> web.StreamResponse:
        nonlocal turns
        turns += 1
        return await (stall if turns == 1 else empty)(request)

    peer = Peer(once_stalled)
    async with asking(peer) as prefetch:
        await ask(prefetch, FIRST)
        async with asyncio.timeout(10):
            await peer.second.wait()
            assert isinstance(await ask(prefetch, request_, token), Answered)
            await peer.left.wait()


async def test_what_is_dropped_leaves_no_task_and_no_connection() -> None:
    peer = Peer(stall)
    async with asking(peer) as prefetch:
        await ask(prefetch, FIRST)
        async with asyncio.timeout(10):
            await peer.second.wait()
            await prefetch.drop()
            await prefetch.drop()
            await peer.left.wait()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "shapegate-prefetch"]


async def test_C_12_a_cancellation_while_the_answer_ahead_is_waited_for_ends_it() -> None:
    peer = Peer(stall)
    async with asking(peer) as prefetch:
        await ask(prefetch, FIRST)
        async with asyncio.timeout(10):
            await peer.second.wait()
            waiting = asyncio.create_task(ask(prefetch, SECOND))
            await asyncio.sleep(0)  # its first step leads to the answer ahead
            waiting.cancel()
            await asyncio.wait([waiting])
            await peer.left.wait()
        assert waiting.cancelled()


async def test_L_05_nothing_is_asked_ahead_where_the_rate_leaves_no_room() -> None:
    peer = Peer(empty)
    async with asking(peer) as prefetch:
        await ask(prefetch, FIRST, booked_until=1_000.0 + REQUESTS_AT_ONCE_MAX)
        assert peer.asked == ["-1"]
        await ask(prefetch, SECOND)
        assert peer.asked == ["-1", "0_0"]


async def test_a_large_log_arrives_whole_with_one_request_for_each_of_its_parts(tmp_path: Path) -> None:
    rows = {number: f"row {number} " + "x" * 100 for number in range(2_500)}
    gate = Gate(rows_per_chunk=500)
    gate.create("acme", "items", dict(rows))
    async with (
        served(gate.app) as url,
        Session.open(
            url,
            FixedCredentials(),
            home=tmp_path,
            settings=ClientSettings(pending_rows_max=400),
            clock=HeldClock(),
        ) as session,
    ):
        await session.subscribe(ShapeDefinition(table="items"))
        await session.up_to_date(timeout=20)
        assert {row["id"]: row["title"] for row in session.db["items"].rows} == rows
    asked = [request["offset"] for request in gate.requests if "live" not in request]
    assert asked == ["-1", "0_0", "0_1", "0_2", "0_3", "0_4"]


async def test_C_18_a_409_ahead_of_its_turn_starts_over_after_the_part_before_it(tmp_path: Path) -> None:
    gate = Gate()
    gate.create("acme", "items", {7: "new"})

    async def old(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=LARGE, headers={**HEAD, "electric-handle": "old"})

    gate.failures.append(old)
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session,
    ):
        await session.subscribe(ShapeDefinition(table="items"))
        await session.up_to_date(timeout=20)
        assert [row["title"] for row in session.db["items"].rows] == ["new"]
    asked = [(each["offset"], each.get("handle")) for each in gate.requests[:3]]
    assert asked == [("-1", None), ("0_0", "old"), ("-1", "1-1")]
