"""What a real Electric was recorded to send, taken in as the client does."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database

from shapegate_client.decode import read_log
from shapegate_client.fold import EMPTY, fold
from shapegate_client.rows import apply_batch
from shapegate_wire.columns import parse_schema
from shapegate_wire.identifier import TableName
from tests.client.builders import layout
from tests.conformance.recording import Exchange, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_client.ddl import TableLayout

Rows = dict[object, dict[str, object]]


def recorded_log(name: str, *, parameter: str = "") -> Iterator[tuple[str, str | None]]:
    """The bodies of the first shape's log in a recording, in order, with the schema header of each.

    A second request for its start ends it: from there on it is another client.
    """
    handle = None
    for step in load(name).steps:
        if not isinstance(step, Exchange) or step.response is None or step.response.status != 200:
            continue
        headers, starts = step.response.headers, "offset=-1" in step.request.target
        if starts and handle is not None:
            return
        if starts and parameter in step.request.target:
            handle = headers["electric-handle"]
        if handle is not None and headers.get("electric-handle") == handle:
            assert isinstance(step.response.body, str)
            yield step.response.body, headers.get("electric-schema")


def rows_after(name: str, table: str, *, at_once: bool, parameter: str = "") -> Rows:
    """The local rows after all of it, applied answer by answer or in one batch."""
    db = Database(sqlite3.connect(":memory:"))
    planned: TableLayout | None = None
    batch = EMPTY
    try:
        for body, schema in recorded_log(name, parameter=parameter):
            if planned is None:
                assert schema is not None
                planned = layout(parse_schema(schema), TableName("public", table))
                db.table(table).create(planned.storage, pk=planned.key)
            batch = fold(batch, read_log(body.encode(), None), planned)
            if not at_once:
                apply_batch(db, planned, table, batch)
                batch = EMPTY
        assert planned is not None
        apply_batch(db, planned, table, batch)
        return {row["id"]: row for row in db[table].rows}
    finally:
        db.close()


@pytest.mark.parametrize("at_once", [False, True])
def test_C_31_C_33_C_34_C_36_C_37_a_recorded_log_gives_the_rows_of_its_table(*, at_once: bool) -> None:
    """Inserts, partial updates, a changed key, gaps in op_position, and all of it a second time."""
    rows = rows_after("s02_initial_catchup_live", "items_s02", at_once=at_once)
    assert {row: (each["title"], each["done"]) for row, each in rows.items()} == {
        1: ("item 1", 1),
        2: ("item 2", 0),
        3: ("item 3", 0),
        5: ("five", 1),
        7: ("seven", 0),
    }
    assert rows[1]["price"] == "1.50"
    assert json.loads(str(rows[1]["tags"])) == ["a", "b,1"]
    assert rows[5] == {
        "id": 5,
        "title": "five",
        "done": 1,
        "price": None,
        "tags": None,
        "meta": None,
        "created_at": "2026-01-02 03:04:05+00",
    }


@pytest.mark.parametrize("at_once", [False, True])
def test_C_34_whole_rows_of_replica_full_give_the_same_as_changed_columns(*, at_once: bool) -> None:
    rows = rows_after("s03_replica_full", "items_s03", at_once=at_once)
    assert {row: each["title"] for row, each in rows.items()} == {1: "uno", 20: "item 2"}


@pytest.mark.parametrize("at_once", [False, True])
def test_C_38_C_40_recorded_move_ins_and_move_outs_show_and_hide_rows(*, at_once: bool) -> None:
    rows = rows_after("s11_subquery", "projects", at_once=at_once)
    assert {row: each["name"] for row, each in rows.items()} == {2: "p2 new", 5: "p5"}


@pytest.mark.parametrize("at_once", [False, True])
def test_C_25_C_26_C_27_C_28_C_29_every_recorded_type_is_kept_exactly(*, at_once: bool) -> None:
    rows = rows_after("s12_types", "types", at_once=at_once, parameter="table=types&")
    full = rows["00000000-0000-0000-0000-000000000001"]
    odd = rows["00000000-0000-0000-0000-000000000002"]
    streamed = rows["00000000-0000-0000-0000-000000000003"]
    assert (full["b"], full["i2"], full["i4"], full["i8"]) == (1, 1, 2, 9223372036854775807)
    assert (full["f4"], full["f8"]) == (1.1, 1e300)
    assert (full["n"], full["n52"]) == ("12345678901234567890.123456789", "1.50")
    assert full["t"] == 'uni é \n "quote" \\ back'
    assert (full["c"], full["ba"]) == ("c    ", b"\xde\xad\xbe\xef")
    assert (full["ia"], full["iaa"]) == ("[1,null,3]", "[[1,2],[3,4]]")
    assert json.loads(str(full["ta"])) == ["a b", None, "NULL", 'q"x']
    assert (full["j"], full["jb"]) == ('{"a":  1}', '{"a": 1}')
    assert (full["co"], full["r"], full["mr"]) == ('(1,"x y")', "[1,5)", "{[1,2),[4,6)}")
    assert (full["e"], full["o"], full["iv"]) == ("ok", "42", "P1Y2M3DT4H5M6S")
    assert (full["Mixed Case"], full['q"uote']) == ("mc", "q")
    assert (odd["f4"], odd["f8"], odd["n"]) == ("NaN", "-Infinity", "NaN")
    assert (odd["d"], odd["ts"], odd["ia"], odd["b"]) == ("infinity", "-infinity", "[]", None)
    same = ("b", "i8", "f8", "n", "t", "ba", "ts", "tz", "iv", "j", "jb", "e", "ia", "ta", "r")
    assert {name: streamed[name] for name in same} == {name: full[name] for name in same}
