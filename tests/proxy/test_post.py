"""Subsets from outside: POST and GET on real sockets, the paths, and what ends before Electric is asked."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_wire.subset import BODY_BYTES_MAX
from tests.proxy.builders import ACME, ELECTRIC_SECRET, GLOBEX, NOW, Gate, bearer, gate, issuer_config
from tests.proxy.raw import dial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHAPE = {"table": "items", "offset": "-1", "log": "changes_only"}
PATHS = ["/v1/shape", "/api/electric/sync", f"/api/electric/orgs/{ACME}/sync"]
JSON = {"content-type": "application/json"}
HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-cache",
    "electric-snapshot": "true",
    "electric-handle": "h-1",
    "electric-offset": "0_0",
    "electric-schema": '{"id":{"type":"uuid","pk_index":0}}',
}


@dataclass
class Before:
    """A gate before an upstream that answers subsets and keeps the bodies that it got."""

    gate: Gate
    http: aiohttp.ClientSession
    bodies: list[bytes] = field(default_factory=list)

    def post(self, body: object = None, *, path: str = "/v1/shape", **options: Any) -> Any:
        options = {"params": SHAPE, "headers": bearer()} | options
        if body is not None:
            options["json"] = body
        return self.http.post(self.gate.url.with_path(path), **options)

    @property
    def asked(self) -> list[web.Request]:
        return self.gate.upstream


@asynccontextmanager
async def open_before(folder: Path) -> AsyncIterator[Before]:
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.read())
        return web.Response(body=b'{"metadata":{},"data":[]}', headers=HEADERS)

    async with gate(answer, folder) as running, aiohttp.ClientSession() as http:
        yield Before(running, http, bodies)


@pytest.fixture
async def before(tmp_path: Path) -> AsyncIterator[Before]:
    async with open_before(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
async def test_P_06_a_post_reaches_electric_as_a_body_of_ours(before: Before, path: str) -> None:
    body = {"where": "name = $1", "params": {"1": "x"}, "order_by": "id", "limit": 2}
    async with before.post(body | {"where_expr": {"type": "val"}}, path=path) as answer:
        assert (answer.status, await answer.read()) == (200, b'{"metadata":{},"data":[]}')
        assert answer.headers["electric-snapshot"] == "true"
        assert answer.headers["electric-handle"] == "h-1"
        assert answer.headers["cache-control"].startswith("private, no-")
        assert "etag" not in answer.headers
    (asked,) = before.asked
    assert (asked.method, asked.path, asked.content_type) == ("POST", "/v1/shape", "application/json")
    assert json.loads(before.bodies[0]) == {
        "where": '("name" = $1)',
        "params": {"1": "x"},
        "order_by": '"id" ASC NULLS LAST',
        "limit": 2,
    }
    assert asked.query.getall("where") == ['"organization_id" = $1']
    assert asked.query.getall("params[1]") == [ACME]
    assert asked.query.getall("queryable_columns") == ['"id","name","organization_id"']


async def test_P_11_a_get_reaches_electric_as_parameters_of_ours(before: Before) -> None:
    query = SHAPE | {"subset__where": "name = 'x'", "subset__where_expr": "{}"}
    async with before.http.get(before.gate.url / "v1/shape", params=query, headers=bearer()) as answer:
        assert (answer.status, answer.headers["electric-snapshot"]) == (200, "true")
    (asked,) = before.asked
    assert {name: text for name, text in asked.query.items() if name.startswith("subset")} == {
        "subset__where": '("name" = $1)',
        "subset__params": '{"1":"x"}',
    }


async def test_P_22_headers_of_the_client_stay_here(before: Before) -> None:
    headers = bearer() | {
        "cookie": "a=b",
        "x-api-key": "k",
        "if-none-match": '"e"',
        "origin": "https://app.example",
    }
    async with before.post({"where": "true"}, headers=headers) as answer:
        assert answer.status == 200
    assert {name.lower() for name in before.asked[0].headers} == {
        *("host", "accept", "accept-encoding", "content-type", "content-length")
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b"{bad",
        b'{"where":"true","where":"false"}',
        b'{"where":"true","table":"users"}',
        b'{"where":"true","secret":"x"}',
        b'{"subset":{"where":"true"}}',
        b'{"limit":2}',
        b'{"order_by":"id","limit":0}',
        b'{"where":"hidden is null"}',
        b'{"order_by":"hidden"}',
        b'{"where":"true) or (true"}',
        b'{"where":"id in (select id from items)"}',
        b'{"where":"name = $1"}',
        b'{"where":"name = $1","params":{"2":"x"}}',
        b'{"where":"\xff"}',
        b"where=true",
    ],
)
async def test_P_07_I_02_I_03_what_is_no_subset_is_a_400_before_electric(before: Before, body: bytes) -> None:
    async with before.post(data=body, headers=bearer() | JSON) as answer:
        assert answer.status == 400
        assert set(await answer.json()) == {"message", "code", "hint", "request_id"}
        assert answer.headers["cache-control"] == "private, no-store"
    assert before.asked == []


@pytest.mark.parametrize(
    "query",
    [
        {"subset__where": "true"},
        {"subset__limit": "1"},
        {"subset__where_expr": "{}"},
        {"subset[where]": "true"},
        {"secret": "x"},
        {"offset": "0_0"},
        {"live": "true"},
    ],
)
async def test_P_07_I_07_the_url_of_a_post_is_as_strict_as_any(before: Before, query: dict[str, str]) -> None:
    async with before.post({"where": "true"}, params=SHAPE | query) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_request")
    assert before.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_a_body_that_does_not_say_it_is_json_is_a_415(before: Before, headers: dict[str, str]) -> None:
    async with before.post(data=b'{"where":"true"}', headers=bearer() | headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (415, "body_type_not_supported")
    assert before.asked == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_I_08_a_large_body_is_a_413_that_a_page_may_read(before: Before, *, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1_024 + 1):
            yield b" " * 1_024

    data = pieces() if chunked else b" " * (BODY_BYTES_MAX + 1)
    headers = bearer() | JSON | {"origin": "https://app.example"}
    async with before.post(data=data, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert before.asked == []


async def test_I_15_a_post_without_a_good_token_is_refused_before_its_body_comes(before: Before) -> None:
    async with dial(before.gate.url) as peer:
        await peer.send(
            b"POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: 60000\r\n\r\n"
        )
        assert b" 401 " in await peer.head()
    assert before.asked == []


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize(
    "rest", ["", "?table=secrets&offset=-1", f"?table=items&offset=0_0&handle=h-{GLOBEX}"]
)
async def test_T_08_another_orgs_url_is_a_403_whatever_is_asked_there(
    before: Before, method: str, rest: str
) -> None:
    url = URL(f"{before.gate.url.origin()}/api/electric/orgs/{GLOBEX}/sync{rest}")
    body = {"where": "true"} if method == "POST" else None
    async with before.http.request(method, url, headers=bearer(), json=body) as answer:
        assert answer.status == 403
        if method != "HEAD":
            assert (await answer.json())["code"] == "org_mismatch"
    assert before.asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_I_05_a_table_that_is_not_granted_answers_like_one_that_is_not_there(
    before: Before, method: str
) -> None:
    bodies = []
    for table in ("users", "no_such_table"):
        query = {"table": table, "offset": "-1"}
        subset: dict[str, Any] = (
            {"params": query, "json": {"where": "password = 'x'"}}
            if method == "POST"
            else {"params": query | {"subset__where": "password = 'x'"}}
        )
        url = before.gate.url / "v1/shape"
        async with before.http.request(method, url, headers=bearer(), **subset) as answer:
            body = await answer.json()
            bodies.append((answer.status, body["code"], body["message"], body["hint"]))
    assert bodies[0] == bodies[1]
    assert bodies[0][:2] == (403, "table_not_allowed")


SPELLINGS = [
    "/v1/shape/",
    "//v1/shape",
    "/v1//shape",
    "/v1/./shape",
    "/v1/x/../shape",
    "/v1/%2e%2e/v1/shape",
    "/v1/%73hape",
    "/v1%2fshape",
    "/v1/shape%2f",
    "/v1/shape%00",
    "/v1/shape%20",
    "/v1/shape;x",
    "/v1/shape;x=1",
    "/v1/shape.json",
    "/V1/SHAPE",
    "/v1/shap%EF%BD%85",
    "/api/electric/sync/",
    "/api//electric/sync",
    f"/api/electric/orgs/{ACME}/sync/",
    f"/api/electric/orgs/{ACME}%2fsync",
    f"/api/electric/orgs/{ACME}%2f..%2f{GLOBEX}/sync",
    f"/api/electric/orgs/{GLOBEX}%2f..%2f{ACME}/sync",
    f"/api/electric/orgs/{ACME};x/sync",
    f"/api/electric/orgs/{ACME}%00/sync",
    "/api/electric/orgs//sync",
    "http://other/v1/shape",
    "*",
    "/",
    "/v1/shape/x",
    "/metrics",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", SPELLINGS)
async def test_P_23_I_13_another_spelling_is_not_there_or_meets_the_same_authentication(
    before: Before, method: str, path: str
) -> None:
    assert await status_of(before, method, path, token=None) in (400, 401, 404, 405)
    assert before.asked == []
    status = await status_of(before, method, path, token=bearer()["authorization"])
    assert status in (200, 400, 403, 404, 405)
    assert (status == 200) is bool(before.asked)
    for asked in before.asked:
        assert asked.path == "/v1/shape"
        assert asked.query.getall("params[1]") == [ACME]


async def status_of(before: Before, method: str, path: str, *, token: str | None) -> int:
    """Ask for a path as it is written, which no HTTP client does."""
    body = b'{"where":"true"}' if method == "POST" else b""
    lines = [f"{method} {path}?table=items&offset=-1 HTTP/1.1", "host: x", "connection: close"]
    lines += [f"authorization: {token}"] if token else []
    lines += ["content-type: application/json", f"content-length: {len(body)}"] if body else []
    async with dial(before.gate.url) as peer:
        await peer.send("\r\n".join([*lines, "", ""]).encode() + body)
        return int((await peer.head()).split()[1])


async def test_I_13_a_client_cannot_reach_past_the_gate_by_its_path(before: Before) -> None:
    for path in ("/v1/health", "/v1/shape/../../metrics", "/%2e%2e/v1/shape"):
        assert await status_of(before, "GET", path, token=bearer()["authorization"]) == 404
    assert before.asked == []


async def test_P_29_a_held_HEAD_ends_with_its_token(tmp_path: Path) -> None:
    async def hold(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    async with gate(hold, tmp_path) as running, aiohttp.ClientSession() as http:
        query = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
        leeway = timedelta(seconds=issuer_config().leeway_seconds)
        running.clock.now = NOW + timedelta(seconds=300) + leeway - timedelta(seconds=0.1)
        url = running.url / "v1/shape"
        async with asyncio.timeout(5), http.head(url, params=query, headers=bearer()) as answer:
            assert answer.status == 401
        assert [request.method for request in running.upstream] == ["HEAD"]


LONGEST = ["(" * 8_000, "not " * 2_000, "'" * 8_000, "name = 'x' or " * 571, "%_" * 4_000, "\u00e9" * 8_000]


@pytest.mark.parametrize("field", ["where", "order_by"])
@pytest.mark.parametrize("text", LONGEST, ids=lambda text: text[:6])
async def test_I_08_a_refusal_of_any_8000_characters_takes_less_than_50_ms(
    before: Before, field: str, text: str
) -> None:
    async def seconds() -> float:
        started = time.process_time()
        async with before.post({field: text}) as answer:
            assert answer.status == 400
        return time.process_time() - started

    assert min([await seconds() for _ in range(4)]) < 0.05


async def test_I_10_a_subset_leaves_one_event_without_its_values(before: Before) -> None:
    async with before.post({"where": "name = $1", "params": {"1": "classified"}}) as answer:
        await answer.read()
    await asyncio.wait_for(before.gate.recorder.told.wait(), 5)
    (event,) = before.gate.recorder.events
    assert (event.method, event.status, event.code) == ("POST", 200, "served")
    assert "classified" not in repr(event)
    assert ELECTRIC_SECRET not in repr(event)
