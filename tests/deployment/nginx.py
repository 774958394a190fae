"""Runs Debian's nginx with the configurations that are shipped, on ports and in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
NOBODY = 65534

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is missing (Debian: apt install nginx-light)")


@dataclass(frozen=True)
class Nginx:
    """A running nginx, and where it writes."""

    url: URL
    folder: Path

    async def logged(self, requests: int) -> list[str]:
        """Read the access log once it has that many lines; each is written after its answer was sent."""
        log = self.folder / "access.log"
        async with asyncio.timeout(5):
            while len(lines := await asyncio.to_thread(_lines, log)) < requests:  # noqa: ASYNC110  # another program
                await asyncio.sleep(0.01)
        return lines


@asynccontextmanager
async def nginx(name: str, *upstreams: URL) -> AsyncIterator[Nginx]:
    """Run a shipped configuration before `upstreams`; without rights, also where the tests run as root."""
    assert PROGRAM is not None
    folder, port = Path(tempfile.mkdtemp(prefix="shapegate-nginx-")), free_port()
    (folder / "tmp").mkdir()
    config = folder / "nginx.conf"
    config.write_text(render((SHIPPED / name).read_text(encoding="utf-8"), folder, port, upstreams))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, folder / "tmp"):
            os.chown(path, user, user)
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "-p", str(folder), "-c", str(config), "-g", "daemon off;"),
        stderr=asyncio.subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    try:
        await _until_listening(process, port)
        yield Nginx(URL.build(scheme="http", host="127.0.0.1", port=port), folder)
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
        shutil.rmtree(folder)
    assert (process.returncode, said.replace(b"\n", b"")) == (0, b""), said.decode()


def render(text: str, folder: Path, port: int, upstreams: Sequence[URL]) -> str:
    """Put addresses and paths of the test into a shipped configuration; everything else stays as it is."""
    servers = [f"{url.host}:{url.port}" for url in upstreams]
    text = _replaced(r"listen \S+?(?= |;)", f"listen 127.0.0.1:{port}", text)
    if "upstream " in text:
        # `resolve` is younger (1.27.3) than Debian's nginx, and these servers have no names.
        text = _replaced(r"resolver [^;]+;", "", text)
        text = _replaced(r"server \S+:\d+([^;\n]*) resolve;", _servers(servers), text, count=1)
        text = re.sub(r"server \S+:\d+[^;\n]* resolve;", "", text)
    else:
        text = _replaced(r"(?<=proxy_pass http://)[\w.]+:\d+", servers[0], text)
    # One process is quicker to start; the limit of files is above what tests may ask for.
    text = re.sub(r"worker_(processes|rlimit_nofile) [^;]+;", "", text)
    for path in ("/tmp/", "/var/cache/shapegate/"):
        text = text.replace(f" {path}", f" {folder}/tmp/")
    return text.replace("/dev/stdout", str(folder / "access.log"))


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _servers(addresses: list[str]) -> str:
    return "\n".join(f"server {address}\\1;" for address in addresses)


def _replaced(pattern: str, by: str, text: str, count: int = 0) -> str:
    replaced, found = re.subn(pattern, by, text, count=count)
    assert found, f"{pattern!r} is not in the configuration"
    return replaced


async def _until_listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(10):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
    assert process.stderr is not None
    pytest.fail(f"nginx did not start: {(await process.stderr.read()).decode()}")
