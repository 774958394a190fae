"""One running stack for the integration tests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from shapegate_harness.ports import Ports
from shapegate_harness.scenario import Recorder
from shapegate_harness.stack import open_stack
from shapegate_proxy.observe import LogObserver, Observers
from tests.canary import Canary, LogCanary, watched_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shapegate_harness.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recorder() -> Recorder:
    """What the gate of the shared stack answered."""
    return Recorder()


@pytest.fixture(scope="session")
def canary(open_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    """Searches what clients receive and what is logged; in the end also every local file of the session."""
    canary, log = Canary(), logging.getLogger("shapegate")
    handler, level = LogCanary(canary), log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield canary
    log.removeHandler(handler)
    log.setLevel(level)
    canary.search_files([open_folder, tmp_path_factory.getbasetemp()])
    assert canary.leaks == []


@pytest.fixture(autouse=True)
def no_leak(canary: Canary) -> Iterator[None]:
    """Fail the test during which a row of another org came where it must not be (SECURITY I-01, I-10)."""
    before = len(canary.leaks)
    yield
    found, canary.leaks[before:] = canary.leaks[before:], []
    assert found == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(open_folder: Path, recorder: Recorder, canary: Canary) -> AsyncIterator[Stack]:
    """A seeded stack that the tests of this folder share; none of them changes rows but the scenario."""
    observer = Observers(recorder, LogObserver())
    async with (
        open_stack(open_folder / "integration", ports=Ports(), observer=observer, durable=False) as running,
        watched_stack(running, canary),
    ):
        yield running
