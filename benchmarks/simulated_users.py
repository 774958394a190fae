"""Users who follow a shape each, as clients do: from the beginning, then by live polls, now and then anew."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.running import HOST, WrongAnswer
from benchmarks.target import print_request, shape_target

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER_SECONDS_MAX: Final = 60.0
_HEAD_BYTES_MAX: Final = 64 * 1_024


@dataclass(slots=True)
class Tally:
    """What all users together did."""

    answers: int = 0
    live_answers: int = 0
    """Of them, those to live polls."""
    body_bytes: int = 0
    reloads: int = 0
    live: int = 0
    """Live polls under way now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who follows one shape of one table at a gate."""

    port: int
    table: str
    headers: Mapping[str, str]
    reload_seconds: float
    """The mean time after which the user begins anew."""
    number: int
    """Seeds what the user does by chance."""


async def follow(user: User, tally: Tally) -> None:
    """Follow until cancelled. Raises WrongAnswer for any other answer than a 200."""
    chance = random.Random(user.number)  # noqa: S311  # not for secrets
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.expovariate(1 / user.reload_seconds)):
                await _follow_once(user, tally)
        tally.reloads += 1


async def _follow_once(user: User, tally: Tally) -> None:
    reader, writer = await asyncio.open_connection(HOST, user.port, limit=_HEAD_BYTES_MAX)
    try:
        offset, _ = await _ask(reader, writer, tally, _request(user, "-1"))
        offset, _ = await _ask(reader, writer, tally, _request(user, offset))
        cursor = ""
        while True:
            tally.live += 1
            try:
                request = _request(user, offset, live=True, cursor=cursor)
                offset, cursor = await _ask(reader, writer, tally, request)
                tally.live_answers += 1
            finally:
                tally.live -= 1
    finally:
        writer.transport.abort()


def _request(user: User, offset: str, *, live: bool = False, cursor: str = "") -> bytes:
    """Print a request; the first live one has no cursor, so that it is another one than those after it."""
    more = f"&cursor={cursor}" if cursor else ""
    return print_request(shape_target(user.table, offset=offset, live=live, more=more), user.headers)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally, request: bytes
) -> tuple[str, str]:
    """Ask once; returns the offset and the cursor to go on from."""
    writer.write(request)
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        if status.split(" ")[1] != "200":
            raise WrongAnswer(f"a simulated user got {status!r}")
        tally.body_bytes += await _read_body(reader, headers)
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        raise WrongAnswer(f"the gate broke an answer off: {type(exc).__name__}") from exc
    tally.answers += 1
    return headers["electric-offset"], headers.get("electric-cursor", "")


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> int:
    if "content-length" in headers:
        length = int(headers["content-length"])
        await reader.readexactly(length)
        return length
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        await reader.readexactly(size + 2)
        total += size
    await reader.readexactly(2)
    return total
