"""The note of what is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_client.errors import StoreFailed
from shapegate_client.home import Home
from shapegate_client.journal import (
    LogoutNote,
    Note,
    RemovalNote,
    SwitchNote,
    drop_note,
    read_note,
    write_note,
)

if TYPE_CHECKING:
    from pathlib import Path

SWITCH = SwitchNote(issuer="i", user_id="u", left="a", entered="b", keep=False, definitions=("[]",))
REMOVAL = RemovalNote(issuer="i", user_id="u", organization_id="a")


@pytest.mark.parametrize("note", [SWITCH, LogoutNote(issuer="i", user_id="u"), REMOVAL])
def test_a_note_reads_back_until_it_is_dropped(tmp_path: Path, note: Note) -> None:
    home = Home(tmp_path)
    assert read_note(home) is None
    write_note(home, note)
    assert read_note(home) == note
    drop_note(home)
    assert read_note(home) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"issuer":"i"}', b'{"issuer":1,"user_id":2,"entered":3}']
)
def test_a_damaged_note_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path)
    home.journal.write_bytes(content)
    with pytest.raises(StoreFailed, match=r"journal\.json"):
        read_note(home)
