"""Private files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from shapegate_client.errors import StoreFailed, StoreLocked
from shapegate_client.files import (
    FileLock,
    create_private,
    ensure_folder,
    locked,
    read_private,
    remove_private,
    write_private,
)

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_L_11_files_and_folders_are_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "c"
    ensure_folder(folder)
    write_private(folder / "x", b"1")
    create_private(folder / "y")
    assert (mode(folder), mode(folder / "x"), mode(folder / "y")) == (0o700, 0o600, 0o600)


def test_a_folder_that_exists_keeps_its_mode_and_one_open_to_everybody_is_refused(tmp_path: Path) -> None:
    shared, public, link = tmp_path / "shared", tmp_path / "public", tmp_path / "link"
    for folder, bits in ((shared, 0o755), (public, 0o777)):
        folder.mkdir()
        folder.chmod(bits)
    link.symlink_to(shared)
    ensure_folder(shared)
    assert mode(shared) == 0o755
    for refused in (public, link):
        with pytest.raises(StoreFailed):
            ensure_folder(refused)
    assert mode(public) == 0o777


def test_a_write_replaces_the_whole_content_and_leaves_no_draft(tmp_path: Path) -> None:
    write_private(tmp_path / "x", b"long content")
    write_private(tmp_path / "x", b"2")
    assert read_private(tmp_path / "x") == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_L_11_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(StoreFailed):
        read_private(link)
    with pytest.raises(StoreFailed):
        create_private(link)
    with pytest.raises(StoreFailed):
        FileLock(link)
    write_private(link, b"ours")
    assert target.read_bytes() == b"theirs"


def test_what_is_not_there_reads_as_none_and_removes_twice(tmp_path: Path) -> None:
    assert read_private(tmp_path / "x") is None
    remove_private(tmp_path / "x")
    remove_private(tmp_path / "x")


def test_a_lock_has_one_holder_and_can_be_taken_again(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(StoreLocked):
        FileLock(tmp_path / "lock")
    lock = FileLock(tmp_path / "lock")
    lock.release()
    lock.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")
def test_L_11_what_another_account_prepared_is_refused(tmp_path: Path) -> None:
    folder, file = tmp_path / "theirs", tmp_path / "file"
    folder.mkdir(mode=0o700)
    file.write_bytes(b"planted")
    for path in (folder, file):
        os.chown(path, 65_534, 65_534)
    with pytest.raises(StoreFailed, match="another account"):
        ensure_folder(folder)
    for use in (read_private, create_private, FileLock):
        with pytest.raises(StoreFailed, match="another account"):
            use(file)


@pytest.mark.parametrize("mode_", [0o770, 0o707, 0o720])
def test_L_11_a_folder_that_others_may_write_into_is_refused(tmp_path: Path, mode_: int) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode_)
    with pytest.raises(StoreFailed, match="others may write"):
        ensure_folder(folder)


def test_T_06_a_draft_that_a_crash_left_is_removed_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_private(path, b"old")
    path.with_name("credentials.json.new").write_bytes(b"REFRESH-TOKEN")
    remove_private(path)
    assert list(tmp_path.iterdir()) == []
