"""Several requests that go to Electric without a task: members who share, limits, pipelines and a storm."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.collapsing import ROUND
from shapegate_proxy.errors import InvalidToken
from shapegate_proxy.flights import Flight
from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.observe import Decision
from tests.proxy.builders import (
    GLOBEX,
    USER,
)
from tests.proxy.flying import (
    BROKEN,
    GONE,
    KEPT,
    LOG,
    OTHER_USER,
    PART,
    SERVED,
    SESSION,
    UNREACHABLE,
    WORLDS,
    Scene,
    Wire,
    World,
    error,
    head,
    lose_electric,
    played,
    refused,
)
from tests.proxy.raw import EMPTY_LOG, HEAD, SECONDS, TARGET
from tests.proxy.scripted import ticks
from tests.proxy.test_connection import alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


OTHERS = {"sub": OTHER_USER, "jti": "44444444-4444-4444-8444-444444444444"}


async def both_sent(scene: Scene, world: World) -> tuple[list[Wire], list[Wire]]:
    """Let two members of one org ask the same; returns their ends, and those at Electric."""
    heads = head(), head(**OTHERS)
    clients = await scene.known(*heads)
    for client, sent in zip(clients, heads, strict=True):
        client.send(sent)
    upstreams = [(await scene.electric.asked())[0] for _ in range(1 if world.collapse else 2)]
    async with asyncio.timeout(SECONDS):
        while scene.services.held.count < 2:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
    assert (scene.flying, scene.electric.waiting) == (2, 0)
    return clients, upstreams


@pytest.mark.parametrize(
    ("said", "expected", "told"),
    [
        (EMPTY_LOG, LOG, SERVED),
        (KEPT, LOG, SERVED),
        (error(b"400 Bad Request"), *refused(400, "electric_refused")),
        (error(b"503 Service Unavailable"), *refused(503, "electric_unavailable")),
        (b"garbage\r\n\r\n", *UNREACHABLE),
    ],
    ids=["whole", "kept", "400", "503", "garbage"],
)
def test_what_electric_says_to_one_request_of_two_members_both_get(
    world: World, tmp_path: Path, said: bytes, expected: tuple[int, str], told: tuple[str, str]
) -> None:
    async def scenario(scene: Scene) -> None:
        clients, upstreams = await both_sent(scene, world)
        for upstream in upstreams:
            upstream.send(said)
        assert [await client.outcome() for client in clients] == [expected] * 2
        await scene.told(told, told)
        assert {event.user for event in scene.recorder.events} == {USER, OTHER_USER}
        await scene.serves()

    played(world, tmp_path, scenario)


@pytest.mark.parametrize("said", [b"", PART], ids=["unanswered", "in the body"])
@pytest.mark.parametrize("leaving", [0, 1])
@pytest.mark.parametrize("how", ["leaves", "is revoked"])
def test_I_20_I_21_one_of_two_members_who_ends_takes_nobody_along(
    world: World, tmp_path: Path, said: bytes, leaving: int, how: str
) -> None:
    async def scenario(scene: Scene) -> None:
        clients, upstreams = await both_sent(scene, world)
        for upstream in upstreams:
            upstream.send(said)
        for client in clients if said else ():
            await client.came(b"[1")
        if how == "leaves":
            clients[leaving].close()
        else:
            scene.revoke((SESSION, OTHERS["jti"])[leaving])
        async with asyncio.timeout(SECONDS):
            while scene.services.held.count == 2:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        for upstream in upstreams:
            upstream.send(b"2]" if said else EMPTY_LOG)
        assert await clients[1 - leaving].outcome() == ((200, "[12]") if said else LOG)
        told: tuple[str, str] = GONE
        if how != "leaves":
            ended, told = (BROKEN, (Decision.CUT, "invalid_token")) if said else refused(401, "invalid_token")
            assert await clients[leaving].outcome() == ended
        await scene.told(told, SERVED)
        assert scene.recorder.events[1].user == (OTHER_USER, USER)[leaving]
        await scene.serves()

    played(world, tmp_path, scenario)


@pytest.mark.parametrize("said", [b"", PART], ids=["unanswered", "in the body"])
def test_I_20_P_28_when_both_members_leave_the_request_ends(
    world: World, tmp_path: Path, said: bytes
) -> None:
    async def scenario(scene: Scene) -> None:
        clients, upstreams = await both_sent(scene, world)
        for upstream in upstreams:
            upstream.send(said)
        for client in clients:
            if said:
                await client.came(b"[1")
            client.close()
        for upstream in upstreams:
            await asyncio.wait_for(upstream.ended.wait(), 1)
        await scene.told(GONE, GONE)
        await scene.serves()

    played(world, tmp_path, scenario)


def test_W_10_P_25_a_dead_connection_is_replaced_once_for_two_members(world: World, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        clients, upstreams = await both_sent(scene, world)
        for upstream in upstreams:
            upstream.hang_up()
        for _ in upstreams:
            (await scene.electric.asked())[0].send(EMPTY_LOG)
        assert [await client.outcome() for client in clients] == [LOG] * 2
        await scene.told(SERVED, SERVED)
        assert scene.electric.waiting == 0

    played(world, tmp_path, scenario)


@pytest.mark.parametrize("said", [EMPTY_LOG, PART])
def test_a_member_who_comes_while_another_is_answered_gets_the_same(
    world: World, tmp_path: Path, said: bytes
) -> None:
    """One asks, the answer is on its way, and the other asks before it is read."""

    async def scenario(scene: Scene) -> None:
        one, other = await scene.known(head(), head(**OTHERS))
        one.send(head())
        upstream, _ = await scene.electric.asked()
        upstream.send(said)
        other.send(head(**OTHERS))
        await one.came(b"[1" if said is PART else b"[]")
        await ticks(20)
        scene.electric.oblige()
        upstream.send(b"2]" if said is PART else b"")
        expected = (200, "[12]") if said is PART else LOG
        assert await one.outcome() == expected
        assert await other.outcome() in (expected, LOG)
        await scene.told(SERVED, SERVED)

    played(world, tmp_path, scenario)


def test_more_than_a_round_of_members_are_answered_and_those_who_left_are_not(tmp_path: Path) -> None:
    count = ROUND + 20
    heads = [head(sub=f"55555555-5555-4555-8555-{number:012x}") for number in range(count)]

    async def scenario(scene: Scene) -> None:
        await scene.pool(2)
        clients = [await scene.dial() for _ in heads]
        for _again in range(2):
            for client, sent in zip(clients, heads, strict=True):
                client.send(sent)
            upstream, _ = await scene.electric.asked()
            async with asyncio.timeout(SECONDS):
                while scene.services.held.count < count:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
            if _again:
                assert scene.flying == count
                for client in clients[::7]:
                    client.close()
            upstream.send(EMPTY_LOG)
            left = set(clients[::7]) if _again else set()
            for client in clients:
                if client not in left:
                    assert await client.outcome() == LOG
            await scene.settled()
        assert len(scene.recorder.events) == 2 * count + 2
        assert scene.electric.waiting == 0

    played(WORLDS[0].values[0], tmp_path, scenario)  # type: ignore[arg-type]  # the first of the worlds


# Who sends many at once, or from many connections.


def test_I_19_requests_that_wait_behind_one_are_answered_in_their_order(world: World, tmp_path: Path) -> None:
    heads = [head(target=f"{TARGET}&cache-buster={number}") for number in range(5)]

    async def scenario(scene: Scene) -> None:
        (client, *_others) = await scene.known(*heads)
        client.send(b"".join(heads)[:-10])
        for number in range(5):
            upstream, asked = await scene.electric.asked()
            assert b"cache-buster=%d" % number in asked
            await ticks(20)
            assert scene.electric.waiting == 0
            if number == 3:
                client.send(heads[-1][-10:])
            upstream.send(HEAD + b"content-length: 1\r\n\r\n%d" % number)
            assert await client.outcome() == (200, str(number))
        await scene.told(*[SERVED] * 5)

    played(world, tmp_path, scenario)


def test_I_08_who_sends_many_at_once_waits_behind_everybody_else(world: World, tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        mine, theirs = head(), head(organization_id=GLOBEX)
        hasty, other = await scene.known(mine, theirs)
        scene.electric.oblige()
        hasty.send(mine * 100)
        other.send(theirs)
        assert await other.outcome() == LOG
        for _ in range(100):
            assert await hasty.outcome() == LOG
        await scene.told(*[SERVED] * 101)
        assert [event.org for event in scene.recorder.events].index(GLOBEX) <= 4

    played(world, tmp_path, scenario)


@pytest.mark.parametrize("limit", ["requests_per_principal", "requests_per_org", "initial_per_org"])
def test_I_08_many_connections_in_one_instant_do_not_pass_a_limit(
    world: World, tmp_path: Path, limit: str
) -> None:
    count, bound = 8, 3

    async def scenario(scene: Scene) -> None:
        sent = head()
        await scene.pool(count)
        await scene.known(sent)
        clients = [await scene.dial() for _ in range(count)]
        for _again in range(3):
            scene.recorder.events.clear()
            for client in clients:
                client.send(sent)
            upstreams = [(await scene.electric.asked())[0] for _ in range(1 if world.collapse else bound)]
            async with asyncio.timeout(SECONDS):
                while len(scene.recorder.events) < count - bound:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
            assert (scene.flying, scene.electric.waiting) == (bound, 0)
            for upstream in upstreams:
                upstream.send(EMPTY_LOG)
            statuses = [(await client.outcome())[0] for client in clients]
            assert (statuses.count(200), statuses.count(429)) == (bound, count - bound)
            await scene.settled()
            assert len(scene.recorder.events) == count

    played(world, tmp_path, scenario, limits=LimitSettings(**{limit: bound}))


def test_I_09_in_a_storm_nobody_gets_a_byte_of_another_org(world: World, tmp_path: Path) -> None:
    """Members of some orgs ask, leave, are revoked and cut off; whatever a client gets is its org's."""
    orgs = [f"{number:08x}-dddd-4ddd-8ddd-dddddddddddd" for number in range(4)]
    users = [(org, f"66666666-6666-4666-8666-{at:012x}", str(at)) for at, org in enumerate(orgs * 3)]
    turn = 0

    async def answer(scene: Scene) -> None:
        nonlocal turn
        while True:
            upstream, asked = await scene.electric.asked()
            (org,) = [org for org in orgs if org.encode() in asked] or [""]
            turn += 1
            body = org.encode() * 3
            told = HEAD + b"content-length: %d\r\n\r\n" % len(body)
            if turn % 5 == 1:
                upstream.send(told + body[:50])
                await ticks(3)
                upstream.send(body[50:])
            elif turn % 11 == 2:
                upstream.send(told + body[:50])
                upstream.hang_up()
            elif turn % 13 == 3:
                upstream.hang_up()
            else:
                upstream.send(told + body)

    async def play(scene: Scene, at: int, org: str, user: str, session: str) -> None:
        sent, client = head(organization_id=org, sub=user, jti=session), await scene.dial()
        for number in range(12):
            client.send(sent * (1 + number % 2))
            for _ in range(1 + number % 2):
                if (number + at) % 6 == 5:
                    await ticks(number % 4)
                    client.close()
                elif (number + at) % 7 == 6:
                    scene.revoke(session)
                if not client.closed:
                    status, body = await client.outcome()
                    assert body == org * 3 or status in (0, 401, 502)
                    if status == 0:
                        client.close()
            scene.revoked.discard(session)
            if client.closed:
                client = await scene.dial()

    async def scenario(scene: Scene) -> None:
        answering = asyncio.create_task(answer(scene))
        await asyncio.gather(*(play(scene, at, *who) for at, who in enumerate(users)))
        await scene.settled()
        events = scene.recorder.events
        assert len({event.request_id for event in events}) == len(events)
        assert sum(event.decision is Decision.SERVED for event in events) > 50
        answering.cancel()
        await asyncio.wait([answering])

    played(world, tmp_path, scenario)


# Whatever comes in one instant.


def expire(scene: Scene, _client: Wire, _upstream: Wire) -> None:
    for each in scene.services.held._under_way():
        each.end(lambda: InvalidToken("The token expired while the request waited"))


INSTANT: dict[str, Callable[[Scene, Wire, Wire], object]] = {
    "whole": lambda _scene, _client, upstream: upstream.send(EMPTY_LOG),
    "piece": lambda _scene, _client, upstream: upstream.send(PART),
    "head": lambda _scene, _client, upstream: upstream.send(EMPTY_LOG[:40]),
    "end": lambda _scene, _client, upstream: upstream.hang_up(),
    "garbage": lambda _scene, _client, upstream: upstream.send(b"zz\r\n\r\n"),
    "close": lambda _scene, client, _upstream: client.close(),
    "reset": lambda _scene, client, _upstream: client.reset(),
    "next": lambda _scene, client, _upstream: client.send(head()),
    "unplain": lambda _scene, client, _upstream: client.send(head(target="/health")),
    "revoke": lambda scene, _client, _upstream: scene.revoke(),
    "expire": expire,
    "lose": lambda scene, _client, _upstream: lose_electric(scene),
    "tick": lambda _scene, _client, _upstream: None,
}


def test_whatever_comes_in_one_instant_each_request_ends_once_and_nothing_is_left(
    world: World, tmp_path: Path
) -> None:
    async def play(scene: Scene, steps: tuple[str, ...]) -> None:
        """Play some steps after a request was sent; `tick` lets the loop turn once."""
        await scene.pool(1)
        client = await scene.dial()
        client.send(head())
        upstream, _ = await scene.electric.asked()
        scene.recorder.events.clear()
        for step in steps:
            if not client.closed or step not in ("next", "unplain", "close", "reset"):
                INSTANT[step](scene, client, upstream)
            if step == "tick":
                await asyncio.sleep(0)
        revoked_first = "revoke" in steps and "tick" not in steps
        scene.electric.oblige(*() if upstream.closed else (upstream,))
        answers = []
        if not client.closed:
            client.send(head("connection: close", target="/health"))
            with contextlib.suppress(EOFError):
                while True:
                    answers.append(await client.answered())
        client.close()
        await scene.settled()
        await scene.electric.rest(len(scene.lean._connections))
        scene.revoked.clear()
        events = {event.request_id: event for event in scene.recorder.events}
        assert len(events) == len(scene.recorder.events)
        assert 1 <= len(events) <= 1 + steps.count("next")
        for status, body, request_id in answers:
            if body != b'{"status": "ok"}':
                assert events[request_id].status == status
                assert not (revoked_first and status == 200 and steps.index("revoke") == 0)

    async def scenario(scene: Scene) -> None:
        await scene.known(head())
        after = [
            (one, "tick", other) for one, other in permutations(INSTANT, 2) if "tick" not in (one, other)
        ]
        for steps in (*permutations(INSTANT, 1), *permutations(INSTANT, 2), *after):
            try:
                await play(scene, steps)
            except (AssertionError, TimeoutError) as exc:
                exc.add_note(f"steps: {steps}")
                raise

    played(world, tmp_path, scenario)


# What is left in memory.


@pytest.mark.parametrize("end", ["answered", "in pieces", "left", "revoked"])
def test_J_16_I_22_nothing_of_a_request_is_kept_when_it_is_over(
    world: World, tmp_path: Path, end: str
) -> None:
    async def scenario(scene: Scene) -> None:
        client, upstream = await scene.sent()
        gc.collect()
        gc.disable()  # what only a collection finds would keep answers, and what is of a token, until then
        try:
            assert len(alive(Flight)) == 1
            if end == "left":
                client.close()
            elif end == "revoked":
                scene.revoke()
            else:
                upstream.send(EMPTY_LOG if end == "answered" else PART)
                await client.came(b"[")
                upstream.send(b"2]" if end == "in pieces" else b"")
            await scene.settled()
            client.close()
            await ticks(20)
            assert alive(Flight) == []
        finally:
            gc.enable()

    played(world, tmp_path, scenario)


# Without sockets: any sequence of events.
