"""Shapes with subqueries: what a client folds that understands events equals what Postgres has."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import commit_lsn, connected, open_caller
from tests.harness.electric.tagged import TaggedFollower

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness.electric.builders import Got

TABLES = """
    CREATE TABLE tick (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE project (id int PRIMARY KEY, team int, owner int, open bool NOT NULL, name text);
    CREATE TABLE member (person int, team int, role text, PRIMARY KEY (person, team));
    CREATE TABLE person (id int PRIMARY KEY, active bool NOT NULL, boss int);
    INSERT INTO project SELECT i, nullif(i % 5, 4), i % 4, i % 2 = 0, 'p' || i FROM generate_series(1, 20) i;
    INSERT INTO member SELECT p, t, 'r' || p % 2 FROM generate_series(0, 3) p, generate_series(0, 3) t
        WHERE (p + t) % 3 = 0;
    INSERT INTO person SELECT i, i % 2 = 0, nullif(i - 1, -1) FROM generate_series(0, 3) i;
"""
FILTERS = [
    "team IN (SELECT team FROM member WHERE person = 1)",
    "team IN (SELECT team FROM member)",
    "open AND team IN (SELECT team FROM member WHERE role = 'r1')",
    "id < 4 OR team IN (SELECT team FROM member WHERE person = 2)",
    "team IN (SELECT team FROM member WHERE person = 1) "
    "OR (open AND owner IN (SELECT id FROM person WHERE active))",
    "(open OR owner = 2) "
    "AND (team IN (SELECT team FROM member WHERE person = 1) OR owner IN (SELECT id FROM person))",
    "team NOT IN (SELECT team FROM member WHERE person = 1)",
    "NOT (open AND owner IN (SELECT id FROM person WHERE active)) AND id > 2",
    "owner NOT IN (SELECT boss FROM person)",
    "(owner, team) IN (SELECT person, team FROM member WHERE role = 'r0')",
    "(owner, team) NOT IN (SELECT person, team FROM member)",
    "team IN (SELECT team FROM member WHERE person IN (SELECT id FROM person WHERE active) AND role = 'r0')",
    "id IN (SELECT owner FROM project WHERE open)",
]


async def rows_of(database: asyncpg.Connection, where: str) -> dict[str, dict[str, str | None]]:
    columns = "id, team, owner, name"
    rows = await database.fetch(f"SELECT {columns}, open FROM project WHERE {where}")
    return {
        f'"public"."project"/"{row["id"]}"': {
            name: None
            if value is None
            else {True: "t", False: "f"}[value]
            if isinstance(value, bool)
            else str(value)
            for name, value in row.items()
        }
        for row in rows
    }


def seen(follower: TaggedFollower) -> dict[str, dict[str, str | None]]:
    return {key: row.value for key, row in follower.rows.items()}


async def write(database: asyncpg.Connection, chance: random.Random) -> None:
    """Commit one transaction of a few changes to any of the tables."""
    async with database.transaction():
        for _ in range(chance.randint(1, 4)):
            await _change(database, chance)


async def _change(database: asyncpg.Connection, chance: random.Random) -> None:
    project, person, team = chance.randint(1, 24), chance.randint(0, 3), chance.randint(0, 3)
    flag, maybe = chance.random() < 0.5, chance.choice([None, chance.randint(0, 3)])
    match chance.randint(0, 8):
        case 0 | 1:
            await database.execute(
                "INSERT INTO project VALUES ($1, $2, $3, $4, 'new') "
                "ON CONFLICT (id) DO UPDATE SET team = $2, owner = $3, open = $4",
                project,
                maybe,
                person,
                flag,
            )
        case 2:
            await database.execute("DELETE FROM project WHERE id = $1", project)
        case 3:
            await database.execute(
                "UPDATE project SET open = NOT open, name = name || 'x' WHERE id = $1", project
            )
        case 4 | 5:
            await database.execute(
                "INSERT INTO member VALUES ($1, $2, 'r1') "
                "ON CONFLICT (person, team) DO UPDATE SET role = 'r0'",
                person,
                team,
            )
        case 6:
            await database.execute("DELETE FROM member WHERE person = $1 AND team = $2", person, team)
        case 7:
            await database.execute(
                "UPDATE person SET active = NOT active, boss = $2 WHERE id = $1", person, maybe
            )
        case _:
            await database.execute(
                "UPDATE member SET team = $2 WHERE person = $1 AND team = $3 "
                "AND NOT EXISTS (SELECT FROM member WHERE person = $1 AND team = $2)",
                person,
                team,
                (team + 1) % 4,
            )


@pytest.mark.parametrize("seed", range(3))
async def test_random_transactions_on_outer_and_inner_tables_fold_to_what_postgres_has(
    seed: int, database_url: str
) -> None:
    """The database stands still at each check, so that each up-to-date has one state to be compared with."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        followers = [TaggedFollower(caller, {"table": "project", "where": where}) for where in FILTERS]
        await TaggedFollower(caller, {"table": "tick"}).catch_up()
        for _ in range(25):
            for follower in followers:
                await follower.catch_up()
            for _ in range(chance.randint(1, 3)):
                await write(database, chance)
            end = await commit_lsn(database)
            async with asyncio.timeout(60):
                for follower in followers:
                    await follower.reach(end)
                    where = follower.query["where"]
                    assert seen(follower) == await rows_of(database, where), where
        # Rows moved by events, not by beginning anew all the time.
        positive = followers[:6]
        assert all({"move-in", "move-out"} <= set(follower.events) for follower in positive)
        assert not any(follower.rotations for follower in positive)


async def test_writers_at_the_same_time_lose_and_invent_no_row(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLES)
        followers = [TaggedFollower(caller, {"table": "project", "where": where}) for where in FILTERS[:6]]
        await TaggedFollower(caller, {"table": "tick"}).catch_up()

        async def writer(seed: int) -> None:
            chance = random.Random(seed)  # noqa: S311  # no secret
            async with connected(database_url) as own:
                for _ in range(60):
                    await write_one(own, chance)

        writing = asyncio.gather(*(writer(seed) for seed in range(3)))
        while not writing.done():
            for follower in followers:
                await follower.catch_up()
        await writing
        end = await commit_lsn(database)
        async with asyncio.timeout(60):
            for follower in followers:
                await follower.reach(end)
                assert seen(follower) == await rows_of(database, follower.query["where"])


async def write_one(database: asyncpg.Connection, chance: random.Random) -> None:
    """Commit a single change: several in one transaction could deadlock with other writers."""
    with suppress(asyncpg.UniqueViolationError):
        async with database.transaction():
            await _change(database, chance)


async def test_each_state_that_is_shown_is_one_that_postgres_had(database_url: str) -> None:
    """The only team is swapped for another of as many rows: no state has another number of rows."""
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            """
            CREATE TABLE project (id int PRIMARY KEY, team int NOT NULL);
            CREATE TABLE member (team int PRIMARY KEY);
            INSERT INTO project SELECT i, i % 2 FROM generate_series(1, 20) i;
            INSERT INTO member VALUES (0);
            """
        )
        follower = TaggedFollower(caller, {"table": "project", "where": "team IN (SELECT team FROM member)"})

        enough = asyncio.Event()

        async def swap() -> None:
            turn = 0
            async with connected(database_url) as own:
                while not enough.is_set():
                    await own.execute("UPDATE member SET team = 1 - team")
                    # The two rows of a pair are in different teams and change places.
                    pair = 1 + 2 * (turn % 10)
                    await own.execute("UPDATE project SET team = 1 - team WHERE id IN ($1, $1 + 1)", pair)
                    turn += 1

        swapping = asyncio.create_task(swap())
        async with asyncio.timeout(60):
            while len(follower.events) < 10:
                await follower.catch_up()
                assert len(follower.rows) == 10
        enough.set()
        await swapping
        assert "move-in" in follower.events


RECORDED = """
    CREATE TABLE projects (id int PRIMARY KEY, name text, team int);
    CREATE TABLE members (user_id int, team int, PRIMARY KEY (user_id, team));
    INSERT INTO projects VALUES (1, 'p1', 1), (2, 'p2', 2), (3, 'p3', 1);
    INSERT INTO members VALUES (100, 1);
"""
MEMBERSHIP = "team IN (SELECT team FROM members WHERE user_id = 100)"


def headers_of(got: Got) -> list[dict[str, object]]:
    return [cast("dict[str, object]", message["headers"]) for message in got.messages]


def texts(headers: Mapping[str, object], name: str) -> list[str]:
    return cast("list[str]", headers[name])


def patterns(headers: Mapping[str, object]) -> list[tuple[int, str]]:
    """The position and hash of each pattern of an event."""
    listed = cast("list[dict[str, object]]", headers["patterns"])
    return [(int(str(pattern["pos"])), str(pattern["value"])) for pattern in listed]


async def headers_after(database_url: str, where: str, *statements: str) -> list[list[dict[str, object]]]:
    """Follow a shape and return the headers of each answer that a statement woke."""
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(RECORDED)
        query = {"table": "projects", "where": where}
        got = await caller.get({**query, "offset": "-1"})
        found = [headers_of(got)]
        offset, handle = "0_inf", got.headers["electric-handle"]
        for statement in statements:
            held = await caller.held({**query, "offset": offset, "handle": handle})
            await database.execute(statement)
            got = await held
            assert got.status == 200, got.text
            offset = got.headers["electric-offset"]
            found.append(headers_of(got))
        return found


async def test_a_row_that_moves_in_comes_between_its_event_and_a_snapshot_end(database_url: str) -> None:
    first, live = await headers_after(database_url, MEMBERSHIP, "INSERT INTO members VALUES (100, 2)")
    (tag,) = texts(first[0], "tags")
    assert first[0] == {
        "active_conditions": [True],
        "tags": [tag],
        "relation": ["public", "projects"],
        "operation": "insert",
    }
    event, row, end, up_to_date = live
    assert event["event"] == "move-in"
    assert len(texts(event, "txids")) == 1
    ((position, moved),) = patterns(event)
    assert position == 0
    assert row == {**first[0], "tags": [moved], "is_move_in": True}
    assert moved != tag
    assert end["control"] == "snapshot-end"
    assert up_to_date["control"] == "up-to-date"


async def test_changes_carry_tags_and_a_move_out_names_the_old_value(database_url: str) -> None:
    first, update, out, insert, leaves = await headers_after(
        database_url,
        MEMBERSHIP,
        "UPDATE projects SET name = 'new' WHERE id = 1",
        "DELETE FROM members",
        "INSERT INTO members VALUES (100, 2)",
        "UPDATE projects SET team = 1 WHERE id = 2",
    )
    tag = texts(first[0], "tags")
    assert (update[0]["tags"], update[0]["removed_tags"], update[0]["active_conditions"]) == (tag, [], [True])
    assert out[0]["event"] == "move-out"
    assert patterns(out[0]) == [(0, tag[0])]
    assert [headers.get("event") for headers in insert[:1]] == ["move-in"]
    assert leaves[0]["operation"] == "delete"
    assert leaves[0]["tags"] == insert[1]["tags"]
    assert "removed_tags" not in leaves[0]


async def test_events_are_placed_right_after_what_is_there(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(RECORDED)
        follower = TaggedFollower(caller, {"table": "projects", "where": MEMBERSHIP})
        await follower.catch_up()
        offsets = []
        for statement in (
            "INSERT INTO members VALUES (100, 2)",
            "UPDATE projects SET name = 'x' WHERE id = 2",
            "DELETE FROM members",
        ):
            held = await caller.held({**follower.query, **follower.position})
            await database.execute(statement)
            assert follower.take(await held)
            offsets.append(follower.position["offset"])
        assert offsets[0] == "1_2"
        lsn = offsets[1].partition("_")[0]
        assert offsets[1:] == [f"{lsn}_0", f"{lsn}_1"]


async def test_a_swap_in_one_transaction_is_a_move_out_then_a_move_in(database_url: str) -> None:
    _, live = await headers_after(database_url, MEMBERSHIP, "UPDATE members SET team = 2")
    assert [h.get("event") or h.get("operation") or h["control"] for h in live] == [
        "move-out",
        "move-in",
        "insert",
        "snapshot-end",
        "up-to-date",
    ]


async def test_tags_have_a_slot_for_each_condition(database_url: str) -> None:
    (first,) = await headers_after(database_url, f"id = 3 OR {MEMBERSHIP}")
    shown = {tuple(texts(headers, "active_conditions")): texts(headers, "tags") for headers in first[:-1]}
    assert set(map(str, shown)) == {"(True, True)", "(False, True)"}
    plain, hashed = next(iter(shown.values()))
    assert plain == "1/"
    assert hashed.startswith("/")
    assert len(hashed) == 33


@pytest.mark.parametrize(
    ("where", "statement"),
    [
        (
            "team IN (SELECT team FROM members WHERE user_id IN (SELECT id FROM projects WHERE name = 'p1'))",
            "INSERT INTO members VALUES (1, 1); UPDATE projects SET name = 'p1' WHERE id = 2",
        ),
        (f"NOT {MEMBERSHIP}", "DELETE FROM members"),
        (MEMBERSHIP, "TRUNCATE members"),
        (MEMBERSHIP, "ALTER TABLE members ADD x int; INSERT INTO members VALUES (100, 3)"),
    ],
)
async def test_what_events_cannot_tell_rotates_the_shape(
    where: str, statement: str, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(RECORDED)
        query = {"table": "projects", "where": where}
        got = await caller.get({**query, "offset": "-1"})
        assert got.status == 200, got.text
        held = await caller.held({**query, "offset": "0_inf", "handle": got.headers["electric-handle"]})
        await database.execute(statement)
        assert (await held).status == 409


async def test_a_subquery_that_returns_too_much_is_refused_and_later_rotates(database_url: str) -> None:
    settings = ElectricSettings(members_max=2)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(RECORDED)
        query = {"table": "projects", "where": "team IN (SELECT team FROM members)"}
        got = await caller.get({**query, "offset": "-1"})
        held = await caller.held({**query, "offset": "0_inf", "handle": got.headers["electric-handle"]})
        await database.execute("INSERT INTO members VALUES (1, 5), (1, 6)")
        assert (await held).status == 409
        again = await caller.get({**query, "offset": "-1"})
        assert again.status == 400
        assert "more than 2 different values" in again.text


@pytest.mark.parametrize(
    ("where", "refusal"),
    [
        # As recorded of a real Electric.
        (
            "EXISTS (SELECT 1 FROM members WHERE members.team = projects.team)",
            "At location 30: Expected a plain column reference",
        ),
        (
            "team = (SELECT team FROM members LIMIT 1)",
            "At location 7: only `value IN (SELECT ...)` sublinks are supported right now",
        ),
        (
            "team IN (SELECT m.team FROM members m JOIN items i ON i.id=m.user_id)",
            "At location 31: Expected a plain column reference",
        ),
        (
            "name IN (SELECT team FROM members)",
            "At location 5: left side of `IN (SELECT ...)` has type text but subquery returns int4[]",
        ),
        (
            "team IN (SELECT team FROM nope)",
            'Table "public"."nope" does not exist. If the table name contains capitals or special characters '
            "you must quote it.",
        ),
        # As documented, or ours.
        (
            f"{MEMBERSHIP} OR NOT {MEMBERSHIP}",
            "the same subquery is used both positively and negated",
        ),
        ("team IN (SELECT team FROM members GROUP BY team)", "SELECT statement must not contain any clauses"),
        ("team IN (SELECT team FROM members, projects)", "Expected a single table reference"),
        (f"({MEMBERSHIP}) IS TRUE", "a subquery may stand within AND, OR and NOT only"),
        ("team IN (SELECT nope FROM members)", "The following columns are not found on the table: nope"),
        (
            "team IN (SELECT team FROM members WHERE name = 'x')",
            "At location 40: unknown reference name",
        ),
    ],
)
async def test_subqueries_that_electric_has_not_are_refused(
    where: str, refusal: str, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(RECORDED)
        got = await caller.get({"table": "projects", "where": where, "offset": "-1"})
        assert got.status == 400
        ((_, (text,)),) = json.loads(got.text)["errors"].items()
        assert text == refusal


async def test_a_subquery_shares_params_and_drops_its_limit(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(RECORDED)
        where = "id > $2 AND team IN (SELECT team FROM members WHERE user_id = $1 LIMIT 0)"
        query = {"table": "projects", "where": where, "params[1]": "100", "params[2]": "1", "offset": "-1"}
        got = await caller.get(query)
        assert [message.get("key") for message in got.messages] == ['"public"."projects"/"3"', None]
