"""The embedded Postgres as others see it: open, or start and stop."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shapegate_harness.home import shapegate_home
from shapegate_harness.postgres.account import server_account
from shapegate_harness.postgres.binaries import reachable_binaries, wheel_binaries
from shapegate_harness.postgres.command import SUPERUSER
from shapegate_harness.postgres.errors import DiskFull, FolderUnusable, ServerFailed
from shapegate_harness.postgres.folder import Folder
from shapegate_harness.postgres.leftover import clear_leftover
from shapegate_harness.postgres.lock import FolderLock
from shapegate_harness.postgres.server import launch, make_data

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shapegate_harness.postgres.account import Account
    from shapegate_harness.postgres.binaries import Binaries
    from shapegate_harness.postgres.server import Server

_START_SECONDS: Final = 60.0
"""0.1 s after a clean stop; recovery after a crash replays the log first."""


class EmbeddedPostgres:
    """A running Postgres. Made by `open` or `start`; whoever started it stops it."""

    __slots__ = ("_folder", "_lock", "_password", "_server")

    def __init__(self, *, folder: Folder, lock: FolderLock, password: str, server: Server) -> None:
        self._folder = folder
        self._lock = lock
        self._password = password
        self._server = server

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, folder: Path, *, port: int | None = None, durable: bool = True
    ) -> AsyncIterator[EmbeddedPostgres]:
        """Run a Postgres for the length of the block. Options and errors are those of `start`."""
        postgres = await cls.start(folder, port=port, durable=durable)
        try:
            yield postgres
        finally:
            await postgres.stop()

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        binaries: Binaries | None = None,
        seconds: float = _START_SECONDS,
    ) -> EmbeddedPostgres:
        """Start a Postgres in `folder` and return when it accepts connections.

        The first start makes the database, later ones reuse data and password. Without `port` a free one is
        taken. Not `durable` is for tests: a crash of the machine may ruin the data. `binaries` replaces those
        of the wheel; `seconds` is for the server alone, after initdb. Raises a PostgresError, one class per
        cause, whose text says what to do.
        """
        with _translated(folder):
            account = server_account()
            found = await _usable_binaries(account) if binaries is None else binaries
            place = Folder(path=_resolved(folder), account=account)
            await place.prepare()
            with contextlib.ExitStack() as undo:
                lock = FolderLock.acquire(place.lock_file)
                undo.callback(lock.release)
                await clear_leftover(place)
                password = place.ensure_password()
                if not place.data.exists():
                    await make_data(place, found, durable=durable)
                place.check_version(found.major_version)
                server = await launch(place, found, port=port, durable=durable, seconds=seconds)
                undo.pop_all()
        return cls(folder=place, lock=lock, password=password, server=server)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._server.port

    @property
    def pid(self) -> int:
        """The process id of the server (the postmaster)."""
        return self._server.pid

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a URL to connect with; without `password` the superuser's own is put in."""
        secret = self._password if password is None else password
        user, secret, database = (quote(part, safe="") for part in (user, secret, database))
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    async def stop(self) -> None:
        """Stop the server and give the folder free. Idempotent.

        Cancelled, it leaves the rest to the guard, which has its order by then; the next start waits for it.
        """
        try:
            if self._lock.held:
                await self._server.guarded.stop()
            if self._lock.held:
                await clear_leftover(self._folder)  # somebody may have killed the guard
        finally:
            self._lock.release()


async def _usable_binaries(account: Account | None) -> Binaries:
    if account is None:
        return wheel_binaries()
    return await reachable_binaries(account=account, home=shapegate_home())


def _resolved(folder: Path) -> Path:
    return folder.expanduser().resolve()


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into our errors."""
    try:
        yield
    except OSError as exc:
        where = str(folder) if exc.filename is None else str(exc.filename)
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space is left on the disk of {where!r}; free some, or set SHAPEGATE_HOME to another disk"
            ) from exc
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP):
            raise FolderUnusable(
                f"{where!r} cannot be used for the database in {str(folder)!r} ({exc.strerror}); set "
                "SHAPEGATE_HOME to a folder that you may write to"
            ) from exc
        raise ServerFailed(f"Postgres could not be started in {str(folder)!r}: {exc}") from exc
