"""The client against the development Electric and a real Postgres: what no scripted gate can say."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from shapegate_client import ShapeDefinition
from shapegate_wire.identifier import quote
from tests.client.electric_gate import following, open_electric

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_client import Session

PROJECTS = """
    CREATE TABLE projects (id int PRIMARY KEY, name text, team int);
    CREATE TABLE members (user_id int, team int, PRIMARY KEY (user_id, team));
    CREATE TABLE guests (user_id int, project int, PRIMARY KEY (user_id, project));
    ALTER TABLE projects REPLICA IDENTITY FULL;
    ALTER TABLE members REPLICA IDENTITY FULL;
    ALTER TABLE guests REPLICA IDENTITY FULL;
    INSERT INTO projects VALUES (1, 'p1', 1), (2, 'p2', 2), (3, 'p3', 1), (4, 'p4', 4);
    INSERT INTO members VALUES (100, 1);
    INSERT INTO guests VALUES (100, 1);
"""
MINE = ShapeDefinition(
    table="projects",
    where="team IN (SELECT team FROM members WHERE user_id = 100) "
    "OR id IN (SELECT project FROM guests WHERE user_id = 100)",
)


def names(session: Session) -> dict[int, str]:
    return {row["id"]: row["name"] for row in session.db["projects"].rows}


async def until(session: Session, expected: dict[int, str]) -> None:
    """Wait for these rows; a watcher says when to look."""
    watcher = session.watch("projects")
    while names(session) != expected:
        await anext(watcher)


async def test_C_40_C_41_T_09_rows_of_a_subquery_shape_enter_and_leave_also_over_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    async with open_electric(database_url, PROJECTS) as (url, writer):
        async with following(url, tmp_path, MINE) as session:
            assert names(session) == {1: "p1", 3: "p3"}
            await writer.execute("INSERT INTO members VALUES (100, 2)")
            await until(session, {1: "p1", 2: "p2", 3: "p3"})
            await writer.execute("UPDATE projects SET name = 'p2 new' WHERE id = 2")
            await until(session, {1: "p1", 2: "p2 new", 3: "p3"})
            # Project 1 stays: its other disjunct holds.
            await writer.execute("DELETE FROM members WHERE team = 1")
            await until(session, {1: "p1", 2: "p2 new"})
        await writer.execute("DELETE FROM guests")
        await writer.execute("DELETE FROM members WHERE team = 2; INSERT INTO members VALUES (100, 4)")
        async with following(url, tmp_path, MINE) as session:
            await until(session, {4: "p4"})


TYPES = {
    "b": ("bool", "true"),
    "i2": ("int2", "-32768"),
    "i8": ("int8", "9007199254740993"),
    "f4": ("float4", "1.1"),
    "f8": ("float8", "'-Infinity'"),
    "n": ("numeric", "12345678901234567890.123456789"),
    "t": ("text", "E'uni é \\n \"quote\" \\\\ back'"),
    "vc": ("varchar(10)", "'v'"),
    "c": ("char(5)", "'c'"),
    "ba": ("bytea", "'\\x00ff'"),
    "d": ("date", "'infinity'"),
    "tm": ("time", "'03:04:05.678'"),
    "ttz": ("timetz", "'03:04:05+02'"),
    "ts": ("timestamp", "'2026-01-02 03:04:05.678901'"),
    "tz": ("timestamptz", "'2026-01-02 03:04:05.678901+02'"),
    "iv": ("interval", "'1 year 2 mons 3 days 04:05:06'"),
    "j": ("json", "'{\"a\":  1}'"),
    "jb": ("jsonb", "'{\"a\":  [1, null]}'"),
    "e": ("mood", "'ok'"),
    "co": ("pair", "ROW(1, 'x y')"),
    "ia": ("int4[]", "'{1,NULL,3}'"),
    "iaa": ("int8[][]", "'[2:3][1:2]={{1,2},{3,4}}'"),
    "ta": ("text[]", '\'{"a b",NULL,"NULL","q\\"x",""}\''),
    "ba_a": ("bool[]", "'{t,f,NULL}'"),
    "na": ("numeric[]", "'{1.10,NaN}'"),
    "ja": ("jsonb[]", 'ARRAY[\'{"a": "x,y"}\']::jsonb[]'),
    "inet": ("inet", "'10.0.0.1/24'"),
    "bits": ("varbit", "'10110'"),
    "pt": ("point", "'(1,2)'"),
    "bx": ("box[]", "'{(2,2),(1,1)}'"),
    "r": ("int4range", "'[1,5)'"),
    "tsv": ("tsvector", "'fat cat'"),
    "o": ("oid", "42"),
    'Mixed "Case"': ("text", "'m'"),
}
"""Columns of all kinds: their types and a value as SQL."""
AS_PRINTED = ("n", "t", "vc", "d", "tm", "ttz", "ts", "tz", "iv", "j", "jb", "e", "co", "inet", "bits")
"""Columns whose local text is what Postgres prints in Electric's session."""
SESSION = """
    SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 1;
"""


async def test_C_25_C_26_C_27_C_28_C_29_every_type_is_stored_alike_from_snapshot_and_stream(
    database_url: str, tmp_path: Path
) -> None:
    columns = ", ".join(f"{quote(name)} {kind}" for name, (kind, _) in TYPES.items())
    values = ", ".join(value for _, value in TYPES.values())
    sql = f"""
        CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
        CREATE TABLE kinds (id int PRIMARY KEY, {columns}); ALTER TABLE kinds REPLICA IDENTITY FULL;
        INSERT INTO kinds VALUES (1, {values}); INSERT INTO kinds (id) VALUES (3);
    """
    async with (
        open_electric(database_url, sql) as (url, writer),
        following(url, tmp_path, ShapeDefinition(table="kinds")) as session,
    ):
        watcher = session.watch("kinds")
        await writer.execute(f"INSERT INTO kinds VALUES (2, {values}); INSERT INTO kinds (id) VALUES (4)")
        while session.db["kinds"].count < 4:
            await anext(watcher)
        rows = {row.pop("id"): row for row in session.db["kinds"].rows}
        assert rows[1] == rows[2]
        assert set(rows[3].values()) == set(rows[4].values()) == {None}
        await writer.execute(SESSION)
        printed = await writer.fetchrow(
            f"SELECT {', '.join(f'{name}::text' for name in AS_PRINTED)} FROM kinds WHERE id = 1"
        )
    assert printed is not None
    one = rows[1]
    assert {name: one[name] for name in AS_PRINTED} == dict(printed)
    assert (one["b"], one["i2"], one["i8"], one["f4"]) == (1, -32768, 9007199254740993, 1.1)
    assert one["c"] == "c    "
    assert (one["f8"], one["ba"], one["o"]) == ("-Infinity", b"\x00\xff", "42")
    assert (one["ia"], one["iaa"]) == ("[1,null,3]", "[[1,2],[3,4]]")
    assert (one["ba_a"], one["na"]) == ("[true,false,null]", '["1.10","NaN"]')
    assert json.loads(one["ta"]) == ["a b", None, "NULL", 'q"x', ""]
    assert json.loads(one["ja"]) == [{"a": "x,y"}]
    assert json.loads(one["bx"]) == ["(2,2),(1,1)"]


NOTES = """
    CREATE TABLE notes (id int PRIMARY KEY, title text, mark text);
    ALTER TABLE notes REPLICA IDENTITY FULL;
    INSERT INTO notes VALUES (1, 'one', 'a'), (2, 'two', 'b');
"""


async def test_L_09_L_04_a_changed_table_is_read_anew_and_what_the_user_made_beside_it_stays(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        open_electric(database_url, NOTES) as (url, writer),
        following(url, tmp_path, ShapeDefinition(table="notes")) as session,
    ):
        with closing(sqlite3.connect(session.db.execute("PRAGMA database_list").fetchone()[2])) as theirs:
            theirs.executescript(
                "CREATE TABLE mine (note, id); INSERT INTO mine VALUES ('read', 1);"
                "CREATE VIEW seen AS SELECT title, note FROM notes JOIN mine USING (id);"
                "CREATE INDEX by_title ON notes (title);"
            )
        watcher = session.watch("notes")
        await writer.execute("ALTER TABLE notes DROP COLUMN mark, ADD COLUMN size int DEFAULT 7")
        await writer.execute("UPDATE notes SET title = 'uno' WHERE id = 1")
        while "size" not in session.db["notes"].columns_dict:
            assert {row["mark"] for row in session.db["notes"].rows} == {"a", "b"}
            await anext(watcher)
        assert [tuple(row.values()) for row in session.db["notes"].rows] == [(1, 7, "uno"), (2, 7, "two")]
        assert list(session.db.query("SELECT * FROM seen")) == [{"title": "uno", "note": "read"}]
        assert [index.name for index in session.db.table("notes").indexes] == ["by_title"]
        await writer.execute("TRUNCATE notes")
        while session.db["notes"].count:
            await anext(watcher)
        assert list(session.db["mine"].rows) == [{"note": "read", "id": 1}]
        assert list(session.db.query("SELECT * FROM seen")) == []
