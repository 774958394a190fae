"""Noticing that the machine slept."""

from __future__ import annotations

import asyncio
import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_client.slumber import SLEPT_SECONDS_MIN, Look, Slept, Vigil, slept_seconds
from tests.client.ports import START, HeldClock


def at(monotonic: float, wall: float) -> Look:
    return Look(monotonic=monotonic, wall=START + datetime.timedelta(seconds=wall))


@pytest.mark.parametrize(
    ("monotonic", "wall", "slept"),
    [
        (5.0, 5.0, 0.0),
        (5.0, 5.0 + SLEPT_SECONDS_MIN - 1, 0.0),
        (5.0, 5.0 + SLEPT_SECONDS_MIN, SLEPT_SECONDS_MIN),
        (5.0, 3_605.0, 3_600.0),
        (3_600.0, 3_600.0, 0.0),
        (5.0, -3_600.0, 0.0),
    ],
)
def test_C_24_the_machine_slept_when_the_wall_clock_ran_ahead(
    monotonic: float, wall: float, slept: float
) -> None:
    assert slept_seconds(at(0.0, 0.0), at(monotonic, wall)) == slept


@given(st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_a_sleep_is_never_shorter_than_the_least(monotonic: float, wall: float) -> None:
    seconds = slept_seconds(at(0.0, 0.0), at(monotonic, wall))
    assert seconds == 0.0 or seconds >= SLEPT_SECONDS_MIN


class Work:
    """Work that never ends by itself; knows whether it was given up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = False

    async def run(self) -> str:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.ended = True
        return "never"


async def test_C_24_work_under_way_is_given_up_after_a_sleep() -> None:
    clock, work = HeldClock(), Work()
    task = asyncio.create_task(Vigil(clock, look_seconds=0.01).unless_slept(work.run()))
    await work.begun.wait()
    clock.advance(7_200)
    slept = await task
    assert isinstance(slept, Slept)
    assert slept.seconds > 7_000
    assert work.ended


async def test_C_24_work_that_is_done_counts_and_the_next_hears_of_the_sleep() -> None:
    clock, work = HeldClock(), Work()
    vigil = Vigil(clock, look_seconds=60.0)

    async def done() -> str:
        clock.advance(7_200)
        return "done"

    assert await vigil.unless_slept(done()) == "done"
    assert isinstance(await vigil.unless_slept(work.run()), Slept)
    assert await vigil.unless_slept(done()) == "done"


async def test_an_error_of_the_work_comes_through() -> None:
    async def work() -> None:
        raise ValueError("scripted")

    with pytest.raises(ValueError, match="scripted"):
        await Vigil(HeldClock(), look_seconds=5.0).unless_slept(work())


async def test_C_12_a_cancellation_reaches_the_work_at_once() -> None:
    work = Work()
    task = asyncio.create_task(Vigil(HeldClock(), look_seconds=60.0).unless_slept(work.run()))
    await work.begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await task
    assert task.cancelled()
    assert work.ended
