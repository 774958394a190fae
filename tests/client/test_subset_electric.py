"""Subsets beside a stream, through the gate, from the development Electric, while others write."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
from typing import TYPE_CHECKING

import asyncpg
import pytest
from yarl import URL

from shapegate_client import AccessToken, ClientSettings, LiveMode, Organization, Principal, Session
from shapegate_harness.electric import DevElectric, ElectricSettings
from shapegate_proxy.app import load_policy, open_proxy
from shapegate_proxy.config import ProxyConfig
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition
from tests.client.ports import FixedCredentials
from tests.proxy.builders import ACME, GLOBEX, NOW, Recorder, issuer_config, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WRITERS, TRANSACTIONS, RUNS, FETCHES = 3, 40, 3, 8
POLICY = """
version = 1
[tables.items]
scope = "organization_id = {org}"
[tables.items.columns]
id = "int8"
pair = "int4"
version = "int8"
note = "text"
[tables.items.hidden]
organization_id = "uuid"
"""
SCHEMA = f"""
    CREATE SEQUENCE versions;
    CREATE TABLE items (
        id int8 PRIMARY KEY, organization_id uuid NOT NULL,
        pair int NOT NULL, version int8 NOT NULL, note text
    );
    ALTER TABLE items REPLICA IDENTITY FULL;
    INSERT INTO items SELECT 2 * n + i, '{ACME}', n, 0, 'first'
        FROM generate_series(0, 29) n, generate_series(0, 1) i;
    INSERT INTO items SELECT -2 * n - i, '{GLOBEX}', n, 0, 'theirs'
        FROM generate_series(1, 29) n, generate_series(0, 1) i;
    CREATE PUBLICATION electric_publication_default FOR ALL TABLES;
"""
Rows = dict[int, tuple[int, int, str]]
"""Pair, version and note of each row."""


class GateCredentials(FixedCredentials):
    """A member of Acme, with a token that the gate accepts."""

    async def principal(self) -> Principal:
        acme = Organization(id=ACME, slug="acme", name="Acme", role="member")
        return Principal(
            issuer="urn:test", user_id="ada", email="a@acme.example", organization=acme, organizations=(acme,)
        )

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        ends = NOW + datetime.timedelta(days=3_650)
        return AccessToken(value=token(), organization_id=organization_id, expires_at=ends)


@contextlib.asynccontextmanager
async def gated(database_url: str, folder: Path) -> AsyncIterator[str]:
    """A gate before a development Electric; yields its address."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(SCHEMA)
    await connection.close()
    policy = folder / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    settings = ElectricSettings(long_poll_seconds=1.0, sse_seconds=0.2)
    async with DevElectric.open(database_url=database_url, secret=None, settings=settings) as electric:
        config = ProxyConfig(
            electric_url=URL(electric.url),
            electric_secret=None,
            issuers=(issuer_config(),),
            policy_path=policy,
            port=0,
        )
        async with open_proxy(config, load_policy(config), observer=Recorder(), clock=NOW.timestamp) as url:
            yield str(url)


async def write(database_url: str, pairs: list[int], chance: random.Random) -> None:
    """Change whole pairs, in transactions that overlap; a pair that was deleted never comes back."""
    connection = await asyncpg.connect(database_url)
    try:
        for _ in range(TRANSACTIONS):
            async with connection.transaction():
                for pair in sorted(chance.sample(pairs, 2)):
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", pair)
                    await change(connection, pairs, pair, chance)
                    await connection.execute("SELECT pg_sleep($1)", chance.random() / 200)
    finally:
        await connection.close()


async def change(connection: asyncpg.Connection, pairs: list[int], pair: int, chance: random.Random) -> None:
    version = await connection.fetchval("SELECT nextval('versions')")
    match chance.randrange(6):
        case 0:
            await connection.execute("DELETE FROM items WHERE pair = $1", pair)
        case 1:
            pairs.append(new := max(pairs) + 1)
            await connection.execute(
                f"INSERT INTO items SELECT 2 * $1::int + i, '{ACME}', $1, $2, 'new' "
                "FROM generate_series(0, 1) i",
                new,
                version,
            )
        case 2:
            await connection.execute("UPDATE items SET note = $2 WHERE pair = $1", pair, f"note {version}")
        case _:
            await connection.execute("UPDATE items SET version = $2 WHERE pair = $1", pair, version)


class Witness:
    """What a reader sees of the table; every look is compared with the one before."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.gone: set[int] = set()

    def look(self, session: Session) -> None:
        rows = held(session)
        self.gone |= self.rows.keys() - rows.keys()
        assert not self.gone & rows.keys(), "a deleted row came back"
        for row, (pair, version, _) in rows.items():
            other = rows.get(row ^ 1)
            assert other is not None, "half of a transaction"
            assert other[:2] == (pair, version), "half of a transaction"
            assert version >= self.rows.get(row, (0, 0, ""))[1], "a row went back in time"
        self.rows = rows

    @contextlib.asynccontextmanager
    async def watching(self, session: Session) -> AsyncIterator[None]:
        """Look at every commit within the block."""
        task = asyncio.create_task(self._watch(session))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self, session: Session) -> None:
        self.look(session)
        async for batch in session.watch("items"):
            assert not batch.replaced
            self.look(session)


def held(session: Session) -> Rows:
    return {row["id"]: (row["pair"], row["version"], row["note"]) for row in session.db["items"].rows}


async def fetch(session: Session, witness: Witness, chance: random.Random) -> set[int]:
    first = chance.randrange(40)
    fetched = await session.fetch_subset(
        "items",
        where="pair >= $1 AND pair < $2",
        params=[str(first), str(first + 10)],
        order_by="id DESC",
        timeout=20,
    )
    witness.look(session)
    keys = {key for (key,) in fetched.keys if isinstance(key, int)}
    assert len(keys) == len(fetched)
    return keys


@contextlib.asynccontextmanager
async def writing(database_url: str, chance: random.Random) -> AsyncIterator[asyncio.Task[None]]:
    """Several writers at work; the task ends with the last of them."""
    pairs = list(range(30))
    seeds = [random.Random(chance.random()) for _ in range(WRITERS)]  # noqa: S311  # a test's

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as writers:
            for seed in seeds:
                writers.create_task(write(database_url, pairs, seed))

    task = asyncio.create_task(all_of_them())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def postgres_rows(database_url: str, session: Session) -> Rows:
    """Wait until all that was written is here, and read what Postgres has then."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            txid = await connection.fetchval("SELECT pg_current_xact_id()::xid::text::bigint")
            await connection.execute(
                f"INSERT INTO items VALUES (100000, '{ACME}', 50000, 0), (100001, '{ACME}', 50000, 0)"
            )
        assert await session.acknowledged("items", txid, timeout=20)
        found = await connection.fetch("SELECT * FROM items WHERE organization_id = $1", ACME)
        return {row["id"]: (row["pair"], row["version"], row["note"]) for row in found}
    finally:
        await connection.close()


@pytest.mark.parametrize("replica", list(Replica), ids=lambda replica: replica.value)
@pytest.mark.parametrize("mode", list(LiveMode), ids=lambda mode: mode.value)
async def test_C_47_I_01_fetched_rows_are_those_of_postgres_whatever_is_written_meanwhile(
    database_url: str, tmp_path: Path, mode: LiveMode, replica: Replica
) -> None:
    chance = random.Random(f"{mode} {replica}")  # noqa: S311  # a test's
    witness, fetched = Witness(), set[int]()
    definition = ShapeDefinition(table="items", log=LogMode.CHANGES_ONLY, replica=replica)
    settings = ClientSettings(live_mode=mode)
    async with gated(database_url, tmp_path) as url, writing(database_url, chance) as writers:
        for run in range(RUNS):
            async with Session.open(
                url, GateCredentials(), home=tmp_path / "home", settings=settings
            ) as session:
                await session.subscribe(definition)
                await session.up_to_date(timeout=20)
                async with witness.watching(session):
                    for _ in range(FETCHES):
                        both = (fetch(session, witness, chance) for _ in range(2))
                        fetched.update(*await asyncio.gather(*both))
                    if run == RUNS - 1:
                        await writers
                        real = await postgres_rows(database_url, session)
                        here = held(session)
        assert here == {row: real.get(row) for row in here}
        assert fetched & real.keys() <= here.keys()
        assert len(fetched) > 20
        assert witness.gone
