"""The note of a switch or a logout under way, so that a crash leaves nothing half done.

A switch holds from the moment at which the home names the new org as active; before it the note is dropped,
after it the rest is done. A logout is always finished.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_client.errors import StoreFailed
from shapegate_client.files import read_private, remove_private, write_private
from shapegate_client.home import StoreOwner

if TYPE_CHECKING:
    from shapegate_client.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchNote:
    """A switch of one user from one org to another."""

    issuer: str
    user_id: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutNote:
    """A logout of one user."""

    issuer: str
    user_id: str


Note = SwitchNote | LogoutNote


def write_note(home: Home, note: Note) -> None:
    """Note what is about to be done. Raises StoreFailed."""
    loaded: dict[str, object] = {"issuer": note.issuer, "user_id": note.user_id}
    if isinstance(note, SwitchNote):
        loaded |= {
            "left": note.left,
            "entered": note.entered,
            "keep": note.keep,
            "definitions": list(note.definitions),
        }
    write_private(home.journal, json.dumps(loaded).encode())


def read_note(home: Home) -> Note | None:
    """Read what was under way; None if nothing was. Raises StoreFailed for a note that does not parse."""
    content = read_private(home.journal)
    if content is None:
        return None
    try:
        loaded = json.loads(content)
        issuer, user_id = str(loaded["issuer"]), str(loaded["user_id"])
        if "entered" not in loaded:
            return LogoutNote(issuer=issuer, user_id=user_id)
        return SwitchNote(
            issuer=issuer,
            user_id=user_id,
            left=str(loaded["left"]),
            entered=str(loaded["entered"]),
            keep=loaded["keep"] is True,
            definitions=tuple(str(definition) for definition in loaded["definitions"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreFailed(f"{home.journal} is damaged: remove it, then log in and sync again") from exc


def drop_note(home: Home) -> None:
    """Forget the note: all is done, or undone. Raises StoreFailed."""
    remove_private(home.journal)
