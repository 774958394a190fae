"""The TypeScript client as a peer: installed for one run, and asked to take the same log in."""

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
    from collections.abc import AsyncIterator

PACKAGE: Final = "@electric-sql/client@1.5.28"
_SCRIPT: Final = Path(__file__).resolve().parent / "client_shape.mjs"
_INSTALL_SECONDS_MAX: Final = 60.0
_LOAD_SECONDS_MAX: Final = 300.0


class NoTypeScript(Exception):
    """The peer cannot be run here; the text says why."""


@asynccontextmanager
async def installed() -> AsyncIterator[Path]:
    """Install the client into a folder for the block, and yield its script. Raises NoTypeScript."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoTypeScript(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="shapegate-bench-npm-") as name:
        script = Path(shutil.copy(_SCRIPT, name))
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        await _run("npm", "install", "--prefix", name, *options, PACKAGE, seconds=_INSTALL_SECONDS_MAX)
        yield script


async def load_typescript(script: Path, url: str) -> dict[str, float]:
    """Take the log in once; seconds, CPU seconds and rows. Raises NoTypeScript."""
    said = await _run("node", str(script), f"{url}/v1/shape", TABLE, seconds=_LOAD_SECONDS_MAX)
    loaded: dict[str, float] = json.loads(said)
    return loaded


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
