"""A reader beside the writer: looks before each statement of the writer, so that no commit escapes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_client.store import open_reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlite_utils import Database

    from shapegate_client.store import Store
    from tests.client.stateful.world import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a reader of one org's store could see from some moment on."""

    org: str
    handle: str | None
    """None before the first complete copy."""
    offset: str | None
    state: State | None
    """None where there is no table yet."""


class Observer:
    """Notes what readers see of the stores that it is attached to; `detach` it before they are closed."""

    def __init__(self, home: Path) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Exception] = []
        self.before_statement: Callable[[], None] = lambda: None
        self.home = home
        self._reader: Database | None = None
        self._version: object = None
        self._store: Store | None = None

    def attach(self, store: Store) -> None:
        """Look from now on at this store, whatever it is given to do after."""
        self._store, self._version = store, None
        self._reader = open_reader(store.path, store.owner)
        self._trace(self._hear)
        self.look()

    def detach(self) -> None:
        """Look a last time, when the store has done all that it was given."""
        self._trace(None)
        self.look()
        if self._reader is not None:
            self._reader.close()
        self._store = self._reader = None

    def begin_anew(self, org: str) -> None:
        """Expect nothing of what was seen before: the rows were removed."""
        self.seen.append(Seen(org=org, handle=None, offset=None, state=None))

    def copy_to(self, folder: Path) -> None:
        """Take the home as a process leaves it that is killed now."""
        shutil.copytree(self.home, folder)

    def look(self) -> None:
        """Note what can be seen now, if it is news."""
        if self._reader is None or self._store is None:
            return
        version = self._reader.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            seen = read(self._reader, self._store.owner.organization_id)
            if not self.seen or self.seen[-1] != seen:
                self.seen.append(seen)

    def _trace(self, hear: Callable[[str], None] | None) -> None:
        store = self._store
        if store is not None and store._opened is not None:
            store._thread.submit(lambda: store._db.conn.set_trace_callback(hear)).result()

    def _hear(self, _statement: str) -> None:
        try:
            self.before_statement()
            self.look()
        except Exception as exc:  # noqa: BLE001  # SQLite would swallow it
            self.faults.append(exc)


def read(db: Database, org: str) -> Seen:
    """See position and rows in one transaction."""
    db.conn.execute("BEGIN")
    try:
        position = db.execute("SELECT handle, offset FROM _shapegate_shapes").fetchone() or (None, None)
        state: State | None = None
        if db.table("items").exists():
            rows = db.conn.execute("SELECT * FROM items")
            names = [each[0] for each in rows.description]
            columns = [name for name in names if name != "_key"]
            state = (
                frozenset(columns),
                frozenset(
                    tuple(
                        sorted(
                            (name, None if value is None else str(value))
                            for name, value in zip(names, row, strict=True)
                            if name in columns
                        )
                    )
                    for row in rows
                ),
            )
    finally:
        db.conn.execute("ROLLBACK")
    return Seen(org=org, handle=position[0], offset=position[1], state=state)
