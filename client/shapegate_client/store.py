"""The local store of one principal in one org: a SQLite file with one writer and any number of readers.

Rows and position move in one transaction, only at up-to-date, so every reader sees states that Postgres had
(REQUIREMENTS T-01, T-10; SECURITY L-02). SQLite works on a thread of its own:
the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import quote

from sqlite_utils import Database
from sqlite_utils.db import NoTable

from shapegate_client import catalogue, rows
from shapegate_client.ahead_table import prepare_ahead, read_ahead, write_ahead
from shapegate_client.commit import Aside, Commit, apply_commit
from shapegate_client.ddl import SLOTS_PREFIX, TAGS_PREFIX, local_name, print_drop, staged_name
from shapegate_client.errors import StoreDamaged, StoreError, StoreFailed, StoreMissing, UnsafeName
from shapegate_client.files import FileLock, create_private
from shapegate_client.home import lock_path
from shapegate_client.uninterrupted import uninterrupted
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from shapegate_client.catalogue import StoredShape
    from shapegate_client.commit import Moved
    from shapegate_client.ddl import TableLayout
    from shapegate_client.fold import Batch
    from shapegate_client.home import StoreOwner
    from shapegate_client.state import Position
    from shapegate_client.subset import Ahead
    from shapegate_wire.shape import ShapeDefinition

T = TypeVar("T")

BUSY_SECONDS: Final = 30.0
"""How long a write waits for another connection's; an application may write tables of its own beside ours."""
PRAGMAS: Final = (
    "PRAGMA page_size = 16384",  # a third faster to fill than 4096
    "PRAGMA journal_mode = WAL",  # readers and the writer do not wait for each other
    "PRAGMA synchronous = NORMAL",  # a power loss may undo the last commits, rows and position alike
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA legacy_alter_table = ON",  # a rename must not touch, nor stumble over, the views on a table
)


class Store:
    """The one writer of a store. Made by `open`, ended by `close`."""

    def __init__(self, path: Path, owner: StoreOwner, lock: FileLock) -> None:
        """Only `open` calls this."""
        self.path = path
        self.owner = owner
        self._lock = lock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shapegate-store")
        self._opened: Database | None = None

    @classmethod
    async def open(cls, path: Path, owner: StoreOwner) -> Self:
        """Take the right to write, make or verify the file, and drop copies left unfinished by a crash.

        Raises StoreLocked if another session writes it, StoreMismatch, StoreDamaged or StoreFailed.
        """
        store = cls(path, owner, FileLock(lock_path(path)))
        try:
            await store._run(store._open)
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Finish what is under way, close the file and give the lock back; idempotent."""
        await uninterrupted(self._end())

    async def _end(self) -> None:
        with contextlib.suppress(RuntimeError):  # the thread was shut down before
            await asyncio.wrap_future(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)
        self._lock.release()

    def reader(self) -> Database:
        """Open a read connection; the caller closes it."""
        return open_reader(self.path, self.owner)

    async def shapes(self) -> tuple[StoredShape, ...]:
        """List what is subscribed in this store."""
        return await self._run(lambda: catalogue.read_shapes(self._db))

    async def shape(self, name: str) -> StoredShape | None:
        """Read one subscription by its local table; None if there is none."""
        return await self._run(lambda: catalogue.read_shape(self._db, name))

    async def register(self, definition: ShapeDefinition, server_url: str) -> Position | None:
        """Note a subscription, and return the position from which its log continues.

        None means that the log is read from its start: nothing complete is stored, or it is from another
        definition or server (REQUIREMENTS T-02). Rows that are there stay until they are replaced.
        Raises UnsafeName if the local name is taken.
        """
        return await self._run(lambda: self._register(definition, server_url))

    async def ahead(self, definition: ShapeDefinition) -> tuple[Ahead, ...]:
        """List the subsets whose rows are newer than the position of a subscription."""
        name = local_name(parse_table(definition.table))
        return await self._run(lambda: read_ahead(self._db, name))

    async def forget(self, definition: ShapeDefinition) -> None:
        """Remove a subscription and its rows."""
        name = local_name(parse_table(definition.table))

        def forget() -> None:
            with self._transaction() as db:
                for table in (name, TAGS_PREFIX + name, SLOTS_PREFIX + name):
                    db.execute(print_drop(table))
                catalogue.remove_shape(db, name)
                write_ahead(db, name, ())

        await self._run(forget)

    async def apply(
        self, layout: TableLayout, batch: Batch, position: Position, at: datetime.datetime
    ) -> Moved:
        """Commit a batch and the position that it leads to; say what its moves removed."""
        commit = Commit(layout=layout, batch=batch, position=position, at=at)
        return (await self.commit((commit,)))[0]

    async def stage(self, layout: TableLayout, batch: Batch, *, begin: bool, copy: bool = False) -> None:
        """Put a batch into the copy prepared aside; `begin` makes a new one, `copy` from the present rows.

        Raises Misread if the batch is not settled, and has changed nothing then.
        """

        def put() -> None:
            with self._transaction() as db:
                if begin:
                    rows.stage(db, layout, copy=copy)
                rows.apply_batch(db, layout, staged_name(layout), batch)

        await self._run(put)

    async def replace(
        self, layout: TableLayout, batch: Batch, position: Position, at: datetime.datetime, *, begin: bool
    ) -> None:
        """Complete the copy prepared aside by a last batch and commit it with its position, all at once."""
        aside = Aside.BEGIN if begin else Aside.COMPLETE
        await self.commit((Commit(layout=layout, batch=batch, position=position, at=at, aside=aside),))

    async def commit(self, commits: Sequence[Commit]) -> tuple[Moved, ...]:
        """Commit several shapes in one transaction; say for each what its moves removed.

        Raises Misread if a batch is not settled, and has changed nothing then.
        """

        def commit() -> tuple[Moved, ...]:
            with self._transaction() as db:
                return tuple(apply_commit(db, each) for each in commits)

        return await self._run(commit)

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something on the store's thread; errors of SQLite are translated here."""
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        except sqlite3.Error as exc:
            raise _translated(exc) from exc
        except NoTable as exc:
            raise StoreFailed(f"the store is not as it was left ({exc}): remove it and sync again") from exc
        except RuntimeError as exc:
            raise StoreFailed("the store is closed: open the session again") from exc

    @property
    def _db(self) -> Database:
        assert self._opened is not None  # every job comes after `open`
        return self._opened

    def _open(self) -> None:
        create_private(self.path)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        self._opened = Database(connection, recursive_triggers=False, execute_plugins=False)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        catalogue.prepare(self._opened, self.owner)
        prepare_ahead(self._opened)
        for name in catalogue.staged_tables(self._opened):
            self._opened.table(name).drop()

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _register(self, definition: ShapeDefinition, server_url: str) -> Position | None:
        name = local_name(parse_table(definition.table))
        with self._transaction() as db:
            known = catalogue.read_shape(db, name)
            found = db.execute(
                "SELECT name, type FROM sqlite_master WHERE name = ? COLLATE NOCASE", [name]
            ).fetchone()
            if known is None and found is not None:
                raise UnsafeName(
                    f"the store has a {found[1]} {found[0]!r} of its own: rename it, then subscribe"
                )
            if known is not None and known.name != name:
                raise UnsafeName(
                    f"tables {known.name!r} and {name!r} differ in case only: subscribe to one of them"
                )
            same = (
                known is not None
                and known.server_url == server_url
                and known.fingerprint == definition.fingerprint()
            )
            if known is not None and same and (found is not None or known.position is None):
                return known.position
            catalogue.write_shape(db, name, definition, server_url)
            return None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Database]:
        """Write all or nothing; the lock comes first, so that no later statement can find it taken."""
        db = self._db
        try:
            # Inside of the block: one that fails midway can leave a transaction open.
            db.conn.execute("BEGIN IMMEDIATE")
            yield db
            db.conn.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise


def open_reader(path: Path, owner: StoreOwner) -> Database:
    """Open a store for reading only, whether somebody writes it or not; the caller closes it.

    The connection may be used from any one thread at a time. Raises StoreMissing, StoreMismatch, StoreDamaged
    or StoreFailed.
    """
    if not path.is_file():
        raise StoreMissing
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
    except sqlite3.Error as exc:
        raise _translated(exc) from exc
    try:
        connection.execute("PRAGMA query_only = ON")
        db = Database(connection, recursive_triggers=False)
        catalogue.verify(db, owner)
    except BaseException as exc:
        connection.close()
        if isinstance(exc, sqlite3.Error):
            raise _translated(exc) from exc
        raise
    return db


def _translated(exc: sqlite3.Error) -> StoreError:
    if catalogue.is_damage(exc):
        return StoreDamaged(f"the store is damaged ({exc}): remove it and sync again; it holds copies only")
    return StoreFailed(f"the store cannot be read or written ({exc}): free space or fix the folder's rights")
