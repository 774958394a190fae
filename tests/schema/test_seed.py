from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_schema.domains import domain_names
from shapegate_schema.errors import SeedError, UnknownDomain
from shapegate_schema.seed import ROWS_MAX, RowsSeeded, seed
from tests.schema.acting import ORGS, ids
from tests.schema.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


async def row_versions(connection: asyncpg.Connection) -> Mapping[str, list[tuple[str, str]]]:
    """Which transaction wrote each row of each table: an update would change it."""
    return {
        table.name: [
            (str(row["id"]), row["xmin"])
            for row in await connection.fetch(f"SELECT id, xmin::text FROM public.{table} ORDER BY id")
        ]
        for table in TABLES
    }


async def keys_of(connection: asyncpg.Connection) -> Mapping[str, set[UUID]]:
    """The ids of the rows of each table."""
    return {table.name: await ids(connection, table.name) for table in TABLES}


async def test_it_tells_the_orgs_and_who_can_log_in_where(migrated_url: str) -> None:
    seeds = await seed(migrated_url)
    assert [(org.slug, org.name) for org in seeds.orgs] == [
        ("acme", "Acme Construction Ltd"),
        ("globex", "Globex Facilities"),
    ]
    acme, globex = (org.id for org in seeds.orgs)
    assert [
        (login.email, login.organization_slug, login.role, login.organization_ids) for login in seeds.logins
    ] == [
        ("ada@acme.example", "acme", "owner", (acme, globex)),
        ("ben@acme.example", "acme", "member", (acme,)),
        ("grace@globex.example", "globex", "owner", (globex,)),
        ("hugo@globex.example", "globex", "viewer", (globex,)),
    ]


@pytest.mark.parametrize("domain", domain_names())
async def test_seeding_again_changes_no_row(migrated_url: str, domain: str) -> None:
    seeds = await seed(migrated_url, domain, rows=40)
    connection = await asyncpg.connect(migrated_url)
    try:
        before = await row_versions(connection)
        assert await seed(migrated_url, domain, rows=40) == seeds
        assert await row_versions(connection) == before
    finally:
        await connection.close()


@pytest.mark.parametrize("domain", domain_names())
async def test_further_rows_are_spread_over_both_orgs_and_several_tables(
    migrated_url: str, domain: str
) -> None:
    connection = await asyncpg.connect(migrated_url)
    try:
        await seed(migrated_url, domain)
        before = await keys_of(connection)
        await seed(migrated_url, domain, rows=40)
        added = {name: keys - before[name] for name, keys in (await keys_of(connection)).items()}
        assert sum(map(len, added.values())) == 40
        grown = [table for table in TABLES if added[table.name]]
        assert len(grown) >= 2
        for table in grown:
            seen = f"SELECT count(*) FROM public.{table} WHERE ({table.seen}) AND id = ANY($2)"
            counts = [await connection.fetchval(seen, org, list(added[table.name])) for org in ORGS]
            assert min(counts) >= len(added[table.name]) // 2
        await seed(migrated_url, domain, rows=63)
        total = sum(map(len, (await keys_of(connection)).values()))
        assert total == sum(map(len, before.values())) + 63
    finally:
        await connection.close()


async def test_further_rows_come_in_batches_that_are_told(migrated_url: str) -> None:
    told: list[RowsSeeded] = []
    await seed(migrated_url, rows=10_001, on_rows=told.append)
    assert told == [RowsSeeded(done=10_000, total=10_001), RowsSeeded(done=10_001, total=10_001)]


@pytest.mark.parametrize("rows", [-1, ROWS_MAX + 1])
async def test_a_number_of_rows_out_of_bounds_is_refused_before_connecting(rows: int) -> None:
    with pytest.raises(SeedError, match=f"{rows} further rows were asked for; expected 0 to {ROWS_MAX}"):
        await seed("postgresql://127.0.0.1:1/none", rows=rows)


async def test_two_seedings_at_once_agree(migrated_url: str) -> None:
    one, other = await asyncio.gather(seed(migrated_url), seed(migrated_url))
    assert one == other


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_both_orgs_see_rows_of_every_table_and_neither_sees_all(
    superuser: asyncpg.Connection, table: Table
) -> None:
    total = await superuser.fetchval(f"SELECT count(*) FROM public.{table}")
    for org in ORGS:
        seen = await superuser.fetchval(f"SELECT count(*) FROM public.{table} WHERE {table.seen}", org)
        assert 0 < seen < total


async def test_the_orgs_look_alike_and_share_no_id(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch("SELECT id, name, organization_id FROM public.controls ORDER BY id")
    names: dict[object, list[str]] = {}
    for row in rows:
        names.setdefault(row["organization_id"], []).append(row["name"])
    acme, globex = names.values()
    assert acme == globex
    assert len(acme) == 8
    assert len({row["id"] for row in rows}) == 16


async def test_a_database_without_migrations_is_told_so(database_url: str) -> None:
    with pytest.raises(SeedError, match="run the migrations first"):
        await seed(database_url)


async def test_rows_in_the_way_are_told_and_nothing_is_seeded(migrated_url: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    try:
        await connection.execute("INSERT INTO public.organizations (name, slug) VALUES ('Other', 'globex')")
        with pytest.raises(SeedError, match="in the way"):
            await seed(migrated_url)
        assert await connection.fetchval("SELECT count(*) FROM public.organizations") == 1
    finally:
        await connection.close()


async def test_an_unknown_domain_is_refused(migrated_url: str) -> None:
    with pytest.raises(UnknownDomain):
        await seed(migrated_url, "nope")
