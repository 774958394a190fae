"""One shape request over a real socket."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_client.config import ClientSettings
from shapegate_client.event import (
    Answer,
    Answered,
    Arrived,
    Conflict,
    Ending,
    Failed,
    HeadersLost,
    KeptAlive,
    Malformed,
    News,
    Rejected,
    StreamEnded,
    StreamOpened,
    Unauthorized,
)
from shapegate_client.inserts import Inserts
from shapegate_client.principal import AccessToken
from shapegate_client.transport import Transport, open_http
from shapegate_wire.offset import BEFORE_ALL, Offset
from shapegate_wire.request import ShapeRequest
from tests.client.builders import DEFINITION
from tests.client.ports import HeldClock
from tests.client.servers import cut, cut_in_body, served, stall, status
from tests.client.streaming import KEEP_ALIVE, inserted, opened, raw_peer, streamed, up_to_date

if TYPE_CHECKING:
    from tests.client.servers import Responder

REQUEST = ShapeRequest(definition=DEFINITION, offset=BEFORE_ALL)
LIVE = ShapeRequest(definition=DEFINITION, offset=Offset(10, 0), handle="h", live=True, live_sse=True)
TOKEN = AccessToken(value="t0ken", organization_id="acme", expires_at=datetime.datetime.now(datetime.UTC))


async def fetch(responder: Responder, settings: ClientSettings | None = None) -> Answer:
    app = web.Application()
    app.router.add_get("/base/api/electric/orgs/acme/sync", responder)
    async with served(app) as url, open_http() as http:
        transport = Transport(
            http, URL(url) / "base", "acme", settings=settings or ClientSettings(), clock=HeldClock()
        )
        answer, stream = await transport.ask(REQUEST, TOKEN)
        assert stream is None
        return answer


def log(body: str, **headers: str) -> Responder:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["authorization"] == "Bearer t0ken"
        assert request.headers["accept"] == "application/json"
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
    (inserts,) = event.messages
    assert isinstance(inserts, Inserts)
    assert len(inserts) == 5_000
    small = await fetch(log(body), ClientSettings(body_bytes_max=1_000))
    assert small == Malformed("the body has more than 1000 bytes")


@pytest.mark.parametrize("responder", [cut, cut_in_body])
async def test_L_01_a_cut_answer_is_a_failure(responder: Responder) -> None:
    event = await fetch(responder)
    assert isinstance(event, Failed)
    assert "t0ken" not in event.reason


async def test_C_23_a_stalled_answer_is_a_failure_in_time() -> None:
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
        event, _ = await transport.ask(REQUEST, TOKEN)
    assert isinstance(event, Failed)
    assert "connected" in event.reason


async def listen(
    responder: Responder, settings: ClientSettings | None = None
) -> tuple[Answer, list[News], web.Request | None]:
    """Open a stream and read it to its end."""
    seen: list[web.Request] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await responder(request)

    app = web.Application()
    app.router.add_get("/api/electric/orgs/acme/sync", noted)
    async with served(app) as url, open_http() as http:
        transport = Transport(
            http, URL(url), "acme", settings=settings or ClientSettings(), clock=HeldClock()
        )
        answer, stream = await transport.ask(LIVE, TOKEN)
        news: list[News] = []
        while stream is not None and not (news and isinstance(news[-1], StreamEnded | Malformed)):
            news.append(await stream.next())
        if stream is not None:
            stream.close()
    return answer, news, seen[0] if seen else None


BATCH = inserted(1, "a", lsn="11", op_position=0) + up_to_date(11)


async def test_a_stream_is_asked_for_by_name_and_read_to_its_end() -> None:
    answer, news, request = await listen(streamed(KEEP_ALIVE, BATCH, KEEP_ALIVE))
    assert isinstance(answer, StreamOpened)
    # How many comments are seen as such depends on how the bytes come.
    assert [type(each) for each in news if not isinstance(each, KeptAlive)] == [Arrived, StreamEnded]
    assert news[-1] == StreamEnded(Ending.CLOSED)
    assert request is not None
    assert request.headers["accept"] == "text/event-stream"
    assert (request.query["live"], request.query["live_sse"]) == ("true", "true")


async def test_C_43_a_stream_may_arrive_byte_by_byte() -> None:
    whole = await listen(streamed(BATCH))
    dripped = await listen(streamed(*(bytes([byte]) for byte in KEEP_ALIVE + BATCH)))
    assert [each for each in dripped[1] if not isinstance(each, KeptAlive)] == whole[1]


async def test_C_44_a_cut_stream_gives_what_was_whole_and_then_its_end() -> None:
    _, news, _ = await listen(streamed(BATCH, inserted(2, "b"), end="cut"))
    end = news.pop()
    assert isinstance(end, StreamEnded)
    assert end.ending is Ending.CUT
    # What was received together with the cut may be lost with it: it is sent again.
    assert [len(each.messages) for each in news if isinstance(each, Arrived)] == [2] * len(news)


async def test_a_silent_stream_is_ended_and_one_that_never_ends_too() -> None:
    for settings, ending in (
        (ClientSettings(silence_seconds=0.05), Ending.SILENT),
        (ClientSettings(stream_seconds=0.05), Ending.CLOSED),
    ):
        _, news, _ = await listen(streamed(BATCH, end="silence"), settings)
        assert news[-1] == StreamEnded(ending)


async def test_L_01_garbage_on_a_stream_is_no_message() -> None:
    _, news, _ = await listen(streamed(BATCH, b"data: <html>\n\n", BATCH))
    assert [type(each) for each in news] == [Arrived, Malformed]


async def test_L_07_an_event_larger_than_allowed_is_not_held() -> None:
    endless = [b"data: " + b"x" * 1_000] * 5
    _, news, _ = await listen(streamed(*endless, end="silence"), ClientSettings(body_bytes_max=2_000))
    assert news == [Malformed("an event has more than 2000 bytes")]


@pytest.mark.parametrize("lost", ["electric-handle", "electric-offset", "electric-cursor"])
async def test_C_08_a_stream_without_its_headers_names_them(lost: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await opened(request, "h", "10_0", without=lost)

    answered, news, _ = await listen(answer)
    assert (answered, news) == (HeadersLost((lost,)), [])


async def test_an_intermediary_that_answers_with_a_plain_log_instead_is_understood() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        head = {"electric-handle": "h", "electric-offset": "11_0", "electric-cursor": "1"}
        return web.json_response([], headers=head)

    answered, news, _ = await listen(answer)
    assert isinstance(answered, Answered)
    assert news == []


async def test_a_page_instead_of_a_stream_is_malformed_and_a_refusal_is_what_it_is() -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        head = {"electric-handle": "h", "electric-offset": "11_0", "electric-cursor": "1"}
        return web.Response(text="<html>", content_type="text/html", headers=head)

    assert isinstance((await listen(page))[0], Malformed)
    assert isinstance((await listen(status(409)))[0], Conflict)
    assert isinstance((await listen(status(503)))[0], Failed)
    assert isinstance((await listen(stall, ClientSettings(live_seconds=0.05)))[0], Failed)


@pytest.mark.parametrize(("code", "kind"), [(409, Conflict), (401, Unauthorized), (403, Rejected)])
@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 100\r\n\r\n[",
        b"content-encoding: gzip\r\ncontent-length: 6\r\n\r\n<html>",
    ],
)
async def test_C_13_a_spoiled_body_does_not_hide_what_the_status_says(
    code: int, kind: type[Answer], rest: bytes
) -> None:
    async with (
        raw_peer(b"HTTP/1.1 %d No\r\nelectric-handle: h2\r\n" % code + rest) as url,
        open_http() as http,
    ):
        transport = Transport(http, URL(url), "acme", settings=ClientSettings(), clock=HeldClock())
        answer, _ = await transport.ask(REQUEST, TOKEN)
    assert isinstance(answer, kind)


HEAD = b"HTTP/1.1 200 OK\r\nelectric-handle: h\r\nelectric-offset: 0_0\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"\x00\xff\x00\r\n\r\n",),
        (b"SSH-2.0-OpenSSH_9\r\n",),
        (b"HTTP/1.1 200 OK\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[",),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"zz\r\n"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"2\r\n[]\r\n"),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n[]",),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",),
    ],
)
async def test_L_01_whatever_is_no_http_answer_is_a_failure(pieces: tuple[bytes, ...]) -> None:
    async with raw_peer(*pieces) as url, open_http() as http:
        transport = Transport(http, URL(url), "acme", settings=ClientSettings(), clock=HeldClock())
        answer, stream = await transport.ask(REQUEST, TOKEN)
    assert isinstance(answer, Failed)
    assert stream is None
