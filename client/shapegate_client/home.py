"""The client's home folder: where stores, login, active org and journal of one machine user lie.

credentials.json   the login with its tokens, or the word that the system's keyring holds it
active.json        the org in use; its replacement is the moment at which a switch holds
journal.json       a switch, logout or removal that is under way
stores/<user>/<org>.sqlite3    rows; both names are digests, so any issuer, user and org makes a safe path
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_client.errors import StoreFailed, StoreLocked
from shapegate_client.files import ensure_folder, locked, read_private, remove_private, write_private

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from shapegate_client.principal import Principal

_SUFFIX: Final = ".sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOwner:
    """Whose rows a store holds; two owners never share a file."""

    issuer: str
    user_id: str
    organization_id: str


def owner_of(principal: Principal) -> StoreOwner:
    """Name the owner of a principal's rows."""
    return StoreOwner(
        issuer=principal.issuer, user_id=principal.user_id, organization_id=principal.organization.id
    )


def lock_path(store: Path) -> Path:
    """Name the file whose lock is the right to write a store."""
    return store.with_name(f"{store.name}.lock")


class Home:
    """One home folder; every method is atomic by itself."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there. Raises StoreFailed."""
        ensure_folder(path)
        self.path = path

    @property
    def journal(self) -> Path:
        """The note of what is under way."""
        return self.path / "journal.json"

    @property
    def journal_lock(self) -> Path:
        """Held by whoever switches, logs out, removes or recovers."""
        return self.path / "journal.lock"

    def store_path(self, owner: StoreOwner) -> Path:
        """Name the store's file and make its folder; injective over owners."""
        folder = self._user_folder(owner.issuer, owner.user_id)
        ensure_folder(folder.parent)
        ensure_folder(folder)
        return folder / f"{_digest(owner.issuer, owner.user_id, owner.organization_id)}{_SUFFIX}"

    def active_organization(self, *, issuer: str, user_id: str) -> str | None:
        """Read which org this user has in use; None where nothing was chosen since the login."""
        content = read_private(self.path / "active.json")
        try:
            loaded: object = json.loads(content) if content else None
        except ValueError:
            return None
        if not isinstance(loaded, dict) or (loaded.get("issuer"), loaded.get("user_id")) != (issuer, user_id):
            return None
        return str(loaded.get("organization_id"))

    def set_active(self, owner: StoreOwner) -> None:
        """Choose the org in use. Raises StoreFailed."""
        chosen = {
            "issuer": owner.issuer,
            "user_id": owner.user_id,
            "organization_id": owner.organization_id,
        }
        write_private(self.path / "active.json", json.dumps(chosen).encode())

    def remove_store(self, owner: StoreOwner) -> None:
        """Remove the rows of one org. Raises StoreLocked while a session writes them, StoreFailed."""
        _remove_files(self.store_path(owner))

    def remove_unlisted(self, *, issuer: str, user_id: str, listed: Collection[str]) -> None:
        """Remove what lies here of a user's orgs but those listed, also what a crash left of their files.

        Stores that a session writes are left to it. Raises StoreFailed.
        """
        kept = {_digest(issuer, user_id, organization_id) for organization_id in listed}
        found = self._user_folder(issuer, user_id).glob(f"*{_SUFFIX}*")
        names = {path.name.partition(_SUFFIX)[0] for path in found}
        for name in sorted(names - kept):
            with contextlib.suppress(StoreLocked):
                _remove_files(self._user_folder(issuer, user_id) / f"{name}{_SUFFIX}")

    def remove_user(self, *, issuer: str, user_id: str) -> None:
        """Remove all rows of a user, of every org, and the choice of the active one.

        Raises StoreLocked while a session writes any of them, StoreFailed.
        """
        folder = self._user_folder(issuer, user_id)
        with contextlib.ExitStack() as locks:
            for store in folder.glob(f"*{_SUFFIX}"):
                locks.enter_context(locked(lock_path(store)))
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as exc:
                raise StoreFailed(f"{folder} cannot be removed ({exc.strerror}): remove it by hand") from exc
        remove_private(self.path / "active.json")

    def _user_folder(self, issuer: str, user_id: str) -> Path:
        return self.path / "stores" / _digest(issuer, user_id)


def _remove_files(store: Path) -> None:
    with locked(lock_path(store)):
        # Without its write-ahead log a database is an older state of itself, so the database goes first.
        for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
            remove_private(store.with_name(store.name + suffix))


def _digest(*parts: str) -> str:
    # JSON keeps the parts apart: ["a", "bc"] and ["ab", "c"] are different texts.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
