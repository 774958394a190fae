"""The log of the client's bench is one that the client takes for a snapshot, and holds the rows it says."""

from __future__ import annotations

import json

import msgspec
import pytest

from benchmarks.client_log import (
    COLUMNS,
    ROWS_PER_CHUNK,
    SCHEMA,
    chunk_sizes,
    make_rows,
    print_changes,
    print_chunk,
)
from shapegate_client.decode import FAST_BYTES_MIN, read_log
from shapegate_client.inserts import Inserts
from shapegate_wire.columns import parse_schema
from shapegate_wire.message import Change, Operation, parse_body


@pytest.mark.parametrize("rows", [0, 1, ROWS_PER_CHUNK - 1, ROWS_PER_CHUNK, ROWS_PER_CHUNK + 1, 1_000_000])
def test_the_chunks_hold_every_row_once(rows: int) -> None:
    sizes = list(chunk_sizes(rows))
    assert sum(count for _, count in sizes) == rows
    assert [start for start, _ in sizes] == [number * ROWS_PER_CHUNK for number in range(len(sizes))]
    assert all(0 < count <= ROWS_PER_CHUNK for _, count in sizes)


def test_a_chunk_is_read_as_the_rows_that_a_bare_executemany_is_given() -> None:
    rows = make_rows(7, FAST_BYTES_MIN // 100)
    (inserts,) = read_log(print_chunk(rows), parse_schema(json.dumps(SCHEMA)))
    assert isinstance(inserts, Inserts)
    values = [value for block in inserts.blocks() for value in block]
    assert values == [value for row in rows for value in row]
    assert [column.name for column in inserts.columns] == list(COLUMNS)


def test_changes_are_printed_as_a_strict_reader_accepts_them() -> None:
    changes = [Change(key="k", operation=Operation.UPDATE, value={"id": "1", "name": "new"})] * 3
    read = parse_body(msgspec.json.decode(print_changes(changes)))
    assert [each.value for each in read if isinstance(each, Change)] == [each.value for each in changes]
