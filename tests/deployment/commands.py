"""Runs what the services of compose.yaml run, on this machine, with paths and addresses translated."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tests.deployment.compose import Service

STARTED_SECONDS = 30


@dataclass(frozen=True)
class Machine:
    """Texts of the compose file, and what stands for them here."""

    translations: Mapping[str, str]

    def here(self, text: str) -> str:
        for there, here in self.translations.items():
            text = text.replace(there, here)
        return text

    def environ(self, service: Service) -> dict[str, str]:
        """Give a service its environment, and only what a program needs besides."""
        given = {name: self.here(value) for name, value in service.environment.items()}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **given}

    def words(self, command: Sequence[str]) -> list[str]:
        """Put the interpreter of the tests where the image has its own."""
        programs = {"python": [sys.executable], "shapegate": [sys.executable, "-m", "shapegate_cli"]}
        return [*programs.get(command[0], [command[0]]), *map(self.here, command[1:])]

    async def run(
        self, service: Service, command: Sequence[str], stdin: bytes = b"", **environ: str
    ) -> tuple[int, str]:
        """Run a command of a service to its end; return its exit code and all that it said."""
        process = await asyncio.create_subprocess_exec(
            *self.words(command),
            env=self.environ(service) | environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(stdin), STARTED_SECONDS)
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def once(self, service: Service) -> tuple[int, str]:
        """Run a service that ends by itself."""
        return await self.run(service, ["shapegate", *service.command])

    async def healthy(self, service: Service) -> bool:
        """Ask as Docker does."""
        how, *words = service.healthcheck
        words = ["/bin/sh", "-c", *words] if how == "CMD-SHELL" else words
        return (await self.run(service, words))[0] == 0

    async def until(self, service: Service, *, healthy: bool) -> None:
        """Ask again and again, more often than Docker does, until the answer is the one that is wanted."""
        async with asyncio.timeout(STARTED_SECONDS):
            while await self.healthy(service) is not healthy:
                pass

    @asynccontextmanager
    async def running(self, service: Service, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a service, once it listens, for the length of the block; it has to end cleanly on SIGTERM."""
        process = await asyncio.create_subprocess_exec(
            *self.words(["shapegate", *service.command, *more]),
            env=self.environ(service),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        said = b""
        try:
            assert process.stderr is not None
            async with asyncio.timeout(STARTED_SECONDS):
                async for line in process.stderr:
                    said += line
                    if b"listen" in line:
                        break
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            _, rest = await asyncio.wait_for(process.communicate(), STARTED_SECONDS)
        assert process.returncode == 0, (said + rest).decode()
