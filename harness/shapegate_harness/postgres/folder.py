"""The folder of one embedded Postgres: what lies in it, who owns it, and the superuser's password."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_harness.postgres.account import first_closed
from shapegate_harness.postgres.errors import FolderUnusable, ServerFailed, VersionMismatch
from shapegate_harness.postgres.lock import open_private

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.postgres.account import Account

_UNFINISHED = "data.unfinished-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The folder of one embedded Postgres, and the account that runs the server in it."""

    path: Path
    """Absolute and without links, so that a process can be recognised by it."""
    account: Account | None

    @property
    def data(self) -> Path:
        """What initdb made; nothing half made ever has this name."""
        return self.path / "data"

    @property
    def pid_file(self) -> Path:
        """The file by which Postgres says that it is there and ready."""
        return self.data / "postmaster.pid"

    @property
    def lock_file(self) -> Path:
        """The file that the process using the folder holds locked."""
        return self.path / "lock"

    @property
    def log_file(self) -> Path:
        """What the current or the last server printed; begun anew at each start."""
        return self.path / "server.log"

    @property
    def password_file(self) -> Path:
        """The superuser's password, readable by the server's account only."""
        return self.path / "password"

    def pid_text(self) -> str:
        """Return the text of the pid file, empty if there is none."""
        return _text_of(self.pid_file)

    def log_text(self) -> str:
        """Return the log so far, empty if there is none."""
        return _text_of(self.log_file)

    def open_log(self) -> int:
        """Begin the log anew and return its descriptor."""
        return open_private(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    async def prepare(self) -> None:
        """Make the folder, closed to all but its owner, and give it to the account of the server.

        Raises FolderUnusable if it holds other files, belongs to another account, or cannot be reached by
        the server's account.
        """
        if self.account is not None:
            await self._check_reachable(self.account)
        self._make()

    def new_data(self) -> Path:
        """Return a new name for initdb to work under, and remove what a killed initdb left."""
        for path in self.path.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)  # the killed one may be removing it as well
        return self.path / f"{_UNFINISHED}{secrets.token_hex(4)}"

    def check_version(self, major_version: int) -> None:
        """Raise VersionMismatch unless the data are of `major_version`."""
        written = _text_of(self.data / "PG_VERSION").strip()
        if written != str(major_version):
            raise VersionMismatch(
                f"{str(self.data)!r} was written by Postgres {written or 'of an unknown version'}, but "
                f"Postgres {major_version} is installed; dump the data with the old version, or remove "
                f"{str(self.path)!r} to start with an empty database"
            )

    def ensure_password(self) -> str:
        """Return the superuser's password, made at random on the first start."""
        if self.password_file.exists():
            return self.password_file.read_text().strip()
        if self.data.exists():
            raise ServerFailed(
                f"{str(self.password_file)!r} is missing, but the database in {str(self.data)!r} has a "
                f"password; restore the file, or remove {str(self.path)!r} to start with an empty database"
            )
        password = secrets.token_urlsafe(24)
        unfinished = self.password_file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as file:
            if self.account is not None:
                os.fchown(file.fileno(), self.account.uid, self.account.gid)
            file.write(password + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.password_file)
        return password

    def _make(self) -> None:
        for parent in reversed([path for path in self.path.parents if not path.exists()]):
            parent.mkdir(exist_ok=True)
            parent.chmod(0o700 if self.account is None else 0o711)  # whatever the umask
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._check_ours()
        self.path.chmod(0o700)
        if self.account is not None:
            os.chown(self.path, self.account.uid, self.account.gid)

    def _check_ours(self) -> None:
        ours = os.geteuid()
        uid = ours if self.account is None else self.account.uid
        for path, owners in ((self.path, {uid, ours}), (self.data, {uid})):
            if path.exists() and (owner := path.stat().st_uid) not in owners:
                raise FolderUnusable(
                    f"{str(path)!r} belongs to the account with uid {owner}, but the server would run with "
                    f"uid {uid}; start as the account that made it, or set SHAPEGATE_HOME to another folder"
                )
        if not self.lock_file.exists() and any(self.path.iterdir()):
            raise FolderUnusable(
                f"{str(self.path)!r} holds files that are not of an embedded Postgres; name a new or empty "
                "folder"
            )

    async def _check_reachable(self, account: Account) -> None:
        parents = [path for path in reversed(self.path.parents) if path.exists()]
        closed = await first_closed(parents, account=account)
        if closed is not None:
            raise FolderUnusable(
                f"as root the server runs as {account.name!r}, which may not enter {str(closed)!r} on the "
                f"way to {str(self.path)!r}; set SHAPEGATE_HOME to a folder that every account may enter, "
                f"such as /var/lib/shapegate, or open that one (chmod a+x {str(closed)!r})"
            )


def _text_of(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace")
    return ""
