"""Answers that are given again: only what Electric allows, and nothing of a log that is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.answer_cache import FILL_SECONDS_MAX, AnswerCache
from shapegate_proxy.electric import ElectricState
from shapegate_proxy.errors import UpstreamFault
from shapegate_proxy.kept_answers import SLICE_BYTES, AnswerCacheSettings
from tests.proxy.builders import Ticks
from tests.proxy.scripted import (
    KEPT_HEADERS,
    Asked,
    ScriptedAnswer,
    ScriptedBegun,
    ScriptedClient,
    body_of,
    fetch,
    request,
    ticks,
)

if TYPE_CHECKING:
    from shapegate_proxy.electric import Deliver, UpstreamAnswer
    from shapegate_proxy.upstream import UpstreamRequest

START = request("offset=-1")
NEXT = request("offset=0_0&handle=h-1")
LIVE = request("offset=0_inf&handle=h-1&live=true")
CONFLICT = {"electric-handle": "h-2", "cache-control": "public, max-age=60, must-revalidate"}


class Cached:
    """A cache before a scripted client."""

    def __init__(self, **bounds: int) -> None:
        self.client, self.clock = ScriptedClient(), Ticks()
        self.cache = AnswerCache(self.client, AnswerCacheSettings(**bounds), monotonic=self.clock)

    def asks(self, asked: UpstreamRequest = START) -> asyncio.Task[UpstreamAnswer]:
        async def ask() -> UpstreamAnswer:
            return await self.cache.ask(asked)

        return asyncio.create_task(ask())

    async def upstream(self, count: int) -> Asked:
        """Wait until so many requests reached Electric; returns the last."""
        await ticks()
        assert len(self.client.asked) == count
        return self.client.asked[-1]

    async def answered(self, asked: UpstreamRequest, *pieces: bytes | Exception, **answer: object) -> bytes:
        """Ask Electric, which answers so."""
        count = len(self.client.asked)
        asking = self.asks(asked)
        (await self.upstream(count + 1)).answer(*pieces, **answer)
        return await body_of(await asking)

    async def is_kept(self, asked: UpstreamRequest = START) -> bool:
        """Say whether it is answered without Electric; asks, and leaves if it is not."""
        count = len(self.client.asked)
        found = self.cache.peek(asked)
        asking = self.asks(asked)
        await ticks()
        kept = len(self.client.asked) == count
        if not kept:
            asking.cancel()
        assert kept is (found is not None)
        return kept


async def test_a_kept_answer_is_given_again_as_it_was() -> None:
    cached = Cached()
    await cached.answered(START, b"[", b"]", b"", headers={**KEPT_HEADERS, "Etag": '"x"'})
    answer = await cached.cache.ask(START)
    assert (answer.status, answer.framed, answer.ready) == (200, True, True)
    assert answer.headers == {**KEPT_HEADERS, "etag": '"x"'}
    assert await body_of(answer) == b"[]"
    assert len(cached.client.asked) == 1
    found = cached.cache.peek(START)
    assert found is not None
    assert (found.status, found.headers, found.body) == (200, answer.headers, b"[]")
    assert found.valid(cached.clock.now)


async def test_an_empty_body_is_kept_too() -> None:
    cached = Cached()
    await cached.answered(START, b"")
    assert await fetch(cached.cache, START) == (200, b"")


async def test_a_large_body_comes_in_slices() -> None:
    cached, body = Cached(), b"x" * (2 * SLICE_BYTES + 1)
    await cached.answered(START, body[:100], memoryview(body)[100:], b"")  # type: ignore[arg-type]  # a Chunk
    answer = await cached.cache.ask(START)
    assert len(await answer.next()) == SLICE_BYTES
    assert len(await body_of(answer)) == SLICE_BYTES + 1


async def test_the_reader_who_fills_waits_for_nothing_else() -> None:
    cached = Cached()
    asking = cached.asks()
    answer = (await cached.upstream(1)).answer(b"[")
    filling = await asking
    assert (filling.ready, await filling.next(), filling.ready) == (True, b"[", False)
    answer.send(b"]", b"")
    assert await body_of(filling) == b"]"
    assert answer.closed
    assert await cached.is_kept()


async def test_an_answer_ends_with_its_time_since_it_was_asked_for() -> None:
    cached = Cached()
    asking = cached.asks()
    asked = await cached.upstream(1)
    cached.clock.now += 20
    asked.answer(b"[]", b"", headers={**KEPT_HEADERS, "age": "10"})
    await body_of(await asking)
    found = cached.cache.peek(START)
    assert found is not None
    cached.clock.now += 29.9
    assert await cached.is_kept()
    cached.clock.now += 0.1
    assert not found.valid(cached.clock.now)
    assert not await cached.is_kept()


async def test_an_answer_that_took_longer_than_its_time_is_not_kept() -> None:
    cached = Cached()
    asking = cached.asks()
    (await cached.upstream(1)).answer(b"[]", b"")
    cached.clock.now += 60
    await body_of(await asking)
    assert not await cached.is_kept()


@pytest.mark.parametrize(
    "asked",
    [
        LIVE,
        request("offset=0_inf&handle=h-1&live=true&live_sse=true"),
        request("offset=-1&cache-buster=7"),
        request(headers=(("if-none-match", '"x"'),)),
        request(method="HEAD"),
        request(method="POST", body=b"{}"),
        request(body=b"{}"),
    ],
)
async def test_what_is_no_plain_part_of_a_log_passes_untouched(asked: UpstreamRequest) -> None:
    cached = Cached()
    for count in (1, 2):
        asking = cached.asks(asked)
        answer = (await cached.upstream(count)).answer(b"[]", b"")
        assert await asking is answer
        await body_of(answer)
    assert cached.cache.entries == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 304},
        {"status": 201},
        {"status": 503},
        {"framed": False},
        {"headers": {**KEPT_HEADERS, "cache-control": "no-store"}},
        {"headers": {**KEPT_HEADERS, "cache-control": "no-cache"}},
        {"headers": {name: value for name, value in KEPT_HEADERS.items() if name != "electric-handle"}},
        {"headers": {**KEPT_HEADERS, "electric-handle": "h 1"}},
        {"headers": {**KEPT_HEADERS, "content-type": "text/html"}},
        {"headers": {**KEPT_HEADERS, "content-encoding": "gzip"}},
        {"headers": {**KEPT_HEADERS, "content-length": "9" * 5_000}},
        {"headers": {**KEPT_HEADERS, "content-length": "99999999"}},
    ],
)
async def test_what_may_not_be_kept_or_passed_on_is_not(changes: dict[str, object]) -> None:
    cached = Cached()
    assert await cached.answered(START, b"[]", b"", **changes) == b"[]"
    assert not await cached.is_kept()


@pytest.mark.parametrize("broken", [True, False])
async def test_W_01_what_did_not_come_to_its_end_is_not_kept(broken: bool) -> None:
    cached = Cached()
    asking = cached.asks()
    answer = (await cached.upstream(1)).answer(b"[", *([UpstreamFault("cut")] if broken else []))
    reading = await asking
    assert await reading.next() == b"["
    if broken:
        with pytest.raises(UpstreamFault):
            await reading.next()
    reading.close()
    assert answer.closed
    assert not await cached.is_kept()
    await cached.answered(START, b"[]", b"")
    assert await cached.is_kept()


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize(
    "asked", [NEXT, LIVE, request(method="HEAD"), request("offset=-1", method="POST", body=b"{}")]
)
async def test_whoever_hears_that_a_shape_is_not_as_it_was_ends_all_that_is_kept_of_it(
    status: int, asked: UpstreamRequest
) -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    if asked is not NEXT:
        await cached.answered(NEXT, b"[]", b"")
    await cached.answered(asked, b"{}", b"", status=status)
    assert not await cached.is_kept()
    assert not await cached.is_kept(NEXT)


@pytest.mark.parametrize("asked", [NEXT, LIVE, request("offset=0_0&handle=h-1&subset__limit=1")])
async def test_P_49_after_a_409_nothing_of_the_old_log_is_given_again(asked: UpstreamRequest) -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    found = cached.cache.peek(START)
    await cached.answered(asked, b"[]", b"", status=409, headers=CONFLICT)
    assert not await cached.is_kept()
    assert found is not None
    assert (found.dropped, found.valid(cached.clock.now)) == (True, False)


async def test_what_is_of_the_log_that_a_409_names_stays() -> None:
    cached = Cached()
    new = {**KEPT_HEADERS, "electric-handle": "h-2"}
    await cached.answered(NEXT, b"[]", b"")
    await cached.answered(START, b"[]", b"", headers=new)
    for _ in range(3):
        await cached.answered(LIVE, b"[]", b"", status=409, headers=CONFLICT)
    assert await cached.is_kept()
    assert not await cached.is_kept(NEXT)


@pytest.mark.parametrize("headers", [{}, {"electric-handle": "h-1"}])
async def test_a_409_that_names_no_other_log_ends_all(headers: dict[str, str]) -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    await cached.answered(LIVE, b"[]", b"", status=409, headers=headers)
    assert not await cached.is_kept()


async def test_another_shape_stays() -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    other = request("offset=0_0&handle=o-1&columns=id")
    await cached.answered(other, b"[]", b"", status=409, headers=CONFLICT)
    assert await cached.is_kept()


@pytest.mark.parametrize("head_first", [True, False])
@pytest.mark.parametrize(("handle", "kept"), [("h-1", False), ("h-2", True)])
async def test_a_409_also_ends_what_is_being_received(head_first: bool, handle: str, kept: bool) -> None:
    cached = Cached()
    headers = {**KEPT_HEADERS, "electric-handle": handle}
    asking = cached.asks()
    asked = await cached.upstream(1)
    if head_first:
        answer = asked.answer(b"[", headers=headers)
        await ticks()
    await cached.answered(LIVE, b"[]", b"", status=409, headers=CONFLICT)
    if not head_first:
        answer = asked.answer(b"[", headers=headers)
    answer.send(b"]", b"")
    assert await body_of(await asking) == b"[]"
    assert await cached.is_kept() is kept


async def test_what_is_asked_for_after_a_409_is_kept() -> None:
    cached = Cached()
    await cached.answered(LIVE, b"[]", b"", status=409, headers=CONFLICT)
    await cached.answered(START, b"[]", b"", headers={**KEPT_HEADERS, "electric-handle": "h-2"})
    assert await cached.is_kept()


async def test_keys_that_a_client_adds_after_a_409_miss() -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    for query in ("offset=-1&expired_handle=h-1", "offset=-1&cache-buster=7"):
        assert not await cached.is_kept(request(query))


async def test_one_fills_at_a_time_until_it_takes_too_long() -> None:
    cached = Cached()
    stalled, second = cached.asks(), cached.asks()
    await cached.upstream(2)
    first_answer = cached.client.asked[0].answer(b"[")
    assert await (await stalled).next() == b"["
    cached.client.asked[1].answer(b"2", b"")
    assert await body_of(await second) == b"2"
    assert not await cached.is_kept()
    cached.clock.now += FILL_SECONDS_MAX
    await cached.answered(START, b"3", b"")
    assert await fetch(cached.cache, START) == (200, b"3")
    first_answer.send(b"]", b"")
    assert await body_of(await stalled) == b"]"
    assert await fetch(cached.cache, START) == (200, b"3")


async def test_who_is_cancelled_with_the_answer_in_hand_keeps_nobody_from_filling() -> None:
    cached, given = Cached(), ScriptedAnswer()

    async def deliver_and_wait(_: UpstreamRequest, deliver: Deliver | None = None) -> UpstreamAnswer:
        assert deliver is not None
        deliver(given)
        await asyncio.Event().wait()
        raise AssertionError

    def leave(_: UpstreamAnswer) -> None:
        """Take nothing: the client has to take something else first."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached.client, "ask", deliver_and_wait)
        asking = asyncio.ensure_future(cached.cache.ask(START, leave))
        await ticks()
        asking.cancel()
        await ticks()
    assert given.closed
    await cached.answered(START, b"[]", b"")
    assert await cached.is_kept()


async def test_an_answer_above_the_bound_passes_but_is_not_kept() -> None:
    cached = Cached(entry_bytes_max=5_000)
    assert len(await cached.answered(START, *[b"x" * 1_000] * 10, b"")) == 10_000
    assert not await cached.is_kept()


async def test_I_22_answers_under_way_are_bounded_and_the_oldest_gives_way() -> None:
    cached = Cached(entry_bytes_max=10_000)
    readings = []
    for number in range(3):
        asking = cached.asks(request(f"offset={number}_0&handle=h-1"))
        answer = (await cached.upstream(number + 1)).answer(b"x" * 9_000)
        reading = await asking
        await reading.next()
        readings.append((answer, reading))
    for answer, reading in readings:
        answer.send(b"")
        assert await body_of(reading) == b""
    kept = [await cached.is_kept(request(f"offset={number}_0&handle=h-1")) for number in range(3)]
    assert kept == [False, True, True]


async def test_close_drops_everything_and_closes_the_client() -> None:
    cached = Cached()
    await cached.answered(START, b"[]", b"")
    found = cached.cache.peek(START)
    filling = cached.asks(NEXT)
    (await cached.upstream(2)).answer(b"[]", b"")
    reading = await filling
    await reading.next()
    await cached.cache.close()
    assert await reading.next() == b""
    assert (cached.cache.entries, cached.cache.bytes, cached.client.closed) == (0, 0, True)
    assert found is not None
    assert found.dropped


async def test_state_is_the_clients() -> None:
    assert await Cached().cache.state() is ElectricState.WAITING


class Watcher:
    """Who began a request, and takes the answer when it is called."""

    def __init__(self, cached: Cached, asked: UpstreamRequest = START) -> None:
        self.answers: list[UpstreamAnswer] = []
        self.times_stuck = 0
        self.begun = cached.cache.begin(asked)
        if self.begun is not None:
            self.begun.watch(self)

    def deliver(self, answer: UpstreamAnswer) -> None:
        self.answers.append(answer)

    def stuck(self) -> None:
        self.times_stuck += 1


def beginning() -> tuple[Cached, list[ScriptedBegun]]:
    cached = Cached()
    cached.client.begun = []
    return cached, cached.client.begun


async def test_who_is_called_with_an_answer_fills_by_taking_it() -> None:
    cached, begun = beginning()
    watcher = Watcher(cached)
    given = begun[0].deliver(b"[]")
    (answer,) = watcher.answers
    assert cached.cache.peek(START) is None
    assert answer.take_whole() == b"[]"
    answer.close()
    assert (given.closed, cached.cache.entries, cached.cache._fills) == (True, 1, {})
    assert Watcher(cached).begun is None  # A kept one is for `ask`.
    assert Watcher(cached, LIVE).begun is None


async def test_who_is_called_and_leaves_keeps_nobody_from_filling() -> None:
    cached, begun = beginning()
    watcher = Watcher(cached)
    given = begun[0].deliver(b"[]")
    assert watcher.begun is not None
    watcher.begun.leave()
    watcher.begun.leave()
    assert (given.closed, cached.cache.entries, cached.cache._fills) == (True, 0, {})


async def test_P_28_who_leaves_before_the_answer_ends_the_request() -> None:
    cached, begun = beginning()
    watcher = Watcher(cached)
    assert watcher.begun is not None
    watcher.begun.leave()
    assert (begun[0].left, watcher.answers, cached.cache._fills) == (True, [], {})


@pytest.mark.parametrize("called", [True, False])
async def test_who_waits_for_a_begun_answer_fills_by_reading_it(called: bool) -> None:
    cached, begun = beginning()
    watcher = Watcher(cached)
    assert watcher.begun is not None
    if called:
        begun[0].deliver(b"[]")
    else:
        begun[0].stick()
        begun[0].asked.answer(b"[", b"]", b"")
    answer = await watcher.begun.answer()
    assert watcher.answers == ([answer] if called else [])
    assert watcher.times_stuck == (not called)
    assert await body_of(answer) == b"[]"
    assert (cached.cache.entries, cached.cache._fills, cached.cache._filling_bytes) == (1, {}, 0)


@pytest.mark.parametrize("called", [True, False])
async def test_P_49_a_409_to_a_begun_request_ends_what_is_kept(called: bool) -> None:
    cached, begun = beginning()
    watcher, other = Watcher(cached), Watcher(cached, NEXT)
    begun[0].deliver(b"[]")
    watcher.answers[0].take_whole()
    assert cached.cache.entries == 1
    assert other.begun is not None
    if called:
        begun[1].deliver(b"[]", status=409, headers=CONFLICT)
    else:
        begun[1].stick()
        begun[1].asked.answer(b"", status=409, headers=CONFLICT)
        await other.begun.answer()
    assert cached.cache.entries == 0


async def test_a_fault_of_a_begun_request_leaves_no_fill() -> None:
    cached, begun = beginning()
    watcher = Watcher(cached)
    assert watcher.begun is not None
    begun[0].stick()
    begun[0].asked.outcome.set_exception(UpstreamFault("gone"))
    with pytest.raises(UpstreamFault):
        await watcher.begun.answer()
    watcher.begun.leave()
    assert (watcher.times_stuck, cached.cache._fills) == (1, {})
