from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from tests.harness.electric.builders import Got, connected, open_caller

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
        assert "10000 bytes" in above.text
        assert above.headers["access-control-allow-origin"] == "*"


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


async def test_post_is_refused_in_words_and_never_kept(database_url: str) -> None:
    async with open_caller(database_url) as caller:
        got = await caller.get({"table": "t", "offset": "-1"}, method="POST")
        assert got.status == 400
        assert "POST is not supported by this development server yet" in got.text
        assert got.headers["cache-control"] == "no-cache"


async def test_head_answers_as_get_without_the_body(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        query = {"table": "t", "offset": "-1"}
        head, get = await caller.get(query, method="HEAD"), await caller.get(query)
        assert (head.status, head.text) == (200, "")
        for name in ("etag", "electric-handle", "electric-offset", "electric-schema", "cache-control"):
            assert head.headers[name] == get.headers[name]


async def test_text_that_is_not_utf_8_is_400(database_url: str) -> None:
    async with open_caller(database_url) as caller, aiohttp.ClientSession() as session:
        url = URL(f"{caller.electric.url}/v1/shape?table=%ff&offset=-1", encoded=True)
        async with session.get(url) as response:
            got = Got(status=response.status, headers=response.headers, text=await response.text())
        assert got.status == 400
        assert "not valid UTF-8" in got.text


async def test_bodies_of_logs_are_chunked_and_others_have_a_length(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        log = await caller.get({"table": "t", "offset": "-1"})
        now = await caller.get({"table": "t", "offset": "now"})
        assert log.headers["transfer-encoding"] == "chunked"
        assert now.headers["content-length"] == str(len(now.text))
