"""A body that is read with a bound: in size, in time, and whatever its sender does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from shapegate_proxy.body import read_json
from shapegate_proxy.errors import Refused
from tests.proxy.builders import serve
from tests.proxy.raw import dial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BYTES_MAX = 100


async def answer(request: web.Request) -> web.StreamResponse:
    """Say how many bytes came, or why they are not read."""
    try:
        body = await read_json(request, bytes_max=BYTES_MAX, seconds_max=0.2)
    except Refused as exc:
        return web.Response(status=exc.status, text=exc.code)
    return web.Response(text=str(len(body)))


async def ask(data: bytes | AsyncIterator[bytes], **headers: str) -> tuple[int, str]:
    sent = {"content-type": "application/json"} | headers
    async with (
        serve(answer) as (url, _),
        aiohttp.ClientSession() as http,
        http.post(url, data=data, headers=sent) as got,
    ):
        return got.status, await got.text()


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


@pytest.mark.parametrize("size", [0, 1, BYTES_MAX])
async def test_a_body_within_the_bound_is_read_whole(size: int) -> None:
    assert await ask(b"x" * size) == (200, str(size))


async def test_a_body_in_pieces_within_the_bound_is_read_whole() -> None:
    assert await ask(pieces(10)) == (200, "100")


async def test_I_08_a_body_above_the_bound_is_refused_by_its_head_or_as_soon_as_it_shows() -> None:
    assert await ask(b"x" * (BYTES_MAX + 1)) == (413, "body_too_large")
    assert await ask(pieces(11)) == (413, "body_too_large")


@pytest.mark.parametrize("type_", ["application/json", "Application/JSON", "application/json; charset=UTF-8"])
async def test_the_type_of_json_has_several_spellings(type_: str) -> None:
    assert (await ask(b"{}", **{"content-type": type_}))[0] == 200


@pytest.mark.parametrize(
    "type_", ["text/plain", "application/problem+json", "application/json, text/plain", "x"]
)
async def test_another_type_is_refused(type_: str) -> None:
    assert (await ask(b"{}", **{"content-type": type_}))[0] == 415


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"content-length: 2\r\n", 415),
        (b"content-type: application/json\r\ncontent-length: 50\r\n", 408),
        (b"content-type: application/json\r\ntransfer-encoding: chunked\r\n", 408),
    ],
)
async def test_I_19_a_body_that_is_not_told_or_does_not_come_is_refused(head: bytes, status: int) -> None:
    async with serve(answer) as (url, _), dial(url) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")
        assert int((await peer.head()).split()[1]) == status
