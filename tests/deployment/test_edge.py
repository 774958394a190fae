"""The balancer before two gates, with the cache behind them, as Debian's nginx runs them."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from yarl import URL

from shapegate_harness.electric import DevElectric
from shapegate_proxy.config import ProxyConfig
from shapegate_proxy.electric import ElectricTimeouts
from tests.deployment.nginx import SHIPPED, needs_nginx, nginx
from tests.deployment.scaled import before_electric, scaled
from tests.proxy.builders import ACME, ELECTRIC_SECRET, GLOBEX, LOG_HEADERS, bearer, gate, log_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = needs_nginx
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
SSE = {**LIVE, "live_sse": "true"}
INSERT = "INSERT INTO items VALUES (gen_random_uuid(), $1, $2)"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def items(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with one row of each organization, that an Electric may follow."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE items (id uuid PRIMARY KEY, organization_id uuid, name text)")
    await connection.execute("ALTER TABLE items REPLICA IDENTITY FULL")
    await connection.execute("CREATE PUBLICATION electric_publication_default FOR TABLE items")
    for org in (ACME, GLOBEX):
        await connection.execute(INSERT, org, f"first of {org}")
    yield connection
    await connection.close()


async def follow(
    http: aiohttp.ClientSession, edge: URL, headers: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Read a shape to its end; return the names in it, and what a live request for it says."""
    query, names = {"table": "items", "offset": "-1"}, []
    while True:
        async with http.get(edge / "v1/shape", params=query, headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["cache-control"] == "private, no-store"
            names += [each["value"]["name"] for each in await answer.json() if "value" in each]
            handle, offset = answer.headers["electric-handle"], answer.headers["electric-offset"]
            query = {"table": "items", "offset": offset, "handle": handle}
            if "electric-up-to-date" in answer.headers:
                return names, {**query, "live": "true"}


async def test_I_09_P_27_live_changes_reach_their_own_organization_through_it_all(
    database_url: str, items: asyncpg.Connection, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with (
        DevElectric.open(database_url=database_url, secret=ELECTRIC_SECRET) as electric,
        before_electric(URL(electric.url), tmp_path) as running,
    ):
        edge, held = running.edge.url, list[asyncio.Task[tuple[int, str]]]()
        for org in (ACME, GLOBEX):
            headers = bearer(organization_id=org)
            names, live = await follow(http, edge, headers)
            assert names == [f"first of {org}"]
            # The balancer gives both gates some of them.
            held += [asyncio.create_task(ask(http, edge, live, headers)) for _ in range(4)]
        async with asyncio.timeout(10):
            # Each gate asks once for each of the two organizations.
            while electric.held_requests < 2 * 2:  # noqa: ASYNC110  # the server has no event for it
                await asyncio.sleep(0.01)
        for org in (ACME, GLOBEX):
            await items.execute(INSERT, org, f"second of {org}")
        for task, org in zip(held, [ACME] * 4 + [GLOBEX] * 4, strict=True):
            status, body = await task
            assert status == 200
            named = [each["value"]["name"] for each in json.loads(body) if "value" in each]
            assert named == [f"second of {org}"]


async def test_P_25_more_requests_than_a_connection_of_electric_takes_all_succeed(
    database_url: str, items: asyncpg.Connection, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with (
        DevElectric.open(database_url=database_url, secret=ELECTRIC_SECRET) as electric,
        before_electric(URL(electric.url), tmp_path) as running,
    ):
        for number in range(120):
            query = {"table": "items", "offset": "-1", "cache-buster": str(number)}
            assert (await ask(http, running.edge.url, query, bearer()))[0] == 200


async def test_P_41_W_11_an_event_passes_within_100_ms_and_is_kept_nowhere(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    write, written = asyncio.Event(), 0.0

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal written
        headers = {"content-type": "text/event-stream", "cache-control": "public, max-age=59"}
        response = web.StreamResponse(headers={**LOG_HEADERS, **headers, "electric-cursor": "1"})
        await response.prepare(request)
        await response.write(b": keep-alive\n\n")
        await write.wait()
        written = asyncio.get_running_loop().time()
        await response.write(b'data: {"headers":{"control":"up-to-date"}}\n\n')
        await asyncio.Event().wait()
        return response

    async with scaled(stream, tmp_path) as running:
        for number in (1, 2):
            write.clear()
            async with http.get(running.edge.url / "v1/shape", params=SSE, headers=bearer()) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert await answer.content.readuntil(b"\n\n") == b": keep-alive\n\n"
                write.set()
                event = await answer.content.readuntil(b"\n\n")
                seconds = asyncio.get_running_loop().time() - written
            assert event == b'data: {"headers":{"control":"up-to-date"}}\n\n'
            assert seconds < 0.1
            assert len(running.seen) == number


@pytest.mark.parametrize("query", [LIVE, SSE])
async def test_P_28_I_20_a_client_that_leaves_frees_its_place_at_electric(
    tmp_path: Path, http: aiohttp.ClientSession, query: dict[str, str]
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with scaled(hold, tmp_path) as running:
        client = asyncio.create_task(ask(http, running.edge.url, query, bearer()))
        await asyncio.wait_for(asked.wait(), 5)
        client.cancel()
        await asyncio.wait_for(left.wait(), 1)


@pytest.mark.parametrize("name", ["edge.conf", "cache.conf"])
async def test_I_22_a_reader_that_stalls_stalls_who_writes_and_nobody_else(
    http: aiohttp.ClientSession, name: str
) -> None:
    chunk, sent = b" " * 262_144, 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers=LOG_HEADERS)
        await response.prepare(request)
        while True:
            await response.write(chunk)
            sent += len(chunk)

    async with (
        serve(endless) as (url, _),
        nginx(name, url) as between,
        http.get(between.url / "v1/shape", params=LIVE) as stalled,
    ):
        assert stalled.status == 200
        before_it = -1
        async with asyncio.timeout(15):
            while sent != before_it:  # until no more was taken for a while
                before_it = sent
                await asyncio.sleep(0.3)
        assert sent < 32 * 1024 * 1024, "what sockets and two programs hold, not the body"
        async with http.get(between.url / "v1/shapes") as other:
            assert other.status == 404


async def test_a_gate_that_stops_or_comes_back_is_not_noticed(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    query = {"table": "items", "offset": "-1"}
    async with scaled(log_answer, tmp_path) as running:
        assert {(await ask(http, running.edge.url, query, bearer()))[0] for _ in range(8)} == {200}
        await running.stack[0].aclose()
        assert {(await ask(http, running.edge.url, query, bearer()))[0] for _ in range(8)} == {200}
        told = [len(each.recorder.events) for each in running.gates]
        assert min(told) >= 1
        assert sum(told) == 16
        await running.stack[1].aclose()
        async with http.get(running.edge.url / "v1/shape", params=query, headers=bearer()) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert answer.headers["cache-control"] == "no-store"
            assert (await answer.json())["message"].startswith("no gate answers")


async def test_P_18_what_is_too_long_is_refused_by_the_gate_itself(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with scaled(log_answer, tmp_path) as running:
        query = {"table": "items", "offset": "-1", "where": f"name = '{'x' * 12_000}'"}
        async with http.get(running.edge.url / "v1/shape", params=query, headers=bearer()) as answer:
            assert (answer.status, (await answer.json())["code"]) == (414, "request_too_long")
        headers = {**bearer(), "x-wide": "x" * 20_000}
        async with http.get(running.edge.url / "v1/shape", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("path", ["/", "/metrics", "/health/detailed", "/v1/shapes", "/v1/shape/x"])
async def test_only_shapes_and_health_are_passed_on(
    tmp_path: Path, http: aiohttp.ClientSession, path: str
) -> None:
    async with (
        gate(log_answer, tmp_path) as before,
        nginx("edge.conf", before.url) as edge,
        http.get(edge.url.with_path(path), headers=bearer()) as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/shape", "/api/electric/sync", f"/api/electric/orgs/{ACME}/sync"])
async def test_every_path_of_shapes_is_passed_on(
    tmp_path: Path, http: aiohttp.ClientSession, path: str
) -> None:
    query = {"table": "items", "offset": "-1"}
    async with (
        gate(log_answer, tmp_path) as before,
        nginx("edge.conf", before.url) as edge,
        http.get(edge.url.with_path(path), params=query, headers=bearer()) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["electric-up-to-date"] == ""


async def test_the_balancer_says_who_asked(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    forwarded: list[str | None] = []

    async def hear(request: web.Request) -> web.StreamResponse:
        forwarded.append(request.headers.get("x-forwarded-for"))
        return web.Response()

    async with serve(hear) as (url, _), nginx("edge.conf", url) as edge:
        await ask(http, edge.url, {}, {"x-forwarded-for": "203.0.113.7"})
    assert forwarded == ["203.0.113.7, 127.0.0.1"]


CACHE = (SHIPPED / "cache.conf").read_text(encoding="utf-8")


def seconds(name: str, directive: str) -> list[float]:
    """Read a time that a configuration sets, wherever it does."""
    text = (SHIPPED / name).read_text(encoding="utf-8")
    return [float(found) for found in re.findall(rf"^\s*{directive} (\d+)s;", text, re.MULTILINE)]


def test_P_26_P_27_every_wait_is_longer_than_what_is_waited_for() -> None:
    silence = ElectricTimeouts().stream_seconds
    assert all(each > silence for each in seconds("edge.conf", "proxy_read_timeout"))
    assert all(each > 60 for each in seconds("cache.conf", "proxy_read_timeout"))
    # Electric closes a connection after 50 requests without a word.
    assert int(re.findall(r"keepalive_requests (\d+);", CACHE)[0]) < 50
    # Idle connections are closed by who opened them: a gate keeps them for less time than the cache does,
    # the cache for less than Electric, and the balancer for less than a gate.
    kept_by_gate = ProxyConfig.__dataclass_fields__["idle_seconds"].default
    assert isinstance(kept_by_gate, float)
    assert seconds("edge.conf", "keepalive_timeout")[0] < kept_by_gate
    assert seconds("cache.conf", "keepalive_timeout")[0] < 60
    assert seconds("cache.conf", "keepalive_timeout")[1] > ElectricTimeouts().idle_seconds


async def ask(
    http: aiohttp.ClientSession, url: URL, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, str]:
    async with http.get(url / "v1/shape", params=query, headers=headers) as answer:
        return answer.status, await answer.text()
