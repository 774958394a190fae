"""Work that is finished whatever happens to who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from shapegate_client.uninterrupted import uninterrupted


async def test_the_result_and_the_error_of_the_work_come_through() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise ValueError("x")

    assert await uninterrupted(answer()) == 7
    with pytest.raises(ValueError, match="x"):
        await uninterrupted(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_work_and_is_raised_after_it(fails: bool) -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        done.set()
        if fails:
            raise ValueError("x")

    task = asyncio.create_task(uninterrupted(work()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
