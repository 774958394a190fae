"""The switch from one org to another, in its seven steps (DESIGN 9).

It is noted in a journal first. One that fails before the new org is adopted is undone and the old org goes
on; from the adoption on it is finished, after a crash by the next session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from shapegate_client.catalogue import parse_definition, print_definition
from shapegate_client.ddl import local_name
from shapegate_client.errors import IssuerFault, MembershipEnded, NotLoggedIn, StoreError
from shapegate_client.files import locked
from shapegate_client.home import owner_of
from shapegate_client.journal import (
    LogoutNote,
    RemovalNote,
    Step,
    SwitchNote,
    drop_note,
    read_note,
    write_note,
)
from shapegate_client.removal import finish_removal
from shapegate_client.replica import Replica
from shapegate_client.store import Store
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.watch import CommittedBatch
from shapegate_wire.identifier import parse_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

    from shapegate_client.home import Home
    from shapegate_client.journal import OnStep
    from shapegate_client.principal import Principal
    from shapegate_client.replica import Tools
    from shapegate_client.watch import Board


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
    next session or switch tries again.
    """
    with locked(tools.home.journal_lock):
        _settle(tools.home)
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
        except BaseException as exc:
            await uninterrupted(_undo(tools.home, left))
            if isinstance(exc, MembershipEnded):
                tools.home.remove_store(note.entered_owner)
            raise
        try:
            tools.home.set_active(owner_of(principal))
        except BaseException:
            await uninterrupted(_undo(tools.home, left, entered))
            raise
        adopt(entered)
        left.db.close()
        await uninterrupted(_finish(tools, left, entered, board, note, on_step))


def _settle(home: Home) -> None:
    """Do what an earlier note of this home promised, before another one takes its place."""
    note = read_note(home)
    match note:
        case None:
            pass
        case LogoutNote():
            raise NotLoggedIn  # the user logged out by another process, which waits for this session to end
        case RemovalNote():
            finish_removal(home, note)
        case SwitchNote():
            if not note.keep:
                home.remove_store(note.left_owner)
        case never:
            assert_never(never)


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


async def finish_switch(home: Home, note: SwitchNote, proxy_url: URL) -> None:
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
