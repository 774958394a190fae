from __future__ import annotations

import asyncio
import json
import socket
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.answer import Answer
from shapegate_harness.electric.log import Entry, LogPage
from shapegate_harness.electric.rows import project
from shapegate_harness.electric.shape import Shape
from shapegate_harness.electric.sse import EventStream, data, events
from shapegate_harness.electric.visibility import parse_visibility
from shapegate_wire.offset import SNAPSHOT_END, Offset
from shapegate_wire.shape import Replica, ShapeDefinition
from tests.harness.electric.builders import (
    TEN_SECONDS,
    Caller,
    Follower,
    column,
    connected,
    open_caller,
    relation,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v')"
PATIENT = aiohttp.ClientTimeout(total=30)


async def started(caller: Caller) -> dict[str, str]:
    """Begin a shape of `t` and return the query of an event stream at its end."""
    got = await caller.get({"table": "t", "offset": "-1"})
    assert got.status == 200, got.text
    handle = got.headers["electric-handle"]
    return {"table": "t", "handle": handle, "offset": "0_inf", "live": "true", "live_sse": "true"}


@asynccontextmanager
async def opened(caller: Caller, query: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open an event stream."""
    async with (
        aiohttp.ClientSession(timeout=PATIENT) as session,
        session.get(f"{caller.electric.url}/v1/shape", params=query) as response,
    ):
        yield response


async def next_message(response: aiohttp.ClientResponse) -> dict[str, object]:
    """Read the next event's message."""
    event = await response.content.readuntil(b"\n\n")
    assert event.startswith(b"data: ")
    loaded = json.loads(event.removeprefix(b"data: "))
    assert isinstance(loaded, dict)
    return loaded


def control(message: dict[str, object]) -> object:
    headers = message["headers"]
    assert isinstance(headers, dict)
    return headers.get("control")


def lsn(message: dict[str, object], name: str) -> int:
    headers = message["headers"]
    assert isinstance(headers, dict)
    return int(headers[name])


async def test_news_come_as_events_until_the_table_is_emptied(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        async with opened(caller, query) as response:
            handle = query["handle"]
            assert response.status == 200
            assert {name: response.headers.get(name) for name in SHOWN} == {
                **{"content-type": "text/event-stream", "cache-control": "public, max-age=59"},
                **{"connection": "keep-alive", "etag": f'"{handle}:0_inf:0_inf"'},
                **{"electric-handle": handle, "electric-offset": "0_inf", "electric-up-to-date": ""},
                **{"electric-has-data": "true", "electric-schema": None, "transfer-encoding": "chunked"},
            }
            assert int(response.headers["electric-cursor"]) > 0
            await database.execute("INSERT INTO t VALUES (2, 'two')")
            inserted = await next_message(response)
            assert inserted["value"] == {"id": "2", "v": "two"}
            up_to_date = await next_message(response)
            assert control(up_to_date) == "up-to-date"
            assert lsn(up_to_date, "global_last_seen_lsn") == lsn(inserted, "lsn")
            await database.execute("TRUNCATE t")
            assert await response.content.read() == b""
        again = await caller.get(query)
        assert again.status == 409
        assert again.headers["electric-handle"] != handle


SHOWN = (
    *("content-type", "cache-control", "connection", "etag", "electric-handle", "electric-offset"),
    *("electric-up-to-date", "electric-has-data", "electric-schema", "transfer-encoding"),
)


async def test_each_piece_of_an_event_is_an_http_chunk_of_its_own(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held({**query, "live_sse": "false"})
        await database.execute("DELETE FROM t")
        await held
        async with opened(caller, query) as response:
            body = b""
            ends = []
            async for data, ends_chunk in response.content.iter_chunks():
                body += data
                if ends_chunk:
                    ends.append(len(body))
        pieces = [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        assert [piece if len(piece) < 7 else b"{}" for piece in pieces] == [b"data: ", b"{}", b"\n\n"] * 2


async def test_silence_is_broken_by_comments_until_the_time_is_over(database_url: str) -> None:
    settings = ElectricSettings(sse_keep_alive_seconds=0.02, sse_seconds=0.5)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        async with opened(caller, await started(caller)) as response:
            body = await response.content.read()
        comments = body.count(b": keep-alive\n\n")
        assert body == b": keep-alive\n\n" * comments
        assert 1 <= comments <= 25


async def test_a_stream_ends_in_its_time_though_there_is_always_news(database_url: str) -> None:
    settings = ElectricSettings(sse_keep_alive_seconds=10, sse_seconds=0.3)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)

        async def write() -> None:
            while True:
                await database.execute("UPDATE t SET v = md5(random()::text)")

        query = await started(caller)
        writer = asyncio.create_task(write())
        async with asyncio.timeout(TEN_SECONDS), opened(caller, query) as response:
            body = await response.content.read()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        assert body.count(b"data: ") == body.count(b"\n\n")
        assert b": keep-alive" not in body


async def test_a_reader_behind_gets_what_it_missed_and_the_stream_ends(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held({**query, "live_sse": "false"})
        await database.execute("INSERT INTO t VALUES (2, 'two'), (3, 'three')")
        end = (await held).headers["electric-offset"]
        async with asyncio.timeout(TEN_SECONDS):
            async with opened(caller, query) as response:
                keys = [(await next_message(response)).get("key") for _ in range(3)]
                assert await response.content.read() == b""
        assert keys == ['"public"."t"/"2"', '"public"."t"/"3"', None]
        assert response.headers["electric-offset"] == end
        assert "electric-up-to-date" in response.headers


async def test_a_reader_far_behind_gets_one_chunk_and_is_not_told_up_to_date(database_url: str) -> None:
    settings = ElectricSettings(chunk_bytes=400)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held({**query, "live_sse": "false"})
        await database.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(2, 9) i")
        assert "electric-up-to-date" not in (await held).headers
        seen: list[object] = []
        async with asyncio.timeout(TEN_SECONDS):
            while None not in seen:
                async with opened(caller, query) as response:
                    body = (await response.content.read()).split(b"\n\n")
                found = [json.loads(event.removeprefix(b"data: ")) for event in body if event]
                assert found
                ended = control(found[-1]) == "up-to-date"
                assert ("electric-up-to-date" in response.headers) == ended
                seen += [message.get("key") for message in found]
                query = {**query, "offset": response.headers["electric-offset"]}
        assert seen == [*(f'"public"."t"/"{key}"' for key in range(2, 10)), None]


async def test_every_up_to_date_of_a_stream_is_a_state_that_postgres_had(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
        await database.execute("INSERT INTO t SELECT i, 100 FROM generate_series(1, 9) i")
        follower = Follower(caller, {"table": "t"})
        await follower.catch_up()

        async def move() -> None:
            for turn in range(60):
                await database.execute(
                    "UPDATE t SET v = v + CASE id WHEN $1 THEN 8 ELSE -1 END", turn % 9 + 1
                )
            await database.execute("INSERT INTO t VALUES (10, 0)")

        moving = asyncio.create_task(move())
        checked = 0
        async with asyncio.timeout(30):
            while len(follower.rows) < 10:
                async with opened(caller, {"table": "t", **follower.position, **LIVE}) as response:
                    while len(follower.rows) < 10 and not response.content.at_eof():
                        message = await next_message(response)
                        follower.fold(message)
                        if control(message) == "up-to-date":
                            assert sum(int(row["v"] or 0) for row in follower.rows.values()) == 900
                            checked += 1
                follower.position["offset"] = f"{follower.lsn}_0"
        await moving
        expected = {str(row["id"]): str(row["v"]) for row in await database.fetch("SELECT id, v FROM t")}
        assert {row["id"]: row["v"] for row in follower.rows.values()} == expected
        assert checked > 2


@pytest.mark.parametrize("behind", [True, False])
async def test_up_to_date_promises_no_more_than_was_sent_before_it(behind: bool) -> None:
    """What is appended while a page is on its way comes after that page's end."""
    relation_ = relation(column("id", pk_index=0, not_null=True))
    shape = Shape(
        handle="1-2",
        definition=ShapeDefinition(table='"public"."t"'),
        projection=project(relation_, selected=frozenset({"id"}), replica=Replica.DEFAULT),
        condition=None,
        snapshot=parse_visibility("1:1:"),
    )
    shape.complete((b"[]",))
    shape.append([Entry(offset=Offset(10, 0), message=b"{}")])
    page = shape.log.page(SNAPSHOT_END)
    assert isinstance(page, LogPage)
    stream = EventStream(
        head=Answer(status=200), shape=shape, after=SNAPSHOT_END, backlog=page if behind else None
    )
    sent = []
    async with aclosing(events(stream, settings=ElectricSettings())) as found:
        async with asyncio.timeout(TEN_SECONDS):
            sent.append(await anext(found))
            shape.append([Entry(offset=Offset(20, 0), message=b"{}")])
            sent.append(await anext(found))
    assert sent == [data(b"{}"), data(b'{"headers":{"control":"up-to-date","global_last_seen_lsn":"10"}}')]


LIVE = {"live": "true", "live_sse": "true", "experimental_live_sse": "true"}


async def test_a_reader_that_leaves_is_noticed(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        async with opened(caller, await started(caller)):
            await until(lambda: caller.electric.held_requests == 1)
        await until(lambda: caller.electric.held_requests == 0)


async def test_a_reader_that_does_not_read_is_cut_off_and_not_buffered_for(database_url: str) -> None:
    settings = ElectricSettings(send_seconds=0.2)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        url = urlsplit(caller.electric.url)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((url.hostname, url.port))
            slow.sendall(f"GET /v1/shape?{urlencode(query)} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await until(lambda: caller.electric.held_requests == 1)
            await database.execute(
                "INSERT INTO t SELECT i, repeat('x', 100000) FROM generate_series(2, 300) i"
            )
            await until(lambda: caller.electric.held_requests == 0)
            slow.settimeout(TEN_SECONDS)
            received = 0
            try:
                while data := await asyncio.to_thread(slow.recv, 1 << 20):
                    received += len(data)
            except ConnectionResetError:
                pass
        assert received < 15_000_000


async def test_streams_end_when_postgres_goes_away_and_the_handle_is_gone_after_it(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        async with asyncio.timeout(TEN_SECONDS), opened(caller, query) as response:
            await database.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'shapegate-dev-electric' AND datname = current_database()"
            )
            assert await response.content.read() == b""
        assert (await caller.get(query)).status == 409


async def test_streams_end_with_the_server(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        async with asyncio.timeout(TEN_SECONDS), opened(caller, await started(caller)) as response:
            await caller.electric.stop()
            assert await response.content.read() == b""


async def test_head_has_the_headers_of_a_stream_and_ends(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        async with asyncio.timeout(TEN_SECONDS):
            got = await caller.get(await started(caller), method="HEAD")
        assert (got.status, got.text) == (200, "")
        assert got.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("more", "status", "text"),
    [
        ({"handle": "1-2"}, 409, '[{"headers":{"control":"must-refetch"}}]'),
        ({"offset": "-1"}, 400, "can't be true when offset == -1"),
        ({"offset": "now"}, 400, "can't be true when offset is 'now'"),
        ({"where": "nope = 1"}, 400, "unknown reference nope"),
    ],
)
async def test_errors_are_no_streams(more: dict[str, str], status: int, text: str, database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        got = await caller.get({**await started(caller), **more})
        assert (got.status, got.headers["content-type"]) == (status, "application/json; charset=utf-8")
        assert text in got.text
