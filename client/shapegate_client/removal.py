"""The ends of a user's rows on this machine: logout and loss of a membership (REQUIREMENTS T-06, T-09).

Both are noted in the journal first and always finished, after a crash by the next session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_client.errors import NotLoggedIn
from shapegate_client.files import locked
from shapegate_client.home import owner_of
from shapegate_client.journal import LogoutNote, RemovalNote, Step, drop_note, read_note, write_note
from shapegate_client.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shapegate_client.home import Home
    from shapegate_client.journal import OnStep
    from shapegate_client.principal import Credentials, Principal


async def remove_login(
    home: Home,
    credentials: Credentials,
    principal: Principal,
    *,
    close: Callable[[], Awaitable[None]],
    on_step: OnStep,
) -> None:
    """Remove rows, positions and tokens of a user, of every org, after `close` has ended what uses them.

    Raises StoreLocked while another session writes any of them, or another StoreError; then nobody is logged
    in any more, and the next session tries again.
    """
    with locked(home.journal_lock):
        note = LogoutNote(issuer=principal.issuer, user_id=principal.user_id)
        write_note(home, note)
        on_step(Step.JOURNALED)
        await close()
        on_step(Step.QUIESCED)
        await uninterrupted(finish_logout(home, credentials, note, on_step))


async def finish_logout(home: Home, credentials: Credentials, note: LogoutNote, on_step: OnStep) -> None:
    """Do what a logout has noted."""
    home.remove_user(issuer=note.issuer, user_id=note.user_id)
    on_step(Step.ROWS_REMOVED)
    try:
        principal = await credentials.principal()
    except NotLoggedIn:
        pass
    else:
        # After a crash somebody else may have logged in meanwhile; their tokens are not ours to remove.
        if (principal.issuer, principal.user_id) == (note.issuer, note.user_id):
            await credentials.logout()
    on_step(Step.TOKENS_REMOVED)
    drop_note(home)


async def remove_org(home: Home, principal: Principal, *, close: Callable[[], Awaitable[None]]) -> None:
    """Remove the rows of the org in use, after `close` has ended what uses them. Raises StoreError."""
    owner = owner_of(principal)
    note = RemovalNote(issuer=owner.issuer, user_id=owner.user_id, organization_id=owner.organization_id)
    with locked(home.journal_lock):
        if read_note(home) is None:
            write_note(home, note)  # else something is still to be finished, which must not be forgotten
        await close()
        home.remove_store(owner)
        if read_note(home) == note:
            drop_note(home)


def finish_removal(home: Home, note: RemovalNote) -> None:
    """Do what a removal has noted."""
    home.remove_store(note.owner)
    drop_note(home)


def remove_unlisted(home: Home, principal: Principal) -> None:
    """Remove the rows of every org of a user that the issuer lists no more. Raises StoreFailed."""
    listed = {each.id for each in (*principal.organizations, principal.organization)}
    home.remove_unlisted(issuer=principal.issuer, user_id=principal.user_id, listed=listed)
