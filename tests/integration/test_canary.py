"""The canary of the shared stack listens, and every synced row carries a mark that it would know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.canary import Canary
from tests.integration.test_isolation import TABLES, receive, token_of

if TYPE_CHECKING:
    from shapegate_harness.stack import Stack


@pytest.mark.parametrize("org", ["acme", "globex"])
@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_I_01_every_row_that_arrives_is_searched_and_has_a_mark(
    stack: Stack, canary: Canary, table: Any, org: str
) -> None:
    searched = canary.searched_bytes
    async with aiohttp.ClientSession() as http:
        received = await receive(stack, http, await token_of(stack, http, org), str(table))
    assert canary.searched_bytes - searched >= len(json.dumps(received.rows))
    for row in received.rows.values():
        stranger = Canary()
        stranger.search(json.dumps(row).encode(), own=b"????", where="a row")
        assert stranger.leaks
