"""The listener of the figures bears as little as that of the gate."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from shapegate_proxy.app import METRICS_CONNECTIONS_MAX
from shapegate_proxy.connection import FIELD_BYTES_MAX, FIELDS_MAX, LINE_BYTES_MAX
from tests.proxy.builders import gate, log_answer
from tests.proxy.raw import answered, dial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MARK = "a-text-that-nobody-may-quote"


@pytest.fixture
async def listener(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[URL]:
    async with gate(log_answer, tmp_path, metrics=("127.0.0.1", unused_tcp_port), idle_seconds=0.5):
        yield URL.build(scheme="http", host="127.0.0.1", port=unused_tcp_port)


def scrape(*fields: str, target: str = "/metrics", method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "host: gate", *fields, "", "")).encode()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (scrape(target="/metrics?" + "x" * LINE_BYTES_MAX), 414, "request_too_long"),
        (scrape(f"x-a: {MARK}{'x' * FIELD_BYTES_MAX}"), 431, "headers_too_large"),
        (scrape(*(f"x-{n}: {MARK}" for n in range(FIELDS_MAX + 1))), 431, "headers_too_large"),
        (scrape("content-length: 4", "transfer-encoding: chunked"), 400, "unreadable_request"),
        (scrape(f"expect: {MARK}"), 417, "expectation_failed"),
    ],
    ids=["a long line", "a long header", "many headers", "two lengths", "an expectation"],
)
async def test_I_08_I_10_a_head_is_bounded_for_scrapers_too(
    listener: URL, sent: bytes, status: int, code: str
) -> None:
    async with dial(listener) as peer:
        await peer.send(sent)
        found, headers, body = await answered(peer)
    assert (found, json.loads(body)["code"]) == (status, code)
    assert MARK.encode() not in body
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nhost:"])
async def test_I_08_a_connection_that_sends_no_head_is_closed_for_scrapers_too(
    listener: URL, sent: bytes
) -> None:
    async with dial(listener) as peer:
        await peer.send(sent)
        assert await peer.rest() == b""


async def test_I_08_a_scraper_finds_room_among_connections_that_idle(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    url = URL.build(scheme="http", host="127.0.0.1", port=unused_tcp_port)
    async with gate(log_answer, tmp_path, metrics=("127.0.0.1", unused_tcp_port)), AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(dial(url)) for _ in range(METRICS_CONNECTIONS_MAX)]
        async with dial(url) as scraper:
            await scraper.send(scrape())
            assert (await answered(scraper))[0] == 200
            assert await silent[0].rest() == b""


@pytest.mark.parametrize(
    ("sent", "status"), [(scrape(target="/v1/shape"), 404), (scrape(method="POST"), 405)]
)
async def test_there_is_nothing_but_the_figures(listener: URL, sent: bytes, status: int) -> None:
    async with dial(listener) as peer:
        await peer.send(sent)
        assert (await answered(peer))[0] == status
