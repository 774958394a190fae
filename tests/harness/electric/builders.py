"""Bytes of pgoutput, tables, and a tiny client that folds a shape's log."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import asyncpg

from shapegate_harness.electric import DevElectric, ElectricSettings
from shapegate_harness.electric.relation import Relation, RelationColumn
from shapegate_wire.identifier import TableName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from shapegate_harness.electric.decoder import Values

TEN_SECONDS = 10.0
INT8, TEXT = 20, 25


# --- the stream


def begin(lsn: int, xid: int) -> bytes:
    return b"B" + struct.pack("!QqI", lsn, 0, xid)


def commit(lsn: int) -> bytes:
    return b"C" + struct.pack("!BQQq", 0, lsn, lsn + 8, 0)


def described(
    oid: int, schema: str, name: str, columns: Mapping[str, tuple[int, int]], identity: bytes = b"f"
) -> bytes:
    head = b"R" + struct.pack("!I", oid) + schema.encode() + b"\0" + name.encode() + b"\0" + identity
    body = b"".join(
        b"\1" + column.encode() + b"\0" + struct.pack("!Ii", *types) for column, types in columns.items()
    )
    return head + struct.pack("!H", len(columns)) + body


def row(values: Values) -> bytes:
    printed = struct.pack("!H", len(values))
    for value in values:
        if value is None:
            printed += b"n"
        elif isinstance(value, str):
            printed += b"t" + struct.pack("!I", len(value.encode())) + value.encode()
        else:
            printed += b"u"
    return printed


def insert(oid: int, new: Values) -> bytes:
    return b"I" + struct.pack("!I", oid) + b"N" + row(new)


def update(oid: int, new: Values, *, old: Values | None = None, kind: bytes = b"O") -> bytes:
    before = b"" if old is None else kind + row(old)
    return b"U" + struct.pack("!I", oid) + before + b"N" + row(new)


def delete(oid: int, old: Values, kind: bytes = b"O") -> bytes:
    return b"D" + struct.pack("!I", oid) + kind + row(old)


def truncate(*oids: int) -> bytes:
    return b"T" + struct.pack(f"!iB{len(oids)}I", len(oids), 0, *oids)


# --- tables


def column(name: str, type_name: str = "text", **more: object) -> RelationColumn:
    return RelationColumn(
        name=name,
        type_oid=TEXT,
        type_mod=int(str(more.get("type_mod", -1))),
        type_name=type_name,
        sql_type=type_name,
        dims=int(str(more.get("dims", 0))),
        not_null=bool(more.get("not_null", False)),
        pk_index=None if more.get("pk_index") is None else int(str(more["pk_index"])),
    )


def relation(*columns: RelationColumn, oid: int = 1) -> Relation:
    return Relation(oid=oid, table=TableName("public", "t"), columns=columns)


# --- HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def messages(self) -> list[dict[str, object]]:
        """The body as a log."""
        loaded = json.loads(self.text)
        assert isinstance(loaded, list)
        return loaded


class Caller:
    """Asks one development Electric."""

    def __init__(self, electric: DevElectric, session: aiohttp.ClientSession) -> None:
        self.electric = electric
        self._session = session

    async def get(
        self,
        query: Mapping[str, str] | None = None,
        *,
        path: str = "/v1/shape",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Got:
        url = self.electric.url + path
        async with self._session.request(method, url, params=query, headers=headers, data=body) as response:
            return Got(status=response.status, headers=response.headers, text=await response.text())

    async def held(self, query: Mapping[str, str]) -> asyncio.Task[Got]:
        """Send a live request and return once the server waits with it."""
        before = self.electric.held_requests
        task = asyncio.create_task(self.get({**query, "live": "true"}))
        await until(lambda: task.done() or self.electric.held_requests > before)
        return task


@dataclass(slots=True)
class Follower:
    """A shape's rows as a client has them after each up-to-date."""

    caller: Caller
    query: Mapping[str, str]
    rows: dict[str, dict[str, str | None]] = field(default_factory=dict)
    position: dict[str, str] = field(default_factory=lambda: {"offset": "-1"})
    lsn: int = 0

    async def catch_up(self) -> None:
        """Follow to the next up-to-date."""
        while True:
            got = await self.caller.get({**self.query, **self.position})
            if self.take(got):
                return

    async def reach(self, lsn: int) -> None:
        """Follow until everything up to an LSN is folded in."""
        async with asyncio.timeout(60):
            while self.lsn < lsn:
                await self.catch_up()

    def take(self, got: Got) -> bool:
        """Fold one answer; say whether it ends up to date."""
        if got.status == 409:
            self.rows.clear()
            self.position = {"offset": "-1"}
            return False
        assert got.status == 200, got.text
        for message in got.messages:
            self.fold(message)
        self.position = {"offset": got.headers["electric-offset"], "handle": got.headers["electric-handle"]}
        return "electric-up-to-date" in got.headers

    def fold(self, message: dict[str, object]) -> None:
        """Fold one message in."""
        headers = message["headers"]
        assert isinstance(headers, dict)
        if headers.get("control") == "up-to-date":
            self.lsn = int(headers["global_last_seen_lsn"])
        if "operation" not in headers:
            return
        key, value = message["key"], message["value"]
        assert isinstance(key, str)
        assert isinstance(value, dict)
        match headers["operation"]:
            case "insert":
                self.rows[key] = value
            case "update":
                self.rows[key] = self.rows[key] | value
            case "delete":
                self.rows.pop(key)


@asynccontextmanager
async def open_caller(
    database_url: str, settings: ElectricSettings | None = None, secret: str | None = None
) -> AsyncIterator[Caller]:
    """Serve a database and ask the server."""
    async with (
        DevElectric.open(
            database_url=database_url, secret=secret, settings=settings or ElectricSettings()
        ) as electric,
        aiohttp.ClientSession() as session,
    ):
        yield Caller(electric, session)


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as an application would."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(holds: Callable[[], bool]) -> None:
    """Give other tasks turns until something holds."""
    async with asyncio.timeout(TEN_SECONDS):
        while not holds():  # noqa: ASYNC110  # the server has no event for what only tests wait for
            await asyncio.sleep(0)


async def commit_lsn(connection: asyncpg.Connection) -> int:
    """Commit a change of the table `tick` and return a position that is past all commits before."""
    before = await connection.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0')::int8")
    await connection.execute("INSERT INTO tick DEFAULT VALUES")
    return int(before)
