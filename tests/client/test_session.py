"""A session against a gate on a real socket, with real files."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from shapegate_client import (
    ClientSettings,
    Connecting,
    Live,
    NeedsLogin,
    OfflineSince,
    Session,
    ShapeDefinition,
    Step,
    Stopped,
    Switching,
    open_rows,
)
from shapegate_client.errors import (
    HeadersMissing,
    IssuerFault,
    LoginRequired,
    NotAMember,
    NotLoggedIn,
    NotSubscribed,
    NotUpToDate,
    SessionClosed,
    ShapeConflict,
    ShapeRefused,
    StoreLocked,
    TokenRejected,
    Unreachable,
)
from shapegate_client.files import locked
from shapegate_client.home import Home, StoreOwner, lock_path
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import Gate, cut, cut_in_body, served, stall, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web
    from sqlite_utils import Database

    from shapegate_client import CommittedBatch
    from shapegate_client.watch import Watcher
    from tests.client.servers import Responder

ITEMS = ShapeDefinition(table="items")
NOWHERE = "http://127.0.0.1:9"
WAIT = 10.0


def titles(db: Database, table: str = "items") -> dict[int, str | None]:
    return {row["id"]: row["title"] for row in db.table(table).rows}


async def following(watcher: Watcher) -> CommittedBatch:
    async with asyncio.timeout(WAIT):
        return await anext(watcher)


def gate_with_rows() -> Gate:
    gate = Gate()
    gate.create("acme", "items", {1: "a1", 2: "a2"})
    gate.create("globex", "items", {1: "g1"})
    return gate


@contextlib.asynccontextmanager
async def opened(
    url: str, home: Path, credentials: FixedCredentials | None = None, settings: ClientSettings | None = None
) -> AsyncIterator[Session]:
    credentials = credentials or FixedCredentials()
    async with Session.open(url, credentials, home=home, clock=HeldClock(), settings=settings) as session:
        yield session


async def synced(session: Session) -> None:
    await session.subscribe(ITEMS)
    await session.up_to_date(timeout=WAIT)


async def test_a_first_sync_brings_every_row_and_a_commit_arrives_live(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        assert isinstance(session.status, Connecting)
        await synced(session)
        assert titles(session.db) == {1: "a1", 2: "a2"}
        assert isinstance(session.status, Live)
        watcher = session.watch("items")
        gate.commit("acme", "items", ("insert", 3, "a3"), ("update", 1, "new"), ("delete", 2, None))
        batch = await following(watcher)
        assert titles(session.db) == gate.titles("acme", "items") == {1: "new", 3: "a3"}
        assert (batch.inserted, batch.updated, batch.deleted) == (((3,),), ((1,),), ((2,),))
        assert (batch.table, batch.organization_id, batch.replaced) == ("items", "acme", False)


async def test_C_39_a_snapshot_of_many_chunks_is_shown_when_it_is_complete(tmp_path: Path) -> None:
    gate = Gate(rows_per_chunk=3)
    rows: dict[int, str | None] = {row: f"t{row}" for row in range(20)}
    gate.create("acme", "items", rows)
    small = ClientSettings(pending_rows_max=5)
    async with served(gate.app) as url, opened(url, tmp_path, settings=small) as session:
        await synced(session)
        assert titles(session.db) == rows
        assert len(gate.requests) >= 7


async def test_a_large_catch_up_goes_through_a_copy_aside_with_the_present_rows(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    small = ClientSettings(pending_rows_max=5)
    async with served(gate.app) as url:
        async with opened(url, tmp_path) as session:
            await synced(session)
        gate.commit("acme", "items", ("delete", 1, None), *(("insert", row, "n") for row in range(10, 30)))
        async with opened(url, tmp_path, settings=small) as session:
            await synced(session)
            assert titles(session.db) == gate.titles("acme", "items")


async def test_resuming_continues_from_the_stored_offset(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        async with opened(url, tmp_path) as session:
            await synced(session)
        gate.commit("acme", "items", ("insert", 3, "a3"))
        mark = len(gate.requests)
        async with opened(url, tmp_path) as session:
            assert titles(session.db) == {1: "a1", 2: "a2"}
            await synced(session)
            assert titles(session.db) == {1: "a1", 2: "a2", 3: "a3"}
        asked = gate.asked_since(mark)
        assert (asked[0]["offset"], asked[0]["handle"], asked[0].get("live")) == ("0_inf", "1-1", None)
        assert all(each["offset"] != "-1" for each in asked)


async def test_T_10_a_session_opens_offline_with_the_rows_of_before_and_says_so(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        port = int(url.rsplit(":", 1)[1])
        async with opened(url, tmp_path) as session:
            await synced(session)
    async with opened(url, tmp_path) as session:
        await session.subscribe(ITEMS)
        assert await session.reached(OfflineSince, timeout=WAIT)
        assert isinstance(session.status, OfflineSince)
        assert session.status.since is not None
        assert titles(session.db) == {1: "a1", 2: "a2"}
        with pytest.raises(NotUpToDate, match="items"):
            await session.up_to_date(timeout=0.05)
        gate.commit("acme", "items", ("delete", 1, None))
        async with served(gate.app, port):
            assert await session.reached(Live, timeout=WAIT)
            assert titles(session.db) == {2: "a2"}


async def test_C_18_after_a_409_the_rows_stay_until_the_new_copy_is_complete(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        watcher = session.watch("items")
        seen: list[set[int]] = []

        async def note(request: web.Request) -> web.StreamResponse:
            seen.append(set(titles(session.db)))
            return await status(503)(request)

        gate.failures.append(status(409, **{"electric-handle": "9-9"}))
        gate.failures.append(note)
        gate.create("acme", "items", {7: "a7"})
        batch = await following(watcher)
        assert batch.replaced
        assert seen == [{1, 2}]
        assert titles(session.db) == {7: "a7"}
        assert any(each.get("cache-buster") for each in gate.requests)


@pytest.mark.parametrize("failure", [cut, cut_in_body, status(503), status(429), status(408)])
async def test_C_10_L_01_a_failed_answer_changes_nothing_and_is_asked_again(
    tmp_path: Path, failure: Responder
) -> None:
    gate = gate_with_rows()
    gate.failures.extend([failure] * 3)
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        assert titles(session.db) == {1: "a1", 2: "a2"}
        assert not gate.failures


async def test_C_08_a_200_without_headers_stops_and_names_them(tmp_path: Path) -> None:
    gate = gate_with_rows()
    gate.failures.append(status(200))
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await session.subscribe(ITEMS)
        with pytest.raises(HeadersMissing, match="electric-handle, electric-offset, electric-schema"):
            await session.up_to_date(timeout=WAIT)


async def test_C_23_a_live_request_that_stalls_is_given_up_and_asked_again(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with (
        served(gate.app) as url,
        opened(url, tmp_path, settings=ClientSettings(live_seconds=0.2)) as session,
    ):
        await synced(session)
        watcher = session.watch("items")
        gate.failures.append(stall)
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await following(watcher)
        gate.commit("acme", "items", ("insert", 4, "a4"))
        await following(watcher)
        assert set(titles(session.db)) == {1, 2, 3, 4}
        assert not gate.failures


async def test_C_20_a_401_renews_the_token_once_and_continues(tmp_path: Path) -> None:
    gate = gate_with_rows()
    gate.tokens = {"token-acme-1": "acme"}
    credentials = FixedCredentials()
    async with served(gate.app) as url, opened(url, tmp_path, credentials) as session:
        await synced(session)
        assert [token.value for token in credentials.rejections] == ["token-acme-0"]
        gate.tokens = {"token-nobody": "acme"}
        gate.create("acme", "items", {})
        assert await session.reached(Stopped, timeout=WAIT)
        with pytest.raises(TokenRejected):
            await session.up_to_date(timeout=WAIT)


async def test_an_ended_login_stops_the_sync_and_keeps_the_rows(tmp_path: Path) -> None:
    gate = gate_with_rows()
    credentials = FixedCredentials()
    async with served(gate.app) as url, opened(url, tmp_path, credentials) as session:
        await synced(session)
        credentials.refused = True
        gate.commit("acme", "items", ("insert", 3, "a3"))
        assert await session.reached(NeedsLogin, timeout=WAIT)
        assert {1, 2} <= set(titles(session.db))
        with pytest.raises(LoginRequired):
            await session.up_to_date(timeout=WAIT)
        credentials.refused = False
        await synced(session)
        assert isinstance(session.status, Live)


async def test_an_unreachable_issuer_is_offline_and_ends_nothing(tmp_path: Path) -> None:
    gate = gate_with_rows()
    credentials = FixedCredentials()
    credentials.offline = True
    async with served(gate.app) as url, opened(url, tmp_path, credentials) as session:
        await session.subscribe(ITEMS)
        assert await session.reached(OfflineSince, timeout=WAIT)
        assert not gate.requests
        credentials.offline = False
        await session.up_to_date(timeout=WAIT)


async def test_a_refused_shape_stops_with_the_proxys_words_for_watchers_too(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await session.subscribe(ShapeDefinition(table="secrets"))
        watcher = session.watch("secrets")
        with pytest.raises(ShapeRefused, match="table_not_allowed"):
            await session.up_to_date(timeout=WAIT)
        with pytest.raises(ShapeRefused):
            await following(watcher)


async def test_subscribing_is_idempotent_and_unsubscribing_removes_the_rows(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await asyncio.gather(*(session.subscribe(ITEMS) for _ in range(5)))
        await session.up_to_date(timeout=WAIT)
        assert sum(each["offset"] == "-1" for each in gate.requests) == 1
        with pytest.raises(ShapeConflict):
            await session.subscribe(ShapeDefinition(table="items", columns=("id",)))
        watcher = session.watch("items")
        await session.unsubscribe("items")
        assert not session.db.table("items").exists()
        assert [batch async for batch in watcher] == []
        with pytest.raises(NotSubscribed):
            await session.unsubscribe("items")
        with pytest.raises(NotSubscribed):
            session.watch("items")


async def test_a_slow_watcher_loses_the_details_but_not_the_fact(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with (
        served(gate.app) as url,
        opened(url, tmp_path, settings=ClientSettings(watch_batches_max=2)) as session,
    ):
        await synced(session)
        slow, quick = session.watch("items"), session.watch("items")
        for row in range(10, 13):
            gate.commit("acme", "items", ("insert", row, "n"))
            assert not (await following(quick)).replaced
        assert (await following(slow)).replaced


async def test_two_sessions_of_one_org_cannot_write_at_once_but_rows_can_be_read(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        with pytest.raises(StoreLocked):
            await Session.start(url, FixedCredentials(), home=tmp_path)
        principal, db = await open_rows(FixedCredentials(), home=tmp_path)
        assert titles(db) == {1: "a1", 2: "a2"}
        assert principal.organization.id == "acme"
        db.close()


def own_tasks() -> set[asyncio.Task[object]]:
    """The tasks of sessions; a test that lets a session die may leave some to those that follow."""
    return {task for task in asyncio.all_tasks() if task.get_name().startswith("shapegate-")}


async def test_a_closed_session_leaves_nothing_running_and_says_that_it_is_closed(tmp_path: Path) -> None:
    gate, before = gate_with_rows(), own_tasks()
    async with served(gate.app) as url:
        async with opened(url, tmp_path) as session:
            await synced(session)
            watcher, db = session.watch("items"), session.db
        assert [batch async for batch in watcher] == []
        assert isinstance(session.status, Stopped)
        with pytest.raises(sqlite3.ProgrammingError):
            db.conn.execute("SELECT 1")
        for call in (session.subscribe(ITEMS), session.switch("globex"), session.up_to_date(timeout=1)):
            with pytest.raises(SessionClosed):
                await call
        await session.close()
    assert own_tasks() <= before


async def test_a_switch_shows_rows_of_the_new_org_only_and_closes_the_old_connection(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        old, watcher, steps = session.db, session.watch("items"), list[Step]()
        principal = await session.switch("globex", on_step=steps.append)
        assert principal.organization.id == session.principal.organization.id == "globex"
        with pytest.raises(sqlite3.ProgrammingError):
            old.conn.execute("SELECT * FROM items")
        await session.up_to_date(timeout=WAIT)
        assert titles(session.db) == {1: "g1"}
        batch = await following(watcher)
        assert (batch.organization_id, batch.replaced) == ("globex", True)
        assert steps == list(Step)[:7]
        assert not (tmp_path / "journal.json").exists()  # a test


async def test_T_05_no_request_carries_one_orgs_place_with_the_others_token(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
        await session.switch("acme")
        await session.up_to_date(timeout=WAIT)
    handles = {org: gate.logs[org, "items"].handle for org in ("acme", "globex")}
    for each in gate.requests:
        assert each["token"].split("-")[1] == each["org"]
        assert each.get("handle") in (None, handles[each["org"]])


async def test_switching_back_shows_rows_at_once_and_continues_from_the_stored_offset(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
        gate.commit("acme", "items", ("insert", 3, "a3"))
        mark, watcher = len(gate.requests), session.watch("items")
        await session.switch("acme")
        assert set(titles(session.db)) >= {1, 2}
        assert (await following(watcher)).organization_id == "acme"
        await session.up_to_date(timeout=WAIT)
        assert titles(session.db) == {1: "a1", 2: "a2", 3: "a3"}
        assert all(each["offset"] != "-1" for each in gate.asked_since(mark))


async def test_a_switch_back_works_offline(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        await session.switch("globex")
        await session.up_to_date(timeout=WAIT)
        gate.failing = cut
        await session.switch("acme")
        assert titles(session.db) == {1: "a1", 2: "a2"}
        assert await session.reached(OfflineSince, timeout=WAIT)


async def test_a_switch_without_keep_removes_the_rows_of_the_org_left(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        before = stores_in(tmp_path)
        await session.switch("globex", keep=False)
        assert not before & stores_in(tmp_path)
        await session.switch("acme")
        await session.up_to_date(timeout=WAIT)
        assert titles(session.db) == {1: "a1", 2: "a2"}


def stores_in(home: Path) -> set[str]:
    return {path.name for path in home.glob("stores/*/*.sqlite3")}


@pytest.mark.parametrize("fault", ["offline", "stranger", "wrong org", "locked"])
async def test_a_switch_that_fails_leaves_the_old_org_syncing(tmp_path: Path, fault: str) -> None:
    gate = gate_with_rows()
    credentials = FixedCredentials()
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(gate.app))
        session = await stack.enter_async_context(opened(url, tmp_path, credentials))
        await synced(session)
        target = "globex"
        if fault == "offline":
            credentials.before_switch = lambda: setattr(credentials, "offline", True)
        elif fault == "wrong org":
            credentials.answers_with = "acme"
        elif fault == "stranger":
            target = "initech"
        else:
            await session.switch("globex")
            owner = StoreOwner(issuer="urn:test", user_id="ada", organization_id="acme")
            stack.enter_context(locked(lock_path(Home(tmp_path).store_path(owner))))
            target = "acme"
        before = session.principal
        with pytest.raises((Unreachable, NotAMember, IssuerFault, StoreLocked)):
            await session.switch(target)
        credentials.offline = False
        assert session.principal == before
        watcher = session.watch("items")
        gate.commit(before.organization.id, "items", ("insert", 9, "still"))
        while 9 not in titles(session.db):
            await following(watcher)
        assert not (tmp_path / "journal.json").exists()  # a test


async def test_a_cancelled_switch_is_undone_before_the_new_org_is_adopted(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        task: asyncio.Task[object]

        def cancel_at(step: Step) -> None:
            if step is Step.QUIESCED:
                task.cancel()

        task = asyncio.create_task(session.switch("globex", on_step=cancel_at))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.principal.organization.id == "acme"
        watcher = session.watch("items")
        gate.commit("acme", "items", ("insert", 9, "still"))
        while 9 not in titles(session.db):
            await following(watcher)


async def test_a_switch_cancelled_after_the_adoption_is_finished(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        task: asyncio.Task[object]

        def cancel_at(step: Step) -> None:
            if step is Step.ADOPTED:
                task.cancel()

        task = asyncio.create_task(session.switch("globex", on_step=cancel_at))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.principal.organization.id == "globex"
        await session.up_to_date(timeout=WAIT)
        assert titles(session.db) == {1: "g1"}


async def test_T_04_an_answer_asked_for_before_the_switch_changes_nothing(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        watcher = session.watch("items")

        def late(step: Step) -> None:
            if step in (Step.JOURNALED, Step.AUTHORIZED):
                gate.commit("acme", "items", ("insert", 100 + step.value.count("e"), "late"))

        await session.switch("globex", on_step=late)
        assert isinstance(session.status, Connecting | Live)
        await session.up_to_date(timeout=WAIT)
        assert titles(session.db) == {1: "g1"}
        assert (await following(watcher)).organization_id == "globex"


async def test_the_status_says_switching_meanwhile(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        seen: list[object] = []
        await session.switch("globex", on_step=lambda _step: seen.append(session.status))
        assert all(isinstance(each, Switching) for each in seen)


async def test_the_org_of_a_switch_is_the_org_of_the_next_session(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url:
        async with opened(url, tmp_path) as session:
            await synced(session)
            await session.switch("globex")
        async with opened(url, tmp_path) as session:
            assert session.principal.organization.id == "globex"
            assert [shape.definition for shape in await session.stored()] == [ITEMS]


async def test_T_06_logout_removes_rows_positions_and_tokens_of_every_org(tmp_path: Path) -> None:
    gate = gate_with_rows()
    credentials = FixedCredentials()
    async with served(gate.app) as url:
        async with opened(url, tmp_path, credentials) as session:
            await synced(session)
            await session.switch("globex")
            await session.logout()
            assert isinstance(session.status, Stopped)
        assert not stores_in(tmp_path)
        assert not credentials.logged_in
        with pytest.raises(NotLoggedIn):
            await Session.start(url, credentials, home=tmp_path)


async def test_nothing_is_asked_and_nothing_leaks_where_nobody_is_logged_in(tmp_path: Path) -> None:
    credentials = FixedCredentials()
    credentials.logged_in = False
    with pytest.raises(NotLoggedIn):
        await Session.start(NOWHERE, credentials, home=tmp_path)
    with pytest.raises(NotLoggedIn):
        await open_rows(credentials, home=tmp_path)


@pytest.mark.parametrize(
    "state", ["new", "connecting", "live", "offline", "needs login", "stopped", "switched", "unsubscribed"]
)
async def test_C_12_a_session_closes_cleanly_in_any_state(tmp_path: Path, state: str) -> None:
    gate, credentials, before = gate_with_rows(), FixedCredentials(), own_tasks()
    async with served(gate.app) as url, opened(url, tmp_path, credentials) as session:
        if state == "connecting":
            gate.failing = stall
            await session.subscribe(ITEMS)
            await asyncio.wait_for(gate.asked.wait(), WAIT)
        elif state != "new":
            await synced(session)
        if state == "offline":
            gate.failing = cut
            gate.create("acme", "items", {})
            assert await session.reached(OfflineSince, timeout=WAIT)
        elif state in ("needs login", "stopped"):
            credentials.refused = state == "needs login"
            gate.failing = status(403) if state == "stopped" else None
            gate.create("acme", "items", {})
            assert await session.reached(NeedsLogin, Stopped, timeout=WAIT)
        elif state == "switched":
            await session.switch("globex")
        elif state == "unsubscribed":
            await session.unsubscribe("items")
        await asyncio.wait_for(asyncio.gather(session.close(), session.close()), WAIT)
        assert isinstance(session.status, Stopped)
        assert own_tasks() <= before


async def test_a_close_during_a_switch_waits_for_its_end(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        closing: list[asyncio.Task[None]] = []

        def close_at(step: Step) -> None:
            if step is Step.QUIESCED:
                closing.append(asyncio.create_task(session.close()))

        principal = await session.switch("globex", on_step=close_at)
        await closing[0]
        assert principal.organization.id == "globex"
        assert isinstance(session.status, Stopped)
        assert not (tmp_path / "journal.json").exists()  # a test


async def test_a_switch_that_failed_does_not_wake_a_shape_that_was_stopped(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        await session.subscribe(ShapeDefinition(table="secrets"))
        assert await session.reached(Stopped, timeout=WAIT)
        with pytest.raises(NotAMember):
            await session.switch("initech")
        assert isinstance(session.status, Stopped)
        asked = sum("secrets" in each["table"] for each in gate.requests)
        watcher = session.watch("items")
        gate.commit("acme", "items", ("insert", 9, "still"))
        while 9 not in titles(session.db):
            await following(watcher)
        assert sum("secrets" in each["table"] for each in gate.requests) == asked == 1


async def test_the_progress_counts_rows_and_bytes_of_each_table(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with served(gate.app) as url, opened(url, tmp_path) as session:
        await synced(session)
        (progress,) = session.progress
        assert (progress.table, progress.received_rows, progress.complete) == ("items", 2, True)
        assert progress.received_bytes > 100
        watcher = session.watch("items")
        gate.commit("acme", "items", ("insert", 3, "a3"), ("delete", 1, None))
        await following(watcher)
        assert (progress.received_rows, session.progress[0].received_rows) == (2, 4)
