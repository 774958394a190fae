"""One shape request over a real socket."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_client.config import ClientSettings
from shapegate_client.event import Answered, Event, Failed, Malformed, Rejected
from shapegate_client.principal import AccessToken
from shapegate_client.transport import Transport, open_http
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest
from tests.client.builders import DEFINITION
from tests.client.ports import HeldClock
from tests.client.servers import cut, cut_in_body, served, stall, status

if TYPE_CHECKING:
    from tests.client.servers import Responder

REQUEST = ShapeRequest(definition=DEFINITION, offset=BEFORE_ALL)
TOKEN = AccessToken(value="t0ken", organization_id="acme", expires_at=datetime.datetime.now(datetime.UTC))


async def fetch(responder: Responder, settings: ClientSettings | None = None) -> Event:
    app = web.Application()
    app.router.add_get("/base/api/electric/orgs/acme/sync", responder)
    async with served(app) as url, open_http() as http:
        transport = Transport(
            http, URL(url) / "base", "acme", settings=settings or ClientSettings(), clock=HeldClock()
        )
        return await transport.fetch(REQUEST, TOKEN)


def log(body: str, **headers: str) -> Responder:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["authorization"] == "Bearer t0ken"
        assert "cookie" not in request.headers
        assert dict(request.query) == {"table": "items", "offset": "-1"}
        head = {"electric-handle": "h", "electric-offset": "0_0", "electric-schema": '{"id":{"type":"int8"}}'}
        response = web.Response(text=body, headers={**head, **headers})
        response.set_cookie("tracking", "1")
        return response

    return answer


async def test_a_log_is_read_from_the_orgs_own_path() -> None:
    assert isinstance(await fetch(log("[]")), Answered)


async def test_W_08_a_header_of_60_kB_is_read() -> None:
    columns = ",".join(f'"column_{i}":{{"type":"text"}}' for i in range(1_500))
    event = await fetch(log("[]", **{"electric-schema": "{" + columns + "}"}))
    assert isinstance(event, Answered)
    assert len(event.head.schema or ()) == 1_500


async def test_a_large_body_is_parsed_and_a_larger_one_than_allowed_is_not() -> None:
    message = '{"key":"k","value":{"id":"1"},"headers":{"operation":"insert"}}'
    body = "[" + ",".join([message] * 5_000) + "]"
    event = await fetch(log(body))
    assert isinstance(event, Answered)
    assert len(event.messages) == 5_000
    small = await fetch(log(body), ClientSettings(body_bytes_max=1_000))
    assert small == Malformed("the body has more than 1000 bytes")


@pytest.mark.parametrize("responder", [cut, cut_in_body])
async def test_L_01_a_cut_answer_is_a_failure(responder: Responder) -> None:
    event = await fetch(responder)
    assert isinstance(event, Failed)
    assert "t0ken" not in event.reason


async def test_a_stalled_answer_is_a_failure_in_time() -> None:
    for settings in (ClientSettings(read_seconds=0.05), ClientSettings(chunk_seconds=0.05)):
        assert isinstance(await fetch(stall, settings), Failed)


async def test_redirects_are_not_followed() -> None:
    event = await fetch(status(302, location="http://127.0.0.1:9/elsewhere"))
    assert isinstance(event, Rejected)
    assert "redirect" in event.message


async def test_C_11_the_servers_wish_for_a_pause_is_passed_on_within_bounds() -> None:
    event = await fetch(status(503, **{"retry-after": "100000"}))
    assert event == Failed(reason="it answered 503 scripted", retry_after=300.0)


async def test_nobody_there_is_a_failure() -> None:
    async with aiohttp.ClientSession() as http:
        transport = Transport(
            http, URL("http://127.0.0.1:9"), "acme", settings=ClientSettings(), clock=HeldClock()
        )
        event = await transport.fetch(REQUEST, TOKEN)
    assert isinstance(event, Failed)
    assert "connected" in event.reason
