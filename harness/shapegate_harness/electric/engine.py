"""The followed shapes, and the task that feeds them from the replication stream.

A transaction is appended to all shapes before anyone who waits is woken, so every answer is a state that
Postgres had. When the connection is lost, so is the temporary slot and with it history: all shapes are
retired (409 for their handles), requests are Unavailable until Postgres is back, and new shapes begin
with new snapshots.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, assert_never

import asyncpg

from shapegate_harness.electric.alignment import aligned
from shapegate_harness.electric.catalogue import partitions_now, tables_now
from shapegate_harness.electric.creation import create
from shapegate_harness.electric.database import Database, translated
from shapegate_harness.electric.errors import (
    ElectricError,
    Failed,
    Misconfigured,
    Unavailable,
    Unreachable,
)
from shapegate_harness.electric.feed import Append, Bounds, Effect, NeedsSnapshot, Retire, effects
from shapegate_harness.electric.partitions import have_partitions, roots, with_roots
from shapegate_harness.electric.reader import Reader, open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence

    from shapegate_harness.electric.query import Asked
    from shapegate_harness.electric.relation import Partition
    from shapegate_harness.electric.settings import ElectricSettings
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.transaction import Transaction
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.visibility import Visibility

logger = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = 0.1
_BACKOFF_SECONDS_MAX: Final = 2.0
_RECENT_MAX: Final = 4_096
"""Transactions remembered after they were read: more than wait between log and visibility at any time."""
_AWAY: Final = "Timeout waiting for Postgres lock acquisition"
"""What Electric says while Postgres is away (recorded)."""
_AWAY_RETRY_SECONDS: Final = 5


class Engine:
    """Follows one database; started and stopped once."""

    def __init__(self, database_url: str, settings: ElectricSettings) -> None:
        self._settings = settings
        self._database = Database(database_url, settings)
        self._shapes: dict[ShapeDefinition, Shape] = {}
        """By the last request, oldest first."""
        self._creating: dict[ShapeDefinition, asyncio.Future[Shape]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Lock()
        self._recent: deque[int] = deque(maxlen=_RECENT_MAX)
        self._active = asyncio.Event()
        self._last_handle_us = 0
        self.last_lsn = 0
        """Position of the last transaction; every shape has it."""

    @property
    def active(self) -> bool:
        """Whether the stream is being read."""
        return self._active.is_set()

    @property
    def database(self) -> Database:
        """Where rows are read on demand."""
        return self._database

    def knows(self, handle: str) -> bool:
        """Tell whether a handle is that of a followed shape."""
        return any(shape.handle == handle and not shape.retired for shape in self._shapes.values())

    async def start(self) -> None:
        """Begin to follow; return after the first attempt, also if Postgres is not there yet.

        Raises Misconfigured or Failed if Postgres is there and will not have it.
        """
        tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spawn(self._run(tried))
        await tried

    async def stop(self) -> None:
        """End all tasks and connections; idempotent."""
        self._active.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._retire(self._shapes.values())
        await self._database.close()

    async def shape(self, asked: Asked) -> Shape:
        """Find the shape of a definition, or begin to follow it.

        Raises Rejected, Failed, and Unavailable if Postgres is away.
        """
        await self._wait_until_active()
        shape = self._shapes.pop(asked.definition, None)
        if shape is not None and not shape.retired:
            self._shapes[asked.definition] = shape
            return shape
        started = self._creating.get(asked.definition)
        if started is None:
            started = self._creating[asked.definition] = asyncio.get_running_loop().create_future()
            self._spawn(self._create(asked, started))
        return await asyncio.shield(started)

    async def _wait_until_active(self) -> None:
        try:
            async with asyncio.timeout(self._settings.ready_seconds):
                await self._active.wait()
        except TimeoutError as exc:
            raise self.away() from exc

    def away(self) -> Unavailable:
        """Make the answer for requests while Postgres is away."""
        return Unavailable(_AWAY, retry_after_seconds=_AWAY_RETRY_SECONDS)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _create(self, asked: Asked, started: asyncio.Future[Shape]) -> None:
        # Whoever asked may be gone; then nobody takes the exception.
        started.add_done_callback(lambda done: done.cancelled() or done.exception())
        failure: ElectricError = self.away()
        try:
            await create(self._database, asked, self, self._settings, started)
        except ElectricError as exc:
            failure = exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            logger.warning("a shape could not be made", exc_info=True)
            failure = Unavailable("Shape creation failed", retry_after_seconds=1)
        finally:
            self._creating.pop(asked.definition, None)
            if not started.done():
                started.set_exception(failure if not isinstance(failure, Unreachable) else self.away())

    @asynccontextmanager
    async def standstill(self) -> AsyncIterator[None]:
        """Keep the stream from being read within. Raises Unavailable if nobody reads it."""
        async with self._reading:
            if not self.active:
                raise self.away()
            yield

    def has_read_beyond(self, snapshot: Visibility) -> bool:
        """Tell whether a transaction was read already that the snapshot does not see."""
        return not all(snapshot.sees(xid) for xid in self._recent)

    def adopt(self, shape: Shape) -> None:
        """Follow a shape from here on; the one that was asked for longest ago may have to go."""
        self._creating.pop(shape.definition, None)
        self._shapes[shape.definition] = shape
        if len(self._shapes) > self._settings.shapes_max:
            self._shapes.pop(next(iter(self._shapes))).retire()

    def new_handle(self, digest: int) -> str:
        """Make a handle that was never used before (Electric SPEC S0)."""
        self._last_handle_us = max(self._last_handle_us + 1, int(self._settings.now() * 1_000_000))
        return f"{digest}-{self._last_handle_us}"

    async def _run(self, tried: asyncio.Future[None]) -> None:
        """Follow the stream for ever, from the start again whenever it is lost."""
        backoff = _BACKOFF_SECONDS
        while True:
            try:
                async with open_reader(self._database, self._settings) as reader:
                    self.last_lsn = reader.start_lsn
                    self._recent.clear()
                    self._active.set()
                    backoff = _BACKOFF_SECONDS
                    if not tried.done():
                        tried.set_result(None)
                    await self._follow(reader)
            except Exception as exc:  # the boundary: a reader that died would leave stale shapes
                await self._lose()
                if not tried.done():
                    if isinstance(exc, Misconfigured | Failed):
                        tried.set_exception(exc)
                        return
                    tried.set_result(None)
                known = isinstance(
                    exc, (ElectricError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
                )
                logger.warning(
                    "the replication stream is lost (%s); trying again", exc, exc_info=None if known else exc
                )
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _BACKOFF_SECONDS_MAX)

    async def _lose(self) -> None:
        """Retire every shape: what was committed meanwhile is in no slot."""
        self._active.clear()
        async with self._reading:
            self._retire(self._shapes.values())
            self._shapes.clear()

    async def _follow(self, reader: Reader) -> None:
        clock = asyncio.get_running_loop().time
        check_at, unchecked = 0.0, False
        while True:
            if await reader.wait():
                unchecked = True
                async with self._reading:
                    await self._read_all(reader)
            if unchecked and clock() >= check_at:
                await self._check_tables(reader)
                check_at, unchecked = clock() + self._settings.table_check_seconds, False

    async def _read_all(self, reader: Reader) -> None:
        more = True
        while more:
            transactions, more = await reader.read()
            while transactions:
                transactions = await self._feed(reader, transactions)

    async def _feed(self, reader: Reader, transactions: Sequence[Transaction]) -> tuple[Transaction, ...]:
        """Feed a batch to all shapes; return what was read beside it and comes next."""
        with translated():
            found = await self._effects(reader, transactions)
            if not any(isinstance(effect, NeedsSnapshot) for effect in found):
                self._take(transactions, found)
                return ()
            async with aligned(reader, transactions, tuple(self._recent)) as batch:
                found = await self._effects(reader, batch.transactions, batch.snapshot)
        self._take(batch.transactions, found)
        return batch.later

    async def _effects(
        self, reader: Reader, transactions: Sequence[Transaction], snapshot: Visibility | None = None
    ) -> list[Effect]:
        shapes = [shape for shape in self._shapes.values() if not shape.retired]
        now = await self._partitions_now(reader, shapes)
        moved = [shape for shape in shapes if not have_partitions(shape.relations, now)]
        shapes = [shape for shape in shapes if shape not in moved]
        transactions = with_roots(transactions, roots(each for shape in shapes for each in shape.relations))
        bounds = Bounds(filter_seconds=self._settings.filter_seconds, members_max=self._settings.members_max)
        found = await effects(reader.work, shapes, transactions, bounds, snapshot=snapshot)
        return [*map(Retire, moved), *found]

    def _take(self, transactions: Sequence[Transaction], found: Sequence[Effect]) -> None:
        """Let everything take place, without a pause: nobody sees a part of it."""
        self._recent.extend(transaction.xid for transaction in transactions)
        self.last_lsn = transactions[-1].lsn
        for effect in found:
            self._apply(effect)
        for effect in found:
            effect.shape.announce()
        self.make_room()

    def _apply(self, effect: Effect) -> None:
        match effect:
            case Append(shape, new, deltas):
                shape.append(new)
                for members, delta in deltas:
                    members.apply(delta)
                if shape.log.change_bytes > self._settings.log_bytes_max:
                    self._retire((shape,))
            case Retire(shape) | NeedsSnapshot(shape):
                # Where no snapshot fits, what moves in cannot be known.
                self._retire((shape,))
            case _:
                assert_never(effect)

    async def _partitions_now(
        self, reader: Reader, shapes: Iterable[Shape]
    ) -> dict[int, tuple[Partition, ...]]:
        found = roots(relation for shape in shapes for relation in shape.relations)
        return await partitions_now(reader.work, [root.oid for root in found])

    async def _check_tables(self, reader: Reader) -> None:
        """Retire shapes whose table was dropped or renamed, or has another key: that writes no row."""
        shapes = tuple(self._shapes.values())
        if not shapes:
            return
        with translated():
            now = await tables_now(
                reader.work, {relation.oid for shape in shapes for relation in shape.relations}
            )
            partitions = await self._partitions_now(reader, shapes)
        self._retire(
            shape
            for shape in shapes
            if not have_partitions(shape.relations, partitions)
            or any(
                now.get(relation.oid) != (relation.table, relation.primary_key)
                for relation in shape.relations
            )
        )

    def make_room(self) -> None:
        """Retire the shapes asked for longest ago until all logs fit; the last one asked for stays."""
        held = sum(shape.log.bytes_held for shape in self._shapes.values())
        for shape in tuple(self._shapes.values())[:-1]:
            if held <= self._settings.logs_bytes_max_total:
                return
            held -= shape.log.bytes_held
            self._retire((shape,))

    def _retire(self, shapes: Iterable[Shape]) -> None:
        """End shapes and let go of their logs."""
        for shape in tuple(shapes):
            shape.retire()
            if self._shapes.get(shape.definition) is shape:
                del self._shapes[shape.definition]
