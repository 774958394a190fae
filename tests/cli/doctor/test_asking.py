"""Questions over real sockets: bounded, without redirects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from shapegate_cli.doctor.answered import Answered, Silent
from shapegate_cli.doctor.asking import BODY_BYTES_MAX, open_asker
from tests.proxy.builders import serve

if TYPE_CHECKING:
    from shapegate_cli.doctor.answered import Reply

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def ask(url: URL) -> Reply:
    async with open_asker(lambda: NOW) as asker:
        return await asker.get(url)


async def test_an_answer_is_taken_with_lower_case_headers_and_the_time_of_asking() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=503, body=b"x" * (BODY_BYTES_MAX + 1), headers={"Electric-Server": "e/1"})

    async with serve(answer) as (url, _):
        reply = await ask(url / "v1/shape")
    assert isinstance(reply, Answered)
    assert (reply.status, reply.headers["electric-server"], reply.asked_at) == (503, "e/1", NOW)
    assert len(reply.body) == BODY_BYTES_MAX


async def test_a_redirect_is_an_answer() -> None:
    async def answer(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/")

    async with serve(answer) as (url, _):
        reply = await ask(url / "v1/shape")
    assert isinstance(reply, Answered)
    assert reply.status == 302


async def test_nobody_there_is_silence_without_the_address() -> None:
    reply = await ask(URL("http://127.0.0.1:1/?secret=hunter2"))
    assert reply == Silent("ClientConnectorError")
