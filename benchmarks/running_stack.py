"""`shapegate up` as a process of its own, timed from its start to the file that says it is ready."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_READY_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 20.0
_POLL_SECONDS: Final = 0.002


class StackFailed(Exception):
    """`shapegate up` did not get ready; the text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """A ready stack."""

    pid: int
    ready_seconds: float
    electric_url: str
    electric_secret: str
    database_url: str


@asynccontextmanager
async def run_stack(home: Path) -> AsyncIterator[RunningStack]:
    """Run `shapegate up` with its data below `home` within the block. Raises StackFailed."""
    ready = home.parent / f"{home.name} ready.json"
    ready.unlink(missing_ok=True)
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shapegate_cli", "up", "--port", "0", "--json", str(ready)),
        env={**os.environ, "SHAPEGATE_HOME": str(home)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        while not ready.exists():
            if process.returncode is not None or time.monotonic() - started > _READY_SECONDS_MAX:
                raise StackFailed(await _said(process))
            await asyncio.sleep(_POLL_SECONDS)
        seconds = time.monotonic() - started
        said = json.loads(ready.read_text(encoding="utf-8"))
        yield RunningStack(
            pid=process.pid,
            ready_seconds=seconds,
            electric_url=said["electric_url"],
            electric_secret=said["electric_secret"],
            database_url=said["database_url"],
        )
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End it as Ctrl-C does, so that it stops its Postgres; by force where it does not."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
        try:
            # Reads to the end: a full pipe would keep it from ending.
            await asyncio.wait_for(process.communicate(), _STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _said(process: asyncio.subprocess.Process) -> str:
    with suppress(ProcessLookupError):
        process.kill()
    _, stderr = await process.communicate()
    return f"shapegate up did not get ready: {stderr.decode(errors='replace').strip()[-2_000:]}"
