"""The last words on rows are applied in groups, and give what they give one by one."""

from __future__ import annotations

import itertools
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from shapegate_client.fold import Batch, Folded, Patch, Put, Remove
from shapegate_client.rows import apply_batch
from shapegate_wire.columns import Column
from tests.client.builders import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapegate_client.ddl import TableLayout
    from shapegate_client.fold import RowOperation
    from shapegate_client.values import SqlValue

LAYOUT = layout()


def keyed_by(*types: str) -> TableLayout:
    key = (Column(name=f"k{i}", type=each, pk_index=i, not_null=True) for i, each in enumerate(types))
    return layout((*key, Column(name="note", type="text")))


def rows_after(planned: TableLayout, batches: Iterable[Sequence[RowOperation]]) -> set[tuple[SqlValue, ...]]:
    db = Database(sqlite3.connect(":memory:"))
    try:
        db.table("items").create(planned.storage, pk=planned.key if len(planned.key) > 1 else planned.key[0])
        for operations in batches:
            named = {str(number): each for number, each in enumerate(operations)}
            apply_batch(db, planned, "items", Batch(steps=(Folded(named),)))
        found = db.execute("SELECT * FROM items").fetchall()
        assert len(found) == len(set(found))
        return set(found)
    finally:
        db.close()


def operations_on(row: int) -> st.SearchStrategy[RowOperation]:
    notes = st.none() | st.sampled_from(["a", "b"])
    return st.one_of(
        st.builds(lambda note: Put((row,), (0, row, note)), notes),
        st.builds(lambda note: Patch((row,), {"id": row, "title": note}), notes),
        st.builds(lambda done: Patch((row,), {"done": done}), st.integers(0, 1)),
        st.just(Remove((row,))),
    )


@given(st.permutations(range(12)), st.data())
@settings(max_examples=100, deadline=None)
def test_L_03_a_group_gives_what_its_operations_give_one_by_one(
    order: list[int], data: st.DataObject
) -> None:
    held: list[RowOperation] = [Put((row,), (1, row, "held")) for row in range(6)]
    operations = [data.draw(operations_on(row)) for row in order]
    assert rows_after(LAYOUT, [held, operations]) == rows_after(
        LAYOUT, [held, *([each] for each in operations)]
    )


@pytest.mark.parametrize("count", [1, 4_999, 5_000, 5_001, 6_000, 9_500])
def test_rows_are_put_however_many_statements_they_take(count: int) -> None:
    rows = [(row % 2, row, f"row {row}") for row in range(count)]
    held = [Put((row,), (0, row, "held")) for row in range(0, count, 3)]
    # Neither in the order of the keys nor against it.
    shuffled = [*rows[1::2], *rows[::2]]
    put = [Put((row[1],), row) for row in shuffled]
    assert rows_after(LAYOUT, [held, put]) == set(rows)


KEYS: list[tuple[tuple[str, ...], list[tuple[SqlValue, ...]]]] = [
    (("float8",), [("NaN",), (1.5,), ("-Infinity",), (-2.0,), ("Infinity",), (0.0,)]),
    (("text", "float8"), [("a", "NaN"), ("a", 1.0), ("", 2.0), ("b", "NaN")]),
    (("bytea",), [(b"\x01",), (b"",), (b"\xff",)]),
    (("bool", "int8"), [(1, 2), (0, 3), (1, -1)]),
    (("numeric",), [("10",), ("9",), ("NaN",)]),
    (("int8",), [(-(2**63),), (0,), (2**63 - 1,)]),
]


@pytest.mark.parametrize(("types", "keys"), KEYS, ids=str)
def test_C_25_keys_of_every_storage_are_applied(
    types: tuple[str, ...], keys: list[tuple[SqlValue, ...]]
) -> None:
    planned = keyed_by(*types)
    put = [Put(key, (*key, "held")) for key in keys]
    last: list[RowOperation] = [Remove(keys[0])]
    last += [Patch(key, {"note": "changed"}) for key in keys[1:]]
    for order in itertools.permutations(last):
        assert rows_after(planned, [put, order]) == {(*key, "changed") for key in keys[1:]}


def test_of_two_rows_with_one_primary_key_the_later_is_there() -> None:
    put = [Put((2,), (0, 2, "other")), Put((1,), (0, 1, "first")), Put((1,), (0, 1, "second"))]
    assert rows_after(LAYOUT, [put]) == {(0, 2, "other"), (0, 1, "second")}
    many = [Put((row,), (0, row, "many")) for row in range(3, 7_000)]
    assert (0, 1, "second") in rows_after(LAYOUT, [[*many, *put]])
