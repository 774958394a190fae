"""Folding a batch to the last word on each row."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from shapegate_client.fold import EMPTY, Batch, Folded, Patch, Put, Remove, fold
from shapegate_client.form import form_of
from shapegate_client.rows import apply_batch
from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Change, Operation, SnapshotEnd, Unknown, UpToDate
from shapegate_wire.visibility import Visibility
from tests.client.builders import NO_KEY, delete, insert, key, layout, update
from tests.client.snapshots import ODD_VALUES, PLAIN, ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

LAYOUT = layout()


def words(batch: Batch) -> dict[str, object]:
    """What a batch of one step says of each row."""
    if not batch.steps:
        return {}
    (step,) = batch.steps
    assert isinstance(step, Folded)
    return dict(step.operations)


def last_word(*changes: Change) -> object:
    return words(fold(EMPTY, changes, LAYOUT)).get(key(1))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((insert(1, "a"),), Put((1,), (0, 1, "a"))),
        ((insert(1, "a"), insert(1, "b")), Put((1,), (0, 1, "b"))),
        ((insert(1, "a"), update(1, title="b")), Put((1,), (0, 1, "b"))),
        ((insert(1, "a"), update(1, title=None)), Put((1,), (0, 1, None))),
        ((insert(1), delete(1)), Remove((1,))),
        ((update(1, title="b"),), Patch((1,), {"id": 1, "title": "b"})),
        (
            (update(1, title="b"), update(1, done="t")),
            Patch((1,), {"id": 1, "title": "b", "done": 1}),
        ),
        ((update(1, title="b", done="true"),), Put((1,), (1, 1, "b"))),
        ((update(1, title="b"), insert(1, "c")), Put((1,), (0, 1, "c"))),
        ((update(1, title="b"), delete(1)), Remove((1,))),
        ((delete(1),), Remove((1,))),
        ((delete(1), insert(1, "a")), Put((1,), (0, 1, "a"))),
        ((delete(1), update(1, title="b")), Remove((1,))),
        ((delete(1), delete(1)), Remove((1,))),
    ],
)
def test_C_31_C_32_C_33_every_pair_of_changes_folds_to_the_last_word(
    changes: tuple[Change, ...], expected: object
) -> None:
    assert last_word(*changes) == expected


def test_C_38_control_messages_change_no_row() -> None:
    batch = fold(EMPTY, (UpToDate(), Unknown(), SnapshotEnd(xmin=1, xmax=2)), LAYOUT)
    assert batch == Batch(snapshot=Visibility(xmin=1, xmax=2))


def test_the_batch_before_is_unchanged() -> None:
    before = fold(EMPTY, (insert(1),), LAYOUT)
    fold(before, (delete(1),), LAYOUT)
    assert before == fold(EMPTY, (insert(1),), LAYOUT)


def test_a_table_without_a_key_is_addressed_by_the_opaque_key() -> None:
    planned = layout(NO_KEY)
    change = Change(key="k1", operation=Operation.INSERT, value={"a": None, "b": "x"})
    gone = Change(key="k1", operation=Operation.DELETE, value={"a": None, "b": "x"})
    assert words(fold(EMPTY, (change,), planned)) == {"k1": Put(("k1",), ("k1", None, "x"))}
    assert words(fold(EMPTY, (change, gone), planned)) == {"k1": Remove(("k1",))}


@pytest.mark.parametrize(
    "change",
    [
        Change(key="k", operation=Operation.INSERT, value={"id": "1"}),
        Change(key="k", operation=Operation.UPDATE, value={"title": "x"}),
        Change(key="k", operation=Operation.DELETE, value={"id": None}),
        Change(key="k", operation=Operation.UPDATE, value={"id": "1", "other": "x"}),
        Change(key="k", operation=Operation.DELETE, value={"id": "one"}),
        Change(key="k", operation=Operation.DELETE, value={"id": "1"}, relation=("public", "users")),
        Change(key="k", operation=Operation.DELETE, value={"id": "1"}, relation=("other", "items")),
    ],
)
def test_L_08_changes_that_do_not_fit_the_subscription_are_refused(change: Change) -> None:
    with pytest.raises(MalformedResponse):
        fold(EMPTY, (change,), LAYOUT)


Rows = dict[int, tuple[str | None, int]]


def shuffled(draw: st.DrawFn, change: Change) -> Change:
    """Name the columns in another order."""
    return replace(change, value=dict(draw(st.permutations(list(change.value.items())))))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Change], list[Rows]]:
    """A log as Electric would write it, and the server's rows after each of its changes."""
    rows: Rows = {}
    log: list[Change] = []
    states: list[Rows] = [{}]
    titles = st.none() | st.sampled_from(["a", "b", ""])
    for _ in range(draw(st.integers(0, 30))):
        row = draw(st.integers(1, 4))
        if row not in rows:
            title, done = draw(titles), draw(st.integers(0, 1))
            log.append(shuffled(draw, insert(row, title, "ft"[done])))
            rows[row] = (title, done)
        elif draw(st.booleans()):
            title, done = rows[row]
            changed: dict[str, str | None] = {}
            if draw(st.booleans()):
                changed["title"] = title = draw(titles)
            if draw(st.booleans()):
                done = draw(st.integers(0, 1))
                changed["done"] = "ft"[done]
            log.append(shuffled(draw, update(row, **changed)))
            rows[row] = (title, done)
        else:
            log.append(delete(row))
            del rows[row]
        states.append(dict(rows))
    return log, states


def apply_all(batches: Sequence[Batch]) -> Rows:
    db = Database(sqlite3.connect(":memory:"))
    try:
        db.table("items").create(LAYOUT.storage, pk="id")
        for batch in batches:
            apply_batch(db, LAYOUT, "items", batch)
        return {row["id"]: (row["title"], row["done"]) for row in db["items"].rows}
    finally:
        db.close()


@given(histories(), st.data())
@settings(max_examples=100, deadline=None)
def test_L_03_any_split_and_replay_of_a_history_gives_the_servers_rows(
    history: tuple[list[Change], list[Rows]], data: st.DataObject
) -> None:
    log, states = history
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=4)))
    edges = [0, *cuts, len(log)]
    batches = []
    for start, end in itertools.pairwise(edges):
        replayed = data.draw(st.integers(0, start))
        batches.append(fold(EMPTY, log[replayed:end], LAYOUT))
    assert apply_all(batches) == states[-1]


@given(histories(), st.data())
@settings(max_examples=50, deadline=None)
def test_C_39_a_batch_folded_chunk_by_chunk_is_the_batch_folded_at_once(
    history: tuple[list[Change], list[Rows]], data: st.DataObject
) -> None:
    log, _ = history
    cut = data.draw(st.integers(0, len(log)))
    assert fold(fold(EMPTY, log[:cut], LAYOUT), log[cut:], LAYOUT) == fold(EMPTY, log, LAYOUT)


WIDE_LAYOUT = layout(PLAIN)
TWO_KEYS = layout(
    (
        Column(name="a", type="int4", pk_index=1, not_null=True),
        Column(name="b", type="text", pk_index=0, not_null=True),
        Column(name="c", type="bool"),
    )
)


def named_change(**value: str | None) -> Change:
    return Change(key="k", operation=Operation.UPDATE, value=value)


@given(
    st.permutations(list(ROW)),
    st.dictionaries(
        st.sampled_from(list(ROW)),
        st.sampled_from([v for v in ODD_VALUES if v is None or isinstance(v, str)]),
    ),
)
def test_C_25_values_are_read_by_place_as_by_name(names: list[str], odd: dict[str, str | None]) -> None:
    row: dict[str, str | None] = {**{name: str(ROW[name]) for name in names}, **odd}
    form = form_of(tuple(row), WIDE_LAYOUT)
    try:
        named = {
            name: None if text is None else WIDE_LAYOUT.decoders[name](text) for name, text in row.items()
        }
    except MalformedResponse:
        named = {}
    if not named or named["id"] is None:
        with pytest.raises(MalformedResponse):
            form.read(named_change(**row))
        return
    key, values = form.read(named_change(**row))
    assert key == (named["id"],)
    assert dict(zip(form.columns, values, strict=True)) == named
    assert form.row(key, values) == tuple(named[name] for name in WIDE_LAYOUT.stored)
    assert [WIDE_LAYOUT.stored[place] for place in form.places] == list(row)


def test_a_key_of_several_columns_is_in_key_order() -> None:
    form = form_of(("a", "c", "b"), TWO_KEYS)
    key, values = form.read(named_change(a="1", c="t", b="x"))
    assert (key, values) == (("x", 1), [1, 1, "x"])
    assert form.row(key, values) == (1, "x", 1)


@pytest.mark.parametrize("value", [{"a": None, "b": "x"}, {"a": "1", "b": None}])
def test_a_null_anywhere_in_the_key_is_refused(value: dict[str, str | None]) -> None:
    with pytest.raises(MalformedResponse, match="null"):
        form_of(("a", "b"), TWO_KEYS).read(named_change(**value))


def test_C_35_without_a_primary_key_the_opaque_key_is_the_key() -> None:
    planned = layout(NO_KEY)
    form = form_of(("b", "a"), planned)
    key, values = form.read(named_change(b="x", a=None))
    assert (key, values) == (("k",), ["x", None])
    assert form.row(key, values) == ("k", None, "x")
    assert form_of((), planned).read(named_change()) == (("k",), [])


def test_a_part_of_a_row_is_no_row() -> None:
    form = form_of(("a", "b"), TWO_KEYS)
    assert form.missing == "c"
    with pytest.raises(MalformedResponse, match="'c'"):
        form.row(*form.read(named_change(a="1", b="x")))


@pytest.mark.parametrize(
    ("columns", "named"), [(("a", "b", "other"), "other"), (("a",), "b"), (("c",), "b"), ((), "b")]
)
def test_L_08_columns_that_do_not_fit_the_table_are_refused(columns: tuple[str, ...], named: str) -> None:
    with pytest.raises(MalformedResponse, match=repr(named)):
        form_of(columns, TWO_KEYS)
