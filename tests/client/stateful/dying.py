"""A client at work on a disk with mishaps: `python -m tests.client.stateful.dying`, one order a line.

A process is forked for each order, so that each begins with nothing and costs no start of Python. An order is
JSON: `url`, `home`, `mishap`, `at`, `copies`; the answer is how the process ended and how many points it met.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from shapegate_client import ClientError, ClientSettings, Session, ShapeDefinition
from shapegate_client.errors import NotUpToDate
from tests.client.crashing import KeptCredentials
from tests.client.ports import HeldClock
from tests.client.stateful.disk import Disk, Mishap, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE: Final = 0
FAILED: Final = 1
GAVE_UP: Final = 3
"""The client said that it cannot go on, by one of its own errors."""
NOT_REACHABLE: Final = 4
ITEMS: Final = ShapeDefinition(table="items")
SETTINGS: Final = ClientSettings(pending_rows_max=2)
LEAVING: Final = "leaving"
"""A file in the home that says: the logout is noted, so it will be finished whatever happens."""
SECONDS_MAX: Final = 20.0


async def work(url: str, home: Path) -> None:
    """Follow the server through all that it has to show, then to the other org and back, and log out."""
    async with (
        aiohttp.ClientSession() as http,
        Session.open(url, KeptCredentials(home), home=home, settings=SETTINGS, clock=HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=SECONDS_MAX)
        while True:
            async with http.post(f"{url}/next") as answer:
                expected = await answer.json()
            if expected is None:
                break
            await shown(session, expected)
        await session.switch("globex", keep=False)
        await session.up_to_date(timeout=SECONDS_MAX)
        await session.switch("acme")
        await session.up_to_date(timeout=SECONDS_MAX)
        await session.logout(on_step=lambda _step: note_leaving(home))


def note_leaving(home: Path) -> None:
    """Say that the logout has begun, if the disk lets us."""
    with contextlib.suppress(OSError):
        (home / LEAVING).touch()


async def shown(session: Session, titles: object) -> None:
    """Wait until the table has these rows. Raises ClientError if its sync ended."""
    watcher = session.watch("items")
    async with asyncio.timeout(SECONDS_MAX):
        while [[row["id"], row["title"]] for row in session.db.table("items").rows] != titles:
            await anext(watcher)


def live(order: Mapping[str, str]) -> tuple[int, int]:
    """Work until the end or the mishap; return the exit code and the points that were met."""
    home = Path(order["home"])
    copies = Path(order["copies"]) if order.get("copies") else None
    disk = Disk(home, Mishap(order["mishap"]), int(order["at"]), copies=copies)
    try:
        disk.watch()
        asyncio.run(work(order["url"], home))
    except Unreachable:
        return NOT_REACHABLE, 0
    except NotUpToDate:
        return FAILED, disk.points
    except ClientError:
        return GAVE_UP, disk.points
    return DONE, disk.points


def forked(order: Mapping[str, str]) -> dict[str, int]:
    """Live in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = FAILED
        try:
            code, points = live(order)
            os.write(writer, str(points).encode())
        except BaseException:  # noqa: BLE001  # the end of this process
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as told:
        points_text = told.read()
    _pid, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "points": int(points_text or 0)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)  # noqa: T201  # the answer
