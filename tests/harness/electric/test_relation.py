from __future__ import annotations

import json

import pytest

from shapegate_harness.electric.decoder import PublishedColumn, PublishedRelation
from tests.harness.electric.builders import TEXT, column, relation

TABLE = relation(column("id", "int8", pk_index=0, not_null=True), column("v", "varchar", type_mod=14))


@pytest.mark.parametrize(
    ("type_name", "type_mod", "dims", "expected"),
    [
        # As recorded of a real Electric; modifiers as Postgres 18 stores them.
        ("int4", -1, 2, {"type": "int4", "dims": 2}),
        ("varchar", 14, 0, {"type": "varchar", "max_length": 10}),
        ("varchar", -1, 0, {"type": "varchar"}),
        ("bpchar", 9, 0, {"type": "bpchar", "length": 5}),
        ("bit", 3, 0, {"type": "bit", "length": 3}),
        ("varbit", -1, 0, {"type": "varbit", "length": -1}),
        ("numeric", 327686, 0, {"type": "numeric", "precision": 5, "scale": 2}),
        ("numeric", 5 << 16 | 0x7FE + 4 & 0xFFFF, 0, {"type": "numeric", "precision": 5, "scale": -2}),
        ("timestamp", 3, 0, {"type": "timestamp", "precision": 3}),
        ("interval", 470351871, 0, {"type": "interval", "fields": "DAY TO SECOND"}),
        ("interval", 0x7FFF0003, 0, {"type": "interval", "precision": 3}),
        ("geometry", 17, 0, {"type": "geometry", "type_mod": 17}),
    ],
)
def test_the_schema_header_describes_a_type(
    type_name: str, type_mod: int, dims: int, expected: dict[str, object]
) -> None:
    table = relation(column("c", type_name, type_mod=type_mod, dims=dims))
    assert json.loads(table.schema_header(("c",))) == {"c": expected}


def test_the_schema_header_lists_selected_columns_by_name() -> None:
    assert TABLE.schema_header(("v", "id")) == (
        '{"id":{"type":"int8","not_null":true,"pk_index":0},"v":{"type":"varchar","max_length":10}}'
    )
    assert list(json.loads(TABLE.schema_header(("v",)))) == ["v"]


def test_the_primary_key_is_in_key_order() -> None:
    table = relation(column("a", pk_index=1), column("b"), column("c", pk_index=0))
    assert table.primary_key == ("c", "a")


def published(
    *, name: str = "t", full: bool = True, columns: tuple[tuple[str, int], ...] = (("id", -1), ("v", 14))
) -> PublishedRelation:
    return PublishedRelation(
        oid=1,
        schema="public",
        name=name,
        identity_full=full,
        columns=tuple(PublishedColumn(column_name, TEXT, mod) for column_name, mod in columns),
    )


@pytest.mark.parametrize(
    ("described", "matches"),
    [
        (published(), True),
        (published(name="other"), False),
        (published(full=False), False),
        (published(columns=(("id", -1), ("v", 14), ("w", -1))), False),
        (published(columns=(("id", -1), ("v", 24))), False),
        (published(columns=(("v", 14), ("id", -1))), False),
    ],
)
def test_a_table_matches_the_stream_while_nothing_changed(
    described: PublishedRelation, matches: bool
) -> None:
    assert TABLE.matches(described) is matches
