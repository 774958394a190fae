"""Private files: 0600 in folders of 0700, replaced atomically, no links followed (SECURITY L-11)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from shapegate_client.errors import StoreFailed, StoreLocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_BYTES_MAX: Final = 1_000_000
"""More than any of these files holds; a larger one is not ours."""


def ensure_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that exists keeps its mode.

    Raises StoreFailed if it cannot be made, is a link, is another account's, or others may write into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise StoreFailed(f"{folder} is no folder but a link: expected a folder of our own")
        if found.st_uid != os.geteuid():
            raise StoreFailed(f"{folder} belongs to another account: expected a folder of our own")
        if found.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
            raise StoreFailed(f"others may write into {folder}: expected a folder that only its owner writes")
    except OSError as exc:
        raise StoreFailed(
            f"the folder {folder} cannot be used ({exc.strerror}): choose another home"
        ) from exc


def read_private(path: Path) -> bytes | None:
    """Read a file; None where there is none. Raises StoreFailed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreFailed(f"{path} cannot be read ({exc.strerror}): expected a file of our own") from exc
    with os.fdopen(descriptor, "rb") as file:
        _check_ours(path, descriptor)
        return file.read(FILE_BYTES_MAX)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file's whole content so that a crash leaves the old or the new one. Raises StoreFailed."""
    draft = _draft(path)
    try:
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreFailed(f"{path} cannot be written ({exc.strerror}): free space or fix the folder") from exc


def remove_private(path: Path) -> None:
    """Remove a file for good, and a draft of it that a crash left. Raises StoreFailed."""
    try:
        _draft(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if path.parent.exists():
            _sync_folder(path.parent)
    except OSError as exc:
        raise StoreFailed(f"{path} cannot be removed ({exc.strerror}): remove it by hand") from exc


def create_private(path: Path) -> None:
    """Make an empty file unless it exists; what exists must be a regular file. Raises StoreFailed."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except OSError as exc:
        raise StoreFailed(f"{path} cannot be opened ({exc.strerror}): expected a file of our own") from exc
    with os.fdopen(descriptor, "rb"):
        _check_ours(path, descriptor)
        os.fchmod(descriptor, 0o600)


class FileLock:
    """The right to write, held by one process and one holder in it; the kernel ends it with the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock without waiting. Raises StoreLocked if it is held, StoreFailed if it cannot be."""
        self._descriptor: int | None = None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except OSError as exc:
            raise StoreFailed(
                f"{path} cannot be opened ({exc.strerror}): expected a file of our own"
            ) from exc
        try:
            _check_ours(path, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(path.lstat(), os.fstat(descriptor)):
                raise BlockingIOError  # whoever held it has just removed the file, and another may be there
        except StoreFailed:
            os.close(descriptor)
            raise
        except OSError as exc:
            os.close(descriptor)
            raise StoreLocked from exc
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock during the block. Raises StoreLocked if it is held."""
    lock = FileLock(path)
    try:
        yield
    finally:
        lock.release()


def _draft(path: Path) -> Path:
    """Name the one file that a new content is written to; whoever writes holds the lock of what it is for."""
    return path.with_name(f"{path.name}.new")


def _check_ours(path: Path, descriptor: int) -> None:
    """Refuse what another account made, or what is no file: others could read what is written to it."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StoreFailed(f"{path} is no regular file: expected a file of our own")
    if found.st_uid != os.geteuid():
        raise StoreFailed(f"{path} belongs to another account: expected a file of our own")


def _sync_folder(folder: Path) -> None:
    """Make a rename or removal in the folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
