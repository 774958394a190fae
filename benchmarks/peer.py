"""The peers as processes: nginx, Node's http-proxy, a Node fetch handler, and nginx as a fast upstream."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.running import Missing, free_port, run_process
from benchmarks.target import HANDLE, OFFSET, SCHEMA, UP_TO_DATE, Target
from benchmarks.unshared import copy_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

PEERS: Final = Path(__file__).resolve().parent / "peers"
_INSTALL_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """One nginx with three listeners before the same upstream."""

    buffered: Target
    unbuffered: Target
    cached: Target


@asynccontextmanager
async def run_nginx(folder: Path, *, upstream: int) -> AsyncIterator[Nginx]:
    """Run nginx as a proxy within the block. Raises Missing or NotReady."""
    port, unbuffered, cached = free_port(), free_port(), free_port()
    values = {"PORT": port, "UNBUFFERED": unbuffered, "CACHED": cached, "UPSTREAM": upstream}
    async with _nginx(folder, "nginx.conf", port, values) as pid:
        yield Nginx(
            buffered=Target(name="nginx", port=port, pid=pid),
            unbuffered=Target(name="nginx, unbuffered", port=unbuffered, pid=pid),
            cached=Target(name="nginx's cache", port=cached, pid=pid),
        )


@asynccontextmanager
async def run_fast_upstream(folder: Path) -> AsyncIterator[Target]:
    """Run nginx as an Electric with tiny answers at once, within the block. Raises Missing or NotReady."""
    port = free_port()
    texts = {"PORT": port, "HANDLE": HANDLE, "OFFSET": OFFSET, "SCHEMA": SCHEMA, "BODY": UP_TO_DATE.decode()}
    program = copy_of(_found("nginx"))
    async with _nginx(folder, "upstream.conf", port, texts, program=program) as pid:
        yield Target(name="direct", port=port, pid=pid)


@asynccontextmanager
async def _nginx(
    folder: Path, template: str, port: int, values: Mapping[str, object], *, program: str | None = None
) -> AsyncIterator[int]:
    program = program or _found("nginx")
    home = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    text = (PEERS / template).read_text(encoding="utf-8")
    root = "user root;" if os.geteuid() == 0 else ""
    for name, value in {**values, "FOLDER": home, "USER": root}.items():
        text = text.replace(f"@{name}@", str(value))
    path = home / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    words = (program, "-p", str(home), "-c", str(path), "-e", str(home / "error.log"), "-g", "daemon off;")
    async with run_process(words, port=port, log=home / "log", environment=os.environ) as pid:
        yield pid


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise Missing(f"this system has no {program}")
    return path


async def install_http_proxy(folder: Path) -> Path:
    """Install Node's http-proxy below `folder`; returns where Node finds it. Raises Missing."""
    if shutil.which("npm") is None:
        raise Missing("this system has no npm")
    process = await asyncio.create_subprocess_exec(
        *("npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "http-proxy@1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.wait(), _INSTALL_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
    modules = folder / "node_modules"
    if process.returncode != 0 or not (modules / "http-proxy").is_dir():
        raise Missing("npm could not install http-proxy")
    return modules


@asynccontextmanager
async def run_node(
    folder: Path, script: str, *, upstream: int, modules: Path | None = None
) -> AsyncIterator[Target]:
    """Run a script of the peers by Node within the block. Raises Missing or NotReady."""
    if shutil.which("node") is None:
        raise Missing("this system has no node")
    port = free_port()
    environment = {**os.environ, **({} if modules is None else {"NODE_PATH": str(modules)})}
    words = ("node", str(PEERS / script), str(port), str(upstream))
    log = folder / f"{script}.log"
    async with run_process(words, port=port, log=log, environment=environment) as pid:
        yield Target(name=f"Node {script.removesuffix('.js')}", port=port, pid=pid)
