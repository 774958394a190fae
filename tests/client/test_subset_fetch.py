"""A subset from the question to the rows in the table, against answers of all kinds."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from shapegate_client import ClientError, FetchedSubset, Session, ShapeDefinition
from shapegate_client.errors import (
    BadAnswers,
    HeadersMissing,
    NotSubscribed,
    ShapeRefused,
    SubsetNotFetched,
    TokenRejected,
)
from shapegate_client.subset_fetch import CONFLICTS_MAX, MALFORMED_MAX
from shapegate_wire.errors import MalformedRequest
from shapegate_wire.shape import LogMode
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import SCHEMA, Gate, cut, served, stall, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.client.servers import Responder

ITEMS = ShapeDefinition(table="items", log=LogMode.CHANGES_ONLY)


class Stage:
    """A gate whose subsets are scripted, and a session that follows an empty log of it."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.answers: deque[Responder] = deque()
        self.asked: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.reached = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_route("*", "/api/electric/orgs/{org}/sync", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and not any(name.startswith("subset__") for name in request.query):
            return await self.gate._answer(request)
        self.asked.append({"method": request.method, **request.query})
        self.bodies.append(await request.read())
        self.reached.set()
        return await self.answers.popleft()(request)


@contextlib.asynccontextmanager
async def staged(home: Path, *answers: Responder) -> AsyncIterator[tuple[Stage, Session]]:
    stage = Stage()
    stage.gate.create("acme", "items", {})
    stage.answers += answers
    async with (
        served(stage.app) as url,
        Session.open(url, FixedCredentials(), home=home, clock=HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=10)
        yield stage, session


def found(*rows: int, handle: str = "1-1", schema: object = SCHEMA, xmax: int = 100) -> Responder:
    """A good answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        data = [
            {
                "key": f'"public"."items"/"{row}"',
                "value": {"id": str(row), "title": f"title {row}", "done": "f"},
                "headers": {"operation": "insert", "relation": ["public", "items"]},
            }
            for row in rows
        ]
        metadata = {"xmin": str(xmax), "xmax": str(xmax), "xip_list": [], "database_lsn": "5"}
        headers = {
            "electric-handle": handle,
            "electric-offset": "0_0",
            "electric-schema": json.dumps(schema),
            "electric-snapshot": "true",
        }
        return web.json_response({"metadata": metadata, "data": data}, headers=headers)

    return answer


async def fetch(session: Session, *, timeout: float = 10.0) -> FetchedSubset:
    return await session.fetch_subset("items", where="id > $1", params=["0"], timeout=timeout)


def ids(session: Session) -> list[int]:
    return [row["id"] for row in session.db.table("items").rows_where(order_by="id")]


async def test_C_47_C_09_rows_are_readable_counted_and_told_to_watchers(tmp_path: Path) -> None:
    async with staged(tmp_path, found(7, 3), found()) as (stage, session):
        watcher = session.watch("items")
        fetched = await session.fetch_subset(
            "items", where="id > $1", params=["0"], order_by="id DESC", limit=2, offset=1
        )
        assert (fetched.table, fetched.keys, len(fetched)) == ("items", ((7,), (3,)), 2)
        batch = await anext(watcher)
        assert (batch.inserted, batch.replaced) == (((7,), (3,)), False)
        assert ids(session) == [3, 7]
        assert len(await fetch(session)) == 0
    first = stage.asked[0]
    assert first["method"] == "GET"
    assert (first["table"], first["log"], first["handle"]) == ("items", "changes_only", "1-1")
    assert (first["subset__where"], first["subset__params"]) == ("id > $1", '{"1":"0"}')
    assert (first["subset__order_by"], first["subset__limit"], first["subset__offset"]) == (
        "id DESC",
        "2",
        "1",
    )
    assert "live" not in first


async def test_a_long_question_goes_by_post(tmp_path: Path) -> None:
    async with staged(tmp_path, found(1)) as (stage, session):
        long = ["x" * 5_000]
        await session.fetch_subset("items", where="title <> $1", params=long)
    assert stage.asked[0]["method"] == "POST"
    assert not any(name.startswith("subset__") for name in stage.asked[0])
    assert json.loads(stage.bodies[0]) == {"where": "title <> $1", "params": {"1": long[0]}}


async def test_C_14_a_409_changes_the_handle_of_the_question_alone_and_is_asked_past_caches(
    tmp_path: Path,
) -> None:
    conflict = status(409, **{"electric-handle": "9-9"})
    async with staged(tmp_path, conflict, found(1)) as (stage, session):
        await fetch(session)
        assert ids(session) == [1]
        asked = [each for each in stage.gate.requests if each["offset"] == "-1"]
    assert len(asked) == 1
    first, second = stage.asked
    assert (second["handle"], second["expired_handle"], second["offset"]) == ("9-9", "1-1", "-1")
    assert "cache-buster" not in first
    assert second["cache-buster"]


async def test_a_subset_that_is_answered_with_409_again_and_again_ends(tmp_path: Path) -> None:
    async with staged(tmp_path, *[status(409)] * 10) as (stage, session):
        with pytest.raises(SubsetNotFetched, match="replaced"):
            await fetch(session)
        assert len(stage.asked) == CONFLICTS_MAX + 1
        assert [shape.error for shape in session.progress] == [None]


@pytest.mark.parametrize(
    "answer", [found(1, handle="2-1"), found(1, schema={**SCHEMA, "x": {"type": "text"}})]
)
async def test_C_47_rows_of_another_log_wait_until_the_table_is_of_it(
    tmp_path: Path, answer: Responder
) -> None:
    async with staged(tmp_path, answer, found(4, handle="2-1")) as (stage, session):
        fetching = asyncio.create_task(fetch(session))
        await stage.reached.wait()
        stage.gate.create("acme", "items", {})
        assert (await fetching).keys == ((4,),)
        assert ids(session) == [4]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(403), ShapeRefused),
        (status(400), ShapeRefused),
        (status(200), HeadersMissing),
        (status(401), TokenRejected),
    ],
)
async def test_what_cannot_help_to_ask_again_is_raised_and_the_stream_goes_on(
    tmp_path: Path, answer: Responder, error: type[ClientError]
) -> None:
    async with staged(tmp_path, answer, answer) as (stage, session):
        with pytest.raises(error):
            await fetch(session)
        stage.gate.commit("acme", "items", ("insert", 5, "five"))
        await anext(session.watch("items"))
        assert ids(session) == [5]


async def test_C_20_C_10_a_token_is_renewed_and_a_cut_or_late_answer_asked_for_again(tmp_path: Path) -> None:
    answers = (status(401), cut, status(503), found(1))
    async with staged(tmp_path, *answers) as (stage, session):
        await fetch(session)
        assert ids(session) == [1]
        assert len(stage.asked) == 4


async def test_L_01_answers_that_are_no_subset_are_given_up_and_change_nothing(tmp_path: Path) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        answer = await found(1)(request)
        assert isinstance(answer, web.Response)
        answer.text = json.dumps({"metadata": {}, "data": []})
        return answer

    bad = found(1, schema=SCHEMA)

    async def misfit(request: web.Request) -> web.StreamResponse:
        answer = await bad(request)
        assert isinstance(answer, web.Response)
        assert answer.text is not None
        answer.text = answer.text.replace('"id": "1"', '"id": "one"')
        return answer

    async with staged(tmp_path, broken, misfit, status(204), broken, misfit) as (stage, session):
        with pytest.raises(BadAnswers):
            await fetch(session)
        assert len(stage.asked) == MALFORMED_MAX
        assert ids(session) == []


async def test_a_fetch_ends_in_time_and_with_the_sync_of_its_table(tmp_path: Path) -> None:
    async with staged(tmp_path, stall, stall, stall) as (stage, session):
        with pytest.raises(SubsetNotFetched, match=r"within 0\.05 s"):
            await fetch(session, timeout=0.05)
        stage.gate.commit("acme", "items", ("insert", 5, "five"))
        await anext(session.watch("items"))
        stage.reached.clear()
        fetching = asyncio.create_task(fetch(session))
        await stage.reached.wait()
        await session.unsubscribe("items")
        with pytest.raises(SubsetNotFetched, match="ended meanwhile"):
            await fetching
        with pytest.raises(NotSubscribed):
            await fetch(session)


async def test_a_contradictory_question_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    async with staged(tmp_path) as (stage, session):
        with pytest.raises(MalformedRequest):
            await session.fetch_subset("items", limit=5)
        assert stage.asked == []


async def test_C_47_after_a_restart_the_stream_does_not_take_rows_back_in_time(tmp_path: Path) -> None:
    stage = Stage()
    log = stage.gate.create("acme", "items", {})
    stage.answers.append(found(1, 2))
    async with served(stage.app) as url:
        async with Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session:
            await session.subscribe(ITEMS)
            await fetch(session)
        log.transactions.append([update(1, txid=99), update(2, txid=100)])
        async with Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session:
            await session.subscribe(ITEMS)
            await session.up_to_date(timeout=10)
            assert [row["title"] for row in session.db["items"].rows] == ["title 1", "streamed"]
            assert await session.acknowledged("items", 99)


def update(row: int, *, txid: int) -> dict[str, object]:
    return {
        "key": f'"public"."items"/"{row}"',
        "value": {"id": str(row), "title": "streamed"},
        "headers": {"operation": "update", "txids": [txid]},
    }


async def test_C_18_a_409_of_the_shape_drops_the_rows_and_says_replaced(tmp_path: Path) -> None:
    async with staged(tmp_path, found(1)) as (stage, session):
        await fetch(session)
        watcher = session.watch("items")
        stage.gate.create("acme", "items", {})
        batch = await anext(watcher)
        assert batch.replaced
        assert ids(session) == []


async def test_T_04_rows_on_their_way_when_the_org_is_left_reach_no_org(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return await found(66)(request)

    async with staged(tmp_path, late) as (stage, session):
        stage.gate.create("globex", "items", {})
        fetching = asyncio.create_task(fetch(session))
        await stage.reached.wait()
        await session.switch("globex")
        release.set()
        with pytest.raises(SubsetNotFetched, match="ended meanwhile"):
            await fetching
        await session.up_to_date(timeout=10)
        assert ids(session) == []
        await session.switch("acme")
        await session.up_to_date(timeout=10)
        assert ids(session) == []


async def test_a_cancelled_fetch_lets_the_stream_go_on(tmp_path: Path) -> None:
    async with staged(tmp_path, stall) as (stage, session):
        fetching = asyncio.create_task(fetch(session))
        await stage.reached.wait()
        watcher = session.watch("items")
        stage.gate.commit("acme", "items", ("insert", 5, "five"))
        fetching.cancel()
        await anext(watcher)
        assert ids(session) == [5]
        with pytest.raises(asyncio.CancelledError):
            await fetching
