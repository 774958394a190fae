"""Commits of several shapes are one: all of them or none."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shapegate_client.commit import Aside, Commit
from shapegate_client.fold import EMPTY, fold
from shapegate_client.inserts import Misread, look_for_inserts
from shapegate_client.store import Store
from shapegate_wire.identifier import TableName
from tests.client.builders import DEFINITION, SCHEMA, insert, layout, position
from tests.client.crashing import OWNER
from tests.client.ports import HeldClock

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_client.inserts import Inserts

OTHERS = TableName("public", "others")


def snapshot(*, done: str = "t") -> Inserts:
    headers = {"operation": "insert"}
    messages = [
        {"key": f"k{row}", "value": {"done": done, "id": str(row), "title": "t"}, "headers": headers}
        for row in range(3)
    ]
    body = json.dumps(messages, separators=(",", ":")).encode()
    found = look_for_inserts(body, len(body), SCHEMA)
    assert found is not None
    return found


def commit(table: TableName, *messages: object) -> Commit:
    planned = layout(table=table)
    batch = fold(EMPTY, messages, planned)  # type: ignore[arg-type]  # messages and runs
    return Commit(layout=planned, batch=batch, position=position(), at=HeldClock().now(), aside=Aside.BEGIN)


@pytest.mark.parametrize(("done", "expected"), [("t", 3), ("maybe", None)])
async def test_L_02_a_misread_run_of_one_shape_keeps_all_of_them_as_they_were(
    tmp_path: Path, done: str, expected: int | None
) -> None:
    store = await Store.open(tmp_path / "s.sqlite3", OWNER)
    try:
        for name in ("items", "others"):
            await store.register(replace(DEFINITION, table=name), "http://gate")
        items = commit(TableName("public", "items"), *map(insert, range(3)))
        others = commit(OTHERS, snapshot(done=done))
        with contextlib.nullcontext() if expected else pytest.raises(Misread):
            await store.commit((items, others))
        with contextlib.closing(store.reader()) as reader:
            for name in ("items", "others"):
                table = reader.table(name)
                assert (table.count if table.exists() else None) == expected
        assert all((shape.position is not None) == bool(expected) for shape in await store.shapes())
    finally:
        await store.close()
