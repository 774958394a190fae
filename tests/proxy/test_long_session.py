"""An hour of one client's live polls, with time injected: nothing of its position is ever touched."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
from aiohttp import web

from shapegate_proxy.config import Secret
from shapegate_schema.migrate import migrate
from shapegate_schema.roles import set_login
from shapegate_schema.seed import seed
from tests.proxy.builders import Gate, bearer, gate

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.postgres import EmbeddedPostgres

POLL = timedelta(seconds=20)
LIFE = timedelta(minutes=5)
SCHEMA = '{"id":{"type":"uuid","pk_index":0}}'
UP_TO_DATE = {"headers": {"control": "up-to-date", "global_last_seen_lsn": "1"}}
POSITION = ("offset", "handle", "cursor", "live")


@dataclass
class Log:
    """The Electric of this test: a log that grows when the test writes; live requests are not held."""

    writes: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    """The positions that were asked for, in order."""
    cursor: int = 0
    hold: asyncio.Event | None = None
    """If set, live requests are held for ever, and it says that one is."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        self.seen.append({name: query[name] for name in POSITION if name in query})
        if self.hold is not None and "live" in query:
            self.hold.set()
            await asyncio.Event().wait()
        known = 0 if query["offset"] == "-1" else int(query["offset"].split("_")[1])
        news: list[object] = [
            {"key": id_, "value": {"id": id_}, "headers": {"operation": "insert"}}
            for id_ in self.writes[known:]
        ]
        self.cursor += 20
        headers = {
            "content-type": "application/json; charset=utf-8",
            "electric-handle": "17-1795210900000000",
            "electric-offset": f"1_{len(self.writes)}",
            "electric-has-data": "true" if news else "false",
            "electric-up-to-date": "",
        }
        headers |= {"electric-cursor": str(self.cursor)} if "live" in query else {"electric-schema": SCHEMA}
        return web.Response(body=json.dumps([*news, UP_TO_DATE]), headers=headers)


@dataclass
class Client:
    """A client as the protocol describes it: it echoes what it got."""

    running: Gate
    http: aiohttp.ClientSession
    token: dict[str, str]
    position: dict[str, str] = field(default_factory=lambda: {"offset": "-1"})
    answered: list[dict[str, str]] = field(default_factory=list)
    """The positions that were asked for with success, in order."""
    rows: list[str] = field(default_factory=list)

    async def poll(self) -> int:
        """Ask once; take the answer if it is one."""
        url = self.running.url / "v1/shape"
        query = {"table": "items"} | self.position
        async with self.http.get(url, params=query, headers=self.token) as answer:
            if answer.status == 200:
                self.answered.append(self.position)
                self.rows += [message["key"] for message in await answer.json() if "key" in message]
                self.position = {
                    "offset": answer.headers["electric-offset"],
                    "handle": answer.headers["electric-handle"],
                    "live": "true",
                    "cursor": answer.headers.get("electric-cursor", ""),
                }
            return answer.status


class Login:
    """A member of an org in a real database; logs in and refreshes tokens."""

    def __init__(self, database: asyncpg.Connection, user: str, org: str) -> None:
        self._database, self._user, self._org = database, user, org
        self._session = ""

    async def login(self) -> None:
        self._session = str(uuid.uuid4())
        await self._database.execute(
            "INSERT INTO shapegate_auth.sessions (jti, family_id, user_id, organization_id, expires_at) "
            "VALUES ($1::text::uuid, gen_random_uuid(), $2::text::uuid, $3::text::uuid, now() + '1 hour')",
            self._session,
            self._user,
            self._org,
        )

    async def revoke(self) -> None:
        await self._database.execute(
            "UPDATE shapegate_auth.sessions SET revoked_at = now() WHERE jti = $1", uuid.UUID(self._session)
        )

    def token(self, running: Gate) -> dict[str, str]:
        """A token of five minutes."""
        now = int(running.clock.now.timestamp())
        return bearer(
            sub=self._user,
            jti=self._session,
            organization_id=self._org,
            iat=now,
            exp=now + int(LIFE.total_seconds()),
        )


async def test_P_19_P_46_T_09_an_hour_of_live_polls_keeps_its_position(
    database_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    await migrate(database_url)
    await seed(database_url)
    await set_login(database_url, "shapegate_proxy", "password")
    gate_url = postgres.url(database_url.rpartition("/")[2], "shapegate_proxy", "password")
    database = await asyncpg.connect(database_url)
    member = await database.fetchrow("SELECT user_id::text, organization_id::text FROM memberships LIMIT 1")
    assert member is not None
    login, log = Login(database, *member), Log()
    await login.login()
    async with (
        gate(log.answer, tmp_path, database_url=Secret(gate_url)) as running,
        aiohttp.ClientSession() as http,
    ):
        client = Client(running, http, login.token(running))
        refused: list[tuple[int, int]] = []
        for minute in range(60):
            if not 44 <= minute < 50:  # the client forgets to refresh: its token expires
                client.token = login.token(running)
            if minute == 30:
                refused += [(minute, await end_while_held(client, login, log))]
                refused += [(minute, await client.poll())]
                await login.login()
                client.token = login.token(running)
            for _ in range(3):
                if minute % 7 == 0:
                    log.writes.append(str(uuid.uuid4()))
                status = await client.poll()
                if status != 200:
                    refused.append((minute, status))
                running.clock.now += POLL
                running.ticks.now += POLL.total_seconds()
    await database.close()
    assert refused == [(30, 401)] * 2 + [(48, 401)] * 2 + [(49, 401)] * 3  # 10 s of leeway
    assert log.seen == client.answered
    assert len(log.seen) == 180 - 5
    assert client.rows == log.writes
    assert len(log.writes) == 27


async def end_while_held(client: Client, login: Login, log: Log) -> int:
    """Revoke the session while Electric holds its request; returns what the client got."""
    log.hold = asyncio.Event()
    polling = asyncio.create_task(client.poll())
    await asyncio.wait_for(log.hold.wait(), 5)
    log.hold = None
    assert log.seen.pop() == client.position
    await login.revoke()
    return await asyncio.wait_for(polling, 5)
