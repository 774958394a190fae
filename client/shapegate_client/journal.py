"""The note of a switch, a logout or a removal under way, so that a crash leaves nothing half done.

A switch holds from the moment at which the home names the new org as active; before it the note is dropped,
after it the rest is done. A logout and a removal are always finished.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from shapegate_client.errors import StoreFailed
from shapegate_client.files import read_private, remove_private, write_private
from shapegate_client.home import StoreOwner

if TYPE_CHECKING:
    from shapegate_client.home import Home


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


class _Noted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issuer: str
    user_id: str


class SwitchNote(_Noted, frozen=True, kw_only=True, tag="switch"):
    """A switch of one user from one org to another."""

    left: str
    entered: str
    keep: bool
    definitions: tuple[str, ...]
    """What was subscribed, as stored definitions, to be subscribed in the new org."""

    @property
    def left_owner(self) -> StoreOwner:
        return StoreOwner(issuer=self.issuer, user_id=self.user_id, organization_id=self.left)

    @property
    def entered_owner(self) -> StoreOwner:
        return StoreOwner(issuer=self.issuer, user_id=self.user_id, organization_id=self.entered)


class LogoutNote(_Noted, frozen=True, kw_only=True, tag="logout"):
    """A logout of one user."""


class RemovalNote(_Noted, frozen=True, kw_only=True, tag="removal"):
    """The removal of the rows of one org, which the user may enter no more."""

    organization_id: str

    @property
    def owner(self) -> StoreOwner:
        return StoreOwner(issuer=self.issuer, user_id=self.user_id, organization_id=self.organization_id)


Note = SwitchNote | LogoutNote | RemovalNote


def write_note(home: Home, note: Note) -> None:
    """Note what is about to be done. Raises StoreFailed."""
    write_private(home.journal, msgspec.json.encode(note))


def read_note(home: Home) -> Note | None:
    """Read what was under way; None if nothing was. Raises StoreFailed for a note that does not parse."""
    content = read_private(home.journal)
    if content is None:
        return None
    try:
        note: Note = msgspec.json.decode(content, type=Note)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise StoreFailed(f"{home.journal} is damaged: remove it, then log in and sync again") from exc
    return note


def drop_note(home: Home) -> None:
    """Forget the note: all is done, or undone. Raises StoreFailed."""
    remove_private(home.journal)
