"""Turns for costly filters: whoever sends many waits behind the own organization only."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import aiohttp
import pytest

from shapegate_proxy.turns import FREE_CHARS_MAX, Turns, is_costly
from shapegate_wire.request import parse_request
from tests.proxy.builders import ACME, GLOBEX, bearer, gate, log_answer

if TYPE_CHECKING:
    from pathlib import Path

START = {"table": "items", "offset": "-1"}
LONG = "x" * FREE_CHARS_MAX


@pytest.mark.parametrize(
    ("more", "costly"),
    [
        ({}, False),
        ({"where": "name = 'a'"}, False),
        ({"where": LONG}, False),
        ({"where": LONG + "x"}, True),
        ({"where": "x", "params[1]": LONG}, True),
        ({"where": "x", "params[1]": LONG[:-1]}, False),
        ({"subset__where": LONG + "x"}, True),
        ({"subset__where": "x", "subset__params": '{"1":"' + LONG + '"}'}, True),
        ({"subset__order_by": LONG + "x"}, True),
        ({"where": LONG[:200], "subset__where": LONG[:200]}, True),
        ({"columns": ",".join(f"column_{n}" for n in range(100))}, False),
    ],
)
def test_I_08_a_filter_is_costly_by_what_there_is_to_read(more: dict[str, str], costly: bool) -> None:
    assert is_costly(parse_request((START | more).items())) is costly


async def test_I_08_an_org_takes_one_turn_between_two_looks_at_the_others() -> None:
    turns, order = Turns(), list[str]()

    async def take(org: str) -> None:
        async with turns.turn(org):
            order.append(org)

    async def pass_by() -> None:
        while len(order) < 12:
            order.append("another")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for org in (*[ACME] * 4, GLOBEX):
            tasks.create_task(take(org))
        tasks.create_task(pass_by())
    mine = [place for place, org in enumerate(order) if org == ACME]
    assert len(mine) == 4
    assert order.index(GLOBEX) < mine[1]
    assert all("another" in order[one:next_] for one, next_ in pairwise(mine))
    assert len(turns) == 0


async def test_who_goes_away_while_waiting_leaves_no_turn_behind() -> None:
    turns, taken = Turns(), list[int]()

    async def take(number: int) -> None:
        async with turns.turn(ACME):
            taken.append(number)

    waiting = [asyncio.create_task(take(number)) for number in range(4)]
    await asyncio.sleep(0)
    for task in (waiting[0], waiting[2]):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await asyncio.gather(waiting[1], waiting[3])
    assert taken == [1, 3]
    del task, waiting
    assert len(turns) == 0


async def test_I_08_a_flood_of_costly_filters_does_not_stand_before_another_org(tmp_path: Path) -> None:
    costly = START | {"where": " or ".join(["name = 'x'"] * 250) + " or"}
    ended = list[str]()
    async with (
        gate(log_answer, tmp_path) as running,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):

        async def ask(org: str, query: dict[str, str]) -> int:
            headers = bearer(organization_id=org)
            async with http.get(running.url / "v1/shape", params=query, headers=headers) as answer:
                await answer.read()
            ended.append(org)
            return answer.status

        assert await ask(GLOBEX, START) == 200
        flood = [asyncio.create_task(ask(ACME, costly)) for _ in range(60)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        ended.clear()
        assert await ask(GLOBEX, START) == 200
        assert len(ended) < 30
        assert set(await asyncio.gather(*flood)) == {400}
