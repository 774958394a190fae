"""The replication stream: a temporary slot, read over ordinary connections.

A temporary slot is dropped with its session, and by Postgres on any error in it. So nothing but the slot is
used on that connection; filters and look-ups have the second one. When either is lost, history is lost:
whoever follows must begin again with new snapshots.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.catalogue import create_publication
from shapegate_harness.electric.database import Database, close, translated
from shapegate_harness.electric.decoder import decode
from shapegate_harness.electric.errors import Misconfigured, Unreachable
from shapegate_harness.electric.transaction import Transaction, assemble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.electric.settings import ElectricSettings

_CREATE_SLOT: Final = """
    SELECT (lsn - '0/0')::int8 FROM pg_create_logical_replication_slot($1, 'pgoutput', temporary := true)
"""
_DROP_SLOT: Final = """
    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1
"""
# Postgres itself watches its log, so that a commit is noticed within 3 ms at the cost of 1 % of a core and
# none of Python's. CASE, unlike OR, promises the order of evaluation.
_AWAIT_WAL: Final = """
    SELECT (pg_current_wal_flush_lsn() - '0/0')::int8 FROM generate_series(1, 300)
    WHERE CASE WHEN (pg_current_wal_flush_lsn() - '0/0') > $1::int8 THEN true
               ELSE pg_sleep(0.003) IS NULL END
    LIMIT 1
"""
_READ: Final = """
    SELECT data FROM pg_logical_slot_get_binary_changes(
        $1, NULL, $2, 'proto_version', '1', 'publication_names', $3)
"""
_MESSAGES_PER_READ: Final = 20_000
"""A read ends with the transaction that reaches this."""
_MESSAGES_PER_TURN: Final = 2_000
"""Messages decoded before other tasks have a turn."""
_SLOT_SECONDS: Final = 30.0
"""A slot is ready when all transactions that write at its creation have ended."""
_WAIT_SECONDS_MAX: Final = 10.0
_READ_SECONDS_MAX: Final = 120.0
_DROP_SECONDS_MAX: Final = 2.0
_PAGE_BYTES: Final = 8_192
_PAGE_HEAD_BYTES_MAX: Final = 40
"""Postgres: XLOG_BLCKSZ, SizeOfXLogLongPHD."""


class Reader:
    """An open slot and what was read from it; made by `open_reader`."""

    def __init__(
        self,
        *,
        slot: str,
        publication: str,
        start_lsn: int,
        stream: asyncpg.Connection[asyncpg.Record],
        work: asyncpg.Connection[asyncpg.Record],
    ) -> None:
        self._slot = slot
        # pgoutput splits this option as a list of identifiers (Postgres: SplitIdentifierString).
        self._publications = '"' + publication.replace('"', '""') + '"'
        self._stream = stream
        self._read_to = start_lsn
        self.start_lsn = start_lsn
        self.work = work
        """A connection for statements that may fail."""

    async def wait(self) -> bool:
        """Wait about a second for Postgres to write; say whether it did. Raises Unreachable."""
        with translated():
            lsn = await self._stream.fetchval(_AWAIT_WAL, self._read_to, timeout=_WAIT_SECONDS_MAX)
        if lsn is None:
            return False
        self._read_to = lsn
        return True

    async def read(self) -> tuple[tuple[Transaction, ...], bool]:
        """Take whole transactions off the stream, and say whether there may be more.

        Raises Unreachable, DecoderError, and asyncpg.PostgresError where the slot or publication is gone.
        """
        with translated():
            rows = await self._stream.fetch(
                _READ, self._slot, _MESSAGES_PER_READ, self._publications, timeout=_READ_SECONDS_MAX
            )
        messages = []
        for index, row in enumerate(rows):
            if index % _MESSAGES_PER_TURN == _MESSAGES_PER_TURN - 1:
                await asyncio.sleep(0)
            messages.append(decode(row["data"]))
        return assemble(messages), len(rows) >= _MESSAGES_PER_READ

    async def read_to(self, lsn: int) -> tuple[Transaction, ...] | None:
        """Take everything off the stream that was written before a position.

        None if Postgres does not flush that far within a second: a transaction that does not wait for its
        commit, as synchronous_commit = off allows. Raises as `read`.
        """
        # The end of the log may lie behind the head of a page that nothing was written to yet.
        reached = lsn - lsn % _PAGE_BYTES if lsn % _PAGE_BYTES <= _PAGE_HEAD_BYTES_MAX else lsn
        with translated():
            flushed = await self._stream.fetchval(_AWAIT_WAL, reached - 1, timeout=_WAIT_SECONDS_MAX)
        if flushed is None:
            return None
        found: list[Transaction] = []
        more = True
        while more:
            transactions, more = await self.read()
            found += transactions
        return tuple(found)


@asynccontextmanager
async def open_reader(database: Database, settings: ElectricSettings) -> AsyncIterator[Reader]:
    """Create the slot, and drop it at the end.

    Raises Unreachable if Postgres does not answer, Misconfigured if it does not allow this, Failed if there
    is no publication and none can be made.
    """
    # The slot comes after the publication: pgoutput looks it up as of the change that it decodes.
    async with database.session() as connection:
        await create_publication(connection, settings.publication)
    slot = f"shapegate_dev_{secrets.token_hex(8)}"
    stream = await database.connect(statement_seconds=0.0)
    try:
        work = await database.connect(statement_seconds=settings.filter_seconds)
        try:
            yield Reader(
                slot=slot,
                publication=settings.publication,
                start_lsn=await _create_slot(stream, slot),
                stream=stream,
                work=work,
            )
        finally:
            await close(work)
    finally:
        await _drop_slot(stream, slot)
        await close(stream)


async def _create_slot(stream: asyncpg.Connection[asyncpg.Record], slot: str) -> int:
    try:
        with translated():
            lsn = await stream.fetchval(_CREATE_SLOT, slot, timeout=_SLOT_SECONDS)
    except Unreachable as exc:
        if not isinstance(exc.__cause__, TimeoutError):
            raise
        raise Unreachable(
            f"no replication slot within {_SLOT_SECONDS:.0f} s: a transaction that writes stays open"
        ) from exc
    except asyncpg.ObjectNotInPrerequisiteStateError as exc:
        raise Misconfigured(f"Postgres has no logical replication ({exc}): set wal_level = logical") from exc
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Misconfigured(f"the role may not replicate ({exc}): give it the attribute REPLICATION") from exc
    except asyncpg.ConfigurationLimitExceededError as exc:
        raise Misconfigured(f"no replication slot is free ({exc}): raise max_replication_slots") from exc
    assert isinstance(lsn, int)
    return lsn


async def _drop_slot(stream: asyncpg.Connection[asyncpg.Record], slot: str) -> None:
    """End the slot before its session ends: until then it keeps its database from being dropped."""
    # Where this fails the session is lost, and the slot with it.
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        await stream.fetch(_DROP_SLOT, slot, timeout=_DROP_SECONDS_MAX)
