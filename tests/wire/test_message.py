"""Messages of the log: what Electric sends is read, what is new is ignored, what is broken is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import MalformedResponse, WireError
from shapegate_wire.message import (
    Change,
    MoveIn,
    MoveOut,
    MovePattern,
    MustRefetch,
    Operation,
    SnapshotEnd,
    Unknown,
    UpToDate,
    parse_body,
    parse_message,
    parse_subset_rows,
)

KEY = '"public"."items"/"1"'


def change(operation: str = "insert", value: object = None, **headers: object) -> dict[str, object]:
    return change_with(headers, operation=operation, value=value)


def change_with(
    headers: dict[str, object], *, operation: str = "insert", value: object = None
) -> dict[str, object]:
    return {
        "headers": {"operation": operation, **headers},
        "key": KEY,
        "value": {"id": "1"} if value is None else value,
    }


def event(name: str, patterns: object) -> dict[str, object]:
    return {"headers": {"event": name, "patterns": patterns, "txids": [7]}}


def test_C_36_a_snapshot_row_has_only_operation_and_relation() -> None:
    assert parse_message(change(relation=["public", "items"])) == Change(
        key=KEY, operation=Operation.INSERT, value={"id": "1"}, relation=("public", "items")
    )


def test_a_replicated_update_has_all_of_it() -> None:
    message = change(
        "update",
        {"id": "1", "name": None},
        relation=["public", "items"],
        lsn="26980744",
        op_position=4,
        txids=[751, "752"],
        last=True,
        tags=["a/", "/b"],
        removed_tags=["c/"],
        active_conditions=[True, False],
    )
    message["old_value"] = {"name": "x"}
    assert parse_message(message) == Change(
        key=KEY,
        operation=Operation.UPDATE,
        value={"id": "1", "name": None},
        old_value={"name": "x"},
        relation=("public", "items"),
        lsn=26980744,
        op_position=4,
        txids=(751, 752),
        last=True,
        tags=("a/", "/b"),
        removed_tags=("c/",),
        active_conditions=(True, False),
    )


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"control": "up-to-date"}, UpToDate()),
        ({"control": "up-to-date", "global_last_seen_lsn": "26980744"}, UpToDate(26980744)),
        ({"control": "up-to-date", "global_last_seen_lsn": 26980744}, UpToDate(26980744)),
        ({"control": "must-refetch"}, MustRefetch()),
        (
            {"control": "snapshot-end", "xmin": "7", "xmax": "9", "xip_list": ["8"]},
            SnapshotEnd(xmin=7, xmax=9, xip_list=(8,)),
        ),
        ({"control": "snapshot-end", "xmin": 7, "xmax": 9}, SnapshotEnd(xmin=7, xmax=9)),
        ({"event": "move-out", "patterns": [{"pos": 0, "value": "h"}]}, MoveOut((MovePattern(0, "h"),))),
        ({"event": "move-in", "patterns": [{"pos": 1, "value": "h"}]}, MoveIn((MovePattern(1, "h"),))),
    ],
    ids=str,
)
def test_control_messages_and_events_are_read(headers: dict[str, object], message: object) -> None:
    assert parse_message({"headers": headers}) == message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"control": "subset-end"},
        {"control": "later"},
        {"control": None},
        {"control": ["up-to-date"]},
        {"event": "later"},
        {"event": "later", "patterns": [{"pos": "first"}]},
        {"event": "later", "patterns": [1, 2]},
        {"event": {"name": "move-out"}, "patterns": "all"},
        {"later": "yes"},
    ],
    ids=str,
)
def test_C_38_what_a_later_protocol_says_is_ignored(headers: dict[str, object]) -> None:
    assert parse_message({"headers": headers, "more": 1}) == Unknown()


def test_C_38_unknown_headers_of_a_change_are_ignored() -> None:
    assert parse_message({**change(later={"x": [1]}), "more": 1}) == parse_message(change())


@pytest.mark.parametrize(
    "item",
    [
        None,
        1,
        "x",
        [],
        {},
        {"headers": None},
        {"headers": []},
        {"headers": {"operation": "insert"}, "value": {}},
        {"headers": {"operation": "insert"}, "key": 1, "value": {}},
        {"headers": {"operation": "insert"}, "key": None, "value": {}},
        {"headers": {"operation": "insert"}, "key": KEY},
        {"headers": {"operation": "insert"}, "key": KEY, "value": None},
        {"headers": {"operation": "insert"}, "key": KEY, "value": []},
        {"headers": {"operation": "insert"}, "key": KEY, "value": {"a": 1}},
        {"headers": {"operation": "insert"}, "key": KEY, "value": {"a": {"b": 1}}},
        {"headers": {"operation": "update"}, "key": KEY, "value": {}, "old_value": []},
        {"headers": {"operation": "upsert"}, "key": KEY, "value": {}},
        {"headers": {"operation": None}, "key": KEY, "value": {}},
        {"headers": {"operation": ["insert"]}, "key": KEY, "value": {}},
        change(lsn="0/1"),
        change(lsn=""),
        change(lsn="-1"),
        change(lsn="٣"),
        change(lsn=1.5),
        change(lsn=True),
        change(lsn="1" * 21),
        change(txids=["x"]),
        change(txids=[None]),
        {"headers": {"control": "snapshot-end"}},
        {"headers": {"control": "snapshot-end", "xmin": "1", "xmax": None}},
        {"headers": {"control": "up-to-date", "global_last_seen_lsn": "0/1234567"}},
    ],
    ids=lambda item: str(item)[:80],
)
def test_L_01_what_no_electric_sends_is_malformed(item: object) -> None:
    with pytest.raises(MalformedResponse):
        parse_message(item)


@pytest.mark.parametrize(
    "patterns",
    [
        None,
        "all",
        {"pos": 0, "value": "h"},
        [{"pos": 0}],
        [{"value": "h"}],
        [{"pos": 0, "value": None}],
        [{"pos": 0, "value": 1}],
        [{"pos": -1, "value": "h"}],
        [{"pos": True, "value": "h"}],
        ["h"],
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["move-out", "move-in"])
def test_C_40_a_move_that_does_not_say_of_what_is_malformed_and_not_ignored(
    name: str, patterns: object
) -> None:
    # Taken for a move of nothing, rows would stay after access to them was revoked.
    with pytest.raises(MalformedResponse):
        parse_message(event(name, patterns))


@pytest.mark.parametrize(
    "headers",
    [
        {"tags": "a/b"},
        {"tags": {"a": 1}},
        {"tags": [None]},
        {"tags": [1]},
        {"tags": [["a"]]},
        {"removed_tags": [1]},
        {"active_conditions": "true"},
        {"active_conditions": [1]},
        {"active_conditions": ["true"]},
    ],
    ids=str,
)
def test_C_40_broken_tags_are_malformed_and_not_dropped(headers: dict[str, object]) -> None:
    # A row without tags is visible for ever; a condition misread as false hides it.
    with pytest.raises(MalformedResponse):
        parse_message(change_with(headers))


@pytest.mark.parametrize("body", [None, {}, "x", 1, {"headers": {}}], ids=str)
def test_C_21_a_body_that_is_no_array_is_malformed(body: object) -> None:
    with pytest.raises(MalformedResponse, match="expected a JSON array"):
        parse_body(body)


def test_C_13_the_body_of_a_409_is_one_must_refetch() -> None:
    assert parse_body([{"headers": {"control": "must-refetch"}}]) == (MustRefetch(),)


def test_messages_keep_their_order() -> None:
    body = [change(), {"headers": {"control": "up-to-date"}}, change("delete")]
    kinds = [type(message) for message in parse_body(body)]
    assert kinds == [Change, UpToDate, Change]


def test_an_empty_body_has_no_messages() -> None:
    assert parse_body([]) == ()


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "headers",
    [
        {"lsn": nested(50_000)},
        {"txids": [nested(50_000)]},
        {"tags": [nested(50_000)]},
        {"relation": [nested(50_000)] * 2},
        {"lsn": 10**5000},
        {"txids": [-(10**5000)]},
        {"op_position": -1},
    ],
    ids=lambda headers: str(list(headers)),
)
def test_a_header_out_of_all_bounds_is_malformed_and_nothing_worse(headers: dict[str, object]) -> None:
    with pytest.raises(MalformedResponse) as caught:
        parse_message(change_with(headers))
    assert len(str(caught.value)) < 300


def test_an_error_does_not_quote_the_row() -> None:
    with pytest.raises(MalformedResponse) as caught:
        parse_message(change(value={"iban": {"DE02": "secret"}}))
    assert "secret" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "operation": st.sampled_from(["insert", "update", "delete"]) | JSON,
        "control": st.sampled_from(["up-to-date", "must-refetch", "snapshot-end"]) | JSON,
        "event": st.sampled_from(["move-in", "move-out"]) | JSON,
        "relation": st.just(["public", "items"]) | JSON,
        "lsn": st.integers() | JSON,
        "op_position": JSON,
        "txids": st.lists(st.integers()) | JSON,
        "tags": st.lists(st.text()) | JSON,
        "active_conditions": st.lists(st.booleans()) | JSON,
        "patterns": st.lists(st.fixed_dictionaries({"pos": JSON, "value": JSON})) | JSON,
        "xmin": JSON,
        "xmax": JSON,
        "global_last_seen_lsn": JSON,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"headers": HEADERS},
    optional={
        "key": st.text() | JSON,
        "value": st.dictionaries(st.text(), st.none() | st.text()) | JSON,
        "old_value": JSON,
    },
)


@settings(max_examples=100, deadline=None)
@given(body=JSON | st.lists(MESSAGES | JSON))
def test_nothing_but_a_wire_error_escapes(body: object) -> None:
    try:
        parse_body(body)
    except WireError:
        return


@settings(max_examples=100, deadline=None)
@given(
    key=st.text(),
    value=st.dictionaries(st.text(), st.none() | st.text()),
    operation=st.sampled_from(Operation),
)
def test_C_35_key_and_cells_arrive_as_they_were_sent(
    key: str, value: dict[str, str | None], operation: Operation
) -> None:
    message = parse_message({"headers": {"operation": operation.value}, "key": key, "value": value})
    assert message == Change(key=key, operation=operation, value=value)


def test_a_large_body_is_read_in_linear_time() -> None:
    body = [change(relation=["public", "items"], lsn="1", txids=[1])] * 50_000
    started = time.process_time()
    assert len(parse_body(body)) == 50_000
    assert time.process_time() - started < 10


SUBSET: dict[str, object] = {
    "metadata": {"xmin": "7", "xmax": "9", "xip_list": ["8"], "database_lsn": "26980744", "snapshot_mark": 5},
    "data": [change()],
}


def test_a_subset_has_its_rows_and_what_they_show() -> None:
    subset = parse_subset_rows(SUBSET)
    assert [row.key for row in subset.rows] == [KEY]
    assert subset.end == SnapshotEnd(xmin=7, xmax=9, xip_list=(8,))
    assert subset.database_lsn == 26980744


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": []},
        {**SUBSET, "metadata": {}},
        {**SUBSET, "metadata": {"xmin": "7", "xmax": "9", "xip_list": []}},
        {**SUBSET, "data": None},
        {**SUBSET, "data": [change("delete")]},
        {**SUBSET, "data": [{"key": 1}]},
    ],
    ids=str,
)
def test_anything_else_is_no_subset(body: object) -> None:
    with pytest.raises(MalformedResponse):
        parse_subset_rows(body)
