"""What can be done with a home without a session: read the rows of the org in use, log out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_client.files import locked
from shapegate_client.home import Home, owner_of
from shapegate_client.journal import LogoutNote, read_note
from shapegate_client.removal import finish_logout, remove_login
from shapegate_client.store import open_reader
from shapegate_client.unfinished import active_principal
from shapegate_client.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from shapegate_client.journal import OnStep
    from shapegate_client.principal import Credentials, Principal


async def open_rows(credentials: Credentials, *, home: Path) -> tuple[Principal, Database]:
    """Open the rows of the org in use for reading only, whether a session syncs them or not.

    Needs no network; the caller closes the connection. Raises NotLoggedIn, StoreMissing or another
    StoreError.
    """
    folder = Home(home)
    principal = await active_principal(folder, credentials)
    owner = owner_of(principal)
    return principal, open_reader(folder.store_path(owner), owner)


async def log_out(credentials: Credentials, *, home: Path, on_step: OnStep = lambda _step: None) -> None:
    """Remove rows, positions and tokens of who is logged in, of every org, also where a store is damaged.

    Finished by the next session if the process dies midway. Raises NotLoggedIn, StoreLocked while a session
    writes any of the rows, or another StoreError.
    """
    folder = Home(home)
    note = read_note(folder)
    if isinstance(note, LogoutNote):
        with locked(folder.journal_lock):
            await uninterrupted(finish_logout(folder, credentials, note, on_step))
        return
    principal = await credentials.principal()
    await remove_login(folder, credentials, principal, close=_nothing, on_step=on_step)


async def _nothing() -> None:
    """End nothing: there is no session."""
