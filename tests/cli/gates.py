"""`shapegate proxy` in front of a scripted Electric, for the tests of the command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from tests.proxy.builders import (
    AUDIENCE,
    ELECTRIC_SECRET,
    ISSUER,
    LOG_HEADERS,
    POLICY_TEXT,
    SECRET,
    token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = {"table": "items", "offset": "-1"}
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}


@asynccontextmanager
async def proxy(
    folder: Path, electric: URL, *options: str, open_files_max: int | None = None, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `shapegate proxy` with these options; it is killed at the end if it still runs."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY_TEXT)
    settings = {
        "ELECTRIC_URL": str(electric),
        "ELECTRIC_SECRET": ELECTRIC_SECRET,
        "SHARED_TOKEN_SECRET": SECRET,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "SHAPEGATE_POLICY": str(policy),
        "PORT": "0",
    }
    bounded = () if open_files_max is None else ("sh", "-c", f'ulimit -n {open_files_max} && exec "$@"', "sh")
    process = await asyncio.create_subprocess_exec(
        *(*bounded, sys.executable, "-u", "-m", "shapegate_cli", "proxy", *options),
        env={"PATH": os.environ["PATH"], **settings, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def listening(process: asyncio.subprocess.Process) -> tuple[URL, str]:
    """Wait for the first line; return the address in it, and the line."""
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    return URL(json.loads(line)["url"]), line


def bearer() -> dict[str, str]:
    now = int(time.time())
    return {"authorization": f"Bearer {token(iat=now, exp=now + 300)}"}


class Electric:
    """Answers what is not live, and holds the rest for ever."""

    def __init__(self) -> None:
        self.holds = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "live" not in request.query and request.query["offset"] == "-1":
            return web.Response(body=b"[]", headers=LOG_HEADERS)
        self.holds.set()
        await asyncio.Event().wait()
        raise AssertionError
