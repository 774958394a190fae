"""What the client gets of a good answer: when, with which headers, and until when."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_proxy.app import DRAIN_SECONDS
from tests.proxy.builders import ACME, GLOBEX, NOW, bearer, gate, log_answer
from tests.proxy.raw import TARGET, dial, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

ORG_PATH = f"/api/electric/orgs/{ACME}/sync"
START = {"table": "items", "offset": "-1"}
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
STREAM = LIVE | {"live_sse": "true", "experimental_live_sse": "true"}
SUBSET = LIVE | {"live": "false", "subset__limit": "1", "subset__order_by": "id"}
PAGE = "https://app.example"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


EVERYTHING = {
    "electric-handle": "h-1",
    "electric-offset": "0_inf",
    "electric-schema": "{}",
    "electric-cursor": "7",
    "electric-up-to-date": "",
    "electric-has-data": "true",
    "electric-snapshot": "true",
    "electric-internal-known-error": "true",
    "electric-server": "ElectricSQL/1.7.12",
    "etag": '"h-1:-1:0_0"',
    "cache-control": "public, max-age=604800, s-maxage=3600",
    "surrogate-control": "max-age=604800",
    "expires": "Wed, 21 Oct 2037 07:28:00 GMT",
    "age": "60",
    "vary": "accept-encoding",
    "retry-after": "7",
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "*",
    "access-control-allow-methods": "DELETE",
    "set-cookie": "a=b",
    "location": "http://electric.internal/",
    "www-authenticate": "Basic",
    "server": "Bandit",
    "via": "1.1 inside",
    "x-internal": "1",
    "x-request-id": "upstream",
    "connection": "keep-alive",
    "keep-alive": "timeout=5",
}
"""More than an Electric and whatever stands before it would send."""
ALWAYS = {"cache-control", "vary", "server", "date", "x-request-id", "x-content-type-options"}
CORS = {"access-control-allow-origin", "access-control-expose-headers"}
ELECTRICS = {name for name in EVERYTHING if name.startswith("electric-")} - {"electric-server"}
BODY = {"content-type", "content-length"}


def served(status: int, kind: str) -> web.Response:
    content_type = "text/event-stream" if (kind, status) == ("stream", 200) else "application/json"
    body = None if status == 304 else b"[]"
    return web.Response(status=status, body=body, headers=EVERYTHING | {"content-type": content_type})


QUERIES: Mapping[str, Mapping[str, str]] = {"log": START, "live": LIVE, "stream": STREAM, "subset": SUBSET}
STORED_NOWHERE, REVALIDATED = "private, no-store", "private, no-cache"
PASSED = [
    (200, kind, path, ELECTRICS | BODY | tag, policy)
    for kind in ("log", "live", "stream", "subset")
    for path, tag, policy in (
        ("/v1/shape", set[str](), STORED_NOWHERE),
        ("/api/electric/sync", set[str](), STORED_NOWHERE),
        (ORG_PATH, {"etag"}, REVALIDATED),
    )
]
CASES = [
    *PASSED,
    (304, "log", ORG_PATH, ELECTRICS | {"etag"}, REVALIDATED),
    (304, "live", ORG_PATH, ELECTRICS | {"etag"}, REVALIDATED),
    *(
        (409, kind, path, ELECTRICS | BODY, STORED_NOWHERE)
        for kind in ("log", "live", "stream", "subset")
        for path in ("/v1/shape", ORG_PATH)
    ),
    *(
        (status, kind, path, BODY | extra, STORED_NOWHERE)
        for status, extra in (
            (204, {"retry-after"}),
            (302, {"retry-after"}),
            (400, set[str]()),
            (401, {"retry-after"}),
            (403, {"retry-after"}),
            (404, {"retry-after"}),
            (429, {"retry-after", "electric-internal-known-error"}),
            (500, {"retry-after", "electric-internal-known-error"}),
            (503, {"retry-after", "electric-internal-known-error"}),
        )
        for kind in ("log", "live", "stream")
        for path in ("/v1/shape", ORG_PATH)
    ),
]


@pytest.mark.parametrize(("status", "kind", "path", "names", "policy"), CASES)
async def test_I_09_P_31_P_34_P_36_P_38_P_39_P_40_P_45_P_49_each_answer_has_these_headers_and_no_other(
    tmp_path: Path,
    http: aiohttp.ClientSession,
    status: int,
    kind: str,
    path: str,
    names: set[str],
    policy: str,
) -> None:
    async def answer_so(_request: web.Request) -> web.StreamResponse:
        return served(status, kind)

    async with gate(answer_so, tmp_path) as running:
        for page, cors in ((PAGE, CORS), ("https://evil.example", set[str]()), (None, set[str]())):
            origin = {} if page is None else {"origin": page}
            headers = bearer() | origin | {"if-none-match": EVERYTHING["etag"]}
            asked = http.get(
                running.url.with_path(path), params=QUERIES[kind], headers=headers, allow_redirects=False
            )
            async with asked as answer:
                await answer.read()
                found = {name.lower() for name in answer.headers}
                assert found == names | ALWAYS | cors
                assert answer.headers["cache-control"] == policy
                assert answer.headers["vary"] == "authorization, origin"
                assert answer.headers["server"] == "shapegate"
                assert answer.headers["x-request-id"] != "upstream"
                assert answer.headers.get("access-control-allow-origin") == (page if cors else None)


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "extra"),
    [
        ("GET", TARGET, {}, 401, {"www-authenticate"}),
        ("GET", TARGET, {"authorization": "Basic x"}, 400, {"www-authenticate"}),
        ("GET", TARGET, bearer(exp=1), 401, {"www-authenticate"}),
        ("GET", TARGET.replace("items", "hidden"), bearer(), 403, set()),
        ("GET", f"/api/electric/orgs/{GLOBEX}/sync?table=items&offset=-1", bearer(), 403, set()),
        ("GET", "/nowhere", bearer(), 404, set()),
        ("DELETE", TARGET, bearer(), 405, {"allow"}),
        ("GET", TARGET + "&handle=" + "x" * 11_000, bearer(), 414, set()),
        ("GET", "/v1/shape?offset=-1", bearer(), 400, set()),
    ],
)
async def test_I_09_I_18_P_34_P_40_a_refusal_of_the_gate_has_these_headers_and_no_other(
    tmp_path: Path,
    http: aiohttp.ClientSession,
    method: str,
    target: str,
    headers: dict[str, str],
    status: int,
    extra: set[str],
) -> None:
    async with gate(log_answer, tmp_path) as running:
        for page, cors in ((PAGE, CORS), ("null", set[str]())):
            url = running.url.join(URL(target, encoded=True))
            async with http.request(method, url, headers=headers | {"origin": page}) as answer:
                assert answer.status == status
                assert {name.lower() for name in answer.headers} == ALWAYS | BODY | cors | extra
                assert answer.headers["cache-control"] == STORED_NOWHERE
        assert running.upstream == []


async def test_P_20_I_05_a_handle_stands_for_neither_the_token_nor_the_definition(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with gate(log_answer, tmp_path) as running:
        for headers, status in (({}, 401), (bearer(exp=1), 401), (bearer(organization_id=GLOBEX), 200)):
            async with http.get(running.url / "v1/shape", params=LIVE, headers=headers) as answer:
                assert answer.status == status
    (asked,) = running.upstream
    assert (asked.query["handle"], asked.query["params[1]"]) == (LIVE["handle"], GLOBEX)
    assert (asked.query["table"], asked.query["where"]) == ('"public"."items"', '"organization_id" = $1')


async def test_P_29_HEAD_has_the_headers_of_GET_and_no_body(tmp_path: Path) -> None:
    async with gate(log_answer, tmp_path) as running, dial(running.url) as peer:
        heads = []
        for method in ("HEAD", "HEAD", "GET"):
            await peer.send(get(method=method))
            heads.append({line.partition(b":")[0].lower() for line in (await peer.head()).split(b"\r\n")[1:]})
        assert heads[0] == heads[1] == heads[2]
        assert await peer.exactly(2) == b"[]"


async def test_I_16_what_electric_is_told_of_the_clients_headers(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    good = {"if-none-match": '"a"', "traceparent": trace}
    more = {"tracestate": "a=b", "cookie": "a=b", "accept-encoding": "gzip", "x-forwarded-for": "1.2.3.4"}
    async with gate(log_answer, tmp_path) as running:
        for number, (path, headers) in enumerate(
            (
                (ORG_PATH, good | more),
                ("/v1/shape", good | more),
                (ORG_PATH, {"if-none-match": "a", "traceparent": trace + "0"}),
            )
        ):
            params = {**START, "cache-buster": str(number)}
            await http.get(running.url.with_path(path), params=params, headers=bearer() | headers)
    fixed = {"host", "accept", "accept-encoding"}
    told = [{name.lower() for name in request.headers} for request in running.upstream]
    assert told == [fixed | set(good), fixed | {"traceparent"}, fixed]
    assert {request.headers["accept-encoding"] for request in running.upstream} == {"identity"}


async def test_I_22_the_first_bytes_are_with_the_client_within_100_ms(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    sent_at = 0.0

    async def begin(request: web.Request) -> web.StreamResponse:
        nonlocal sent_at
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        sent_at = time.monotonic()
        await response.write(b"[")
        await asyncio.Event().wait()
        raise AssertionError

    delays = []
    async with gate(begin, tmp_path) as running:
        for _ in range(5):
            async with http.get(running.url / "v1/shape", params=START, headers=bearer()) as answer:
                assert await asyncio.wait_for(answer.content.readany(), 5) == b"["
                delays.append(time.monotonic() - sent_at)
    assert min(delays) < 0.1


@pytest.mark.parametrize("path", ["v1/shape", f"api/electric/orgs/{ACME}/sync"])
async def test_W_05_a_409_passes_with_body_and_handle_and_is_not_stored(
    tmp_path: Path, http: aiohttp.ClientSession, path: str
) -> None:
    body = b'[{"headers":{"control":"must-refetch"}}]'

    async def rotate(_request: web.Request) -> web.StreamResponse:
        headers = {
            "electric-handle": "h-2",
            "cache-control": "public, max-age=60",
            "etag": '"h-2::"',
            "content-type": "application/json",
        }
        return web.Response(status=409, body=body, headers=headers)

    async with (
        gate(rotate, tmp_path) as running,
        http.get(running.url / path, params=START, headers=bearer()) as got,
    ):
        assert (got.status, await got.read(), got.headers["electric-handle"]) == (409, body, "h-2")
        assert got.headers["cache-control"] == "private, no-store"
        assert "etag" not in got.headers


async def test_S_04_P_30_after_an_outage_a_client_goes_on_at_its_handle(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async def away_then_back(request: web.Request) -> web.StreamResponse:
        if len(running.upstream) < 3:
            return web.json_response({"message": "no database"}, status=503, headers={"retry-after": "5"})
        headers = {"electric-handle": request.query["handle"], "electric-offset": request.query["offset"]}
        return web.json_response([], headers=headers)

    async with gate(away_then_back, tmp_path) as running:
        found = []
        for _ in range(3):
            async with http.get(running.url / "v1/shape", params=LIVE, headers=bearer()) as answer:
                await answer.read()
                names = ("retry-after", "electric-handle", "electric-offset")
                found.append((answer.status, *(answer.headers.get(name) for name in names)))
    assert found == [(503, "5", None, None)] * 2 + [(200, None, "h-1", "0_0")]


async def test_P_41_W_11_a_stream_passes_as_it_comes(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    step = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        assert request.query["experimental_live_sse"] == request.query["live_sse"] == "true"
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "electric-handle": "h-1"})
        await response.prepare(request)
        await response.write(b": keep-alive\n\n")
        await step.wait()
        await response.write(b'data: {"headers":{}}\n\n')
        return response

    async with (
        gate(drip, tmp_path) as running,
        http.get(running.url / "v1/shape", params=STREAM, headers=bearer()) as answer,
    ):
        assert answer.content_type == "text/event-stream"
        assert await asyncio.wait_for(answer.content.readany(), 5) == b": keep-alive\n\n"
        step.set()
        assert await asyncio.wait_for(answer.content.read(), 5) == b'data: {"headers":{}}\n\n'


async def test_P_46_I_21_a_held_request_ends_with_its_token(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    ended = asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with gate(hold, tmp_path) as running:
        running.clock.now = NOW + timedelta(seconds=309.9)
        async with http.get(running.url / "v1/shape", params=LIVE, headers=bearer()) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "invalid_token")
        await asyncio.wait_for(ended.wait(), 1)


async def test_P_46_a_body_that_outlives_its_token_is_broken_off(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        await response.write(b"[")
        await asyncio.Event().wait()
        raise AssertionError

    async with gate(endless, tmp_path) as running:
        running.clock.now = NOW + timedelta(seconds=309.9)
        async with dial(running.url) as peer:
            await peer.send(get())
            received = await peer.rest()
    assert received.endswith(b"1\r\n[\r\n")


async def test_a_gate_that_stops_gives_held_requests_back_at_once(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with aiohttp.ClientSession() as session, asyncio.timeout(DRAIN_SECONDS):
        async with gate(hold, tmp_path) as running:
            held = asyncio.create_task(session.get(running.url / "v1/shape", params=LIVE, headers=bearer()))
            await asked.wait()
        answer = await held
        assert (answer.status, (await answer.json())["code"]) == (503, "gate_stopping")
        assert answer.headers["retry-after"] == "1"
