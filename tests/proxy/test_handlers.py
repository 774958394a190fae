"""The gate from outside: a real server before a scripted upstream, over real sockets."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_proxy.answers import EXPOSED_HEADERS
from shapegate_proxy.readiness import BELIEVED_SECONDS
from tests.proxy.builders import (
    ACME,
    ELECTRIC_SECRET,
    GLOBEX,
    NOW,
    Gate,
    bearer,
    gate,
    gate_before,
    log_answer,
    token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = {"table": "items", "offset": "-1"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
async def before_electric(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(log_answer, tmp_path) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/shape", "/api/electric/sync", f"/api/electric/orgs/{ACME}/sync"])
async def test_a_shape_passes_with_the_headers_of_electric(
    before_electric: Gate, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(before_electric.url.with_path(path), params=START, headers=bearer()) as answer:
        assert answer.status == 200
        assert await answer.read() == b"[]"
        assert answer.headers["electric-handle"] == "h-1"
        assert answer.headers["electric-up-to-date"] == ""
        assert "electric-server" not in answer.headers
        assert answer.headers["server"] == "shapegate"
        assert not {"x-internal", "set-cookie"} & {name.lower() for name in answer.headers}


async def test_P_01_electric_sees_the_org_of_the_token(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    await http.get(before_electric.url / "v1/shape", params=START, headers=bearer(organization_id=GLOBEX))
    query = before_electric.upstream[0].query
    assert query.getall("params[1]") == [GLOBEX]
    assert query.getall("where") == ['"organization_id" = $1']
    assert query.getall("secret") == [ELECTRIC_SECRET]


async def test_P_22_credentials_of_the_user_stay_here(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    headers = bearer() | {"cookie": "a=b", "x-forwarded-for": "1.2.3.4", "user-agent": "browser"}
    await http.get(before_electric.url / "v1/shape", params=START, headers=headers)
    sent = before_electric.upstream[0].headers
    assert {name.lower() for name in sent} == {"host", "accept", "accept-encoding"}


@pytest.mark.parametrize(
    ("headers", "status", "challenge"),
    [
        ({}, 401, "Bearer"),
        ({"authorization": "Bearer a.b.c"}, 401, 'Bearer error="invalid_token"'),
        ({"authorization": "Basic eDp5"}, 400, 'Bearer error="invalid_request"'),
        (bearer(exp=int(NOW.timestamp()) - 60), 401, 'Bearer error="invalid_token"'),
        (bearer(secret="another-secret-of-more-than-32-bytes!"), 401, 'Bearer error="invalid_token"'),
    ],
)
async def test_I_15_without_a_good_token_nothing_reaches_electric(
    before_electric: Gate, http: aiohttp.ClientSession, headers: dict[str, str], status: int, challenge: str
) -> None:
    async with http.get(before_electric.url / "v1/shape", params=START, headers=headers) as answer:
        assert answer.status == status
        assert answer.headers["www-authenticate"].startswith(challenge)
        assert answer.headers["cache-control"] == "private, no-store"
        assert set(await answer.json()) == {"message", "code", "hint", "request_id"}
    assert before_electric.upstream == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "table=items",
        "offset=-1",
        "table=items&offset=-1&offset=0_0",
        "table=items&table=notes&offset=-1",
        "table=items&offset=-1&secret=x",
        "table=items&offset=-1&api_secret=x",
        "table=items&offset=-1&source_id=x",
        "table=items&offset=-1&queryable_columns=id",
        "table=items&offset=-1&columns=",
        "table=items&offset=-1&where=",
        "table=items&offset=-1&where=%20",
        "table=items&offset=-1&where=true)%20OR%20(true",
        "table=items&offset=-1&where=hidden%20IS%20NULL",
        "table=items&offset=-1&where%5B%5D=true",
        "table=items&offset=-1&where=true&%77here=true",
        "table=items&offset=-1&subset%5Bwhere%5D=true",
        "table=items&offset=-1&subset__where=",
        "table=items&offset=-1&subset__where=true&subset__where=true",
        "table=items&offset=-1&subset__where=hidden%20IS%20NULL",
        "table=items&offset=-1&subset__params%5B1%5D=x&subset__where=name=$1",
        "table=items&offset=-1&subset__limit=5",
        "table=items&offset=-1&subset__order_by=hidden",
        "table=items&offset=-1&subset__order_by=lower(name)",
        "table=items&offset=-1&subset__where=id%20IN%20(SELECT%20id%20FROM%20items)",
        "table=items&offset=0_0&handle=h&live=true&subset__where_expr=%7B%7D",
        "table=items&offset=-1&params=x",
        "table=items&offset=-1&params%5B1%5D=x",
        "table=items&offset=-1&params%5B4294967297%5D=x",
        "table[]=items&offset=-1",
        "table=items&offset=0_0",
        "table=items&offset=-1&live=true",
        "table=items&offset=0_0&handle=h&live=1",
        "table=items&offset=-1&handle=a%00b",
        "table=items&offset=-1&handle=%ff",
        "table=items&offset=-1&replica=all",
        "table=items%3B&offset=-1",
        "table=items&offset=%D9%A1_0&handle=h",
        "table=items&offset=-1&columns=id,,name",
        "token=x&table=items&offset=-1",
    ],
)
async def test_I_07_what_is_no_shape_request_is_refused_before_electric(
    before_electric: Gate, http: aiohttp.ClientSession, query: str
) -> None:
    url = URL(f"{before_electric.url / 'v1/shape'}?{query}", encoded=True)
    async with http.get(url, headers=bearer()) as answer:
        assert answer.status == 400
        assert (await answer.json())["message"]
    assert before_electric.upstream == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("table=secrets&offset=-1", "table_not_allowed"),
        ("table=items&offset=-1&columns=id,x", "column_not_allowed"),
    ],
)
async def test_I_04_what_the_policy_does_not_name_is_forbidden(
    before_electric: Gate, http: aiohttp.ClientSession, query: str, code: str
) -> None:
    async with http.get(URL(f"{before_electric.url / 'v1/shape'}?{query}"), headers=bearer()) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, code)
    assert before_electric.upstream == []


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "TRACE", "PROPFIND", "SUBSCRIBE"])
async def test_P_08_I_12_other_methods_end_here(
    before_electric: Gate, http: aiohttp.ClientSession, method: str
) -> None:
    url = before_electric.url / "v1/shape"
    headers = bearer() | {"origin": "https://app.example"}
    async with http.request(method, url, params=START, headers=headers, json={"where": "true"}) as answer:
        assert answer.status == 405
        assert (await answer.json())["code"] == "method_not_allowed"
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["cache-control"] == "private, no-store"
    assert before_electric.upstream == []


async def test_P_29_HEAD_is_authenticated_and_confined_like_GET(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    url = before_electric.url / "v1/shape"
    async with http.head(url, params=START) as refused:
        assert refused.status == 401
    async with http.head(url, params=START, headers=bearer()) as answer:
        assert (answer.status, answer.headers["electric-handle"]) == (200, "h-1")
    assert [request.method for request in before_electric.upstream] == ["HEAD"]


@pytest.mark.parametrize("path", ["/v1/shape", "/api/electric/sync"])
async def test_P_38_P_39_the_answer_is_stored_nowhere(
    before_electric: Gate, http: aiohttp.ClientSession, path: str
) -> None:
    headers = bearer() | {"if-none-match": '"h-1:-1:0_0"'}
    async with http.get(before_electric.url.with_path(path), params=START, headers=headers) as answer:
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["vary"] == "authorization, origin"
        assert "etag" not in answer.headers
    assert "if-none-match" not in before_electric.upstream[0].headers


async def test_P_45_the_url_with_the_org_can_be_revalidated(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async def not_modified(request: web.Request) -> web.StreamResponse:
        status = 304 if request.headers.get("if-none-match") == '"e"' else 200
        headers = {"content-type": "application/json", "etag": '"e"', "electric-handle": "h-1"}
        return web.Response(status=status, headers=headers)

    async with gate(not_modified, tmp_path) as running:
        url = running.url / f"api/electric/orgs/{ACME}/sync"
        async with http.get(url, params=START, headers=bearer()) as first:
            assert (first.status, first.headers["etag"]) == (200, '"e"')
            assert first.headers["cache-control"] == "private, no-cache"
        async with http.get(url, params=START, headers=bearer() | {"if-none-match": '"e"'}) as second:
            assert (second.status, second.headers["electric-handle"]) == (304, "h-1")
            assert second.headers["vary"] == "authorization, origin"


async def test_P_35_a_preflight_is_answered_here_without_a_token(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    headers = {"origin": "https://app.example", "access-control-request-headers": "authorization"}
    async with http.options(before_electric.url / "v1/shape", params=START, headers=headers) as answer:
        assert answer.status == 204
        assert {"authorization", "content-type"} <= set(
            answer.headers["access-control-allow-headers"].split(", ")
        )
        assert "POST" in answer.headers["access-control-allow-methods"].split(", ")
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert before_electric.upstream == []
    assert before_electric.recorder.events == []


async def test_P_33_P_34_a_page_of_an_allowed_origin_may_read_every_answer(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    url, origin = before_electric.url / "v1/shape", {"origin": "https://app.example"}
    for path, headers in ((url, bearer()), (url, {}), (before_electric.url / "nowhere", {})):
        async with http.get(path, params=START, headers=origin | headers) as answer:
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert exposed == list(EXPOSED_HEADERS)
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["null", "https://app.example.evil", "http://app.example", "*"])
async def test_I_18_another_origin_gets_no_permission(
    before_electric: Gate, http: aiohttp.ClientSession, origin: str
) -> None:
    url = before_electric.url / "v1/shape"
    for method in ("GET", "OPTIONS"):
        async with http.request(method, url, params=START, headers=bearer() | {"origin": origin}) as answer:
            assert not any(name.lower().startswith("access-control") for name in answer.headers)
            assert answer.headers["vary"] == "authorization, origin"


async def test_P_18_a_long_request_line_is_our_own_414(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    long = {**START, "cache-buster": "x" * 11_000}
    headers = bearer() | {"origin": "https://app.example"}
    async with http.get(before_electric.url / "v1/shape", params=long, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (414, "request_too_long")
        assert "access-control-allow-origin" in answer.headers
    assert before_electric.upstream == []


async def test_I_07_a_body_is_refused(before_electric: Gate, http: aiohttp.ClientSession) -> None:
    url = before_electric.url / "v1/shape"
    async with http.get(url, params=START, headers=bearer(), data=b"{}") as answer:
        assert answer.status == 400
    assert before_electric.upstream == []


async def test_I_15_two_authorization_headers_are_refused(before_electric: Gate) -> None:
    url = before_electric.url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    line = f"authorization: Bearer {token()}\r\n"
    writer.write(f"GET /v1/shape?table=items&offset=-1 HTTP/1.1\r\nhost: x\r\n{line}{line}\r\n".encode())
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert before_electric.upstream == []


async def test_each_shape_request_leaves_one_event_without_secrets(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    async with http.get(before_electric.url / "v1/shape", params=START, headers=bearer()) as answer:
        await answer.read()
        request_id = answer.headers["x-request-id"]
    await asyncio.wait_for(before_electric.recorder.told.wait(), 5)
    (event,) = before_electric.recorder.events
    assert (event.request_id, event.status, event.code, event.org) == (request_id, 200, "served", ACME)
    assert (event.table, event.offset, event.body_bytes) == ('"public"."items"', "-1", 2)
    assert ELECTRIC_SECRET not in repr(event)
    assert token() not in repr(event)


async def test_J_05_the_next_request_after_the_end_of_the_token_is_401(
    before_electric: Gate, http: aiohttp.ClientSession
) -> None:
    url = before_electric.url / "v1/shape"
    async with http.get(url, params=START, headers=bearer()) as answer:
        assert answer.status == 200
    before_electric.clock.now = NOW + timedelta(seconds=400)
    async with http.get(url, params=START, headers=bearer()) as answer:
        assert answer.status == 401


async def test_a_fault_that_nobody_foresaw_is_a_500_without_detail(
    tmp_path: Path, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(log_answer, tmp_path) as running:
        running.clock.now = None  # type: ignore[assignment]  # a fault inside, on purpose
        async with http.get(running.url / "v1/shape", params=START, headers=bearer()) as answer:
            body = await answer.json()
            assert (answer.status, body["code"]) == (500, "internal_error")
            assert "NoneType" not in str(body)
    assert body["request_id"] in caplog.text


async def test_P_47_readiness_is_electrics_and_the_keys(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    state = {"status": 202}

    async def health(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "starting"}, status=state["status"])

    async with gate(health, tmp_path) as running:
        async with http.get(running.url / "health") as answer:
            assert answer.status == 200
        async with http.get(running.url / "health/detailed") as answer:
            assert (answer.status, (await answer.json())["checks"]["electric"]) == (503, "starting")
        state["status"] = 200
        running.ticks.now += BELIEVED_SECONDS
        async with http.get(running.url / "health/detailed") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "ready")


async def test_W_02_a_dead_electric_is_a_502_with_retry_after(
    tmp_path: Path, http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    async with gate_before(URL(f"http://127.0.0.1:{unused_tcp_port}"), tmp_path, []) as running:
        async with http.get(running.url / "v1/shape", params=START, headers=bearer()) as answer:
            assert (answer.status, (await answer.json())["code"]) == (502, "electric_unreachable")
            assert answer.headers["retry-after"] == "5"
        async with http.get(running.url / "health/detailed") as answer:
            assert answer.status == 503
