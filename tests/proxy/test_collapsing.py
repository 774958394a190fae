"""Requests that share one exchange with Electric: whoever comes, stalls or goes, the others do not notice."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_proxy.collapsing import ROUND, Collapsing, _Exchange
from shapegate_proxy.electric import ElectricState
from shapegate_proxy.errors import Refused, UpstreamFault, UpstreamTimeout
from shapegate_proxy.shared_body import PIECE_BYTES, SharingBounds
from tests.proxy.scripted import Asked, ScriptedBegun, ScriptedClient, body_of, fetch, request, ticks

if TYPE_CHECKING:
    from shapegate_proxy.electric import Chunk, UpstreamAnswer
    from shapegate_proxy.upstream import UpstreamRequest

BOUNDS = SharingBounds(ahead_bytes_max=4_000, behind_bytes_max=12_000)
CHUNK = b"x" * (1_000 - PIECE_BYTES)
LIVE = "offset=0_inf&handle=h-1&live=true"
SSE = "offset=0_inf&handle=h-1&live=true&live_sse=true"


class Callers:
    """A collapsing client over a scripted one, and those who ask it."""

    def __init__(self) -> None:
        self.client = ScriptedClient()
        self.collapsing = Collapsing(self.client, BOUNDS)

    def asks(self, asked: UpstreamRequest | None = None) -> asyncio.Task[UpstreamAnswer]:
        return asyncio.create_task(_ask(self.collapsing, asked or request()))

    def fetches(self, asked: UpstreamRequest | None = None) -> asyncio.Task[tuple[int, bytes]]:
        return asyncio.create_task(fetch(self.collapsing, asked or request()))

    async def upstream(self, count: int = 1) -> Asked:
        """Wait until so many requests reached Electric; returns the last."""
        await ticks()
        assert len(self.client.asked) == count
        return self.client.asked[-1]


async def _ask(collapsing: Collapsing, asked: UpstreamRequest) -> UpstreamAnswer:
    return await collapsing.ask(asked)


@pytest.mark.parametrize("query", ["offset=-1", LIVE, SSE])
@pytest.mark.parametrize("chunks", [(), (b"[]",), (b"[", b"]")])
async def test_who_ask_the_same_at_once_share_one_request(query: str, chunks: tuple[bytes, ...]) -> None:
    callers = Callers()
    fetching = [callers.fetches(request(query)) for _ in range(5)]
    answer = (await callers.upstream()).answer(*chunks, b"")
    assert [await done for done in fetching] == [(200, b"".join(chunks))] * 5
    assert (len(callers.client.asked), answer.closed, callers.collapsing.running) == (1, True, 0)


async def test_status_headers_and_framing_are_those_of_the_answer() -> None:
    for pieces in ((b"[]", b""), (b"[",)):
        callers = Callers()
        asking = [callers.asks(), callers.asks()]
        (await callers.upstream()).answer(
            *pieces, status=409, headers={"electric-handle": "h-2"}, framed=False
        )
        for task in asking:
            answer = await task
            assert (answer.status, answer.framed, answer.ready) == (409, False, True)
            assert answer.headers == {"electric-handle": "h-2"}
            answer.close()
            answer.close()


async def test_a_trace_is_no_reason_to_ask_twice() -> None:
    callers = Callers()
    fetching = [
        callers.fetches(request(headers=(("accept", "x"), ("traceparent", f"00-{n}")))) for n in range(3)
    ]
    (await callers.upstream()).answer(b"[]", b"")
    assert [await done for done in fetching] == [(200, b"[]")] * 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request("offset=-1"), request("offset=0_0")),
        (request("offset=-1"), request("offset=-1&handle=h")),
        (request("offset=-1"), request("offset=-1&cache-buster=1")),
        (request(headers=(("if-none-match", '"a"'),)), request(headers=(("if-none-match", '"b"'),))),
        (request(headers=(("if-none-match", '"a"'),)), request(headers=())),
    ],
)
async def test_I_09_what_differs_is_asked_for_each(one: UpstreamRequest, other: UpstreamRequest) -> None:
    callers = Callers()
    fetching = [callers.fetches(one), callers.fetches(other)]
    await callers.upstream(2)
    for number, asked in enumerate(callers.client.asked):
        asked.answer(b"%d" % number, b"")
    assert [await done for done in fetching] == [(200, b"0"), (200, b"1")]


@pytest.mark.parametrize(
    "asked", [request(method="HEAD"), request(method="POST", body=b"{}"), request(body=b"{}")]
)
async def test_what_is_no_plain_get_goes_its_own_way(asked: UpstreamRequest) -> None:
    callers = Callers()
    fetching = [callers.asks(asked), callers.asks(asked)]
    await callers.upstream(2)
    answers = [each.answer(b"") for each in callers.client.asked]
    assert [await done for done in fetching] == answers


async def test_who_comes_while_the_body_is_kept_gets_it_from_its_start() -> None:
    callers = Callers()
    first = callers.fetches(request(SSE))
    answer = (await callers.upstream()).answer(b"data: 1\n\n")
    await ticks()
    second = callers.fetches(request(SSE))
    answer.send(b"data: 2\n\n")
    await ticks()
    third = callers.fetches(request(SSE))
    await ticks()
    answer.send(b"data: 3\n\n", b"")
    for task in (first, second, third):
        assert await task == (200, b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    assert len(callers.client.asked) == 1


@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_readers_who_take_at_once_and_those_who_do_not_get_the_same(takes: int) -> None:
    """`takes` pieces are taken by one of them at the moment they come, and by the other none."""
    callers, poured = Callers(), list[bytes]()
    hasty, other = callers.asks(request(SSE)), callers.fetches(request(SSE))
    upstream = (await callers.upstream()).answer(b"1")
    answer = await hasty

    def sink(chunk: Chunk) -> bool:
        if len(poured) < takes:
            poured.append(bytes(chunk))
            return True
        return False

    answer.pour(sink)
    reading = asyncio.create_task(body_of(answer))
    await ticks()
    for piece in (b"2", b"3", b"4"):
        upstream.send(piece)
        await ticks()
    upstream.send(b"")
    left = await reading
    assert left[:1] == b"1"
    assert b"".join((left[:1], *poured, left[1:])) == b"1234"
    assert len(poured) == takes
    assert await other == (200, b"1234")
    answer.close()


async def test_who_comes_when_the_start_is_kept_no_more_asks_anew() -> None:
    callers = Callers()
    first = callers.fetches()
    answer = (await callers.upstream()).answer(*[CHUNK] * 4)
    await ticks()
    second = callers.fetches()
    (await callers.upstream(2)).answer(b"[]", b"")
    answer.send(b"")
    assert await first == (200, CHUNK * 4)
    assert await second == (200, b"[]")


@pytest.mark.parametrize("pieces", [(b"[]", b""), (b"",), (UpstreamFault("cut"),)])
async def test_an_exchange_that_ended_is_nobodys_who_asks_later(pieces: tuple[bytes, ...]) -> None:
    callers = Callers()
    stalled = callers.asks()
    (await callers.upstream()).answer(*pieces)
    await stalled
    later = callers.fetches()
    (await callers.upstream(2)).answer(b"new", b"")
    assert await later == (200, b"new")


async def test_who_stalls_keeps_no_answer_open_for_others() -> None:
    callers = Callers()
    stalled = await_none = callers.asks()
    answer = (await callers.upstream()).answer(b"[")
    await stalled
    answer.send(b"]", b"")
    await ticks()
    assert (answer.closed, callers.collapsing.running) == (True, 0)
    assert await body_of(await await_none) == b"[]"


@pytest.mark.parametrize("place", ["before the head", "in the body"])
@pytest.mark.parametrize("leaving", [0, 1, 2])
async def test_one_who_leaves_takes_nobody_along(place: str, leaving: int) -> None:
    callers = Callers()
    fetching = [callers.fetches(request(LIVE)) for _ in range(3)]
    asked = await callers.upstream()
    if place == "in the body":
        answer = asked.answer(b"[")
        await ticks()
    fetching[leaving].cancel()
    await ticks()
    if place == "before the head":
        answer = asked.answer(b"[")
    answer.send(b"]", b"")
    outcomes = await asyncio.gather(*fetching, return_exceptions=True)
    assert isinstance(outcomes.pop(leaving), asyncio.CancelledError)
    assert outcomes == [(200, b"[]")] * 2
    assert (len(callers.client.asked), asked.cancelled) == (1, False)


async def test_P_28_I_20_the_last_one_who_leaves_ends_the_request_within_a_tick() -> None:
    for pieces in ((), (b"[",)):
        callers = Callers()
        fetching = [callers.fetches(request(LIVE)) for _ in range(3)]
        asked = await callers.upstream()
        answer = asked.answer(*pieces) if pieces else None
        await ticks()
        for task in fetching[:2]:
            task.cancel()
        await ticks()
        assert not asked.cancelled
        fetching[2].cancel()
        await ticks(3)
        assert (asked.cancelled if answer is None else answer.closed, callers.collapsing.running) == (True, 0)
        again = callers.fetches(request(LIVE))
        (await callers.upstream(2)).answer(b"[]", b"")
        assert await again == (200, b"[]")


async def test_who_leaves_before_the_request_began_leaves_nothing() -> None:
    callers = Callers()
    task = callers.fetches()
    await asyncio.sleep(0)
    task.cancel()
    await ticks()
    assert callers.collapsing.running == 0
    assert all(asked.cancelled for asked in callers.client.asked)


@pytest.mark.parametrize("pieces", [(b"[",), (b"[]", b"")])
async def test_who_is_cancelled_as_the_head_comes_leaves_nothing(pieces: tuple[bytes, ...]) -> None:
    callers = Callers()
    task = callers.fetches()
    asked = await callers.upstream()
    answer = asked.answer(*pieces)
    for _ in range(20):
        if answer.taken:
            break
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ticks()
    assert (answer.closed, callers.collapsing.running) == (True, 0)


async def test_a_token_that_ends_cuts_only_its_owner() -> None:
    callers = Callers()

    async def until_it_ends() -> None:
        async with asyncio.timeout(0):
            await fetch(callers.collapsing, request(LIVE))

    ending, staying = asyncio.create_task(until_it_ends()), callers.fetches(request(LIVE))
    with pytest.raises(TimeoutError):
        await ending
    (await callers.upstream()).answer(b"[]", b"")
    assert await staying == (200, b"[]")


@pytest.mark.parametrize("kind", [UpstreamFault, UpstreamTimeout])
@pytest.mark.parametrize("pieces", [None, (), (b"[",)])
async def test_a_fault_reaches_each_once_and_as_its_own(
    kind: type[Refused], pieces: tuple[bytes, ...] | None
) -> None:
    callers = Callers()
    fetching = [callers.fetches() for _ in range(3)]
    asked = await callers.upstream()
    fault = kind("gone")
    fault.__cause__ = OSError("why")
    if pieces is None:
        asked.outcome.set_exception(fault)
    else:
        asked.answer(*pieces, fault)
    outcomes = await asyncio.gather(*fetching, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [kind] * 3
    assert [str(outcome) for outcome in outcomes] == ["gone"] * 3
    assert len({id(outcome) for outcome in (fault, *outcomes)}) == 4
    for outcome in outcomes:
        assert isinstance(outcome, Refused)
        assert outcome.__cause__ is fault.__cause__
        assert (outcome.status, outcome.headers) == (fault.status, fault.headers)
    assert callers.collapsing.running == 0


async def test_W_01_what_came_before_a_fault_is_there_and_no_end_follows() -> None:
    callers = Callers()
    asking = [callers.asks(), callers.asks()]
    (await callers.upstream()).answer(b"[", b"1", UpstreamFault("cut"))
    for task in asking:
        answer = await task
        assert [await answer.next(), await answer.next()] == [b"[", b"1"]
        for _ in range(2):
            with pytest.raises(UpstreamFault):
                await answer.next()
            assert answer.ready


async def test_a_mistake_of_the_client_leaves_nobody_waiting() -> None:
    callers, before = Callers(), asyncio.all_tasks()
    fetching = callers.fetches()
    asked = await callers.upstream()
    (exchange,) = asyncio.all_tasks() - before - {fetching}
    asked.outcome.set_exception(ZeroDivisionError())
    with pytest.raises(UpstreamFault):
        await fetching
    # Nobody awaits the task, so the loop tells the operator of it.
    assert isinstance(exchange.exception(), ZeroDivisionError)


async def test_I_22_who_reads_alone_slows_electric() -> None:
    callers = Callers()
    asking = callers.asks()
    answer = (await callers.upstream()).answer(*[CHUNK] * 50, b"")
    reading = await asking
    await ticks()
    assert answer.taken == 4
    for taken in range(5, 40):
        await reading.next()
        await ticks()
        assert answer.taken == taken
    assert not reading.ready or len(await body_of(reading)) == 15 * len(CHUNK)


async def test_I_22_who_joins_and_never_reads_is_cut_off_and_slows_nobody() -> None:
    callers = Callers()
    stalled, reading = callers.asks(), callers.fetches()
    (await callers.upstream()).answer(*[CHUNK] * 50, b"")
    cut = await stalled
    assert await reading == (200, CHUNK * 50)
    assert cut.ready
    for _ in range(2):
        with pytest.raises(UpstreamFault, match="behind"):
            await cut.next()
    cut.close()


async def test_who_stalls_within_the_bound_gets_everything_later() -> None:
    callers = Callers()
    stalled, reading = callers.asks(), callers.fetches()
    (await callers.upstream()).answer(*[CHUNK] * 10, b"")
    late = await stalled
    assert await reading == (200, CHUNK * 10)
    assert callers.collapsing.running == 0
    assert await body_of(late) == CHUNK * 10


async def test_two_readings_of_one_reader_do_not_grow_what_waits() -> None:
    callers = Callers()
    asking = callers.asks()
    answer = (await callers.upstream()).answer(b"[")
    reading = await asking
    assert await reading.next() == b"["
    for _ in range(5):
        waiting = asyncio.create_task(_next(reading))
        await ticks(2)
        waiting.cancel()
        await ticks(2)
    answer.send(b"]", b"")
    assert await body_of(reading) == b"]"


async def _next(answer: UpstreamAnswer) -> bytes:
    return bytes(await answer.next())


async def test_a_thousand_live_polls_are_one_request_and_get_its_answer_together() -> None:
    callers = Callers()
    fetching = [callers.fetches(request(LIVE)) for _ in range(1_000)]
    asked = await callers.upstream()
    asked.answer(b"[]", b"")
    await ticks(8 + 1_000 // ROUND)
    assert all(task.done() for task in fetching)
    assert {task.result() for task in fetching} == {(200, b"[]")}


async def test_an_exchange_that_nobody_wants_any_more_is_let_go_at_once() -> None:
    callers = Callers()
    gc.collect()
    gc.disable()  # what only a collection finds would pile up between two
    try:
        waiting = callers.fetches(request(LIVE))
        await callers.upstream()
        waiting.cancel()
        await ticks()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        del waiting
        await ticks()
        assert not [found for found in gc.get_objects() if isinstance(found, _Exchange)]
    finally:
        gc.enable()


async def test_close_ends_what_is_under_way() -> None:
    callers = Callers()
    waiting, streaming = callers.fetches(), callers.fetches(request(SSE))
    await callers.upstream(2)
    answer = callers.client.asked[1].answer(b"data")
    await ticks()
    await callers.collapsing.close()
    for task in (waiting, streaming):
        with pytest.raises(UpstreamFault):
            await task
    assert (callers.client.asked[0].cancelled, answer.closed, callers.client.closed) == (True, True, True)
    assert callers.collapsing.running == 0


async def test_state_is_the_clients() -> None:
    assert await Callers().collapsing.state() is ElectricState.WAITING


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 1)),
        st.tuples(st.just("head"), st.integers(0, 9)),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("fault"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("read"), st.integers(0, 9)),
        st.tuples(st.just("tick"), st.integers(0, 3)),
    ),
    max_size=60,
)


class Player:
    """Plays steps against one key; every body upstream consists of its own bytes."""

    def __init__(self) -> None:
        self.callers = Callers()
        self.bodies: dict[Asked, bytearray] = {}
        self.over: set[Asked] = set()
        self.readers: list[asyncio.Task[None]] = []
        self.gates: list[asyncio.Semaphore] = []
        self.seen: list[tuple[bytearray, list[str]]] = []

    async def read(self, gate: asyncio.Semaphore, seen: bytearray, ends: list[str]) -> None:
        """Take a chunk each time that the gate lets it."""
        try:
            answer = await self.callers.collapsing.ask(request(LIVE))
        except UpstreamFault:
            ends.append("refused")
            return
        try:
            while True:
                await gate.acquire()
                chunk = await answer.next()
                seen += chunk
                if not chunk:
                    ends.append("end")
                    return
        except UpstreamFault:
            ends.append("fault")
        finally:
            answer.close()

    async def play(self, step: str, number: int) -> None:
        upstream = [asked for asked in self.callers.client.asked if not asked.outcome.cancelled()]
        asked = upstream[number % len(upstream)] if upstream else None
        answered = asked is not None and asked.outcome.done()
        if step == "join":
            self.gates.append(asyncio.Semaphore(1_000 if number else 0))
            self.seen.append((bytearray(), []))
            self.readers.append(asyncio.create_task(self.read(self.gates[-1], *self.seen[-1])))
        elif step == "tick":
            await ticks(number)
        elif step in ("leave", "read") and self.readers:
            at = number % len(self.readers)
            self.readers[at].cancel() if step == "leave" else self.gates[at].release()
        elif asked is not None and asked not in self.over:
            self._upstream(step, asked, answered)

    def _upstream(self, step: str, asked: Asked, answered: bool) -> None:
        if step == "fault":
            self.over.add(asked)
            if answered:
                asked.outcome.result().send(UpstreamFault("gone"))
            else:
                asked.outcome.set_exception(UpstreamFault("gone"))
        elif step == "head" and not answered:
            self.bodies[asked] = bytearray()
            asked.answer()
        elif step in ("send", "end") and answered:
            mark = self.callers.client.asked.index(asked)
            chunk = b"" if step == "end" else bytes([mark, len(self.bodies[asked]) % 251]) * 700
            self.bodies[asked] += chunk
            asked.outcome.result().send(chunk)
            if not chunk:
                self.over.add(asked)

    async def finish(self) -> None:
        """Let everyone read on, and end everything."""
        for _ in range(3):
            for gate in self.gates:
                for _ in range(200):
                    gate.release()
            for asked in self.callers.client.asked:
                if not asked.outcome.cancelled() and asked not in self.over:
                    self._upstream("head", asked, asked.outcome.done())
                    self._upstream("end", asked, answered=True)
            await ticks(200)
        await asyncio.gather(*self.readers, return_exceptions=True)


@settings(max_examples=80)
@given(STEPS)
def test_whatever_happens_each_has_a_prefix_and_only_who_saw_the_end_the_whole(
    steps: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        player = Player()
        for step, number in steps:
            await player.play(step, number)
        await player.finish()
        bodies = [bytes(body) for body in player.bodies.values()]
        ended = [bytes(body) for asked, body in player.bodies.items() if asked in player.over]
        for seen, ends in player.seen:
            assert len(ends) <= 1
            assert not seen or any(body.startswith(seen) for body in bodies)
            if ends == ["end"]:
                assert bytes(seen) in ended
        assert player.callers.collapsing.running == 0
        for asked in player.callers.client.asked:
            assert asked.outcome.done()
            assert asked.cancelled or asked.outcome.exception() or asked.outcome.result().closed

    asyncio.run(run())


class Watcher:
    """Who began a request, and is called: with the answer, or to wait for it."""

    def __init__(self, callers: Callers, *, takes: bool = True) -> None:
        self.takes = takes
        self.bodies: list[bytes | None] = []
        self.times_stuck = 0
        found = callers.collapsing.begin(request())
        assert found is not None
        self.begun = found
        found.watch(self)

    def deliver(self, answer: UpstreamAnswer) -> None:
        body = answer.take_whole() if self.takes else None
        self.bodies.append(None if body is None else bytes(body))

    def stuck(self) -> None:
        self.times_stuck += 1


def beginning() -> tuple[Callers, list[ScriptedBegun]]:
    callers = Callers()
    callers.client.begun = []
    return callers, callers.client.begun


@pytest.mark.parametrize("count", [1, 2, ROUND + 1, 3 * ROUND])
async def test_who_begin_the_same_share_one_request_and_each_is_called_once(count: int) -> None:
    callers, begun = beginning()
    watching = [Watcher(callers) for _ in range(count)]
    asking = callers.fetches()
    await ticks()
    assert (len(begun), callers.collapsing.running) == (1, 1)
    given = begun[0].deliver(b"[]")
    assert await asking == (200, b"[]")
    await ticks()
    assert [(each.bodies, each.times_stuck) for each in watching] == [([b"[]"], 0)] * count
    assert (given.closed, callers.collapsing.running, begun[0].left) == (True, 0, False)


async def test_who_left_before_its_round_is_not_called() -> None:
    callers, begun = beginning()
    watching = [Watcher(callers) for _ in range(2 * ROUND)]
    begun[0].deliver(b"[]")
    watching[-1].begun.leave()
    await ticks()
    assert [each.bodies for each in watching] == [[b"[]"]] * (2 * ROUND - 1) + [[]]


async def test_who_begins_to_wait_before_its_round_is_woken() -> None:
    callers, begun = beginning()
    watching = [Watcher(callers) for _ in range(2 * ROUND)]
    begun[0].deliver(b"[]")
    assert await body_of(await watching[-1].begun.answer()) == b"[]"
    assert (watching[-1].bodies, watching[-1].times_stuck) == ([], 0)


async def test_who_is_called_and_cannot_take_waits_for_the_same() -> None:
    callers, begun = beginning()
    watcher = Watcher(callers, takes=False)
    begun[0].deliver(b"[]")
    assert watcher.bodies == [None]
    assert await body_of(await watcher.begun.answer()) == b"[]"


async def test_P_27_as_soon_as_anybody_waits_the_exchange_is_waited_for() -> None:
    callers, begun = beginning()
    watching = [Watcher(callers), Watcher(callers)]
    await ticks()
    taken = [begun[0].taken_in_hand]  # as long as nobody does, nothing bounds how long Electric keeps silent
    waiting = [asyncio.create_task(_rest(each)) for each in watching]
    await ticks()
    assert [*taken, begun[0].taken_in_hand] == [False, True]
    begun[0].deliver(b"[]")
    assert [await body for body in waiting] == [b"[]"] * 2
    assert callers.collapsing.running == 0


async def _rest(watcher: Watcher) -> bytes:
    return await body_of(await watcher.begun.answer())


@pytest.mark.parametrize("whole", [True, False])
async def test_what_comes_before_who_waits_has_begun_to_is_for_it_too(whole: bool) -> None:
    """uvloop reads sockets between the making of a task and its first step."""
    callers, begun = beginning()
    watcher, asking = Watcher(callers, takes=False), callers.fetches()
    await asyncio.sleep(0)
    (exchange,) = callers.collapsing._running
    assert exchange.task is not None
    assert not begun[0].taken_in_hand
    if whole:
        begun[0].deliver(b"[]")
    else:
        begun[0].stick()
        begun[0].asked.answer(b"[]", b"")
    await exchange.task
    assert await asking == (200, b"[]")
    assert await body_of(await watcher.begun.answer()) == b"[]"
    assert (watcher.bodies, watcher.times_stuck, callers.collapsing.running) == ([None], 0, 0)


async def test_what_is_not_whole_all_who_began_wait_for() -> None:
    callers, begun = beginning()
    watching = [Watcher(callers), Watcher(callers)]
    begun[0].stick()
    answer = begun[0].asked.answer(b"[")
    await ticks()
    assert [(each.bodies, each.times_stuck) for each in watching] == [([], 1)] * 2
    assert callers.collapsing.begin(request()) is None
    reading = [asyncio.create_task(body_of(await each.begun.answer())) for each in watching]
    answer.send(b"]", b"")
    assert [await body for body in reading] == [b"[]"] * 2
    await ticks()
    assert (answer.closed, callers.collapsing.running) == (True, 0)


async def test_W_02_a_fault_reaches_each_who_began_as_its_own() -> None:
    callers, begun = beginning()
    watching = [Watcher(callers), Watcher(callers)]
    begun[0].stick()
    begun[0].asked.outcome.set_exception(UpstreamTimeout("silent"))
    await ticks()
    faults = []
    for each in watching:
        with pytest.raises(UpstreamTimeout) as caught:
            await each.begun.answer()
        each.begun.leave()
        faults.append(caught.value)
    assert faults[0] is not faults[1]
    assert ([each.times_stuck for each in watching], callers.collapsing.running) == ([1, 1], 0)


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("run", [False, True])
async def test_P_28_I_20_the_last_one_who_leaves_ends_what_was_begun(stuck: bool, run: bool) -> None:
    callers, begun = beginning()
    first, last = Watcher(callers), Watcher(callers)
    if stuck:
        begun[0].stick()
    if run:
        await ticks()
    first.begun.leave()
    assert callers.collapsing.running == 1
    last.begun.leave()
    last.begun.leave()
    await ticks()
    assert begun[0].left or begun[0].asked.cancelled
    assert (callers.collapsing.running, callers.collapsing._joinable) == (0, {})
    assert [each.bodies for each in (first, last)] == [[], []]


@pytest.mark.parametrize("stuck", [False, True])
async def test_close_is_a_fault_to_all_who_began(stuck: bool) -> None:
    callers, begun = beginning()
    watching = [Watcher(callers), Watcher(callers)]
    if stuck:
        begun[0].stick()
    await callers.collapsing.close()
    for each in watching:
        assert each.times_stuck == 1
        with pytest.raises(UpstreamFault):
            await each.begun.answer()
    assert begun[0].left
    assert (callers.collapsing.running, callers.client.closed) == (0, True)


async def test_what_cannot_be_begun_is_nobodys() -> None:
    callers = Callers()
    assert callers.collapsing.begin(request()) is None
    assert (callers.collapsing.running, callers.collapsing._joinable) == (0, {})
