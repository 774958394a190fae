"""The ends of a user's rows on this machine, and what a crash leaves of them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_client import (
    IssuerCredentials,
    Live,
    OfflineSince,
    Session,
    ShapeDefinition,
    Stopped,
    log_out,
    open_rows,
)
from shapegate_client.errors import (
    MembershipEnded,
    NotLoggedIn,
    ShapeRefused,
    StoreLocked,
    StoreMissing,
    TokenRejected,
)
from shapegate_client.files import locked
from shapegate_client.home import Home, StoreOwner, lock_path
from shapegate_client.journal import LogoutNote, SwitchNote, read_note, write_note
from tests.client.ports import ACME, FixedCredentials, HeldClock
from tests.client.servers import Gate, Issuer, served, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shapegate_client import Credentials

ITEMS = ShapeDefinition(table="items")
OTHERS = ShapeDefinition(table="others")
NOWHERE = "http://127.0.0.1:9"
WAIT = 10.0
CHANGES = frozenset({"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})


class Died(BaseException):
    """The process is gone: no handler of the code under test sees it."""


class Crash:
    """Ends the process at one of its changes to the disk; what follows it never happens."""

    def __init__(self) -> None:
        self.after: int | None = None
        sys.addaudithook(self._look)

    @property
    def dead(self) -> bool:
        return self.after is not None and self.after < 0

    def _look(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.after is None or event not in CHANGES or "shapegate-home" not in str(arguments[0]):
            return
        self.after -= 1
        if self.after < 0:
            raise Died


CRASH = Crash()


@pytest.fixture(autouse=True)
def alive() -> Iterator[None]:
    yield
    CRASH.after = None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "shapegate-home"


def gate_with_rows() -> Gate:
    gate = Gate()
    for table in ("items", "others"):
        gate.create("acme", table, {1: "a1", 2: "a2"})
        gate.create("globex", table, {1: "g1"})
    return gate


@contextlib.asynccontextmanager
async def opened(url: str, home: Path, credentials: Credentials) -> AsyncIterator[Session]:
    async with Session.open(url, credentials, home=home, clock=HeldClock()) as session:
        yield session


@contextlib.asynccontextmanager
async def synced(url: str, home: Path, credentials: Credentials) -> AsyncIterator[Session]:
    async with opened(url, home, credentials) as session:
        for definition in (ITEMS, OTHERS):
            await session.subscribe(definition)
        await session.up_to_date(timeout=WAIT)
        yield session


def rows_in(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("stores/*/*") if path.suffix != ".lock")


async def test_T_09_whom_the_issuer_calls_no_member_loses_the_rows_within_one_request(home: Path) -> None:
    gate, issuer = gate_with_rows(), Issuer()
    gate.tokens = issuer.access
    async with (
        served(gate.app) as url,
        served(issuer.app) as issuer_url,
        IssuerCredentials(issuer_url, home=home, clock=HeldClock()) as credentials,
    ):
        await credentials.login("ada@acme.example", "correct")
        async with synced(url, home, credentials) as session:
            watcher = session.watch("others")
            del issuer.members["acme"]
            gate.failing = status(401)
            gate.create("acme", "items", {})
            assert await session.reached(Stopped, timeout=WAIT)
            with pytest.raises(MembershipEnded, match="acme"):
                await anext(watcher)
            for call in (session.subscribe(ITEMS), session.up_to_date(timeout=1), session.switch("globex")):
                with pytest.raises(MembershipEnded):
                    await call
            await session.close()
            assert isinstance(session.status, Stopped)
            assert isinstance(session.status.reason, MembershipEnded)
            assert rows_in(home) == []
            assert read_note(Home(home)) is None
        with pytest.raises(StoreMissing):
            await open_rows(credentials, home=home)


async def test_T_09_an_offline_client_loses_the_rows_at_its_next_sync(home: Path) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url:
        async with synced(url, home, credentials):
            pass
        credentials.offline = True
        async with opened(url, home, credentials) as session:
            await session.subscribe(ITEMS)
            assert await session.reached(OfflineSince, timeout=WAIT)
            assert session.db["items"].count == 2
            credentials.offline, credentials.ended = False, {"acme"}
            assert await session.reached(Stopped, timeout=WAIT)
    assert rows_in(home) == []


@pytest.mark.parametrize("code", [403, 401, 404])
async def test_T_09_a_refusal_of_the_proxy_removes_nothing(home: Path, code: int) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url, synced(url, home, credentials) as session:
        gate.failing = status(code)
        gate.create("acme", "items", {})
        assert await session.reached(Stopped, timeout=WAIT)
        assert session.db["items"].count == 2
        with pytest.raises(TokenRejected if code == 401 else ShapeRefused):
            await session.up_to_date(timeout=WAIT)
    assert rows_in(home)


async def test_T_09_another_org_can_be_entered_after_the_end_of_one(home: Path) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url:
        async with synced(url, home, credentials) as session:
            credentials.ended = {"acme"}
            gate.commit("acme", "items", ("insert", 3, "a3"))
            assert await session.reached(Stopped, timeout=WAIT)
        async with opened(url, home, credentials) as session:
            assert session.principal.organization == ACME
            await session.switch("globex")
            await session.subscribe(ITEMS)
            await session.up_to_date(timeout=WAIT)
            assert session.db["items"].count == 1


async def test_T_09_rows_kept_of_an_org_that_the_issuer_lists_no_more_are_removed(home: Path) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url, synced(url, home, credentials) as session:
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
        before, watcher = rows_in(home), session.watch("items")
        credentials.organizations = credentials.organizations[1:]
        gate.commit("globex", "items", ("insert", 3, "g3"))
        async with asyncio.timeout(WAIT):
            while set(rows_in(home)) >= set(before):
                await anext(watcher)
                gate.commit("globex", "items", ("update", 3, "again"))
        assert isinstance(session.status, Live)
        assert session.db["items"].count == 2


async def test_T_09_what_lies_here_of_unlisted_orgs_is_removed_at_the_start(home: Path) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url, synced(url, home, credentials) as session:
        await session.switch("globex")
    owner = StoreOwner(issuer="urn:test", user_id="ada", organization_id="gone")
    (Home(home).store_path(owner).parent / "0123.sqlite3-wal").write_bytes(b"rows that a crash left")
    credentials.organizations = credentials.organizations[1:]
    async with opened(NOWHERE, home, credentials) as session:
        assert session.principal.organization.id == "globex"
    assert len(rows_in(home)) == 1


async def test_T_09_an_org_that_a_switch_finds_lost_leaves_no_rows_and_the_old_one_goes_on(
    home: Path,
) -> None:
    gate, credentials = gate_with_rows(), FixedCredentials()
    async with served(gate.app) as url, synced(url, home, credentials) as session:
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
        credentials.ended = {"acme"}
        with pytest.raises(MembershipEnded):
            await session.switch("acme")
        assert session.principal.organization.id == "globex"
        assert isinstance(session.status, Live)
        assert sum(name.endswith(".sqlite3") for name in rows_in(home)) == 1


@pytest.mark.parametrize("what", ["logout", "membership"])
async def test_T_06_T_09_a_removal_that_dies_at_any_change_to_the_disk_is_finished(
    tmp_path: Path, what: str
) -> None:
    pristine = tmp_path / "pristine"
    async with served(gate_with_rows().app) as url, synced(url, pristine, FixedCredentials()) as session:
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
    deaths, finished = 0, 0
    while True:
        home = tmp_path / f"shapegate-home {deaths}"
        shutil.copytree(pristine, home)
        credentials = FixedCredentials()
        CRASH.after = deaths
        died = await dies(what, home, credentials)
        CRASH.after = None
        if not died:
            break
        deaths += 1
        if (home / "journal.json").exists() or not credentials.logged_in or finished:
            await finish(what, home, credentials)
            assert not (home / "journal.json").exists()
            assert sum(name.endswith(".sqlite3") for name in rows_in(home)) == (0 if what == "logout" else 2)
            finished += 1
    assert finished >= 8


async def dies(what: str, home: Path, credentials: FixedCredentials) -> bool:
    """Log out, or lose the membership of the org in use; say whether it died midway."""
    try:
        if what == "logout":
            await log_out(credentials, home=home)
            return False
        async with opened(NOWHERE, home, credentials) as session:
            credentials.ended = {"globex"}
            await session.subscribe(ITEMS)
            await session.reached(Stopped, timeout=WAIT)
    except Died:
        return True
    return CRASH.dead  # it may have been a task of the session that died


async def finish(what: str, home: Path, credentials: FixedCredentials) -> None:
    """Do what the next session does before it asks anybody anything."""
    credentials.offline = True
    if what == "logout":
        with pytest.raises(NotLoggedIn):
            async with opened(NOWHERE, home, credentials):
                pass
        return
    async with opened(NOWHERE, home, credentials) as session:
        assert not session.db["items"].exists()


async def test_T_06_a_logout_needs_no_session_and_no_sound_store(home: Path) -> None:
    credentials = FixedCredentials()
    async with served(gate_with_rows().app) as url, synced(url, home, credentials):
        pass
    for store in home.glob("stores/*/*.sqlite3"):  # noqa: ASYNC240  # a test
        store.write_bytes(b"no database any more" * 500)
    await log_out(credentials, home=home)
    assert rows_in(home) == []
    with pytest.raises(NotLoggedIn):
        await log_out(credentials, home=home)


async def test_T_06_a_logout_waits_for_a_session_that_writes_and_is_done_at_the_next_try(
    home: Path,
) -> None:
    credentials = FixedCredentials()
    async with served(gate_with_rows().app) as url, synced(url, home, credentials) as session:
        with pytest.raises(StoreLocked):
            await log_out(credentials, home=home)
        with pytest.raises(NotLoggedIn):
            await open_rows(credentials, home=home)
        with pytest.raises(NotLoggedIn):
            await session.switch("globex")
        assert isinstance(read_note(Home(home)), LogoutNote)
    await log_out(credentials, home=home)
    assert rows_in(home) == []
    assert not credentials.logged_in


async def test_a_purge_that_failed_is_done_before_the_next_switch(home: Path) -> None:
    async with served(gate_with_rows().app) as url, synced(url, home, FixedCredentials()) as session:
        lost = StoreOwner(issuer="urn:test", user_id="ada", organization_id="initech")
        store = Home(home).store_path(lost)
        store.write_bytes(b"rows")
        note = SwitchNote(
            issuer="urn:test", user_id="ada", left="initech", entered="acme", keep=False, definitions=()
        )
        write_note(Home(home), note)
        with locked(lock_path(store)), pytest.raises(StoreLocked):
            await session.switch("globex")
        assert read_note(Home(home)) == note
        await session.switch("globex")
        assert not store.exists()
