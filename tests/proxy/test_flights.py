"""Requests that go to Electric without a task: every state of one, and everything that may happen in it.

The gate stands between plain sockets, on both event loops, and with what shares requests and keeps answers on
and off. After each case nothing is left of the request: no count, no hold, no exchange, no connection.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.errors import GateStopping
from shapegate_proxy.flights import Flight
from shapegate_proxy.front import Front
from shapegate_proxy.observe import Decision
from tests.proxy.builders import (
    NOW,
)
from tests.proxy.flying import (
    BROKEN,
    CONDITION,
    GONE,
    KEPT,
    LARGE,
    LOG,
    ORG_TARGET,
    PART,
    SERVED,
    UNREACHABLE,
    Scene,
    Wire,
    World,
    error,
    head,
    lose_electric,
    played,
    refused,
)
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD, SECONDS
from tests.proxy.scripted import ticks
from tests.proxy.test_front import send_little

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from shapegate_proxy.electric import UpstreamAnswer
    from tests.proxy.flying import Event


def says(*pieces: bytes) -> Event:
    """Let Electric say something, each piece in a read of its own."""

    async def say(_scene: Scene, _client: Wire, upstream: Wire) -> None:
        for piece in pieces:
            upstream.send(piece)
            await ticks(20)

    return say


def says_and_ends(said: bytes) -> Event:
    async def say(_scene: Scene, _client: Wire, upstream: Wire) -> None:
        upstream.send(said)
        await ticks(20)
        upstream.hang_up()

    return say


async def nothing(_scene: Scene, _client: Wire, _upstream: Wire) -> None:
    """Let time pass."""


async def client_closes(_scene: Scene, client: Wire, upstream: Wire) -> None:
    client.close()
    await asyncio.wait_for(upstream.ended.wait(), 1)


async def client_resets(_scene: Scene, client: Wire, upstream: Wire) -> None:
    client.reset()
    await asyncio.wait_for(upstream.ended.wait(), 1)


async def session_ends(scene: Scene, _client: Wire, upstream: Wire) -> None:
    scene.revoke()
    await asyncio.wait_for(upstream.ended.wait(), 1)


async def session_ends_first(scene: Scene, _client: Wire, upstream: Wire) -> None:
    scene.revoke()
    upstream.send(b"2]")  # Nothing of it is written any more.


async def connections_end(scene: Scene, _client: Wire, _upstream: Wire) -> None:
    await scene.lean.close()
    scene.lean._closed = False  # so that the next request is served


async def unanswered_once(scene: Scene, _client: Wire, upstream: Wire) -> None:
    upstream.hang_up()
    again, _ = await scene.electric.asked()
    assert again is not upstream
    again.send(EMPTY_LOG)


async def unanswered_twice(scene: Scene, _client: Wire, upstream: Wire) -> None:
    upstream.hang_up()
    (await scene.electric.asked())[0].hang_up()


async def leaves_while_asked_again(scene: Scene, client: Wire, upstream: Wire) -> None:
    upstream.hang_up()
    again, _ = await scene.electric.asked()
    await client_closes(scene, client, again)


BOUNDS = b'{"message":"Invalid request","errors":{"offset":["out of bounds for this shape"]}}'
UNCHANGED = b'HTTP/1.1 304 Not Modified\r\netag: "h-1:-1:0_0"\r\n\r\n'
WHEN_SENT: dict[str, tuple[Event, tuple[int, str] | None, tuple[str, str]]] = {
    "whole": (says(EMPTY_LOG), LOG, SERVED),
    "to be kept": (says(KEPT), LOG, SERVED),
    "in chunks": (says(CHUNKED + b"2\r\n[]\r\n0\r\n\r\n"), LOG, SERVED),
    "its end alone": (says(CHUNKED + b"2\r\n[]\r\n", b"0\r\n\r\n"), LOG, SERVED),
    "an interim head": (says(b"HTTP/1.1 103 Early Hints\r\n\r\n", EMPTY_LOG), LOG, SERVED),
    "a head in pieces": (says(EMPTY_LOG[:20], EMPTY_LOG[20:60], EMPTY_LOG[60:]), LOG, SERVED),
    "a body in pieces": (says(PART, b"2", b"]"), (200, "[12]"), SERVED),
    "more than all": (says(EMPTY_LOG + b"HTTP/1.1 200 OK\r\n\r\n"), LOG, SERVED),
    "409": (says(EMPTY_LOG.replace(b"200 OK", b"409 Conflict")), (409, "[]"), SERVED),
    "400": (says(error(b"400 Bad Request")), *refused(400, "electric_refused")),
    "out of bounds": (says(error(b"400 Bad Request", BOUNDS)), *refused(400, "offset_out_of_bounds")),
    "503": (says(error(b"503 Service Unavailable")), *refused(503, "electric_unavailable")),
    "503 in pieces": (says(error(b"503 No")[:-1], b"}"), *refused(503, "electric_unavailable")),
    "401": (says(error(b"401 Unauthorized")), *refused(502, "electric_secret_refused")),
    "304 unasked": (says(UNCHANGED), *UNREACHABLE),
    "no end": (says_and_ends(HEAD + b"\r\n[]"), *UNREACHABLE),
    "garbage": (says(b"garbage\r\n\r\n"), *UNREACHABLE),
    "a head that is cut": (says_and_ends(EMPTY_LOG[:40]), *UNREACHABLE),
    "a body that is cut": (says_and_ends(PART), BROKEN, (Decision.CUT, "electric_unreachable")),
    "chunks that are garbage": (
        says(CHUNKED + b"1\r\n[\r\n", b"zz\r\n"),
        BROKEN,
        (Decision.CUT, "electric_unreachable"),
    ),
    "unanswered": (unanswered_once, LOG, SERVED),
    "unanswered twice": (unanswered_twice, *UNREACHABLE),
    "unanswered, and left": (leaves_while_asked_again, None, GONE),
    "client closes": (client_closes, None, GONE),
    "client resets": (client_resets, None, GONE),
    "session ends": (session_ends, *refused(401, "invalid_token")),
    "connections end": (connections_end, *UNREACHABLE),
}


@pytest.mark.parametrize("event", WHEN_SENT)
def test_W_01_W_02_I_20_I_21_whatever_happens_to_a_request_that_was_sent_it_ends_once(
    world: World, tmp_path: Path, event: str
) -> None:
    happens, expected, told = WHEN_SENT[event]

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        await happens(scene, client, upstream)
        if expected is not None:
            assert await client.outcome() == expected
        await scene.told(told)
        await scene.serves()

    played(world, tmp_path, scenario)


SHORT = {"catch_up_seconds": 0.1}


@pytest.mark.parametrize(
    ("said", "expected", "told"),
    [
        (b"", *refused(504, "electric_timeout")),
        (EMPTY_LOG[:30], *refused(504, "electric_timeout")),
        (PART, BROKEN, (Decision.CUT, "electric_timeout")),
    ],
    ids=["nothing", "a piece of a head", "a piece of a body"],
)
def test_W_02_W_09_an_electric_that_falls_silent_is_given_up(
    world: World, tmp_path: Path, said: bytes, expected: tuple[int, str], told: tuple[str, str]
) -> None:
    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        upstream.send(said)
        assert await client.outcome() == expected
        await scene.told(told)
        await scene.serves()

    played(world, tmp_path, scenario, timeouts=SHORT)


@pytest.mark.parametrize(
    ("said", "expected", "told"),
    [(b"", *refused(401, "invalid_token")), (PART, BROKEN, (Decision.CUT, "invalid_token"))],
    ids=["unanswered", "in the body"],
)
def test_P_46_I_21_a_request_ends_with_its_token(
    world: World, tmp_path: Path, said: bytes, expected: tuple[int, str], told: tuple[str, str]
) -> None:
    async def scenario(scene: Scene) -> None:
        (client,) = await scene.known(head())
        scene.clock.now = NOW + timedelta(seconds=309.9)
        client.send(head())
        upstream, _ = await scene.electric.asked()
        assert scene.flying == 0  # nobody may look before the token ends
        upstream.send(said)
        assert await client.outcome() == expected
        await scene.told(told)
        await asyncio.wait_for(upstream.ended.wait(), 1)
        await scene.serves()

    played(world, tmp_path, scenario)


def test_P_46_P_27_what_is_not_answered_soon_is_held_in_a_task(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapegate_proxy.held.LOOK_SECONDS", 0.05)

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        await scene.looked_at()
        assert set(scene.left()) == {"connections", "counts", "exchanges", "holds", "patience"} - {
            *(() if world.collapse else ("exchanges",))
        }
        upstream.send(EMPTY_LOG)
        assert await client.outcome() == LOG
        await scene.told(SERVED)

    played(world, tmp_path, scenario)


def test_W_07_a_304_answers_a_condition(world: World, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent(head(CONDITION, target=ORG_TARGET))
        upstream.send(UNCHANGED)
        assert await client.outcome() == (304, "")
        await scene.told(SERVED)

    played(world, tmp_path, scenario)


# A request whose head came, and its body did not.

WHEN_BEGUN: dict[str, tuple[Event, tuple[int, str] | None, tuple[str, str]]] = {
    "the rest": (says(b"2]"), (200, "[12]"), SERVED),
    "the rest in pieces": (says(b"2", b"]"), (200, "[12]"), SERVED),
    "more than the rest": (says(b"2]]]"), (200, "[12]"), SERVED),
    "its end": (says_and_ends(b"2"), BROKEN, (Decision.CUT, "electric_unreachable")),
    "client closes": (client_closes, None, GONE),
    "client resets": (client_resets, None, GONE),
    "session ends": (session_ends, BROKEN, (Decision.CUT, "invalid_token")),
    "session ends first": (session_ends_first, BROKEN, (Decision.CUT, "invalid_token")),
    "connections end": (connections_end, BROKEN, (Decision.CUT, "electric_unreachable")),
}


@pytest.mark.parametrize("event", WHEN_BEGUN)
def test_W_01_I_20_I_21_whatever_happens_in_the_middle_of_an_answer_it_ends_once(
    world: World, tmp_path: Path, event: str
) -> None:
    happens, expected, told = WHEN_BEGUN[event]

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        upstream.send(PART)
        await client.came(b"[1")
        await happens(scene, client, upstream)
        if expected is not None:
            assert await client.outcome() == expected
        await scene.told(told)
        await scene.serves()

    played(world, tmp_path, scenario)


# An answer that its client does not take.


async def client_reads(_scene: Scene, _client: Wire, _upstream: Wire) -> None:
    """Nothing more than that it reads from now on."""


WHEN_STALLED: dict[str, tuple[Event, tuple[int, str] | None, tuple[str, str]]] = {
    "it reads": (client_reads, (200, "x" * LARGE), SERVED),
    "it closes": (client_closes, None, GONE),
    "it resets": (client_resets, None, GONE),
    "session ends": (session_ends, BROKEN, (Decision.CUT, "invalid_token")),
    "connections end": (connections_end, BROKEN, (Decision.CUT, "electric_unreachable")),
}


@pytest.mark.parametrize("event", WHEN_STALLED)
def test_W_09_I_22_whatever_happens_to_a_client_that_does_not_read_its_request_ends_once(
    world: World, tmp_path: Path, event: str
) -> None:
    happens, expected, told = WHEN_STALLED[event]

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent(receive_bytes=4_096)
        front = scene.front()
        told_all = HEAD + b"content-length: %d\r\n\r\n" % LARGE + b"x" * LARGE
        sending = asyncio.create_task(upstream.send_all(told_all))
        async with asyncio.timeout(SECONDS):
            while not front.writing_paused:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        await happens(scene, client, upstream)
        if expected is not None:
            assert await client.outcome() == expected
        await scene.told(told)
        await asyncio.wait_for(sending, SECONDS)
        await scene.serves()

    played(world, tmp_path, scenario)


def test_I_19_who_does_not_take_a_whole_answer_gets_the_next_one_after_it(
    world: World, tmp_path: Path
) -> None:
    body = b"x" * 60_000

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent(receive_bytes=4_096)
        front = scene.front()
        send_little(front)
        for _ in range(20):
            upstream.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            await scene.settled()
            if front.writing_paused:
                break
            client.send(head())
            upstream, _ = await scene.electric.asked()
        assert front.writing_paused
        count = len(scene.recorder.events)
        client.send(head())  # by the task, which waits for the reader
        upstream, _ = await scene.electric.asked()
        assert scene.flying == 0
        upstream.send(EMPTY_LOG)
        for _ in range(count):
            assert await client.outcome() == (200, body.decode())
        assert await client.outcome() == LOG
        await scene.told(*[SERVED] * (count + 1))

    played(world, tmp_path, scenario)


# A request that a task took over and did not begin with, and one that is answered and not put down.


def end_all(scene: Scene) -> None:
    """End what is under way as a gate does that waited for long enough."""
    for each in scene.services.held._under_way():
        each.end(GateStopping)


AT_THE_MOMENT: dict[str, Callable[[Scene, Front, Wire, Wire], object]] = {
    "electric says more": lambda _scene, _front, _client, upstream: upstream.send(b"2]"),
    "electric ends": lambda _scene, _front, _client, upstream: upstream.hang_up(),
    "session ends": lambda scene, _front, _client, _upstream: scene.revoke(),
    "patience ends": lambda scene, _front, _client, _upstream: end_all(scene),
    "connections end": lambda scene, _front, _client, _upstream: lose_electric(scene),
    "client closes": lambda _scene, _front, client, _upstream: client.close(),
    "client resets": lambda _scene, _front, client, _upstream: client.reset(),
    "client is lost": lambda _scene, front, _client, _upstream: front.abort(),
    "next request": lambda _scene, _front, client, _upstream: client.send(head()),
}
WHEN_PROMOTED: dict[str, tuple[tuple[int, str] | None, tuple[str, str]]] = {
    "electric says more": ((200, "[12]"), SERVED),
    "electric ends": (BROKEN, (Decision.CUT, "electric_unreachable")),
    "session ends": refused(401, "invalid_token"),
    "patience ends": refused(503, "gate_stopping"),
    "connections end": (BROKEN, (Decision.CUT, "electric_unreachable")),
    "client closes": (None, GONE),
    "client resets": (None, GONE),
    "client is lost": (BROKEN, GONE),
    "next request": ((200, "[12]"), SERVED),
}


@pytest.mark.parametrize("event", AT_THE_MOMENT)
def test_I_20_I_21_whatever_happens_before_its_task_begins_a_request_ends_once(
    world: World, tmp_path: Path, event: str
) -> None:
    expected, told = WHEN_PROMOTED[event]

    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        happened = asyncio.Event()
        take_over = Front.take_over

        def take_over_and_more(front: Front, answering: Callable[[], Awaitable[None]]) -> None:
            take_over(front, answering)
            if not happened.is_set():
                happened.set()
                AT_THE_MOMENT[event](scene, front, client, upstream)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Front, "take_over", take_over_and_more)
            upstream.send(PART)
            await asyncio.wait_for(happened.wait(), SECONDS)
        if event == "next request":
            upstream.send(b"2]")
        if expected is not None:
            assert await client.outcome() == expected
        if event == "next request":
            (await scene.electric.asked())[0].send(EMPTY_LOG)
            assert await client.outcome() == LOG
        await scene.told(told, *[SERVED] * (event == "next request"))
        await scene.serves()

    played(world, tmp_path, scenario)


@pytest.mark.parametrize("event", AT_THE_MOMENT)
def test_whatever_happens_at_the_moment_an_answer_is_sent_it_was_served(
    world: World, tmp_path: Path, event: str
) -> None:
    async def scenario(scene: Scene) -> None:
        happened, deliver = asyncio.Event(), Flight.deliver

        def deliver_and_more(flight: Flight, answer: UpstreamAnswer) -> None:
            deliver(flight, answer)
            if not happened.is_set():
                happened.set()
                AT_THE_MOMENT[event](scene, front, client, upstream)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Flight, "deliver", deliver_and_more)
            client, upstream = await scene.sent()
            front = scene.front()
            upstream.send(EMPTY_LOG)
            await asyncio.wait_for(happened.wait(), SECONDS)
        if not event.startswith("client"):
            assert await client.outcome() == LOG
        if event == "next request":
            (await scene.electric.asked())[0].send(EMPTY_LOG)
            assert await client.outcome() == LOG
        await scene.told(*[SERVED] * (1 + (event == "next request")))
        await scene.serves()

    played(world, tmp_path, scenario)


# A gate that stops.


@pytest.mark.parametrize("said", [b"", PART], ids=["unanswered", "in the body"])
def test_a_gate_that_stops_lets_a_request_finish_and_takes_no_other(
    world: World, tmp_path: Path, said: bytes
) -> None:
    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        front = scene.front()
        upstream.send(said)
        if said:
            await client.came(b"[1")
        closing = asyncio.ensure_future(scene.close())
        async with asyncio.timeout(SECONDS):
            while not front._closing:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        client.send(head())
        await ticks(20)
        upstream.send(b"2]" if said else EMPTY_LOG)
        assert await client.outcome() == ((200, "[12]") if said else LOG)
        assert await client.outcome() == BROKEN
        await asyncio.wait_for(closing, SECONDS)
        await scene.told(SERVED)
        assert scene.electric.waiting == 0

    played(world, tmp_path, scenario)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("said", "expected", "told"),
    [(b"", *refused(503, "gate_stopping")), (PART, BROKEN, (Decision.CUT, "gate_stopping"))],
    ids=["unanswered", "in the body"],
)
def test_a_gate_that_stops_ends_a_request_that_takes_too_long(
    world: World, tmp_path: Path, said: bytes, expected: tuple[int, str], told: tuple[str, str]
) -> None:
    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        upstream.send(said)
        if said:
            await client.came(b"[1")
        closing = asyncio.ensure_future(scene.close())
        assert await client.outcome() == expected
        await asyncio.wait_for(upstream.ended.wait(), SECONDS)
        await asyncio.wait_for(closing, SECONDS)
        await scene.told(told)

    played(world, tmp_path, scenario)


def test_a_gate_that_stops_at_the_moment_an_answer_is_sent_has_served_it(
    world: World, tmp_path: Path
) -> None:
    async def scenario(scene: Scene) -> None:
        deliver, closing = Flight.deliver, list[asyncio.Future[None]]()

        def deliver_and_stop(flight: Flight, answer: UpstreamAnswer) -> None:
            deliver(flight, answer)
            front.stop()
            closing.append(asyncio.ensure_future(front.finish(seconds=SECONDS)))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Flight, "deliver", deliver_and_stop)
            client, upstream = await scene.sent()
            front = scene.front()
            upstream.send(EMPTY_LOG)
            assert await client.outcome() == LOG
        assert await client.outcome() == BROKEN
        await asyncio.wait_for(closing[0], SECONDS)
        await scene.told(SERVED)

    played(world, tmp_path, scenario)


# Two members who ask the same in one instant.
