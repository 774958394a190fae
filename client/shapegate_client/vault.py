"""The login of one user on disk: a private file, never in the database, never shown (SECURITY L-11)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_client.errors import NotLoggedIn, StoreFailed, StoreLocked, Unreachable
from shapegate_client.files import FileLock, ensure_folder, read_private, remove_private, write_private
from shapegate_client.login import Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOCK_SECONDS: Final = 20.0
"""Longer than one exchange with the issuer takes at most."""
_POLL_SECONDS: Final = 0.05


class Vault:
    """The file that holds a login."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is not there. Raises StoreFailed."""
        ensure_folder(folder)
        self._path = folder / "credentials.json"

    def read(self) -> Login:
        """Read the login. Raises NotLoggedIn, or StoreFailed if the file does not parse."""
        content = read_private(self._path)
        if content is None:
            raise NotLoggedIn
        try:
            return msgspec.json.decode(content, type=Login)
        except msgspec.DecodeError as exc:
            raise StoreFailed(f"{self._path} is damaged: remove it and log in again") from exc

    def write(self, login: Login) -> None:
        """Replace the login. Raises StoreFailed."""
        write_private(self._path, msgspec.json.encode(login))

    def remove(self) -> None:
        """Forget the login and every token. Raises StoreFailed."""
        remove_private(self._path)

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Keep other processes from changing the login; a refresh token is good for one use only.

        Raises Unreachable if another process keeps it for too long.
        """
        lock = await self._lock()
        try:
            yield
        finally:
            lock.release()

    async def _lock(self) -> FileLock:
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        while True:
            try:
                return FileLock(self._path.with_name("credentials.lock"))
            except StoreLocked as exc:
                if asyncio.get_running_loop().time() > deadline:
                    raise Unreachable("token issuer", "another process holds the login") from exc
                await asyncio.sleep(_POLL_SECONDS)
