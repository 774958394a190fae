from __future__ import annotations

import pytest

from shapegate_harness.electric.decoder import (
    Begin,
    Commit,
    Delete,
    Ignored,
    Insert,
    Message,
    PublishedRelation,
    Toast,
    Truncate,
    Update,
)
from shapegate_harness.electric.errors import DecoderError
from shapegate_harness.electric.transaction import RowChange, assemble

TABLE = PublishedRelation(oid=1, schema="public", name="t", identity_full=True, columns=())


def test_operations_are_numbered_by_two_over_all_tables() -> None:
    (transaction,) = assemble(
        [Begin(9, 5), Insert(1, ("a",)), Insert(2, ("b",)), Delete(1, ("a",)), Commit(9)]
    )
    assert (transaction.lsn, transaction.xid) == (9, 5)
    assert transaction.changes == {
        1: (RowChange(position=0, old=None, new=("a",)), RowChange(position=4, old=("a",), new=None)),
        2: (RowChange(position=2, old=None, new=("b",)),),
    }


def test_an_unchanged_large_value_is_taken_from_the_old_row() -> None:
    (transaction,) = assemble([Begin(9, 5), Update(1, ("1", "large"), ("2", Toast.UNCHANGED)), Commit(9)])
    assert transaction.changes[1][0].new == ("2", "large")


@pytest.mark.parametrize(
    "change",
    [
        Update(1, None, ("2",)),
        Delete(1, None),
        Insert(1, (Toast.UNCHANGED,)),
        Update(1, (Toast.UNCHANGED,), ("2",)),
    ],
)
def test_a_change_without_its_old_row_makes_the_table_incomplete(change: Message) -> None:
    (transaction,) = assemble([Begin(9, 5), change, Commit(9)])
    assert transaction.incomplete == {1}
    assert transaction.changes == {}


def test_relations_and_truncated_tables_are_kept() -> None:
    (transaction,) = assemble([Begin(9, 5), Ignored(), TABLE, Truncate((3, 4)), Commit(9)])
    assert transaction.relations == (TABLE,)
    assert transaction.truncated == {3, 4}
    assert transaction.touched == {1, 3, 4}


@pytest.mark.parametrize(
    "messages",
    [
        [Begin(9, 5)],
        [Begin(9, 5), Begin(10, 6)],
        [Insert(1, ("a",))],
        [Commit(9)],
        [Begin(9, 5), Commit(9), Commit(9)],
    ],
)
def test_messages_out_of_order_are_refused(messages: list[Message]) -> None:
    with pytest.raises(DecoderError):
        assemble(messages)


def test_no_message_is_no_transaction() -> None:
    assert assemble([]) == ()
