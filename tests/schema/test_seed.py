from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_schema.errors import SeedError, UnknownDomain
from shapegate_schema.seed import seed
from tests.schema.tables import ORG_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping


async def row_versions(connection: asyncpg.Connection) -> Mapping[str, list[tuple[str, str]]]:
    """Which transaction wrote each row of each table: an update would change it."""
    return {
        table: [
            (str(row["id"]), row["xmin"])
            for row in await connection.fetch(f"SELECT id, xmin::text FROM public.{table} ORDER BY id")
        ]
        for table in ORG_COLUMNS
    }


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


async def test_seeding_again_changes_no_row(migrated_url: str) -> None:
    seeds = await seed(migrated_url)
    connection = await asyncpg.connect(migrated_url)
    try:
        before = await row_versions(connection)
        assert await seed(migrated_url) == seeds
        assert await row_versions(connection) == before
    finally:
        await connection.close()


async def test_two_seedings_at_once_agree(migrated_url: str) -> None:
    one, other = await asyncio.gather(seed(migrated_url), seed(migrated_url))
    assert one == other


@pytest.mark.parametrize("table", ORG_COLUMNS)
async def test_every_table_has_rows_of_both_orgs(superuser: asyncpg.Connection, table: str) -> None:
    counted = await superuser.fetch(
        f"SELECT o.slug, count(*) FROM public.{table} AS t "
        f"JOIN public.organizations AS o ON o.id = t.{ORG_COLUMNS[table]} GROUP BY o.slug ORDER BY o.slug"
    )
    assert [row["slug"] for row in counted] == ["acme", "globex"]


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
