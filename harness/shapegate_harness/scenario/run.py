"""Runs the steps one after the other, times them and tells what each one checked."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.scenario.checks import Differs
from shapegate_harness.scenario.scene import Scene
from shapegate_harness.scenario.steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shapegate_harness.scenario.recorder import Recorder
    from shapegate_harness.stack import Stack

STEP_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A step whose checks held."""

    name: str
    checked: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step with a check that did not hold; the scenario ends with it."""

    name: str
    difference: str
    seconds: float


StepResult = StepDone | StepFailed


async def run_scenario(
    stack: Stack, recorder: Recorder, folder: Path, report: Callable[[StepResult], None]
) -> bool:
    """Run every step on a freshly seeded stack whose gate tells `recorder`; say whether all held.

    Local files lie below `folder`. `report` hears of each step as it ends; the first that fails is the last.
    """
    async with AsyncExitStack() as resources:
        scene = Scene(stack, recorder, folder, resources)
        for name, step in steps_of(stack.addresses.domain):
            started = time.monotonic()
            try:
                async with asyncio.timeout(STEP_SECONDS_MAX):
                    checked = await step(scene)
            except Exception as exc:  # noqa: BLE001  # the boundary: whatever ends a step is its result
                report(StepFailed(name=name, difference=_said(exc), seconds=time.monotonic() - started))
                return False
            report(StepDone(name=name, checked=checked, seconds=time.monotonic() - started))
    return True


def _said(exc: Exception) -> str:
    match exc:
        case Differs():
            return str(exc)
        case TimeoutError():
            return f"what was expected did not happen within {STEP_SECONDS_MAX:.0f} s"
        case _:
            return f"{type(exc).__name__}: {exc}"
