"""The login of one user: in the system's keyring where one is given and works, else in a private file.

Never in both, never in the database, never shown (SECURITY L-11). The file always says which: it holds the
login, or the word that the keyring does. A login moves into the keyring when it is next written; a keyring
that fails gives it back to the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from shapegate_client.errors import KeyringFailed, NotLoggedIn, StoreFailed, StoreLocked, Unreachable
from shapegate_client.files import FileLock, ensure_folder, read_private, remove_private, write_private
from shapegate_client.in_thread import in_thread
from shapegate_client.login import Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

T = TypeVar("T")

LOCK_SECONDS: Final = 20.0
"""Longer than one exchange with the issuer takes at most."""
KEYRING_SECONDS: Final = 30.0
"""Long enough for somebody to unlock it."""
SERVICE: Final = "shapegate-client"
"""What a keyring lists our entries under; each home folder has one of its own."""
_POLL_SECONDS: Final = 0.05
_IN_KEYRING: Final = b'{"kept_in":"keyring"}'
_LOG: Final = logging.getLogger(__name__)


class Keyring(Protocol):
    """The system's store of secrets; every backend of the library `keyring` is one. May raise anything."""

    def get_password(self, service: str, username: str) -> str | None:
        """Read an entry; None where there is none."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Add or replace an entry."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Remove an entry that is there."""
        ...


class Vault:
    """Where the login of one home folder is kept."""

    def __init__(self, folder: Path, *, keyring: Keyring | None) -> None:
        """Make the folder if it is not there. Raises StoreFailed."""
        ensure_folder(folder)
        self._path = folder / "credentials.json"
        self._entry = str(folder.absolute())
        self._keyring = keyring
        self._failure: str | None = None

    @property
    def place(self) -> str:
        """Say where the login lies, and why not in the keyring if that failed."""
        if read_private(self._path) == _IN_KEYRING:
            return "the system's keyring"
        because = f", since the system's keyring failed ({self._failure})" if self._failure else ""
        return f"{self._path}, readable by you alone{because}"

    async def read(self) -> Login:
        """Read the login. Raises NotLoggedIn, KeyringFailed, or StoreFailed if the file does not parse."""
        content = read_private(self._path)
        if content == _IN_KEYRING:
            found = await self._asked(lambda keyring: keyring.get_password(SERVICE, self._entry))
            content = found.encode() if found else None
        if content is None:
            raise NotLoggedIn
        try:
            return msgspec.json.decode(content, type=Login)
        except msgspec.DecodeError as exc:
            raise StoreFailed(f"{self._path} is damaged: remove it and log in again") from exc

    async def write(self, login: Login) -> None:
        """Replace the login. Raises StoreFailed."""
        content, before = msgspec.json.encode(login), read_private(self._path)
        if before not in (None, _IN_KEYRING) or self._unusable():
            write_private(self._path, content)  # first, so that a crash leaves no older login than this
        if self._unusable():
            return
        try:
            await self._asked(lambda keyring: keyring.set_password(SERVICE, self._entry, content.decode()))
        except KeyringFailed as exc:
            _LOG.warning("%s; until then it is kept in %s", exc, self._path)
            write_private(self._path, content)
        else:
            write_private(self._path, _IN_KEYRING)

    async def remove(self) -> None:
        """Forget the login and every token. Raises StoreFailed, or KeyringFailed if it fails."""
        in_keyring = read_private(self._path) == _IN_KEYRING
        if in_keyring:
            await self._asked(self._delete)
        elif not self._unusable():
            with contextlib.suppress(KeyringFailed):  # of a login that it once gave back, if of any
                await self._asked(self._delete)
        remove_private(self._path)

    def _delete(self, keyring: Keyring) -> None:
        if keyring.get_password(SERVICE, self._entry) is not None:
            keyring.delete_password(SERVICE, self._entry)

    def _unusable(self) -> bool:
        return self._keyring is None or self._failure is not None

    async def _asked(self, work: Callable[[Keyring], T]) -> T:
        """Do something with the keyring, which may wait for the user. Raises KeyringFailed."""
        keyring = self._keyring
        if keyring is None:
            raise KeyringFailed("it is not installed, or not to be used here")
        try:
            async with asyncio.timeout(KEYRING_SECONDS):
                return await in_thread(lambda: work(keyring))
        except TimeoutError as exc:
            self._failure = "it did not answer in time"
            raise KeyringFailed(self._failure) from exc
        except (
            Exception
        ) as exc:  # backends raise errors of their own libraries, whose texts may quote anything
            self._failure = type(exc).__name__
            raise KeyringFailed(self._failure) from exc

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
