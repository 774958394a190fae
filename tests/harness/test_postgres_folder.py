from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres.account import server_account
from shapegate_harness.postgres.errors import FolderUnusable, ServerFailed, VersionMismatch
from shapegate_harness.postgres.folder import Folder
from tests.harness.postgres_builders import made, mode, needs_root, owner

if TYPE_CHECKING:
    from pathlib import Path


async def prepared(path: Path) -> Folder:
    folder = Folder(path=path, account=server_account())
    await folder.prepare()
    folder.lock_file.touch()
    return folder


async def test_the_folder_is_closed_to_all_but_the_account_of_the_server(new_folder: Path) -> None:
    folder = await prepared(new_folder / "deep" / "er")
    account = server_account()
    assert mode(folder.path) == 0o700
    assert owner(folder.path) == (os.geteuid() if account is None else account.uid)


@needs_root
async def test_parents_made_as_root_can_be_passed_but_not_listed_whatever_the_umask(new_folder: Path) -> None:
    umask = os.umask(0o077)
    try:
        await prepared(new_folder / "deep")
    finally:
        os.umask(umask)
    assert mode(new_folder) == 0o711


async def test_preparing_again_is_harmless_once_the_lock_is_there(new_folder: Path) -> None:
    await prepared(new_folder)
    await prepared(new_folder)


async def test_a_folder_with_other_files_is_left_alone(new_folder: Path) -> None:
    (made(new_folder) / "thesis.txt").touch()
    with pytest.raises(FolderUnusable, match="holds files that are not of an embedded Postgres"):
        await prepared(new_folder)
    assert owner(new_folder) == os.geteuid()


@needs_root
async def test_a_folder_of_another_account_is_left_alone(new_folder: Path) -> None:
    made(new_folder, uid=4711)
    with pytest.raises(FolderUnusable, match="belongs to the account with uid 4711"):
        await prepared(new_folder)


@needs_root
async def test_a_closed_parent_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"may not enter '.*pytest.*' .*set SHAPEGATE_HOME"):
        await prepared(tmp_path / "postgres")
    assert not (tmp_path / "postgres").exists()


async def test_the_password_is_random_kept_and_readable_by_the_owner_only(new_folder: Path) -> None:
    folder = await prepared(new_folder / "one")
    password = folder.ensure_password()
    assert folder.ensure_password() == password
    assert mode(folder.password_file) == 0o600
    assert owner(folder.password_file) == owner(folder.path)
    assert (await prepared(new_folder / "two")).ensure_password() != password


async def test_a_password_cut_in_the_writing_is_made_anew(new_folder: Path) -> None:
    folder = await prepared(new_folder)
    folder.password_file.with_suffix(".unfinished").write_text("ha")
    assert len(folder.ensure_password()) > 20


async def test_a_database_without_its_password_file_is_not_started(new_folder: Path) -> None:
    folder = await prepared(new_folder)
    folder.data.mkdir()
    with pytest.raises(ServerFailed, match=r"password' is missing.*restore the file"):
        folder.ensure_password()


@pytest.mark.parametrize(("written", "seen"), [("17\n", "Postgres 17"), ("", "unknown version")])
async def test_data_of_another_major_version_are_refused(new_folder: Path, written: str, seen: str) -> None:
    folder = await prepared(new_folder)
    folder.data.mkdir()
    (folder.data / "PG_VERSION").write_text(written)
    with pytest.raises(VersionMismatch, match=f"{seen}.*Postgres 18 is installed"):
        folder.check_version(18)


async def test_what_a_killed_initdb_left_is_removed(new_folder: Path) -> None:
    folder = await prepared(new_folder)
    first = folder.new_data()
    (first / "base").mkdir(parents=True)
    assert folder.new_data() != first
    assert not first.exists()
