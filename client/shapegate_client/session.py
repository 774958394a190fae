"""A session: one user, one org at a time, its shapes in local SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from shapegate_client.clock import SystemClock
from shapegate_client.config import ClientSettings, parse_address
from shapegate_client.ddl import local_name
from shapegate_client.errors import (
    ClientError,
    NotSubscribed,
    NotUpToDate,
    SessionClosed,
    StoreError,
)
from shapegate_client.home import Home
from shapegate_client.membership import heed_memberships, membership_ended
from shapegate_client.removal import remove_login, remove_org, remove_unlisted
from shapegate_client.replica import Replica, Tools
from shapegate_client.status import Stopped, Switching, status_of
from shapegate_client.switch import switch_replica
from shapegate_client.transport import open_http
from shapegate_client.unfinished import active_principal, recover
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.watch import Board
from shapegate_wire.identifier import parse_table
from shapegate_wire.subset import SubsetRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from shapegate_client.catalogue import StoredShape
    from shapegate_client.clock import Clock
    from shapegate_client.journal import OnStep
    from shapegate_client.principal import Credentials, Principal
    from shapegate_client.status import ShapeProgress, Status
    from shapegate_client.subset import FetchedSubset
    from shapegate_client.watch import Watcher
    from shapegate_wire.shape import ShapeDefinition

_LOG = logging.getLogger(__name__)


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
        self._ended: ClientError | None = None
        board.adopt(replica.generation)
        self._warden = asyncio.create_task(
            heed_memberships(tools, board, lambda: self._replica, expel=self._expel), name="shapegate-warden"
        )

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

        Whoever starts a session closes it. Rows of orgs that the issuer lists no more are removed.
        Raises NotLoggedIn, BadAddress, StoreLocked if another session has this org open, or another
        StoreError.
        """
        folder, url = Home(home), parse_address("proxy", proxy_url)
        settings = settings or ClientSettings()
        await recover(folder, credentials, url)
        principal = await active_principal(folder, credentials)
        remove_unlisted(folder, principal)
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
        if self._ended is not None:
            return Stopped(self._ended)
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
    def progress(self) -> tuple[ShapeProgress, ...]:
        """How each subscribed shape is doing now."""
        return tuple(replace(each) for each in self._replica.progress)

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
            return self._ended is not None or (not self._switching and (failed or not missing()))

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

    async def fetch_subset(
        self,
        table: str,
        *,
        where: str | None = None,
        params: Sequence[str] = (),
        order_by: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        timeout: float = 60.0,
    ) -> FetchedSubset:
        """Put rows of a subscribed table's shape into the local table that are asked for on demand.

        Meant for shapes with `log=changes_only`, which begin empty. The rows are in step with the stream from
        then on, also after a restart; a new copy of the table has them no more: a batch that says `replaced`
        tells so. `where` has `$1`, `$2`, ... of its own. Raises NotSubscribed, MalformedRequest,
        SubsetNotFetched, SyncStopped, StoreError or SessionClosed.
        """
        self._check_open()
        asked = SubsetRequest(
            where=where, params=tuple(params), order_by=order_by, limit=limit, offset=offset
        )
        return await self._replica.fetch_subset(table, asked, seconds=timeout)

    async def acknowledged(self, table: str, txid: int, *, timeout: float = 5.0) -> bool:
        """Wait until the local table holds what a transaction wrote; False if that is not known in time.

        `txid` is `pg_current_xact_id()::xid`, read inside of the transaction that wrote. A write that changed
        nothing, or no row of the shape, is never acknowledged. Raises NotSubscribed or SessionClosed.
        """
        self._check_open()
        name = self._subscribed(table)
        held = self._board.acknowledgements
        await self._board.pulse.until(
            lambda: self._ended is not None or held.has(name, txid), timeout=timeout
        )
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
            self._ended = SessionClosed()
            self._board.close()
            home, credentials = self._tools.home, self._tools.credentials
            try:
                await remove_login(home, credentials, self.principal, close=self._end, on_step=on_step)
            finally:
                await self._end()

    async def close(self) -> None:
        """Stop every sync and close every file and socket; local rows stay; idempotent."""
        async with self._turn:
            await self._leave_lost_org()
            if self._ended is None:
                self._ended = SessionClosed()
                self._board.close()
            await self._end()

    async def _end(self) -> None:
        """Close everything; idempotent."""
        await uninterrupted(self._close_all())

    async def _close_all(self) -> None:
        self._warden.cancel()
        await asyncio.wait([self._warden])
        await self._release()

    async def _release(self) -> None:
        await self._replica.close()
        await self._tools.http.close()

    async def _expel(self) -> None:
        async with self._turn:
            await self._leave_lost_org()

    async def _leave_lost_org(self) -> None:
        """End the session if the org in use may be entered no more: there is nothing left to show."""
        error = membership_ended(self._replica)
        if error is None or self._ended is not None:
            return
        self._ended = error
        self._board.close(error)
        try:
            await remove_org(self._tools.home, self.principal, close=self._release)
        except StoreError as exc:
            _LOG.error("rows of an org that the user left could not be removed, do it by hand: %s", exc)
        finally:
            await uninterrupted(self._release())

    def _adopt(self, replica: Replica) -> None:
        self._replica = replica
        self._board.adopt(replica.generation)

    def _subscribed(self, table: str) -> str:
        name = local_name(parse_table(table))
        if all(shape.table != name for shape in self._replica.progress):
            raise NotSubscribed(table)
        return name

    def _check_open(self) -> None:
        ended = self._ended or membership_ended(self._replica)
        if ended is not None:
            raise ended
