"""The cache between the gates and Electric, as Debian's nginx runs it: what is shared, and what never is."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.deployment.nginx import SHIPPED, free_port, needs_nginx, nginx
from tests.deployment.scaled import scaled
from tests.proxy.builders import ACME, ELECTRIC_SECRET, GLOBEX, bearer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = needs_nginx
ORGS = (ACME, GLOBEX)
IMMUTABLE = "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746"
HEADERS = {
    "electric-handle": "h-1",
    "electric-offset": "0_0",
    "electric-schema": "{}",
    "electric-up-to-date": "",
    "cache-control": IMMUTABLE,
    "etag": '"h-1:-1:0_0"',
    "vary": "accept-encoding",
}


async def rows_of_the_scope(request: web.Request) -> web.StreamResponse:
    """Answer with what Electric was asked for: the organization of the scope, and the rest."""
    await asyncio.sleep(0)
    org = request.query.get("params[1]", "")
    number = next(NUMBERS)
    return web.json_response([{"org": org, "number": number, "target": request.path_qs}], headers=HEADERS)


NUMBERS = itertools.count()
BASE = {
    "table": '"public"."items"',
    "columns": '"id","name"',
    "queryable_columns": '"id","name"',
    "where": '"organization_id" = $1',
    "params[1]": ACME,
    "replica": "default",
    "log": "full",
    "offset": "0_0",
    "handle": "h-1",
    "cursor": "1",
    "expired_handle": "h-0",
    "cache-buster": "x",
    "secret": ELECTRIC_SECRET,
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def get(
    http: aiohttp.ClientSession,
    url: URL,
    query: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
) -> tuple[int, str]:
    async with http.request(method, url / "v1/shape", params=query, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_I_09_equal_requests_of_all_callers_and_gates_reach_electric_once(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    query = {"table": "items", "offset": "-1"}
    async with scaled(rows_of_the_scope, tmp_path) as running:
        urls = [gate.url for gate in running.gates] * 5
        answers = await asyncio.gather(*(get(http, url, query, bearer()) for url in urls))
        assert len(set(answers)) == 1
        assert answers[0][0] == 200
        assert len(running.seen) == 1


async def test_I_09_two_organizations_never_share_an_answer_or_a_wait(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    queries = (
        {"table": "items", "offset": "-1"},
        {"table": "items", "offset": "0_0", "handle": "h-1"},
        {"table": "items", "offset": "0_0", "handle": "h-1", "where": "name = 'a'"},
    )
    async with scaled(rows_of_the_scope, tmp_path) as running:
        for _ in range(2):
            asked = [(gate, org, query) for gate in running.gates for org in ORGS for query in queries]
            asked += [(gate, org, query) for gate, org, query in asked]
            answers = await asyncio.gather(
                *(get(http, gate.url, query, bearer(organization_id=org)) for gate, org, query in asked)
            )
            for (_, org, _query), (status, body) in zip(asked, answers, strict=True):
                assert status == 200
                assert [row["org"] for row in json.loads(body)] == [org]
        assert len(running.seen) == len(ORGS) * len(queries)


@pytest.mark.parametrize("name", BASE)
async def test_I_09_P_49_no_parameter_is_left_out_of_the_key(http: aiohttp.ClientSession, name: str) -> None:
    async with serve(rows_of_the_scope) as (url, seen), nginx("cache.conf", url) as cache:
        queries = (BASE, {**BASE, name: f"{BASE[name]}2"}, {k: v for k, v in BASE.items() if k != name})
        first = [await get(http, cache.url, query) for query in queries]
        assert len(set(first)) == len(seen) == 3
        assert [await get(http, cache.url, query) for query in queries] == first
        assert len(seen) == 3


async def test_I_09_the_order_of_an_answer_is_the_spelling_of_its_request(
    http: aiohttp.ClientSession,
) -> None:
    async with serve(rows_of_the_scope) as (url, seen), nginx("cache.conf", url) as cache:
        for target in ("?a=1&b=2", "?b=2&a=1", "?a=1&b=%32"):
            async with http.get(URL(f"{cache.url}/v1/shape{target}", encoded=True)) as answer:
                assert json.loads(await answer.text())[0]["target"].endswith(target)
        assert len(seen) == 3


@pytest.mark.parametrize(
    ("cache_control", "query", "method", "status"),
    [
        ("no-cache", {}, "GET", 200),
        ("no-store", {}, "GET", 400),
        ("max-age=0, private, must-revalidate", {}, "GET", 401),
        (IMMUTABLE, {"subset__where": "true"}, "GET", 200),
        ("public, max-age=5, stale-while-revalidate=5", {"live": "true"}, "GET", 200),
        ("public, max-age=59", {"live": "true", "live_sse": "true"}, "GET", 200),
        ("public, max-age=59", {"live": "true", "experimental_live_sse": "true"}, "GET", 200),
        (IMMUTABLE, {}, "POST", 200),
        ("no-store", {}, "GET", 503),
    ],
)
async def test_what_electric_does_not_let_be_kept_is_asked_for_each_time(
    http: aiohttp.ClientSession, cache_control: str, query: dict[str, str], method: str, status: int
) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response([], status=status, headers={**HEADERS, "cache-control": cache_control})

    async with serve(answer) as (url, seen), nginx("cache.conf", url) as cache:
        for _ in range(2):
            assert (await get(http, cache.url, BASE | query, method=method))[0] == status
        assert len(seen) == 2


async def test_P_49_a_409_is_kept_under_its_full_target_only(http: aiohttp.ClientSession) -> None:
    async def replaced(_request: web.Request) -> web.StreamResponse:
        headers = {"cache-control": "public, max-age=60, must-revalidate", "electric-handle": "h-2"}
        return web.json_response(
            [{"headers": {"control": "must-refetch"}}], status=409, headers={**HEADERS, **headers}
        )

    async with serve(replaced) as (url, seen), nginx("cache.conf", url) as cache:
        for buster in ("a", "b"):
            async with http.get(cache.url / "v1/shape", params={**BASE, "cache-buster": buster}) as answer:
                assert (answer.status, answer.headers["electric-handle"]) == (409, "h-2")
        assert len(seen) == 2


async def test_P_31_P_32_W_08_every_header_of_electric_comes_through(http: aiohttp.ClientSession) -> None:
    schema = json.dumps({f"column_{number:04}": {"type": "text"} for number in range(1800)})

    async def wide(_request: web.Request) -> web.StreamResponse:
        return web.json_response([], headers={**HEADERS, "electric-schema": schema})

    async with serve(wide) as (url, _), nginx("cache.conf", url) as cache:
        for _ in range(2):  # fresh, and kept
            async with http.get(cache.url / "v1/shape", params=BASE, max_field_size=70_000) as answer:
                assert answer.status == 200
                assert answer.headers["electric-schema"] == schema
                for name, value in HEADERS.items():
                    assert name == "electric-schema" or answer.headers[name] == value


async def test_P_45_an_etag_is_revalidated_without_its_body(http: aiohttp.ClientSession) -> None:
    async with serve(rows_of_the_scope) as (url, seen), nginx("cache.conf", url) as cache:
        assert (await get(http, cache.url, BASE))[0] == 200
        assert (await get(http, cache.url, BASE, {"if-none-match": HEADERS["etag"]})) == (304, "")
        assert (await get(http, cache.url, BASE, {"if-none-match": '"another"'}))[0] == 200
        assert len(seen) == 1


async def test_P_18_a_target_as_long_as_electric_reads_comes_through(http: aiohttp.ClientSession) -> None:
    async with serve(rows_of_the_scope) as (url, seen), nginx("cache.conf", url) as cache:
        assert (await get(http, cache.url, {**BASE, "params[2]": "x" * 9000}))[0] == 200
        assert len(seen[0].path_qs) > 9300


async def test_W_01_a_body_that_breaks_off_is_neither_ended_nor_kept(http: aiohttp.ClientSession) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=HEADERS)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"[" + b" " * 100_000)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serve(cut) as (url, seen), nginx("cache.conf", url) as cache:
        for _ in range(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                await get(http, cache.url, BASE)
        assert len(seen) == 2


async def test_P_21_I_10_neither_log_says_a_secret_or_a_filter(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    filtered = {"table": "items", "offset": "-1", "where": "name = 'the-filter'"}
    async with scaled(rows_of_the_scope, tmp_path) as running:
        assert (await get(http, running.edge.url, filtered, bearer()))[0] == 200
        edge, cache = running.edge, running.cache
        await asyncio.gather(*(stack.aclose() for stack in running.stack))
        assert (await get(http, edge.url, filtered, bearer()))[0] == 503
        logged = [await edge.logged(2), await cache.logged(1)]
    assert [[json.loads(line)["status"] for line in log] for log in logged] == [[200, 503], [200]]
    for word in (ELECTRIC_SECRET, "the-filter", "secret", "where", "?", "eyJ"):
        assert not any(word in line for log in logged for line in log)


async def test_P_21_an_electric_that_is_away_leaves_no_secret_in_a_log(http: aiohttp.ClientSession) -> None:
    # The helper that runs nginx fails if it writes anything to its error log.
    away = URL.build(scheme="http", host="127.0.0.1", port=free_port())
    async with nginx("cache.conf", away) as cache:
        assert (await get(http, cache.url, BASE))[0] == 502
        assert ELECTRIC_SECRET not in "".join(await cache.logged(1))


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/shape/", "/v1/shapes", "/held"])
async def test_S_02_nothing_but_shapes_and_health_is_passed_on(
    http: aiohttp.ClientSession, path: str
) -> None:
    async with serve(rows_of_the_scope) as (url, seen), nginx("cache.conf", url) as cache:
        async with http.get(cache.url.with_path(path)) as answer:
            assert answer.status == 404
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS"):
            assert (await get(http, cache.url, BASE, method=method))[0] == 405
        assert seen == []


async def test_P_47_health_comes_through_with_its_status(http: aiohttp.ClientSession) -> None:
    async def starting(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "starting"}, status=202, headers={"electric-server": "E/1"})

    async with (
        serve(starting) as (url, _),
        nginx("cache.conf", url) as cache,
        http.get(cache.url / "v1/health") as answer,
    ):
        assert (answer.status, answer.headers["electric-server"]) == (202, "E/1")


def test_the_key_is_the_whole_target() -> None:
    text = (SHIPPED / "cache.conf").read_text(encoding="utf-8")
    assert 'proxy_cache_key "$request_method $request_uri";' in text
    assert "proxy_ignore_headers" not in text
    assert "proxy_cache_valid" not in text
