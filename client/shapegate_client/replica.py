"""One org in use: its store, a read connection, and a sync task for each subscribed shape."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from shapegate_client.ddl import local_name
from shapegate_client.errors import ClientError, NotSubscribed, ShapeConflict, SubsetNotFetched
from shapegate_client.home import owner_of
from shapegate_client.status import ShapeProgress
from shapegate_client.store import Store
from shapegate_client.subset import FetchedSubset
from shapegate_client.sync import ShapeSync
from shapegate_client.transport import Transport
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    import aiohttp
    from sqlite_utils import Database
    from yarl import URL

    from shapegate_client.catalogue import StoredShape
    from shapegate_client.clock import Clock
    from shapegate_client.config import ClientSettings
    from shapegate_client.home import Home
    from shapegate_client.principal import Credentials, Principal
    from shapegate_client.state import Position
    from shapegate_client.watch import CommittedBatch
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.subset import SubsetRequest

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every org of a session shares."""

    home: Home
    proxy_url: URL
    credentials: Credentials
    http: aiohttp.ClientSession
    clock: Clock
    settings: ClientSettings


class ReplicaReport(Protocol):
    """Who hears how an org's shapes are doing; `generation` tells an org in use from one that was left."""

    def committed(self, generation: int, batch: CommittedBatch) -> None:
        """Rows moved."""
        ...

    def progressed(self, generation: int) -> None:
        """A shape's progress changed."""
        ...

    def ended(self, generation: int, table: str, error: ClientError | None) -> None:
        """A table is synced no more: unsubscribed, or stopped by an error."""
        ...


@dataclass(slots=True)
class _Running:
    definition: ShapeDefinition
    progress: ShapeProgress
    sync: ShapeSync | None = None
    task: asyncio.Task[None] | None = None
    fetches: set[asyncio.Task[CommittedBatch]] = field(default_factory=set)
    """Subsets that are being fetched; they end with the sync."""


class Replica:
    """One org in use. Made by `open`, ended by `close`."""

    def __init__(
        self, tools: Tools, principal: Principal, generation: int, store: Store, report: ReplicaReport
    ) -> None:
        """Only `open` calls this."""
        self.principal = principal
        self.generation = generation
        self.store = store
        self.db: Database = store.reader()
        self._tools = tools
        self._report = report
        self._transport = Transport(
            tools.http,
            tools.proxy_url,
            principal.organization.id,
            settings=tools.settings,
            clock=tools.clock,
        )
        self._running: dict[str, _Running] = {}

    @classmethod
    async def open(
        cls, tools: Tools, principal: Principal, *, generation: int, report: ReplicaReport
    ) -> Replica:
        """Open the org's store for writing; starts nothing. Raises StoreError."""
        owner = owner_of(principal)
        store = await Store.open(tools.home.store_path(owner), owner)
        try:
            return cls(tools, principal, generation, store, report)
        except BaseException:
            await store.close()
            raise

    @property
    def definitions(self) -> tuple[ShapeDefinition, ...]:
        """What is subscribed now."""
        return tuple(running.definition for running in self._running.values())

    @property
    def progress(self) -> tuple[ShapeProgress, ...]:
        """How each subscribed shape is doing."""
        return tuple(running.progress for running in self._running.values())

    async def stored(self) -> tuple[StoredShape, ...]:
        """List what the store knows, from this run and earlier ones."""
        return await self.store.shapes()

    async def remember(self, definition: ShapeDefinition) -> None:
        """Note a subscription in the store without starting it."""
        await self.store.register(definition, str(self._tools.proxy_url))

    async def subscribe(self, definition: ShapeDefinition) -> None:
        """Start to sync a shape; one that runs is left alone, one that stopped is started again.

        Raises ShapeConflict if its table runs with another definition, UnsafeName or StoreError.
        """
        name = local_name(parse_table(definition.table))
        running = self._running.get(name)
        if running is not None and running.definition != definition:
            raise ShapeConflict(name)
        if running is not None and running.task is not None and not running.task.done():
            return
        self._running[name] = _Running(definition, ShapeProgress(table=name))
        try:
            await self._start(name)
        except BaseException:
            del self._running[name]
            raise
        self._report.progressed(self.generation)

    async def unsubscribe(self, table: str) -> None:
        """Stop to sync a table and remove its rows. Raises NotSubscribed."""
        name = local_name(parse_table(table))
        running = self._running.pop(name, None)
        if running is None:
            raise NotSubscribed(table)
        await _cancelled([running])
        await self.store.forget(running.definition)
        self._report.ended(self.generation, name, None)

    async def fetch_subset(self, table: str, subset: SubsetRequest, *, seconds: float) -> FetchedSubset:
        """Put rows into a table that are asked for on demand.

        Raises NotSubscribed, SubsetNotFetched, or what stops the sync or refuses the question.
        """
        name = local_name(parse_table(table))
        running = self._running.get(name)
        if running is None:
            raise NotSubscribed(table)
        if running.sync is None or running.task is None:
            raise SubsetNotFetched(table, "its sync does not run")
        task, fetch = running.task, asyncio.create_task(running.sync.fetch_subset(subset))
        fetch.add_done_callback(_seen)
        running.fetches.add(fetch)
        try:
            await asyncio.wait({fetch, task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            fetch.cancel()
            await asyncio.wait({fetch})
            running.fetches.discard(fetch)
        if not fetch.cancelled():
            return FetchedSubset(table=name, keys=fetch.result().inserted)
        if not task.done():
            raise SubsetNotFetched(table, f"they did not come within {seconds:g} s")
        error = running.progress.error
        raise SubsetNotFetched(table, "its sync ended meanwhile") if error is None else error

    async def quiesce(self) -> None:
        """Stop every sync and wait until it has stopped; subscriptions stay."""
        await _cancelled(list(self._running.values()))

    async def restart(self) -> None:
        """Sync again what was in step before `quiesce`."""
        for name, running in self._running.items():
            if running.progress.error is None:
                await self._start(name)

    async def close(self) -> None:
        """Stop every sync, close the read connection and the store; idempotent."""
        await self.quiesce()
        self.db.close()
        await self.store.close()

    async def _start(self, name: str) -> None:
        running = self._running[name]
        position = await self.store.register(running.definition, str(self._tools.proxy_url))
        if position is not None and running.progress.up_to_date_at is None:
            stored = await self.store.shape(name)
            running.progress.up_to_date_at = stored.committed_at if stored is not None else None
        sync = ShapeSync(
            running.definition,
            store=self.store,
            transport=self._transport,
            credentials=self._tools.credentials,
            clock=self._tools.clock,
            settings=self._tools.settings,
            report=_ShapeReport(self._report, self.generation, running.progress, self._tools.clock),
        )
        running.sync = sync
        running.task = asyncio.create_task(
            self._guard(running.progress, sync, position), name=f"shapegate-sync-{name}"
        )

    async def _guard(self, progress: ShapeProgress, sync: ShapeSync, position: Position | None) -> None:
        """The boundary of a sync task: whatever ends it becomes the shape's error."""
        try:
            await sync.run(position)
        except ClientError as exc:
            progress.error = exc
        except Exception as exc:  # noqa: BLE001  # the boundary of the loop (STYLE 16)
            _LOG.exception("the sync of %s ended by a fault of this program", progress.table)
            progress.error = ClientError(f"the sync ended by a fault of this program: {type(exc).__name__}")
        self._report.ended(self.generation, progress.table, progress.error)


class _ShapeReport:
    """Turns what a sync says into the progress of its shape."""

    def __init__(self, report: ReplicaReport, generation: int, progress: ShapeProgress, clock: Clock) -> None:
        self._report = report
        self._generation = generation
        self._progress = progress
        self._clock = clock

    def committed(self, batch: CommittedBatch) -> None:
        self._report.committed(self._generation, batch)

    def answered(self, *, up_to_date: bool) -> None:
        self._progress.reachable = True
        if up_to_date:
            self._progress.complete = True
            self._progress.up_to_date_at = self._clock.now()
        self._report.progressed(self._generation)

    def received(self, *, body_bytes: int = 0, rows: int = 0) -> None:
        self._progress.received_bytes += body_bytes
        self._progress.received_rows += rows

    def unreachable(self, reason: str) -> None:
        if self._progress.reachable:
            _LOG.info("%s: the proxy is not reachable: %s", self._progress.table, reason)
        self._progress.reachable = False
        self._progress.reason = reason
        self._report.progressed(self._generation)


def _seen(fetch: asyncio.Task[CommittedBatch]) -> None:
    """Look at an error that nobody may be there to hear of: the caller was cancelled meanwhile."""
    if not fetch.cancelled():
        fetch.exception()


async def _cancelled(running: list[_Running]) -> None:
    tasks: list[asyncio.Task[Any]] = [each.task for each in running if each.task is not None]
    tasks += [fetch for each in running for fetch in each.fetches]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for each in running:
        each.sync = each.task = None
