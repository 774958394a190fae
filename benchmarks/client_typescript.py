"""The TypeScript client as a peer: installed for one run, and asked to take the same log in.

What is made of it is a peer in the same way, by packages and a script of its own.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.client_log import TABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PACKAGE: Final = "@electric-sql/client@1.5.28"
_SCRIPT: Final = Path(__file__).resolve().parent / "client_shape.mjs"
_INSTALL_SECONDS_MAX: Final = 60.0
_LOAD_SECONDS_MAX: Final = 300.0


class NoTypeScript(Exception):
    """The peer cannot be run here; the text says why."""


@asynccontextmanager
async def installed(script: Path = _SCRIPT, packages: Sequence[str] = (PACKAGE,)) -> AsyncIterator[Path]:
    """Install packages for the block, and yield the script, copied beside them. Raises NoTypeScript."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoTypeScript(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="shapegate-bench-npm-") as name:
        copied = Path(shutil.copy(script, name))
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        await _run("npm", "install", "--prefix", name, *options, *packages, seconds=_INSTALL_SECONDS_MAX)
        yield copied


async def load_typescript(script: Path, url: str) -> dict[str, float]:
    """Take the log in once; seconds, CPU seconds and rows. Raises NoTypeScript."""
    return await run_script(script, f"{url}/v1/shape", TABLE, seconds=_LOAD_SECONDS_MAX)


async def run_script(script: Path, *words: str, seconds: float) -> dict[str, float]:
    """Run a script that prints what it measured, no longer than that. Raises NoTypeScript."""
    said: dict[str, float] = json.loads(await _run("node", str(script), *words, seconds=seconds))
    return said


async def _run(*command: str, seconds: float) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds):
            out, errors = await process.communicate()
    except TimeoutError:
        raise NoTypeScript(f"{command[0]} took more than {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise NoTypeScript(f"{command[0]} failed: {errors.decode(errors='replace').strip()[-300:]}")
    return out
