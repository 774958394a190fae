"""A filter of the client through the whole stack: the rows that Postgres selects, of the own org (I_01)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from yarl import URL

from shapegate_client import IssuerCredentials, Session, ShapeDefinition
from tests.integration.test_isolation import USERS, token_of

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.stack import Stack

FILTERS = [
    "true",
    "false",
    "current_quadrant = 'self'",
    "current_quadrant in ('self', 'strange') and not requires_refresher_training",
    "provider_distance between 1 and 3",
    "name ilike '%LIFT%' or failure_probability >= .8",
    "failure_probability is null",
    "lower(name) = 'ppe'",
    "organization_id is not null or name <> 'x'",
    "last_touched_at < '2100-01-01T00:00:00Z'",
    "id::text like '%0%'",
    "description is distinct from name",
]


async def rows_over_http(stack: Stack, org: str, where: str) -> set[str]:
    url = URL(stack.addresses.proxy_url) / "v1/shape"
    query = {"table": "controls", "offset": "-1", "where": where}
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {await token_of(stack, http, org)}"}
        async with http.get(url, params=query, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            messages = await answer.json(content_type=None)
    return {message["value"]["id"] for message in messages if "key" in message}


@pytest.mark.parametrize("org", ["acme", "globex"])
@pytest.mark.parametrize("where", FILTERS)
async def test_I_01_a_filter_selects_what_postgres_selects_within_the_own_org(
    stack: Stack, where: str, org: str
) -> None:
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        rows = await connection.fetch(
            "SELECT id::text FROM controls WHERE organization_id = "
            f"(SELECT id FROM organizations WHERE slug = $1) AND ({where})",
            org,
        )
    finally:
        await connection.close()
    assert await rows_over_http(stack, org, where) == {row["id"] for row in rows}


async def test_a_session_syncs_a_filtered_shape_with_parameters(stack: Stack, tmp_path: Path) -> None:
    login = next(login for login in stack.addresses.logins if login.email == USERS["acme"])
    async with IssuerCredentials(stack.addresses.issuer_url, home=tmp_path) as credentials:
        await credentials.login(login.email, login.password)
        async with Session.open(stack.addresses.proxy_url, credentials, home=tmp_path) as session:
            await session.subscribe(
                ShapeDefinition(
                    table="controls",
                    where="current_quadrant = $1 AND provider_distance > $2",
                    params=("specialist", "0.5"),
                    columns=("id", "name", "current_quadrant"),
                )
            )
            await session.up_to_date(timeout=30)
            rows = list(session.db.query("SELECT * FROM controls"))
    assert {row["name"] for row in rows} == {"Confined Space Entry", "Forklift"}
    assert set(rows[0]) == {"id", "name", "current_quadrant"}
