"""A signal that something changed."""

from __future__ import annotations

import asyncio

from shapegate_client.pulse import Pulse


async def test_a_pulse_wakes_whoever_waits_for_a_claim_that_holds_now() -> None:
    pulse, facts = Pulse(), set[str]()
    waiting = asyncio.create_task(pulse.until(lambda: "b" in facts, timeout=5))
    for fact in ("a", "b"):
        await asyncio.sleep(0)
        facts.add(fact)
        pulse.beat()
    assert await waiting
    assert not await pulse.until(lambda: "c" in facts, timeout=0.01)
