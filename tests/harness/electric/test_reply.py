from __future__ import annotations

import asyncio
import gzip
import json
from urllib.parse import urlsplit

import aiohttp
import pytest

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import Caller, connected, open_caller

HEALTH = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"


async def raw(caller: Caller, query: dict[str, str], path: str, offered: str) -> tuple[str | None, bytes]:
    """Get an answer's encoding and its body as it was sent."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(
            caller.electric.url + path, params=query, headers={"accept-encoding": offered}
        ) as response,
    ):
        return response.headers.get("content-encoding"), await response.read()


@pytest.mark.parametrize(
    ("path", "query", "offered", "encoding"),
    [
        ("/v1/health", {}, "gzip", "gzip"),
        ("/v1/health", {}, "identity", None),
        ("/v1/shape", {"table": "nope", "offset": "-1"}, "gzip, deflate, br", "gzip"),
        ("/v1/shape", {"table": "t", "offset": "-1"}, "gzip", None),
        ("/v1/shape", {"table": "t", "offset": "now"}, "gzip", None),
        ("/v1/shape", {"table": "t", "offset": "0_0", "handle": "1-2"}, "gzip", None),
        ("/v1/shape", {"table": "t", "offset": "-1", "subset__where": "id=1"}, "gzip", None),
    ],
)
async def test_only_what_has_no_tag_and_a_length_is_compressed(
    path: str, query: dict[str, str], offered: str, encoding: str | None, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        found, body = await raw(caller, query, path, offered)
        assert found == encoding
        plain = gzip.decompress(body) if found else body
        assert json.loads(plain)


@pytest.mark.parametrize(("requests_max", "answers"), [(3, 3), (1, 1), (None, 5)])
async def test_a_connection_ends_after_so_many_answers_without_a_word(
    requests_max: int | None, answers: int, database_url: str
) -> None:
    settings = ElectricSettings(requests_per_connection_max=requests_max)
    async with open_caller(database_url, settings) as caller:
        url = urlsplit(caller.electric.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        async with asyncio.timeout(10):
            for _ in range(answers):
                writer.write(HEALTH)
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"connection:" not in head.lower()
                assert await reader.readexactly(19) == b'{"status":"active"}'
            if requests_max is not None:
                assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def test_connections_are_counted_as_electric_counts_them_unless_told_otherwise() -> None:
    assert ElectricSettings().requests_per_connection_max == 50
