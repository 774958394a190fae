"""One running stack for the integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from shapegate_harness.ports import Ports
from shapegate_harness.scenario import Recorder
from shapegate_harness.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_harness.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recorder() -> Recorder:
    """What the gate of the shared stack answered."""
    return Recorder()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(open_folder: Path, recorder: Recorder) -> AsyncIterator[Stack]:
    """A seeded stack that the tests of this folder share; none of them changes rows but the scenario."""
    async with open_stack(
        open_folder / "integration", ports=Ports(), observer=recorder, durable=False
    ) as running:
        yield running
