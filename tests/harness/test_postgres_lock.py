from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres.errors import FolderInUse
from shapegate_harness.postgres.lock import FolderLock, open_private
from tests.harness.postgres_builders import mode

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """\
import sys
from pathlib import Path
from shapegate_harness.postgres.lock import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_held_folder_is_refused_with_the_pid_of_its_holder(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path / "lock")
    with pytest.raises(FolderInUse, match=f"pid {os.getpid()}") as caught:
        FolderLock.acquire(tmp_path / "lock")
    assert caught.value.pid == os.getpid()
    lock.release()


def test_a_released_folder_is_free_and_releasing_twice_is_harmless(tmp_path: Path) -> None:
    first = FolderLock.acquire(tmp_path / "lock")
    first.release()
    second = FolderLock.acquire(tmp_path / "lock")
    first.release()
    assert (first.held, second.held) == (False, True)
    second.release()


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen(
        (sys.executable, "-c", HOLD, str(file)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse) as caught:
            FolderLock.acquire(file)
        holder.kill()
    assert caught.value.pid == holder.pid
    FolderLock.acquire(file).release()


def test_a_lock_that_names_no_pid_yet_is_still_a_lock(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path / "lock")
    (tmp_path / "lock").write_text("")
    with pytest.raises(FolderInUse, match="not yet known") as caught:
        FolderLock.acquire(tmp_path / "lock")
    assert caught.value.pid is None
    lock.release()


def test_a_private_file_is_closed_to_others_and_never_opened_through_a_link(tmp_path: Path) -> None:
    os.close(open_private(tmp_path / "new", os.O_WRONLY | os.O_CREAT))
    assert mode(tmp_path / "new") == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link", os.O_WRONLY)
