"""Sharing as a member of another org attacks it, and over real sockets with the real client."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from shapegate_proxy.answer_cache import AnswerCache
from shapegate_proxy.collapsing import Collapsing
from shapegate_proxy.config import Secret
from shapegate_proxy.electric_http import ElectricClient
from shapegate_proxy.errors import UpstreamFault
from shapegate_proxy.policy import confine
from shapegate_proxy.upstream import UpstreamRequest, build
from shapegate_wire.request import parse_request
from tests.proxy.builders import ACME, GLOBEX, USER, policy, principal
from tests.proxy.raw import CHUNKED, HEAD, SECONDS, serve_raw
from tests.proxy.scripted import ScriptedClient, body_of, fetch, ticks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_proxy.electric import UpstreamAnswer
    from tests.proxy.raw import Peer, RawServer, Script

OTHER_USER = "33333333-3333-4333-8333-333333333333"
KEPT = HEAD + b"cache-control: public, max-age=60\r\ncontent-length: 2\r\n\r\n[]"
ASKED = {
    "start": "table=items&offset=-1",
    "its notes": "table=notes&offset=-1",
    "a column list": "table=items&offset=-1&columns=id,organization_id",
    "full rows": "table=items&offset=-1&replica=full",
    "changes only": "table=items&offset=-1&log=changes_only",
    "a filter": "table=items&offset=-1&where=name='a'",
    "another value": "table=items&offset=-1&where=name='b'",
    "now": "table=items&offset=now",
    "a part": "table=items&offset=0_0&handle=h-1",
    "another part": "table=items&offset=0_1&handle=h-1",
    "of another log": "table=items&offset=0_0&handle=h-2",
    "live": "table=items&offset=0_0&handle=h-1&live=true",
    "live at a cursor": "table=items&offset=0_0&handle=h-1&live=true&cursor=7",
    "live at another": "table=items&offset=0_0&handle=h-1&live=true&cursor=8",
    "events": "table=items&offset=0_0&handle=h-1&live=true&live_sse=true",
    "after a gone log": "table=items&offset=-1&expired_handle=h-0",
    "past caches": "table=items&offset=-1&cache-buster=7",
    "a subset": "table=items&offset=-1&subset__where=name='a'",
    "another subset": "table=items&offset=-1&subset__where=name='b'",
}


def built(
    query: str,
    *,
    org: str = ACME,
    user: str = USER,
    method: str = "GET",
    if_none_match: str | None = None,
    trace_parent: str | None = None,
) -> UpstreamRequest:
    asked = parse_request(URL(f"http://gate/?{query}").query.items(), None)
    return build(
        confine(principal(org=org, user=user), asked, policy()),
        electric_url=URL("http://electric:3000"),
        secret=Secret("s3cret"),
        method=method,
        if_none_match=if_none_match,
        trace_parent=trace_parent,
    )


def every_request() -> dict[str, UpstreamRequest]:
    """What two members of one org, and one of another, may ask; what is the same for two is here once."""
    requests = {name: built(query) for name, query in ASKED.items()}
    requests |= {f"{name} of another org": built(query, org=GLOBEX) for name, query in ASKED.items()}
    requests |= {
        f"{name} of another user": built(query, user=OTHER_USER)
        for name, query in ASKED.items()
        if "table=notes" in query
    }
    # Notes are scoped by user alone, so the same user in another org asks the same.
    del requests["its notes of another org"]
    for tag in ('"a"', '"b"'):
        requests[f"unless {tag}"] = built(ASKED["a part"], if_none_match=tag)
    requests["by HEAD"] = built(ASKED["start"], method="HEAD")
    return requests


def test_I_09_no_two_requests_that_differ_share_a_key() -> None:
    requests = every_request()
    assert len(requests) == 2 * len(ASKED) + 3
    for (one, asked), (other, also_asked) in combinations(requests.items(), 2):
        assert asked.key != also_asked.key, (one, other)


def test_I_09_members_share_what_the_scope_gives_to_all_of_them_whoever_traces() -> None:
    for name, query in ASKED.items():
        if "table=notes" not in query:
            mine = built(query, trace_parent=f"00-{'1' * 32}-{'2' * 16}-00")
            assert mine.key == built(query, user=OTHER_USER).key, name


async def test_I_09_each_gets_the_answer_to_its_own_request() -> None:
    client = ScriptedClient()
    sharing = AnswerCache(Collapsing(client), monotonic=time.monotonic)
    requests = [asked for asked in every_request().values() if asked.method == "GET"]
    for _again in range(2):
        fetching = {asked: asyncio.create_task(fetch(sharing, asked)) for asked in requests}
        await ticks()
        for reached in client.asked:
            if not reached.outcome.done():
                reached.answer(str(reached.request.key).encode(), b"")
        for asked, task in fetching.items():
            assert await task == (200, str(asked.key).encode())


@asynccontextmanager
async def sharing(script: Script) -> AsyncIterator[tuple[AnswerCache, Collapsing, RawServer]]:
    async with serve_raw(script) as server:
        collapsing = Collapsing(ElectricClient(server.url))
        cache = AnswerCache(collapsing, monotonic=time.monotonic)
        try:
            yield cache, collapsing, server
        finally:
            await cache.close()


def live(server: RawServer, query: str = "offset=0_0&handle=h-1&live=true") -> UpstreamRequest:
    return replace(start(server), url=(server.url / "v1/shape").with_query(query), live=True)


def start(server: RawServer) -> UpstreamRequest:
    return UpstreamRequest(
        method="GET", url=server.url / "v1/shape", headers=(("accept", "*/*"),), live=False, sse=False
    )


async def test_many_live_polls_are_one_connection_to_electric() -> None:
    heads = 0

    async def hold(peer: Peer) -> None:
        nonlocal heads
        await peer.head()
        heads += 1
        asked.set()
        await news.wait()
        await peer.send(CHUNKED + b"1\r\n[\r\n")
        await peer.send(b"1\r\n]\r\n0\r\n\r\n")

    asked, news = asyncio.Event(), asyncio.Event()
    async with sharing(hold) as (cache, collapsing, server):
        fetching = [asyncio.create_task(fetch(cache, live(server))) for _ in range(100)]
        await asyncio.wait_for(asked.wait(), SECONDS)
        news.set()
        assert await asyncio.gather(*fetching) == [(200, b"[]")] * 100
        assert (heads, server.connections, collapsing.running) == (1, 1, 0)


async def test_I_20_P_28_the_connection_ends_with_the_last_who_waits() -> None:
    async def hold(peer: Peer) -> None:
        await peer.head()
        asked.set()
        await peer.rest()
        ended.set()

    asked, ended = asyncio.Event(), asyncio.Event()
    async with sharing(hold) as (cache, _, server):
        fetching = [asyncio.create_task(fetch(cache, live(server))) for _ in range(3)]
        await asyncio.wait_for(asked.wait(), SECONDS)
        for task in fetching[:2]:
            task.cancel()
        await ticks()
        assert not ended.is_set()
        fetching[2].cancel()
        await asyncio.wait_for(ended.wait(), 1)


async def test_P_41_who_joins_a_stream_late_gets_its_events_in_order() -> None:
    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"9\r\ndata: 1\n\n\r\n")
        await joined.wait()
        await peer.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    joined = asyncio.Event()
    async with sharing(stream) as (cache, _, server):
        asked = live(server, "offset=0_0&handle=h-1&live=true&live_sse=true")
        first = await cache.ask(asked)
        assert await first.next() == b"data: 1\n\n"
        late = await cache.ask(asked)
        joined.set()
        assert await body_of(first) == b"data: 2\n\n"
        assert await body_of(late) == b"data: 1\n\ndata: 2\n\n"
        assert server.connections == 1


async def test_I_22_a_member_who_joins_and_never_reads_harms_nobody() -> None:
    async def send(peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"content-length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 65_536):
            await peer.send(body[at : at + 65_536])

    body = bytes(range(256)) * 20_000
    async with sharing(send) as (cache, _, server):
        asking = [asyncio.create_task(_ask(cache, start(server))) for _ in range(3)]
        stalled, slow, fast = await asyncio.gather(*asking)
        assert await body_of(fast) == body
        for cut in (stalled, slow):
            with pytest.raises(UpstreamFault):
                await body_of(cut)
        assert server.connections == 1


async def _ask(cache: AnswerCache, asked: UpstreamRequest) -> UpstreamAnswer:
    return await cache.ask(asked)


async def test_an_answer_is_kept_until_a_409_over_another_connection() -> None:
    async def answer(peer: Peer) -> None:
        while True:
            head = await peer.head()
            heads.append(head.split(b" ")[1])
            conflict = KEPT.replace(b"200 OK", b"409 Conflict").replace(b"h-1", b"h-2")
            await peer.send(conflict if b"live=true" in heads[-1] else KEPT)

    heads: list[bytes] = []
    async with sharing(answer) as (cache, _, server):
        for _ in range(3):
            assert await fetch(cache, start(server)) == (200, b"[]")
        assert len(heads) == 1
        assert (await fetch(cache, live(server)))[0] == 409
        assert cache.peek(start(server)) is None
        assert await fetch(cache, start(server)) == (200, b"[]")
        assert len(heads) == 3
