"""Running `shapegate` as a user does: a process, its words, what it says and its exit code."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int | None
    out: str
    err: str


async def shapegate(*words: str, given: str = "", **environ: str) -> Ended:
    """Run a command with `given` on standard input and no other environment; no traceback may be seen."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shapegate_cli", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environ},
    )
    async with asyncio.timeout(WAIT_SECONDS):
        out, err = await process.communicate(given.encode())
    assert b"Traceback" not in err, err.decode()
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())
