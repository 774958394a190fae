"""The ways out of an org: the switch in its seven steps, and the logout (DESIGN 9).

Both are noted in a journal first. A switch that fails before the new org is adopted is undone and the old org
goes on; from the adoption on it is finished, after a crash by the next session. A logout is always finished.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from shapegate_client.catalogue import parse_definition, print_definition
from shapegate_client.ddl import local_name
from shapegate_client.errors import IssuerFault, NotLoggedIn, StoreError
from shapegate_client.files import locked
from shapegate_client.home import owner_of
from shapegate_client.journal import LogoutNote, SwitchNote, drop_note, read_note, write_note
from shapegate_client.replica import Replica
from shapegate_client.store import Store
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.watch import CommittedBatch
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    from yarl import URL

    from shapegate_client.home import Home
    from shapegate_client.principal import Credentials, Principal
    from shapegate_client.replica import Tools
    from shapegate_client.watch import Board


class Step(enum.Enum):
    """A step of a switch or a logout that was just completed."""

    JOURNALED = "checked and noted in the journal"
    QUIESCED = "the syncs of the old org have stopped"
    AUTHORIZED = "there is a verified token for the new org"
    ADOPTED = "the new org is in use, the old one is closed"
    CLEARED = "the old org's rows are set aside or removed"
    SUBSCRIBED = "the same shapes are subscribed in the new org"
    PUBLISHED = "verified and published"
    ROWS_REMOVED = "the user's rows are removed"
    TOKENS_REMOVED = "the user's tokens are removed"


OnStep = Callable[[Step], None]
"""Hears of each step when it is done."""


async def switch_replica(
    tools: Tools,
    left: Replica,
    board: Board,
    organization_id: str,
    *,
    keep: bool,
    adopt: Callable[[Replica], None],
    on_step: OnStep,
) -> None:
    """Leave one org for another; `adopt` takes the new one over at the moment from which it holds.

    Raises NotAMember, Unreachable, LoginRequired, IssuerFault or StoreError if the org cannot be entered:
    then the old one goes on. A StoreError after the adoption says that old rows could not be removed; the
    next session tries again.
    """
    with locked(tools.home.journal_lock):
        note = await _note_switch(left, organization_id, keep=keep)
        write_note(tools.home, note)
        try:
            on_step(Step.JOURNALED)
            await left.quiesce()
            on_step(Step.QUIESCED)
            principal = await tools.credentials.switch(organization_id)
            _verify(principal, left.principal, organization_id)
            on_step(Step.AUTHORIZED)
            entered = await Replica.open(tools, principal, generation=left.generation + 1, report=board)
        except BaseException:
            await uninterrupted(_undo(tools.home, left))
            raise
        try:
            tools.home.set_active(owner_of(principal))
        except BaseException:
            await uninterrupted(_undo(tools.home, left, entered))
            raise
        adopt(entered)
        left.db.close()
        await uninterrupted(_finish(tools, left, entered, board, note, on_step))


async def log_out(tools: Tools, replica: Replica, *, on_step: OnStep) -> None:
    """Close the org in use and remove rows, positions and tokens of its user, of every org."""
    with locked(tools.home.journal_lock):
        principal = replica.principal
        note = LogoutNote(issuer=principal.issuer, user_id=principal.user_id)
        write_note(tools.home, note)
        on_step(Step.JOURNALED)
        await uninterrupted(replica.close())
        on_step(Step.QUIESCED)
        await uninterrupted(_finish_logout(tools.home, tools.credentials, note, on_step))


async def recover(home: Home, credentials: Credentials, proxy_url: URL) -> None:
    """Finish or undo what a crash interrupted.

    Raises StoreLocked while another session is at it, NotLoggedIn if a logout was finished, StoreError.
    """
    if read_note(home) is None:
        return
    with locked(home.journal_lock):
        note = read_note(home)
        match note:
            case None:
                pass
            case LogoutNote():
                await uninterrupted(_finish_logout(home, credentials, note, _ignore))
            case SwitchNote():
                if home.active_organization(issuer=note.issuer, user_id=note.user_id) == note.entered:
                    await uninterrupted(_finish_switch(home, note, proxy_url))
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


async def _note_switch(left: Replica, organization_id: str, *, keep: bool) -> SwitchNote:
    return SwitchNote(
        issuer=left.principal.issuer,
        user_id=left.principal.user_id,
        left=left.principal.organization.id,
        entered=organization_id,
        keep=keep,
        definitions=tuple(print_definition(shape.definition) for shape in await left.stored()),
    )


def _verify(entered: Principal, left: Principal, organization_id: str) -> None:
    same_user = (entered.issuer, entered.user_id) == (left.issuer, left.user_id)
    if not same_user or entered.organization.id != organization_id:
        raise IssuerFault("the issuer answered a switch with another user or org: expected the one asked for")


async def _undo(home: Home, left: Replica, entered: Replica | None = None) -> None:
    if entered is not None:
        await entered.close()
    drop_note(home)
    await left.quiesce()
    await left.restart()


async def _finish(
    tools: Tools, left: Replica, entered: Replica, board: Board, note: SwitchNote, on_step: OnStep
) -> None:
    running = set(left.definitions)
    await left.close()
    on_step(Step.ADOPTED)
    failed: StoreError | None = None
    if not note.keep:
        try:
            tools.home.remove_store(note.left_owner)
        except StoreError as exc:
            failed = exc  # the journal stays, so that the next session tries again
    on_step(Step.CLEARED)
    for definition in map(parse_definition, note.definitions):
        await (entered.subscribe(definition) if definition in running else entered.remember(definition))
    on_step(Step.SUBSCRIBED)
    assert entered.store.owner == note.entered_owner  # the last look before anything is shown
    for shape in await entered.stored():
        if shape.position is not None:
            batch = CommittedBatch(
                table=shape.name,
                organization_id=note.entered,
                offset=str(shape.position.offset),
                replaced=True,
            )
            board.committed(entered.generation, batch)
    if failed is not None:
        raise failed
    drop_note(tools.home)
    on_step(Step.PUBLISHED)


async def _finish_switch(home: Home, note: SwitchNote, proxy_url: URL) -> None:
    """Do what a crash after the adoption left undone."""
    if not note.keep:
        home.remove_store(note.left_owner)
    store = await Store.open(home.store_path(note.entered_owner), note.entered_owner)
    try:
        known = {shape.name for shape in await store.shapes()}
        for definition in map(parse_definition, note.definitions):
            if local_name(parse_table(definition.table)) not in known:
                await store.register(definition, str(proxy_url))
    finally:
        await store.close()


async def _finish_logout(home: Home, credentials: Credentials, note: LogoutNote, on_step: OnStep) -> None:
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


def _ignore(_step: Step) -> None:
    pass
