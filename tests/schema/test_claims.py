"""The claims that the database adds to tokens: whose they are, and who may ask for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from shapegate_proxy.claims import NamedClaim
from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import domain_names, policy_file
from shapegate_schema.migrate import migrate
from tests.schema.acting import ACME, ADA, GLOBEX

if TYPE_CHECKING:
    from uuid import UUID

    from tests.schema.conftest import ConnectAs

ASK = "SELECT shapegate_auth.claims_of($1, $2)"


@pytest.mark.parametrize(
    ("org", "claims"),
    [
        (ACME, {"tenant": "TNT-ACME", "client": "TC-ACME", "vendor": "TV-ACME"}),
        (GLOBEX, {"tenant": "TNT-GLOBEX", "client": "TC-GLOBEX", "vendor": "TV-GLOBEX"}),
        (uuid4(), {}),
    ],
    ids=["acme", "globex", "an org without keys"],
)
async def test_nexus_gives_each_org_its_own_keys(
    connect_as: ConnectAs, org: UUID, claims: dict[str, str]
) -> None:
    issuer = await connect_as("shapegate_issuer")
    assert json.loads(await issuer.fetchval(ASK, ADA, org)) == claims


@pytest.mark.parametrize("role", ["app_rw", "electric", "shapegate_proxy"])
async def test_D_06_nobody_but_the_issuer_asks_for_claims(connect_as: ConnectAs, role: str) -> None:
    connection = await connect_as(role)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetchval(ASK, ADA, ACME)


@pytest.mark.parametrize("domain", domain_names())
async def test_a_domains_claims_are_those_that_its_scopes_name(domain: str, database_url: str) -> None:
    await migrate(database_url, domain)
    policy = parse_policy(policy_file(domain).read_text(encoding="utf-8"))
    named = {
        each.claim.name
        for table in policy.tables.values()
        for each in table.scope.compared
        if isinstance(each.claim, NamedClaim)
    }
    connection = await asyncpg.connect(database_url)
    try:
        if domain == "nexus":
            await connection.execute(
                "INSERT INTO organizations (id, name, slug) VALUES ($1, 'Acme', 'acme')", ACME
            )
            await connection.execute(
                "INSERT INTO nexus_tenants (organization_id, name) VALUES ($1, 'Acme')", ACME
            )
        assert json.loads(await connection.fetchval(ASK, ADA, ACME)).keys() == named
    finally:
        await connection.close()
