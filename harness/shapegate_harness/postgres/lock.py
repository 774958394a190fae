"""The claim of one process on a folder, which ends with the process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from shapegate_harness.postgres.errors import FolderInUse

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """A lock file, held locked; its text is the pid of the holder. Whoever acquires it releases it."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, file: Path) -> FolderLock:
        """Claim the folder of `file`. Raises FolderInUse if a running process holds it, also this one."""
        descriptor = open_private(file, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as exc:
            text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            pid = int(text) if text.isdecimal() else None  # the holder may not have written it yet
            raise FolderInUse(
                f"{str(file.parent)!r} is in use by another running Shapegate (pid "
                f"{pid or 'not yet known'}); stop that one, or set SHAPEGATE_HOME to another folder",
                pid=pid,
            ) from exc
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @property
    def held(self) -> bool:
        """Whether the claim still stands."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Give the folder free. Idempotent. The file stays: removing it would let two hold a lock each."""
        if self.held:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def open_private(path: Path, flags: int) -> int:
    """Open a file of ours, mode 0600 if made; never through a link that the server's account planted."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
