from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres.account import Account, first_closed, server_account
from shapegate_harness.postgres.errors import AccountUnavailable
from tests.harness.postgres_builders import made, needs_root, needs_user

if TYPE_CHECKING:
    from pathlib import Path


@needs_user
def test_an_ordinary_user_runs_the_server_itself() -> None:
    assert server_account() is None


@needs_root
def test_root_runs_the_server_as_nobody() -> None:
    entry = pwd.getpwnam("nobody")
    assert server_account() == Account(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)


@needs_root
def test_a_machine_without_the_account_is_told_what_to_add() -> None:
    with pytest.raises(AccountUnavailable, match=r"no account 'no-such-account'.*add that account"):
        server_account("no-such-account")


@needs_user
async def test_who_may_not_change_accounts_is_told_so() -> None:
    other = Account(name="another", uid=os.geteuid() + 1, gid=os.getegid() + 1)
    with pytest.raises(AccountUnavailable, match="nothing can be run as 'another'"):
        await first_closed([], account=other)


@needs_root
async def test_the_first_closed_folder_or_file_on_a_path_is_found(new_folder: Path) -> None:
    account = server_account()
    assert account is not None
    made(new_folder, mode=0o711)
    closed = made(new_folder / "cl'osed $x\n", mode=0o700)
    made(closed / "inner")
    (new_folder / "secret").touch(mode=0o600)
    open_ones = [*reversed(new_folder.parents), new_folder]
    assert await first_closed(open_ones, account=account) is None
    assert await first_closed([*open_ones, closed, closed / "inner"], account=account) == closed
    assert await first_closed([new_folder / "secret"], account=account) == new_folder / "secret"
