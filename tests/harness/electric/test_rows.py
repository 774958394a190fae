from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.rows import Projection, entries, plain_standing, project
from shapegate_harness.electric.tags import Standing
from shapegate_harness.electric.transaction import RowChange, RowText, Transaction
from shapegate_wire.shape import Replica
from tests.harness.electric.builders import column, relation

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYED = relation(column("id", "int8", pk_index=0), column("title"), column("done", "bool"))
KEYLESS = relation(column("a"), column("b"))
KEY_1, KEY_2 = '"public"."t"/"1"', '"public"."t"/"2"'


def keyed(replica: Replica = Replica.DEFAULT, *selected: str) -> Projection:
    return project(KEYED, selected=frozenset(selected or KEYED.names), replica=replica)


def transaction(*changes: tuple[RowText | None, RowText | None]) -> Transaction:
    rows = tuple(RowChange(position=2 * n, old=old, new=new) for n, (old, new) in enumerate(changes))
    return Transaction(lsn=900, xid=77, changes={1: rows})


def shown(
    projection: Projection,
    *changes: tuple[RowText | None, RowText | None],
    verdicts: Mapping[tuple[int, int], tuple[bool, bool]] | None = None,
) -> list[dict[str, object]]:
    """The messages without what all of them have."""
    messages = []
    standings = (
        None
        if verdicts is None
        else {
            key: (plain_standing(holds=was), plain_standing(holds=is_))
            for key, (was, is_) in verdicts.items()
        }
    )
    for item in entries(projection, transaction(*changes), standings):
        message = json.loads(item.message)
        headers = message["headers"]
        assert headers.pop("relation") == ["public", "t"]
        assert headers.pop("lsn") == "900"
        assert headers.pop("txids") == [77]
        assert f"900_{headers.pop('op_position')}" == str(item.offset)
        messages.append(message)
    return messages


def test_an_insert_carries_the_selected_row() -> None:
    assert shown(keyed(Replica.DEFAULT, "id", "title"), (None, ("1", "é", "t"))) == [
        {
            "key": KEY_1,
            "value": {"id": "1", "title": "é"},
            "headers": {"last": True, "operation": "insert"},
        }
    ]


@pytest.mark.parametrize(
    ("replica", "expected"),
    [
        (Replica.DEFAULT, {"value": {"id": "1", "title": "b"}}),
        (
            Replica.FULL,
            {"value": {"id": "1", "title": "b", "done": "f"}, "old_value": {"title": "a"}},
        ),
    ],
)
def test_an_update_carries_what_its_replica_mode_says(replica: Replica, expected: dict[str, object]) -> None:
    assert shown(keyed(replica), (("1", "a", "f"), ("1", "b", "f"))) == [
        {"key": KEY_1, "headers": {"last": True, "operation": "update"}, **expected}
    ]


@pytest.mark.parametrize(
    ("projection", "value"),
    [
        (keyed(), {"id": "1"}),
        (keyed(Replica.FULL), {"id": "1", "title": "a", "done": None}),
    ],
)
def test_a_delete_carries_what_its_replica_mode_says(
    projection: Projection, value: dict[str, object]
) -> None:
    assert shown(projection, (("1", "a", None), None)) == [
        {"key": KEY_1, "value": value, "headers": {"last": True, "operation": "delete"}}
    ]


def test_an_update_of_no_selected_column_is_dropped() -> None:
    projection = keyed(Replica.FULL, "id", "title")
    assert shown(projection, (("1", "a", "f"), ("1", "a", "t")), (("1", "a", "f"), ("1", "a", "f"))) == []


def test_a_key_change_is_a_delete_and_an_insert_at_consecutive_positions() -> None:
    changes = ((None, ("9", "x", "f")), (("1", "a", "f"), ("2", "a", "f")))
    found = tuple(entries(keyed(), transaction(*changes), None))
    assert [str(item.offset) for item in found] == ["900_0", "900_2", "900_3"]
    assert shown(keyed(), *changes)[1:] == [
        {
            "key": KEY_1,
            "value": {"id": "1"},
            "headers": {"operation": "delete", "key_change_to": KEY_2},
        },
        {
            "key": KEY_2,
            "value": {"id": "2", "title": "a", "done": "f"},
            "headers": {"last": True, "operation": "insert", "key_change_from": KEY_1},
        },
    ]


@pytest.mark.parametrize(
    ("verdict", "operations"),
    [
        ((True, True), ["update"]),
        ((False, True), ["insert"]),
        ((True, False), ["delete"]),
        ((False, False), []),
    ],
)
def test_a_row_that_enters_is_an_insert_and_one_that_leaves_a_delete(
    verdict: tuple[bool, bool], operations: list[str]
) -> None:
    found = shown(keyed(), (("1", "a", "f"), ("1", "b", "f")), verdicts={(900, 0): verdict})
    assert [message["headers"] for message in found] == [
        {"last": True, "operation": operation} for operation in operations
    ]


def test_a_row_that_leaves_while_its_key_changes_is_deleted_under_the_old_key() -> None:
    found = shown(keyed(), (("1", "a", "f"), ("2", "b", "f")), verdicts={(900, 0): (True, False)})
    assert [message["key"] for message in found] == [KEY_1]


def test_only_the_last_message_of_a_transaction_says_last() -> None:
    found = shown(
        keyed(),
        (None, ("1", "a", "f")),
        (None, ("2", "a", "f")),
        (None, ("3", "a", "f")),
        verdicts={(900, 0): (False, True), (900, 2): (False, True), (900, 4): (False, False)},
    )
    assert [message["headers"] for message in found] == [
        {"operation": "insert"},
        {"last": True, "operation": "insert"},
    ]


def test_without_a_primary_key_all_columns_are_the_key() -> None:
    projection = project(KEYLESS, selected=frozenset(KEYLESS.names), replica=Replica.DEFAULT)
    found = shown(projection, (("x", None), ("x", "y/z")))
    assert [(message["key"], message["value"]) for message in found] == [
        ('"public"."t"/"x"/_', {"a": "x", "b": None}),
        ('"public"."t"/"x"/"y//z"', {"a": "x", "b": "y/z"}),
    ]


def test_a_row_that_changes_branches_is_sent_although_no_selected_column_changed() -> None:
    was, is_ = Standing(True, (True, False), ("a/", "/1")), Standing(True, (True, True), ("b/", "/1"))
    changes = transaction((("1", "a", "f"), ("1", "a", "t")))
    (item,) = entries(keyed(Replica.DEFAULT, "id", "title"), changes, {(900, 0): (was, is_)})
    message = json.loads(item.message)
    assert message["value"] == {"id": "1"}
    assert message["headers"]["tags"] == ["b/", "/1"]
    assert message["headers"]["removed_tags"] == ["a/"]
    assert message["headers"]["active_conditions"] == [True, True]


def test_a_delete_carries_the_tags_of_the_old_row() -> None:
    was, is_ = Standing(True, (True,), ("a",)), Standing(False, (False,), ("b",))
    (item,) = entries(keyed(), transaction((("1", "a", "f"), ("1", "b", "f"))), {(900, 0): (was, is_)})
    headers = json.loads(item.message)["headers"]
    assert (headers["operation"], headers["tags"], headers["active_conditions"]) == ("delete", ["a"], [True])


ROW = st.one_of(st.none(), st.tuples(st.sampled_from("12"), st.sampled_from("ab"), st.sampled_from("tf")))


@given(st.lists(st.tuples(ROW, ROW), max_size=8), st.sampled_from(Replica))
@settings(max_examples=100, deadline=None)
def test_positions_ascend_and_exactly_the_last_message_says_last(
    changes: list[tuple[RowText | None, RowText | None]], replica: Replica
) -> None:
    found = tuple(entries(keyed(replica), transaction(*changes), None))
    offsets = [item.offset for item in found]
    assert offsets == sorted(set(offsets))
    lasts = ["last" in json.loads(item.message)["headers"] for item in found]
    assert lasts == [False] * (len(found) - 1) + [True] * bool(found)
