"""The canary: whatever reaches a client, a log or a local file is searched for rows of another organization.

Each seeded id begins with four digits of its org (`ac3e0012-0000-4000-8000-...` is Acme's), so every seeded
row carries a mark that no other org's answer may hold. Users are no mark (one of them belongs to two orgs),
nor are the ids of rows that two orgs share by purpose.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jwt
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from shapegate_harness.stack import Stack

ORGS: Final = {b"ac3e": "acme", b"610b": "globex"}
ORG_CLAIM: Final = "organization_id"
_MARK: Final = re.compile(
    rb"(?i)(?P<org>ac3e|610b)(?P<kind>(?!0001|003)[0-9a-f]{4})-0000-4000-8000-[0-9a-f]{12}"
)
"""Kind 0000 is the org itself, 0001 a user, 003x are shared by two orgs."""
_MARK_CHARS: Final = 36
_AUTHORIZATION: Final = re.compile(rb"(?im)^authorization: *bearer +(\S+)")
_ENCODED: Final = re.compile(rb"(?i)\r\ncontent-encoding: *(?!identity)")
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.")
_HEAD_END: Final = b"\r\n\r\n"


@dataclass
class Canary:
    """What was found where it must not be; `leaks` is empty when all is well."""

    leaks: list[str] = field(default_factory=list)
    searched_bytes: int = 0
    secrets: set[str] = field(default_factory=set)
    """Texts that no log may hold, beside tokens."""

    def search(self, data: bytes, *, own: bytes | None, where: str) -> None:
        """Report marks of any org but the own one; None owns nothing."""
        self.searched_bytes += len(data)
        for mark in _MARK.finditer(data):
            whose = mark["org"].lower()
            if whose != own:
                reader = "nobody" if own is None else ORGS.get(own, "another org")
                self.leaks.append(f"{where} for {reader} holds {mark[0].decode()} of {ORGS[whose]}")

    def search_files(self, folders: Iterable[Path]) -> int:
        """Report local databases with rows of two orgs; return how many were searched."""
        found = [
            Path(folder, name)
            for top in folders
            for folder, _, names in os.walk(top)  # passes over what vanishes meanwhile
            for name in names
            if name.endswith((".sqlite3", ".sqlite3-wal"))
        ]
        for path in found:
            rows = [mark for mark in _MARK.finditer(path.read_bytes()) if mark["kind"] != b"0000"]
            if len({mark["org"] for mark in rows}) > 1:
                self.leaks.append(f"the file {path} holds rows of two orgs")
        return len(found)


class LogCanary(logging.Handler):
    """Searches what is logged for rows, tokens and secrets; a line about an org may name that org."""

    def __init__(self, canary: Canary) -> None:
        super().__init__()
        self._canary = canary

    def emit(self, record: logging.LogRecord) -> None:
        """Search the line as it would be written without the gate's own formatters, cause included."""
        line = self.format(record)
        held = _TOKEN.search(line) or any(secret in line for secret in self._canary.secrets)
        rows = [mark for mark in _MARK.finditer(line.encode()) if mark["kind"] != b"0000"]
        if held or rows:
            self._canary.leaks.append(f"the log {record.name} holds a {'secret' if held else 'row'}")


@asynccontextmanager
async def watched(gate_url: URL, canary: Canary) -> AsyncIterator[URL]:
    """Pass every byte on to the gate and back, and search what comes back; yields the address to use.

    A connection that breaks on one side is broken on the other. Requests in a pipeline are not told apart.
    """
    assert gate_url.host is not None
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        task.add_done_callback(talks.discard)
        try:
            gate_reader, gate_writer = await asyncio.open_connection(gate_url.host, gate_url.port)
        except OSError:
            writer.transport.abort()
            return
        talk = _Talk(canary)
        ways = [
            asyncio.create_task(_pass(reader, gate_writer, talk.asked)),
            asyncio.create_task(_pass(gate_reader, writer, talk.answered)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for side in (writer, gate_writer):
                side.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield URL.build(scheme="http", host="127.0.0.1", port=port)
    finally:
        server.close()
        for talk in tuple(talks):
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@asynccontextmanager
async def watched_stack(stack: Stack, canary: Canary) -> AsyncIterator[None]:
    """Let the stack name an address at which all is searched, and no secret of it be logged."""
    canary.secrets.add(stack.addresses.electric_secret)
    async with watched(URL(stack.addresses.proxy_url), canary) as url:
        stack.addresses = replace(stack.addresses, proxy_url=str(url.origin()))
        yield


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[bytes], None]
) -> None:
    """Pass bytes on until the end; a reset is passed on as a reset."""
    try:
        while data := await reader.read(65_536):
            seen(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        with suppress(OSError):
            writer.transport.abort()


class _Talk:
    """One connection: whose request is under way, and what it is answered."""

    def __init__(self, canary: Canary) -> None:
        self._canary = canary
        self._own: bytes | None = None
        self._head = b""
        self._tail = b""
        self._is_answered = True

    def asked(self, data: bytes) -> None:
        if self._is_answered:
            self._own, self._head, self._tail, self._is_answered = None, b"", b"", False
        if _HEAD_END not in self._head:
            self._head += data
            if _HEAD_END in self._head:
                self._own = org_of(self._head)

    def answered(self, data: bytes) -> None:
        self._is_answered = True
        window = self._tail + data
        self._canary.search(window, own=self._own, where="an answer")
        if _ENCODED.search(window):
            self._canary.leaks.append("an answer is encoded: it cannot be searched")
        self._tail = window[-(_MARK_CHARS - 1) :]


def org_of(head: bytes) -> bytes | None:
    """Read the first digits of the org from the token of a request; None if it has none."""
    found = _AUTHORIZATION.search(head)
    if found is None:
        return None
    try:
        claims = jwt.decode(found[1].decode(), options={"verify_signature": False})
    except (jwt.PyJWTError, UnicodeDecodeError):
        return None
    return str(claims.get(ORG_CLAIM, "")).lower().encode()[:4]
