"""A client that dies, or whose disk fails, at any point at which it writes leaves nothing false behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pytest
from aiohttp import web

from shapegate_client import Session
from shapegate_client.errors import NotLoggedIn
from shapegate_client.home import Home, StoreOwner
from shapegate_client.journal import read_note
from shapegate_client.store import open_reader
from shapegate_wire.offset import Offset, parse_offset
from tests.client.crashing import KeptCredentials
from tests.client.ports import HeldClock
from tests.client.servers import served
from tests.client.stateful.disk import Mishap
from tests.client.stateful.dying import DONE, GAVE_UP, ITEMS, LEAVING, NOT_REACHABLE, SETTINGS
from tests.client.stateful.observer import read
from tests.client.stateful.operation import Admit, Delete, Insert, Kind, Operation, Rekey, Update
from tests.client.stateful.play import FIRST
from tests.client.stateful.server import Server, World
from tests.client.stateful.world import Org

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).resolve().parents[2]
ORGS: Final = ("acme", "globex")
Happening = Operation | Literal["rotate", "alter"]
STORY: Final[tuple[tuple[Happening, ...], ...]] = (
    (Insert(9, "new", "red", "ann"), Update(1, "title", "changed"), Delete(2), Rekey(3, 7)),
    (Admit(0, "red", admitted=False), Admit(1, "bob", admitted=True)),
    ("rotate", Update(4, "title", "in the second log")),
    ("alter", Insert(5, "wider", "green", "bob")),
)
"""A live batch, moves, a new log, new columns."""
SOME: Final = 14
"""Of some 500 points, where each costs a whole run."""
OFTEN: Final = 5


@dataclass
class Theatre:
    """Clients at work, one after the other, each with a server that has its whole story before it."""

    server: Server
    url: str
    workers: asyncio.subprocess.Process
    folder: Path
    told: int = 0
    played: int = 0

    async def play(self, mishap: Mishap, at: int = 0, *, copies: Path | None = None) -> tuple[Path, int, int]:
        """Let one client work; return its home, its exit code and the points that it met."""
        self.server.world = World({name: Org(name, Kind.TAGGED, messages_per_page=3) for name in ORGS})
        for org in self.server.world.orgs.values():
            org.commit(FIRST)
        self.told, self.played = 0, self.played + 1
        home = logged_in(self.folder / f"home {self.played}")
        order = {
            "url": self.url,
            "home": str(home),
            "mishap": mishap.value,
            "at": at,
            "copies": str(copies or ""),
        }
        assert self.workers.stdin is not None
        assert self.workers.stdout is not None
        self.workers.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(60):
            answer = json.loads(await self.workers.stdout.readline())
        if answer["code"] == NOT_REACHABLE:
            pytest.skip("this Python's SQLite cannot be reached from outside")
        return home, answer["code"], answer["points"]

    async def tell(self, _request: web.Request) -> web.Response:
        """Let the next thing happen, and say what a client has to show then; null at the end."""
        if self.told == len(STORY):
            return web.json_response(None)
        org = self.server.world.orgs["acme"]
        scene, self.told = STORY[self.told], self.told + 1
        if "rotate" in scene:
            org.rotate()
        if "alter" in scene:
            org.alter()
        org.commit(tuple(each for each in scene if not isinstance(each, str)))
        self.server.world.wake()
        rows = [dict(row) for row in org.history[-1][1]]
        return web.json_response(sorted([int(str(row["id"])), row["title"]] for row in rows))

    async def check(self, home: Path, *, restart: bool = True) -> None:
        """Expect sound files with rows that the server had, and a next session that goes on."""
        for org in self.server.world.orgs.values():
            check_store(home, org)
        if restart:
            await self.check_restart(home)

    async def check_restart(self, home: Path) -> None:
        try:
            session = await Session.start(
                self.url, KeptCredentials(home), home=home, settings=SETTINGS, clock=HeldClock()
            )
        except NotLoggedIn:
            assert (stores_in(home), (home / "credentials.json").exists()) == ([], False)
            return
        assert not (home / LEAVING).exists(), "a logout was forgotten"
        try:
            await session.subscribe(ITEMS)
            await session.up_to_date(timeout=20)
            org = self.server.world.orgs[session.principal.organization.id]
            assert read(session.db, org.name).state == org.history[-1]
            assert read_note(Home(home)) is None
        finally:
            await session.close()


def stores_in(home: Path) -> list[Path]:
    return [*home.glob("stores/*/*.sqlite3*")]


def logged_in(home: Path) -> Path:
    """Make a home in which somebody is logged in (see `KeptCredentials`)."""
    home.mkdir(mode=0o700)
    (home / "credentials.json").touch()
    return home


def check_store(home: Path, org: Org) -> None:
    owner = StoreOwner(issuer="urn:test", user_id="ada", organization_id=org.name)
    path = Home(home).store_path(owner)
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if db.execute("PRAGMA user_version").fetchone() == (0,):
            assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            return
    with contextlib.closing(open_reader(path, owner)) as reader:
        seen = read(reader, org.name)
    if seen.handle is None:
        assert seen.state is None
        return
    at = parse_offset(str(seen.offset))
    assert isinstance(at, Offset)
    assert seen.state in [org.history[number] for number in org.logs[seen.handle].states_at(at)]


@pytest.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Theatre]:
    server = Server()
    workers = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "tests.client.stateful.dying"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Theatre(server, "", workers, tmp_path)
    server.app.router.add_post("/next", made.tell)
    try:
        async with served(server.app) as made.url:
            yield made
    finally:
        assert workers.stdin is not None
        workers.stdin.close()
        await workers.wait()


async def test_L_10_T_01_T_06_what_a_kill_leaves_at_any_point_is_sound_and_goes_on(
    theatre: Theatre, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    home, code, points = await theatre.play(Mishap.COPY, copies=copies)
    assert code == DONE
    assert points > 200
    await theatre.check(home)
    for number in range(points + 1):
        await theatre.check(copies / str(number), restart=number % OFTEN == 0)


@pytest.mark.parametrize("mishap", [Mishap.KILL, Mishap.FULL, Mishap.BROKEN])
async def test_L_10_L_01_a_client_that_is_killed_or_cannot_write_leaves_what_the_server_had(
    theatre: Theatre, mishap: Mishap
) -> None:
    _, _, points = await theatre.play(Mishap.NOTHING)
    for at in range(0, points, points // SOME):
        await die(theatre, mishap, at)


@pytest.mark.soak
@pytest.mark.parametrize("mishap", [Mishap.KILL, Mishap.FULL, Mishap.BROKEN])
async def test_L_10_each_point_until_none_is_left(theatre: Theatre, mishap: Mishap) -> None:
    _, _, points = await theatre.play(Mishap.NOTHING)
    at, code = 0, GAVE_UP
    while at < points or code != DONE:
        code = await die(theatre, mishap, at)
        at += 1


async def die(theatre: Theatre, mishap: Mishap, at: int) -> int:
    home, code, _points = await theatre.play(mishap, at)
    assert code in ((-signal.SIGKILL, DONE) if mishap is Mishap.KILL else (DONE, GAVE_UP)), at
    await theatre.check(home)
    return code
