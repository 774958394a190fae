"""Through the whole stack: commits reach the local rows of a session by long polls and by event streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_client import ClientSettings, IssuerCredentials, LiveMode, Session, ShapeDefinition

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.stack import Stack

ACME = "(SELECT id FROM organizations WHERE slug = 'acme')"
WEIGH = f"UPDATE provider_networks SET path_weight = $1 WHERE organization_id = {ACME}"
WAIT = 20.0


@pytest.mark.parametrize("mode", list(LiveMode), ids=lambda mode: mode.value)
async def test_a_commit_arrives_by_either_live_mode(stack: Stack, tmp_path: Path, mode: LiveMode) -> None:
    login = next(each for each in stack.addresses.logins if each.email == "ada@acme.example")
    owner = await asyncpg.connect(stack.addresses.database_url)
    try:
        async with IssuerCredentials(stack.addresses.issuer_url, home=tmp_path) as credentials:
            await credentials.login(login.email, login.password)
            async with Session.open(
                stack.addresses.proxy_url, credentials, home=tmp_path, settings=ClientSettings(live_mode=mode)
            ) as session:
                await session.subscribe(ShapeDefinition(table="provider_networks"))
                await session.up_to_date(timeout=WAIT)
                for weight in (0.25, 0.5, 0.75):
                    watcher = session.watch("provider_networks")
                    await owner.execute(WEIGH, weight)
                    weights: set[float] = set()
                    async with asyncio.timeout(WAIT):
                        while weights != {weight}:  # what was written just before may come first
                            assert not (await anext(watcher)).replaced
                            rows = session.db["provider_networks"].rows
                            weights = {float(row["path_weight"]) for row in rows}
    finally:
        await owner.close()
