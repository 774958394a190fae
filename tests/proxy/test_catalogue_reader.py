"""The catalogue of a real Postgres, as policies need it."""

from __future__ import annotations

import asyncpg
import pytest

from shapegate_proxy.catalogue_reader import CatalogueUnreachable, fetch_catalogue, read_catalogue
from shapegate_wire.identifier import TableName

TABLES = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE orgs (id uuid PRIMARY KEY);
CREATE TABLE items (
  part int8, id uuid, org uuid NOT NULL REFERENCES orgs, tags text[], mood mood, name varchar(20) COLLATE "C",
  twice int8 GENERATED ALWAYS AS (part * 2) STORED, gone text, PRIMARY KEY (id, part)
);
ALTER TABLE items DROP COLUMN gone, REPLICA IDENTITY FULL;
CREATE INDEX ON items (org, name);
CREATE INDEX ON items (mood) WHERE mood = 'sad';
CREATE INDEX ON items (lower(name));
CREATE TABLE parts (id int8 PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE VIEW seen AS SELECT id FROM items;
CREATE SCHEMA other CREATE TABLE elsewhere (id int8);
"""


async def test_tables_columns_keys_and_indexes_are_read(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(TABLES)
        found = await read_catalogue(
            connection,
            schemas=["public"],
            type_names=["uuid", "varchar(5)", "integer", "mood", "no such", "("],
        )
    finally:
        await connection.close()
    tables = {name.name: table for name, table in found.tables.items()}
    assert {name: table.kind for name, table in tables.items()} == {
        "orgs": "table",
        "items": "table",
        "parts": "partitioned table",
        "seen": "view",
    }
    items = tables["items"]
    assert {column.name: column.type for column in items.columns.values()} == {
        "part": "int8",
        "id": "uuid",
        "org": "uuid",
        "tags": "text[]",
        "mood": "mood",
        "name": "varchar",
        "twice": "int8",
    }
    assert items.key == ("id", "part")
    assert items.leading == {"id", "org"}
    assert items.sends_old_rows
    assert not tables["orgs"].sends_old_rows
    assert items.references == {"org": TableName(schema="public", name="orgs")}
    assert [name for name, column in items.columns.items() if column.generated] == ["twice"]
    assert [name for name, column in items.columns.items() if not column.nullable] == ["part", "id", "org"]
    assert (items.columns["name"].collation, items.columns["name"].deterministic) == ("C", True)
    assert (items.columns["mood"].collation, items.columns["mood"].deterministic) == (None, True)
    assert found.type_ids["uuid"] == items.columns["id"].type_id
    assert found.type_ids["varchar(5)"] == items.columns["name"].type_id
    assert found.type_ids["integer"] == 23
    assert found.type_ids["mood"] == items.columns["mood"].type_id
    assert (found.type_ids["no such"], found.type_ids["("]) == (None, None)


@pytest.mark.parametrize(
    "url", ["postgresql://u:hush@127.0.0.1:1/x", "nonsense://u:hush@h/x"], ids=["refused", "no such scheme"]
)
async def test_I_10_a_database_that_cannot_be_read_is_told_without_its_url(url: str) -> None:
    with pytest.raises(CatalogueUnreachable) as caught:
        await fetch_catalogue(url, schemas=["public"])
    assert "hush" not in str(caught.value)
