"""The steps of the scenario, in their order; each returns a sentence on what it checked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import aiohttp

from shapegate_client import Live, OfflineSince
from shapegate_harness.scenario.cheats import try_cheats
from shapegate_harness.scenario.checks import Differs, expect, expect_no_trace, expect_same, local_rows
from shapegate_harness.scenario.scene import BOTH, OTHER, Scene, until
from shapegate_harness.scenario.shared_case import shared_case
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    import sqlite_utils

Step = Callable[[Scene], Awaitable[str]]


async def log_in(scene: Scene) -> str:
    """The user of both orgs logs in and lands in Acme; a user of Globex only syncs all along."""
    await scene.begin()
    scene.ada = await scene.log_in(BOTH)
    scene.grace = await scene.log_in(OTHER)
    organization = scene.ada.principal.organization
    expect(organization.id == scene.acme, f"the login landed in {organization.slug}: expected acme")
    await scene.subscribe_all(scene.grace)
    for table in scene.tables_of(scene.grace):
        task = asyncio.create_task(watch_for_strangers(scene, table.table.name))
        scene.resources.push_async_callback(stop, task)
        scene.watching.append(task)
    return (
        f"{BOTH} is in {organization.name}; {OTHER} syncs {scene.grace.principal.organization.name} all along"
    )


async def watch_for_strangers(scene: Scene, table: str) -> None:
    """Search each batch of the second user for rows of Acme, as long as the scenario runs."""
    async for batch in scene.grace.watch(table):
        scene.expect_only(scene.grace.db, scene.globex)
        expect(batch.organization_id == scene.globex, f"a batch of {table} came for another org")
        scene.grace_saw += 1


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def first_sync(scene: Scene) -> str:
    """Every synced table arrives, equal to what the application reads under RLS."""
    await scene.subscribe_all(scene.ada)
    rows = await scene.expect_equal(scene.ada, scene.acme)
    scene.expect_only(scene.ada.db, scene.acme)
    tables = len(scene.tables_of(scene.ada))
    return f"{tables} tables, {rows} rows, equal to what the application reads under RLS"


async def live_change(scene: Scene) -> str:
    """A change committed in Postgres appears locally."""
    note = "changed while everybody was online"
    row = await scene.change_row(scene.acme, note)
    seconds = await until(lambda: scene.note(scene.ada, row) == note)
    await scene.expect_equal(scene.ada, scene.acme)
    return f"a committed change was readable locally {seconds * 1000:.0f} ms later"


async def go_offline(scene: Scene) -> str:
    """The proxy goes away; local reads go on, labelled stale, while rows change in Postgres."""
    tables = scene.tables_of(scene.ada)
    before = {table.table: local_rows(scene.ada.db, table) for table in tables}
    await scene.stack.stop_proxy()
    noticed = await scene.ada.reached(OfflineSince, timeout=30)
    expect(noticed, "the client did not notice that the proxy is gone")
    scene.offline_note = "changed while the proxy was away"
    scene.offline_row = await scene.change_row(scene.acme, scene.offline_note)
    for table in tables:
        expect_same(str(table.table), local_rows(scene.ada.db, table), before[table.table])
    expect(isinstance(scene.ada.status, OfflineSince), f"the status is {scene.ada.status}: expected offline")
    rows = sum(len(found) for found in before.values())
    return f"{rows} rows stay readable, labelled {type(scene.ada.status).__name__}, while Postgres moves on"


async def come_back(scene: Scene) -> str:
    """The proxy is back; the client continues from its stored offset, without refetching."""
    user, mark = scene.ada.principal.user_id, scene.recorder.mark
    handles = {(event.table, event.handle) for event in scene.recorder.since(0, user=user) if event.handle}
    await scene.stack.start_proxy()
    seconds = await until(lambda: scene.note(scene.ada, scene.offline_row) == scene.offline_note)
    expect(await scene.ada.reached(Live, timeout=30), "the client did not come back to live")
    await scene.expect_equal(scene.ada, scene.acme)
    asked = scene.recorder.since(mark, user=user)
    silent = {str(table.table.to_sql()) for table in scene.tables_of(scene.ada)} - {
        str(event.table) for event in asked
    }
    expect(not silent, f"{sorted(silent)} were not asked for: expected every table to continue")
    for event in asked:
        expect(
            event.offset not in ("-1", "now"), f"{event.table} was asked from the start: expected an offset"
        )
        expect(
            (event.table, event.handle) in handles, f"{event.table} was asked with a handle not used before"
        )
        expect(event.status == 200, f"{event.table} was answered with {event.status}: expected 200")
    return f"caught up in {seconds * 1000:.0f} ms; none of {len(asked)} requests began from the start"


async def switch_away(scene: Scene) -> str:
    """The user switches to Globex; no Acme row is readable from then on."""
    old = scene.ada.db
    started = time.monotonic()
    await scene.ada.switch(scene.globex, keep=True)
    seconds = time.monotonic() - started
    expect_closed(old, scene.script.table)
    scene.expect_only(scene.ada.db, scene.globex)
    await scene.ada.up_to_date(timeout=30)
    rows = await scene.expect_equal(scene.ada, scene.globex)
    scene.expect_only(scene.ada.db, scene.globex)
    return f"switched in {seconds * 1000:.0f} ms; {rows} rows of Globex, none of Acme"


def expect_closed(db: sqlite_utils.Database, table: str) -> None:
    """Expect that the org that was left cannot be read through what was open before. Raises Differs."""
    try:
        readable = list(db.query(f"SELECT id FROM {quote(table)}"))  # noqa: S608  # quoted
    except Exception as exc:  # noqa: BLE001  # whatever refuses is right; reading is wrong
        del exc
        return
    raise Differs(f"{len(readable)} rows of the org that was left are readable: expected a closed connection")


async def switch_back(scene: Scene) -> str:
    """The user switches back; the first rows come from disk at once, then the client catches up."""
    note = "changed while the user was in the other org"
    row = await scene.change_row(scene.acme, note)
    mark = scene.recorder.mark
    started = time.monotonic()
    await scene.ada.switch(scene.acme, keep=True)
    rows = sum(len(local_rows(scene.ada.db, table)) for table in scene.tables_of(scene.ada))
    seconds = time.monotonic() - started
    expect(rows, "no rows are on disk after the switch back: expected those of the last visit")
    scene.expect_only(scene.ada.db, scene.acme)
    await until(lambda: scene.note(scene.ada, row) == note)
    await scene.ada.up_to_date(timeout=30)
    await scene.expect_equal(scene.ada, scene.acme)
    restarted = [
        e.table for e in scene.recorder.since(mark, user=scene.ada.principal.user_id) if e.offset == "-1"
    ]
    expect(not restarted, f"{restarted} were asked from the start: expected stored offsets")
    return f"{rows} rows from disk in {seconds * 1000:.0f} ms, then caught up"


async def second_user(scene: Scene) -> str:
    """The user of Globex only saw changes of Globex all along, and never a row of Acme."""
    note = "changed for the user of Globex"
    row = await scene.change_row(scene.globex, note)
    await until(lambda: scene.note(scene.grace, row) == note)
    rows = await scene.expect_equal(scene.grace, scene.globex)
    scene.expect_only(scene.grace.db, scene.globex)
    await until(lambda: scene.grace_saw > 0)
    for task in scene.watching:
        if task.done():
            task.result()
    home = scene.folder / OTHER.partition("@")[0]
    marks = {"Acme's id": scene.acme, "Acme's name": "Acme Construction", **scene.script.unseen}
    searched = await asyncio.to_thread(expect_no_trace, home, marks)
    return f"{rows} rows of Globex; {scene.grace_saw} batches, {searched:,} bytes on disk, no trace of Acme"


async def cheat(scene: Scene) -> str:
    """A member of Acme tries to get at Globex, and a stranger at anything."""
    positions = scene.recorder.since(0, user=scene.grace.principal.user_id)
    table = f'"{scene.script.table}"'
    handle = next(event.handle for event in positions if event.handle and table in str(event.table))
    async with aiohttp.ClientSession() as http:
        tried = await try_cheats(
            http, scene.stack.addresses, scene.script, acme=scene.acme, globex=scene.globex, handle=handle
        )
    return f"{tried} attempts refused or empty, none with a byte of Globex"


STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("log in", log_in),
    ("first sync", first_sync),
    ("live change", live_change),
    ("offline", go_offline),
    ("back online", come_back),
    ("switch", switch_away),
    ("switch back", switch_back),
    ("second user", second_user),
    ("cheats", cheat),
)
SHARED: Final[tuple[str, Step]] = ("shared case", shared_case)
"""Where two orgs share rows."""


def steps_of(domain: str) -> tuple[tuple[str, Step], ...]:
    """List the steps of a domain's scenario, in their order."""
    return (*STEPS, SHARED) if domain == "nexus" else STEPS
