"""What the gate depends on, asked for however many ask."""

from __future__ import annotations

import asyncio

import pytest

from shapegate_proxy.readiness import BELIEVED_SECONDS, Readiness, Report
from tests.proxy.builders import Ticks


@pytest.mark.parametrize(
    ("parts", "ready"),
    [
        ({"electric": "active", "database": "ok"}, True),
        ({"electric": "starting", "database": "ok"}, False),
        ({"electric": "active", "database": "failed"}, False),
        ({}, True),
    ],
)
def test_P_47_one_part_amiss_is_not_ready(parts: dict[str, str], ready: bool) -> None:
    assert Report(parts=parts).ready is ready


async def test_I_08_however_many_ask_the_parts_are_asked_once_in_a_while() -> None:
    asked, ticks = 0, Ticks()

    async def check() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return "ok"

    readiness = Readiness((("part", check),), monotonic=ticks)
    for _ in range(3):
        reports = await asyncio.gather(*(readiness.report() for _ in range(50)))
        assert all(report == Report(parts={"part": "ok"}) for report in reports)
    assert asked == 1
    ticks.now += BELIEVED_SECONDS
    await readiness.report()
    assert asked == 2
    await readiness.close()


async def test_one_who_goes_away_leaves_the_question_to_the_others() -> None:
    answer = asyncio.Event()

    async def check() -> str:
        await answer.wait()
        return "ok"

    readiness = Readiness((("part", check),), monotonic=Ticks())
    gone, waiting = (asyncio.create_task(readiness.report()) for _ in range(2))
    await asyncio.wait([gone], timeout=0.01)
    gone.cancel()
    await asyncio.wait([gone])
    answer.set()
    assert (await waiting).ready
    await readiness.close()
