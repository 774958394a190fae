from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.faults import SECONDS_MAX, Drip
from shapegate_harness.electric.faulty import pieces
from tests.harness.electric.builders import TEN_SECONDS, Caller, Got, connected, open_caller, until

FAULTY = ElectricSettings(faults=True)
TABLE = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20)"
START = {"table": "t", "offset": "-1"}


async def order(caller: Caller, **fields: object) -> Got:
    return await caller.get(path="/__faults", method="POST", body=json.dumps(fields))


async def state(caller: Caller) -> object:
    return json.loads((await caller.get(path="/__faults")).text)


async def test_without_the_setting_there_is_no_such_endpoint(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        got = await order(caller, kind="reset")
        assert (got.status, got.text) == (404, "Not found")
        assert (await caller.get(START)).status == 200


@pytest.mark.parametrize(
    ("fields", "status", "headers"),
    [
        ({"kind": "must_refetch"}, 409, {"cache-control": "public, max-age=1, must-revalidate"}),
        ({"kind": "must_refetch", "handle": "7-8"}, 409, {"electric-handle": "7-8", "etag": '"7-8::"'}),
        ({"kind": "too_many_requests", "retry_after_seconds": 3}, 429, {"retry-after": "3"}),
        ({"kind": "unavailable"}, 503, {"retry-after": "1", "cache-control": "no-store"}),
    ],
)
async def test_an_order_is_obeyed_and_then_all_is_well(
    fields: dict[str, object], status: int, headers: dict[str, str], database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        assert (await order(caller, **fields, next=2, after=1)).status == 200
        got = [await caller.get(START) for _ in range(4)]
        assert [one.status for one in got] == [200, status, status, 200]
        assert {name: got[1].headers.get(name) for name in headers} == headers
        assert got[1].headers["access-control-allow-origin"] == "*"
        assert await state(caller) == {"kind": None, "after": 0, "next": 0, "done": 2}


async def test_an_order_can_be_taken_back_and_a_wrong_one_changes_nothing(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        await order(caller, kind="reset", next=9)
        refused = await order(caller, kind="melt")
        assert (refused.status, "expected one of" in refused.text) == (400, True)
        assert await state(caller) == {"kind": "reset", "after": 0, "next": 9, "done": 0}
        await caller.get(path="/__faults", method="DELETE")
        assert (await caller.get(START)).status == 200
        assert (await caller.get(path="/__faults", method="PUT")).status == 405


async def test_other_requests_neither_suffer_nor_count(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        await order(caller, kind="unavailable")
        assert (await caller.get(path="/v1/health")).status == 200
        assert (await caller.get(method="OPTIONS")).status == 204
        assert (await caller.get(START, method="HEAD")).status == 200
        assert (await caller.get(START, method="POST")).status == 503


@pytest.mark.parametrize("fields", [{"kind": "reset"}, {"kind": "stall", "seconds": 0.05}])
async def test_a_request_may_get_no_answer_at_all(fields: dict[str, object], database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        await order(caller, **fields, next=1000)
        async with asyncio.timeout(TEN_SECONDS):
            with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
                await caller.get(START)
        await caller.get(path="/__faults", method="DELETE")
        assert (await caller.get(START)).status == 200


@pytest.mark.parametrize("more", [{}, {"bytes": 0}, {"bytes": 30}])
async def test_a_body_may_be_cut(more: dict[str, int], database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        whole = await caller.get(START)
        sent = more.get("bytes", len(whole.text) // 2)
        await order(caller, kind="cut", **more)
        async with (
            asyncio.timeout(TEN_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(f"{caller.electric.url}/v1/shape", params=START) as response,
        ):
            assert response.headers["etag"] == whole.headers["etag"]
            got = await response.content.readexactly(sent)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        assert whole.text.encode().startswith(got)


async def test_a_header_may_be_missing(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        whole = await caller.get(START)
        await order(caller, kind="missing_header", header="Electric-Offset")
        got = await caller.get(START)
        assert "electric-offset" not in got.headers
        assert got.text == whole.text


async def test_a_body_may_drip(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        whole = await caller.get(START)
        await order(caller, kind="drip", bytes=500, seconds=0.001)
        got = await caller.get(START)
        assert (got.text, got.headers["transfer-encoding"]) == (whole.text, "chunked")


@given(st.binary(max_size=200), st.integers(1, 50), st.floats(0.001, SECONDS_MAX))
@budget(max_examples=100, deadline=None)
def test_pieces_make_up_the_body_and_their_pauses_stay_within_a_minute(
    body: bytes, size: int, seconds: float
) -> None:
    found = list(pieces(body, Drip(bytes=size, seconds=seconds)))
    assert b"".join(found) == body
    assert len(found) * seconds <= max(SECONDS_MAX, seconds)


async def test_an_old_answer_may_come_back_as_from_a_cache(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        early = await order(caller, kind="stale")
        assert (early.status, "no log answer yet" in early.text) == (400, True)
        old = await caller.get(START)
        query = {"table": "t", "offset": "0_inf", "handle": old.headers["electric-handle"]}
        held = await caller.held(query)
        await database.execute("TRUNCATE t; INSERT INTO t VALUES (77)")
        assert (await held).status == 409
        await order(caller, kind="stale", after=1)
        new = await caller.get(START)
        stale = await caller.get(START)
        assert stale.headers["electric-handle"] == old.headers["electric-handle"]
        assert stale.headers["electric-handle"] != new.headers["electric-handle"]
        assert (stale.text, stale.headers["age"]) == (old.text, "60")
        assert (await caller.get(START)).text == new.text


async def test_an_event_stream_is_not_spoiled_but_may_be_refused(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, FAULTY) as caller:
        await database.execute(TABLE)
        first = await caller.get(START)
        query = {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        await order(caller, kind="cut")
        stream = await caller.held({**query, "live_sse": "true"})
        assert await state(caller) == {"kind": "cut", "after": 0, "next": 1, "done": 0}
        stream.cancel()
        await until(lambda: caller.electric.held_requests == 0)
        await order(caller, kind="unavailable")
        assert (await caller.get({**query, "live": "true", "live_sse": "true"})).status == 503
