"""What a crash interrupted, and who is in use after it: the first look of every session at its home."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from shapegate_client.errors import NotLoggedIn
from shapegate_client.files import locked
from shapegate_client.journal import LogoutNote, RemovalNote, SwitchNote, drop_note, read_note
from shapegate_client.removal import finish_logout, finish_removal
from shapegate_client.switch import finish_switch
from shapegate_client.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from yarl import URL

    from shapegate_client.home import Home
    from shapegate_client.journal import Step
    from shapegate_client.principal import Credentials, Principal


async def recover(home: Home, credentials: Credentials, proxy_url: URL) -> None:
    """Finish or undo what a crash interrupted.

    Raises StoreLocked while another session is at it, or another StoreError.
    """
    if read_note(home) is None:
        return
    with locked(home.journal_lock):
        note = read_note(home)
        match note:
            case None:
                pass
            case LogoutNote():
                await uninterrupted(finish_logout(home, credentials, note, _ignore))
            case RemovalNote():
                finish_removal(home, note)
            case SwitchNote():
                if home.active_organization(issuer=note.issuer, user_id=note.user_id) == note.entered:
                    await uninterrupted(finish_switch(home, note, proxy_url))
                drop_note(home)
            case never:
                assert_never(never)


async def active_principal(home: Home, credentials: Credentials) -> Principal:
    """Say who is logged in and in which org; needs no network. Raises NotLoggedIn."""
    note = read_note(home)
    principal = await credentials.principal()
    if note == LogoutNote(issuer=principal.issuer, user_id=principal.user_id):
        raise NotLoggedIn
    chosen = home.active_organization(issuer=principal.issuer, user_id=principal.user_id)
    for organization in principal.organizations:
        if organization.id == chosen:
            return principal.in_organization(organization)
    return principal


def _ignore(_step: Step) -> None:
    pass
