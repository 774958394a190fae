"""What a real Electric was recorded to answer to subsets comes through the gate with the same meaning.

The recorded table gets a column for the org, which the policy hides; the requests are those of the recording.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from yarl import URL

from shapegate_harness.electric import DevElectric
from shapegate_proxy.app import load_policy, open_proxy
from shapegate_proxy.config import ProxyConfig
from tests.conformance.recording import Exchange, Sql, load
from tests.proxy.builders import ACME, GLOBEX, NOW, Recorder, bearer, issuer_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import CreateDatabase

RECORDING: Final = load("s10_now_changes_only_subset")
EXCHANGES: Final = [
    exchange
    for exchange in RECORDING.exchanges
    if "subset__" in exchange.request.target or exchange.request.method == "POST"
]
NESTED: Final = "POST subset, nested body"
"""Electric takes `{"subset": {...}}` too; the gate has one form (REQUIREMENTS P-07)."""
POLICY: Final = """
version = 1
[tables.items_s10]
scope = "organization_id = {org}"
[tables.items_s10.columns]
id = "int8"
title = "text"
done = "bool"
price = "numeric(10,2)"
tags = "text[]"
meta = "jsonb"
created_at = "timestamptz"
[tables.items_s10.hidden]
organization_id = "uuid"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate_url(create_session_database: CreateDatabase, open_folder: Path) -> AsyncIterator[URL]:
    """A gate before a development Electric: the rows of the recording in one org, others in another."""
    url = await create_session_database()
    connection = await asyncpg.connect(url)
    try:
        for step in RECORDING.steps:
            if isinstance(step, Sql):
                await connection.execute(step.text)
        await connection.execute(
            f"ALTER TABLE items_s10 ADD organization_id uuid NOT NULL DEFAULT '{ACME}';"
            "INSERT INTO items_s10 (id, title, price, organization_id)"
            f" SELECT -i, 'item ' || i, 1e6, '{GLOBEX}' FROM generate_series(1, 3) i"
        )
    finally:
        await connection.close()
    policy = open_folder / "recorded_subsets.toml"
    policy.write_text(POLICY, encoding="utf-8")
    async with DevElectric.open(database_url=url, secret=None) as electric:
        config = ProxyConfig(
            electric_url=URL(electric.url),
            electric_secret=None,
            issuers=(issuer_config(),),
            policy_path=policy,
            port=0,
        )
        async with open_proxy(
            config, load_policy(config), observer=Recorder(), clock=NOW.timestamp
        ) as running:
            yield running


async def ask(http: aiohttp.ClientSession, url: URL, exchange: Exchange) -> tuple[int, dict[str, str], Any]:
    """Send a recorded request with the handle and the end of the shape as it is here."""
    shape = {"table": "items_s10", "log": "changes_only"}
    async with http.get(url / "v1/shape", params=shape | {"offset": "now"}, headers=bearer()) as answer:
        here = {name: answer.headers[f"electric-{name}"] for name in ("handle", "offset")}
    target = exchange.request.target
    if "handle=no-such" not in target:
        target = re.sub(r"(?<=[?&])(handle)=[0-9-]+", f"handle={here['handle']}", target)
        target = re.sub(r"(?<=[?&])offset=[0-9]+_[0-9]+", f"offset={here['offset']}", target)
    headers = bearer() | dict(exchange.request.headers)
    asked = URL(str(url.origin()) + target, encoded=True)
    async with http.request(
        exchange.request.method, asked, data=exchange.request.body, headers=headers
    ) as answer:
        names = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, names, await answer.json(content_type=None)


def rows(answer: dict[str, Any]) -> list[Any]:
    """The messages of a subset, without the number that differs from answer to answer."""
    for message in answer["data"]:
        assert message["headers"].pop("snapshot_mark") == answer["metadata"]["snapshot_mark"]
    return list(answer["data"])


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: f"{exchange.number} {exchange.note}")
async def test_P_30_P_31_a_recorded_subset_has_the_same_meaning_behind_the_gate(
    gate_url: URL, exchange: Exchange
) -> None:
    recorded = exchange.response
    assert recorded is not None
    assert isinstance(recorded.body, str)
    async with aiohttp.ClientSession() as http:
        status, headers, answer = await ask(http, gate_url, exchange)
    expected = json.loads(recorded.body)
    assert status == (400 if exchange.note == NESTED else recorded.status)
    if status == 200:
        assert rows(answer) == rows(expected)
        assert set(answer["metadata"]) == set(expected["metadata"])
        assert headers["electric-snapshot"] == recorded.headers["electric-snapshot"]
        schema = recorded.headers.get("electric-schema")  # not with `live`, which the gate drops
        assert schema is None or json.loads(headers["electric-schema"]) == json.loads(schema)
        assert "etag" not in headers
    elif status == 409:
        assert answer == expected
        assert headers["electric-handle"] != "no-such"
    else:
        assert set(answer) == {"message", "code", "hint", "request_id"}
        assert GLOBEX not in str(answer)


def test_the_recording_holds_subsets_of_every_kind() -> None:
    assert len(EXCHANGES) > 15
    assert {exchange.request.method for exchange in EXCHANGES} == {"GET", "POST"}
    assert {exchange.response.status for exchange in EXCHANGES if exchange.response} == {200, 400, 409}
