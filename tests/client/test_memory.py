"""The memory of a client that takes in far more rows than it may hold."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.client_log import served, write_chunks

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
BYTES_MAX: Final = 200_000_000


async def loaded(folder: Path, rows: int) -> Mapping[str, float]:
    """Let a process of its own take in a log of that many rows; say what it needed."""
    async with served(write_chunks(folder, rows)) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.client_load", url, str(folder / "home")),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    found: Mapping[str, float] = json.loads(out)
    return found


@pytest.mark.soak
async def test_L_07_a_million_rows_are_taken_in_within_200_megabytes(tmp_path: Path) -> None:
    found = await loaded(tmp_path, 1_000_000)
    assert found["rows"] == 1_000_000
    assert found["peak_bytes"] <= BYTES_MAX
