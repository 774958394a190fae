"""One running stack for the examples and the client's guide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from shapegate_harness.ports import Ports
from shapegate_harness.stack import Silent, open_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_harness.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(open_folder: Path) -> AsyncIterator[Stack]:
    """A seeded stack."""
    async with open_stack(
        open_folder / "examples", ports=Ports(), observer=Silent(), durable=False
    ) as running:
        yield running
