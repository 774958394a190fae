from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import Got, connected, open_caller, until

NO_SECRET = '{"message":"Unauthorized - Invalid API secret"}'


@pytest.mark.parametrize("path", ["/v1/shape/", "//v1/shape", "/v1/%73hape", "/v1//shape", "/%76%31/shape"])
async def test_p_23_every_spelling_of_the_path_meets_the_secret(path: str, database_url: str) -> None:
    async with open_caller(database_url, secret="s3cr3t") as caller, aiohttp.ClientSession() as session:
        url = URL(f"{caller.electric.url}{path}?table=t&offset=-1", encoded=True)
        async with session.get(url) as response:
            assert (response.status, await response.text()) == (401, NO_SECRET)
            assert "content-type" not in response.headers
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("given", [{}, {"secret": ""}, {"secret": "s3cr3"}, {"api_secret": "é"}])
async def test_a_wrong_secret_is_refused_before_anything_is_read(
    given: dict[str, str], database_url: str
) -> None:
    async with open_caller(database_url, secret="s3cr3t") as caller:
        got = await caller.get({"table": "a.b.c", **given})
        assert (got.status, got.text) == (401, NO_SECRET)


async def test_it_says_what_it_is_and_who_asked(database_url: str) -> None:
    async with open_caller(database_url) as caller:
        got = await caller.get(path="/v1/health", headers={"x-request-id": "a-request-id-of-my-own"})
        assert got.headers["electric-server"].startswith("shapegate-dev/")
        assert got.headers["x-request-id"] == "a-request-id-of-my-own"
        assert (await caller.get(path="/")).headers["x-request-id"] != (await caller.get(path="/")).headers[
            "x-request-id"
        ]


async def test_a_request_line_above_10000_bytes_is_414(database_url: str) -> None:
    async with open_caller(database_url) as caller:
        fixed = len("GET /v1/shape?table=t&offset=-1&where= HTTP/1.1")
        below = await caller.get({"table": "t", "offset": "-1", "where": "x" * (10_000 - fixed)})
        above = await caller.get({"table": "t", "offset": "-1", "where": "x" * (10_001 - fixed)})
        assert (below.status, above.status) == (400, 414)
        assert (above.text, list(above.headers.items())) == ("", [("Connection", "close")])


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("if-none-match", "if-none-match"),
        ("TraceParent", "TraceParent"),
        ("authorization", None),
        ("if-none-match, x", None),
    ],
)
async def test_preflights_allow_no_more_than_electric_does(
    asked: str, allowed: str | None, database_url: str
) -> None:
    async with open_caller(database_url, secret="s3cr3t") as caller:
        got = await caller.get(method="OPTIONS", headers={"access-control-request-headers": asked})
        assert got.status == 204
        assert got.headers.get("access-control-allow-headers") == allowed
        assert "vary" not in got.headers


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            "{bad",
            400,
            '{"error":"Invalid JSON in request body",'
            '"details":"unexpected byte at position 1: 0x62 (\\"b\\")"}',
        ),
        ("[1]", 400, '{"error":"Request body must be a JSON object"}'),
        ('{"where": "' + "x" * 100 + '"}', 413, '{"error":"Request body too large"}'),
    ],
)
async def test_a_body_that_is_not_read_is_told_before_the_request_is_looked_at(
    body: str, status: int, text: str, database_url: str
) -> None:
    async with open_caller(database_url, ElectricSettings(body_bytes_max=100)) as caller:
        got = await caller.get({"table": "a.b.c"}, method="POST", body=body)
        assert (got.status, got.text) == (status, text)
        assert got.headers["cache-control"] == "max-age=0, private, must-revalidate"
        assert got.headers["access-control-allow-origin"] == "*"
        assert "surrogate-control" not in got.headers


async def test_a_body_that_does_not_arrive_is_given_up(database_url: str) -> None:
    async with open_caller(database_url, ElectricSettings(body_seconds=0.05)) as caller:
        url = urlsplit(caller.electric.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"POST /v1/shape?offset=-1 HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readuntil(b"}")
        writer.close()
        await writer.wait_closed()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert body == b'{"error":"Failed to read request body"}'


async def test_the_secret_is_looked_for_in_the_query_only(database_url: str) -> None:
    async with open_caller(database_url, secret="s3cr3t") as caller:
        got = await caller.get({"table": "t"}, method="POST", body='{"secret": "s3cr3t"}')
        assert (got.status, got.text) == (401, NO_SECRET)


async def test_a_post_of_a_log_is_never_kept_and_never_304(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        query = {"table": "t", "offset": "-1"}
        first = await caller.get(query, method="POST")
        headers = {"if-none-match": first.headers["etag"]}
        assert (await caller.get(query, headers=headers)).status == 304
        again = await caller.get(query, method="POST", headers=headers)
        assert (again.status, again.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    ("method", "status", "text"),
    [
        ("DELETE", 405, '{"message":"DELETE not allowed"}'),
        ("PUT", 404, "Not found"),
        ("PATCH", 404, "Not found"),
    ],
)
async def test_nobody_writes(method: str, status: int, text: str, database_url: str) -> None:
    async with open_caller(database_url) as caller:
        got = await caller.get({"table": "t", "offset": "-1"}, method=method)
        assert (got.status, got.text) == (status, text)
        assert "surrogate-control" not in got.headers


async def test_several_if_none_match_headers_are_one_list(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        first = await caller.get({"table": "t", "offset": "-1"})
        etag = first.headers["etag"]
        async with aiohttp.ClientSession() as session:
            url = f"{caller.electric.url}/v1/shape?table=t&offset=-1"
            for tags, status in (
                (['"x"', f'"y", {etag}'], 304),
                ([etag.strip('"')], 304),
                (["*"], 200),
                ([f"W/{etag}"], 200),
            ):
                sent = CIMultiDict([("if-none-match", tag) for tag in tags])
                async with session.get(url, headers=sent) as response:
                    assert response.status == status
                    assert ("electric-schema" in response.headers) == (status == 200)


async def test_s_09_held_requests_take_places_that_others_then_lack(database_url: str) -> None:
    settings = ElectricSettings(existing_requests_max=2, initial_requests_max=1)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        first = await caller.get({"table": "t", "offset": "-1"})
        query = {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        poll = await caller.held(query)
        stream = await caller.held({**query, "live_sse": "true"})
        got = await caller.get(query)
        assert (got.status, json.loads(got.text)) == (
            503,
            {
                "code": "concurrent_request_limit_exceeded",
                "message": "Concurrent existing request limit exceeded (limit: 2), please retry",
            },
        )
        assert got.headers["electric-internal-known-error"] == "true"
        assert 6 <= int(got.headers["retry-after"]) <= 10
        assert got.headers["cache-control"] == "no-store"
        # An invented handle is no way to the larger number of places.
        assert (await caller.get({**query, "handle": "1-2"})).status == 409
        stream.cancel()
        await until(lambda: caller.electric.held_requests == 1)
        assert (await caller.get(query)).status == 200
        await database.execute("INSERT INTO t VALUES (1)")
        assert (await poll).status == 200


async def test_head_answers_as_get_without_the_body(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        query = {"table": "t", "offset": "-1"}
        head, get = await caller.get(query, method="HEAD"), await caller.get(query)
        assert (head.status, head.text) == (200, "")
        for name in ("etag", "electric-handle", "electric-offset", "electric-schema", "cache-control"):
            assert head.headers[name] == get.headers[name]
        assert not {"content-length", "transfer-encoding"} & {name.lower() for name in head.headers}
        health = await caller.get(path="/v1/health", method="HEAD", headers={"accept-encoding": "identity"})
        assert health.headers["content-length"] == "19"


async def test_text_that_is_not_utf_8_is_400(database_url: str) -> None:
    async with open_caller(database_url) as caller, aiohttp.ClientSession() as session:
        url = URL(f"{caller.electric.url}/v1/shape?table=%ff&offset=-1", encoded=True)
        async with session.get(url) as response:
            got = Got(status=response.status, headers=response.headers, text=await response.text())
        assert (got.status, got.text, list(got.headers.items())) == (400, "", [("Connection", "close")])


async def test_bodies_of_logs_are_chunked_and_others_have_a_length(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        log = await caller.get({"table": "t", "offset": "-1"})
        now = await caller.get({"table": "t", "offset": "now"})
        assert log.headers["transfer-encoding"] == "chunked"
        assert now.headers["content-length"] == str(len(now.text))
