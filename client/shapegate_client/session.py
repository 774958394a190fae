"""A session: one user, one org at a time, its shapes in local SQLite."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from shapegate_client.clock import SystemClock
from shapegate_client.config import ClientSettings, parse_address
from shapegate_client.ddl import local_name
from shapegate_client.errors import NotSubscribed, NotUpToDate, SessionClosed
from shapegate_client.home import Home, owner_of
from shapegate_client.replica import Replica, Tools
from shapegate_client.status import Stopped, Switching, status_of
from shapegate_client.store import open_reader
from shapegate_client.switch import active_principal, log_out, recover, switch_replica
from shapegate_client.transport import open_http
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.watch import Board
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlite_utils import Database

    from shapegate_client.catalogue import StoredShape
    from shapegate_client.clock import Clock
    from shapegate_client.principal import Credentials, Principal
    from shapegate_client.status import Status
    from shapegate_client.switch import OnStep
    from shapegate_client.watch import Watcher
    from shapegate_wire.shape import ShapeDefinition


class Session:
    """A user at work in one org. Made by `open`, ended by `close`; belongs to one event loop."""

    def __init__(self, tools: Tools, replica: Replica, board: Board) -> None:
        """Only `open` and `start` call this."""
        self._tools = tools
        self._replica = replica
        self._board = board
        # Subscribing, switching and closing wait for each other.
        self._turn = asyncio.Lock()
        self._switching = False
        self._closed = False
        board.adopt(replica.generation)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        proxy_url: str,
        credentials: Credentials,
        *,
        home: Path,
        settings: ClientSettings | None = None,
        clock: Clock | None = None,
    ) -> AsyncIterator[Self]:
        """Open a session for a block; see `start`."""
        session = await cls.start(proxy_url, credentials, home=home, settings=settings, clock=clock)
        try:
            yield session
        finally:
            await session.close()

    @classmethod
    async def start(
        cls,
        proxy_url: str,
        credentials: Credentials,
        *,
        home: Path,
        settings: ClientSettings | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Open the store of the org in use; needs no network, and syncs nothing until `subscribe`.

        Whoever starts a session closes it. Raises NotLoggedIn, BadAddress, StoreLocked if another session has
        this org open, or another StoreError.
        """
        folder, url = Home(home), parse_address("proxy", proxy_url)
        settings = settings or ClientSettings()
        await recover(folder, credentials, url)
        principal = await active_principal(folder, credentials)
        board = Board(batches_max=settings.watch_batches_max)
        tools = Tools(
            home=folder,
            proxy_url=url,
            credentials=credentials,
            http=open_http(),
            clock=clock or SystemClock(),
            settings=settings,
        )
        try:
            replica = await Replica.open(tools, principal, generation=1, report=board)
        except BaseException:
            await tools.http.close()
            raise
        return cls(tools, replica, board)

    @property
    def principal(self) -> Principal:
        """Who syncs, in which org."""
        return self._replica.principal

    @property
    def status(self) -> Status:
        """How the session is doing now."""
        if self._closed:
            return Stopped(SessionClosed())
        return Switching() if self._switching else status_of(self._replica.progress)

    @property
    def db(self) -> Database:
        """A read connection to the org in use: it sees complete states only, and cannot write.

        Take it anew after a switch: the one before it is closed and can read the old org no more.
        Raises SessionClosed.
        """
        self._check_open()
        return self._replica.db

    @property
    def subscriptions(self) -> tuple[ShapeDefinition, ...]:
        """What this session keeps in step."""
        return self._replica.definitions

    async def stored(self) -> tuple[StoredShape, ...]:
        """List what lies in the store, of this session and earlier ones. Raises SessionClosed."""
        self._check_open()
        return await self._replica.stored()

    async def subscribe(self, definition: ShapeDefinition) -> None:
        """Keep a shape in step with the server, in a local table named as its table; idempotent.

        What is stored from an earlier run is readable at once. A shape that was stopped by an error is tried
        again. Raises ShapeConflict, UnsafeName, StoreError or SessionClosed.
        """
        async with self._turn:
            self._check_open()
            await self._replica.subscribe(definition)

    async def unsubscribe(self, table: str) -> None:
        """Stop to sync a table and remove its local rows. Raises NotSubscribed or SessionClosed."""
        async with self._turn:
            self._check_open()
            await uninterrupted(self._replica.unsubscribe(table))

    async def up_to_date(self, *, timeout: float = 60.0) -> None:
        """Wait until every subscribed shape has reached up-to-date in this run, since the last switch.

        Raises NotUpToDate if they do not in that many seconds, what stopped a shape if one was stopped, and
        SessionClosed.
        """

        def missing() -> list[str]:
            return [shape.table for shape in self._replica.progress if not shape.complete]

        def decided() -> bool:
            failed = any(shape.error for shape in self._replica.progress)
            return self._closed or (not self._switching and (failed or not missing()))

        if not await self._board.pulse.until(decided, timeout=timeout):
            raise NotUpToDate(tuple(missing()), timeout)
        self._check_open()
        for shape in self._replica.progress:
            if shape.error is not None:
                raise shape.error

    async def reached(self, *kinds: type[Status], timeout: float = 60.0) -> bool:
        """Wait until the status is of one of these kinds; False if it is not within that many seconds."""
        return await self._board.pulse.until(lambda: isinstance(self.status, kinds), timeout=timeout)

    def watch(self, table: str) -> Watcher:
        """Iterate over the commits to a table from now on: `async for batch in session.watch("controls")`.

        Goes on over switches: then a batch of the new org says `replaced`. Ends with the session and with
        `unsubscribe`. A watcher that lags by more than `watch_batches_max` batches gets a single one instead,
        that says `replaced`. Raises NotSubscribed; the iteration raises what stopped the table's sync.
        """
        self._check_open()
        return self._board.watch(self._subscribed(table))

    async def acknowledged(self, table: str, txid: int, *, timeout: float = 5.0) -> bool:
        """Wait until the local table holds what a transaction wrote; False if that is not known in time.

        `txid` is `pg_current_xact_id()::xid`, read inside of the transaction that wrote. A write that changed
        nothing, or no row of the shape, is never acknowledged. Raises NotSubscribed or SessionClosed.
        """
        self._check_open()
        name = self._subscribed(table)
        held = self._board.acknowledgements
        await self._board.pulse.until(lambda: self._closed or held.has(name, txid), timeout=timeout)
        self._check_open()
        return held.has(name, txid)

    async def switch(
        self, organization_id: str, *, keep: bool = True, on_step: OnStep = lambda _step: None
    ) -> Principal:
        """Leave this org for another, with the same subscriptions; without `keep` its rows are removed.

        Needs no network if a token for the org still lives. When it fails before the new org is adopted, the
        old one goes on. Raises NotAMember, Unreachable, LoginRequired, StoreError or SessionClosed.
        """
        async with self._turn:
            self._check_open()
            if organization_id == self.principal.organization.id:
                return self.principal
            self._switching = True
            self._board.pulse.beat()
            try:
                await switch_replica(
                    self._tools,
                    self._replica,
                    self._board,
                    organization_id,
                    keep=keep,
                    adopt=self._adopt,
                    on_step=on_step,
                )
            finally:
                self._switching = False
                self._board.pulse.beat()
            return self.principal

    async def logout(self, *, on_step: OnStep = lambda _step: None) -> None:
        """Remove rows, positions and tokens of this user, of every org, and close the session.

        Finished by the next session if the process dies midway. Raises StoreError or SessionClosed.
        """
        async with self._turn:
            self._check_open()
            self._closed = True
            self._board.close()
            try:
                await log_out(self._tools, self._replica, on_step=on_step)
            finally:
                await uninterrupted(self._end())

    async def close(self) -> None:
        """Stop every sync and close every file and socket; local rows stay; idempotent."""
        async with self._turn:
            if not self._closed:
                self._closed = True
                self._board.close()
                await uninterrupted(self._end())

    async def _end(self) -> None:
        await self._replica.close()
        await self._tools.http.close()

    def _adopt(self, replica: Replica) -> None:
        self._replica = replica
        self._board.adopt(replica.generation)

    def _subscribed(self, table: str) -> str:
        name = local_name(parse_table(table))
        if all(shape.table != name for shape in self._replica.progress):
            raise NotSubscribed(table)
        return name

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosed


async def open_rows(credentials: Credentials, *, home: Path) -> tuple[Principal, Database]:
    """Open the rows of the org in use for reading only, whether a session syncs them or not.

    Needs no network; the caller closes the connection. Raises NotLoggedIn, StoreMissing or StoreError.
    """
    folder = Home(home)
    principal = await active_principal(folder, credentials)
    owner = owner_of(principal)
    return principal, open_reader(folder.store_path(owner), owner)
