"""The local table of a shape."""

from __future__ import annotations

import pytest

from shapegate_client.ddl import local_name, plan_table, print_delete, print_update, print_upsert
from shapegate_client.errors import UnsafeName
from shapegate_wire.columns import Column
from shapegate_wire.identifier import TableName
from tests.client.builders import NO_KEY, TABLE, layout


def test_a_table_has_the_shapes_key_and_the_storage_of_its_types() -> None:
    planned = layout()
    assert planned.key == ("id",)
    assert planned.storage == {"done": "INTEGER", "id": "INTEGER", "title": "TEXT"}
    assert planned == layout()


def test_C_35_a_table_without_a_key_keeps_the_opaque_key_of_each_row() -> None:
    planned = layout((*NO_KEY, Column(name="_key", type="text")))
    assert planned.key_column == "__key"
    assert planned.stored[0] == "__key"


def test_names_are_quoted_in_every_statement() -> None:
    planned = plan_table(TableName("public", 'we"ird'), (Column(name='a"; DROP', type="text", pk_index=0),))
    assert '"we""ird"' in print_upsert(planned, planned.name)
    assert '"a""; DROP"' in print_delete(planned, planned.name)
    assert '"a""; DROP"' in print_update(planned, planned.name, ('a"; DROP',))


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (TABLE, "items"),
        (TableName("audit", "events"), "audit.events"),
        (TableName("public", "We.ird"), "We.ird"),
    ],
)
def test_a_local_table_is_named_as_the_table(table: TableName, name: str) -> None:
    assert local_name(table) == name


@pytest.mark.parametrize("name", ["sqlite_master", "SQLITE_x", "_shapegate_shapes", "_Shapegate_x", "a\x00b"])
def test_L_08_reserved_and_unsafe_table_names_are_refused(name: str) -> None:
    with pytest.raises(UnsafeName):
        local_name(TableName("public", name))


@pytest.mark.parametrize(
    "names", [["a", "A"], ["a\x00"], [""], ["\ud800"], [], [f"c{i}" for i in range(1_601)]]
)
def test_L_08_columns_that_sqlite_cannot_hold_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsafeName):
        plan_table(TABLE, tuple(Column(name=name, type="text") for name in names))


def test_columns_that_differ_outside_of_ascii_only_are_two_columns() -> None:
    assert plan_table(TABLE, (Column(name="é", type="text"), Column(name="É", type="text"))).columns
