"""Every point at which a process changes its disk, numbered, and what can be made to happen there.

SQLite's own writes, syncs, truncations and deletions are met in its VFS, by wrapping the one that Python's
`sqlite3` uses; the client's other files by audit events. For processes that are made for it and end with it:
nothing is put back.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import enum
import errno
import itertools
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed import HasFileno


class Unreachable(Exception):
    """This Python's SQLite cannot be reached from outside; its writes cannot be met."""


class Mishap(enum.Enum):
    """What happens at a point."""

    NOTHING = "nothing"
    COPY = "copy"
    """The files are copied as they are, at every point: what a process leaves that is killed there."""
    KILL = "kill"
    FULL = "full"
    """The disk is full from there on."""
    BROKEN = "broken"
    """This one operation fails by EIO."""


_FULL: Final = 13
_CANTOPEN: Final = 14
_IOERR: Final = 10
_WRITE, _SYNC, _TRUNCATE, _DELETE = (_IOERR | code << 8 for code in (3, 4, 6, 10))
_CREATE: Final = 0x4
_METHODS: Final = 19
"""Pointers of SQLite's `sqlite3_io_methods` in its third version, behind the version itself."""
_AUDITED: Final = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


class Disk:
    """Counts the points of this process below a folder, and lets a mishap happen at one of them."""

    def __init__(self, home: Path, mishap: Mishap, at: int, *, copies: Path | None = None) -> None:
        self._home, self._mishap, self._at, self._copies = str(home), mishap, at, copies
        self._count = itertools.count()
        self._busy = False
        self.points = 0

    def meets(self) -> int | None:
        """Count a point; return the errno with which the operation there fails, if it does."""
        if self._busy:
            return None
        self.points = number = next(self._count)
        if self._mishap is Mishap.COPY and self._copies is not None:
            self._busy = True
            shutil.copytree(self._home, self._copies / str(number), dirs_exist_ok=True)
            self._busy = False
        if self._mishap is Mishap.KILL and number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._mishap is Mishap.FULL and number >= self._at:
            return errno.ENOSPC
        return errno.EIO if self._mishap is Mishap.BROKEN and number == self._at else None

    def watch(self) -> None:
        """Begin. Raises Unreachable."""
        _wrap_sqlite(self)
        sys.addaudithook(self._hear)
        sync = os.fsync

        def fsync(fd: int | HasFileno) -> None:
            if failed := self.meets():
                raise OSError(failed, os.strerror(failed))
            sync(fd)

        os.fsync = fsync

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        opened = (
            event == "open" and isinstance(flags := arguments[2], int) and flags & (os.O_CREAT | os.O_WRONLY)
        )
        if not (opened or event in _AUDITED) or self._home not in str(arguments[0]):
            return
        # Removing and renaming need no space.
        if (failed := self.meets()) and (opened or event == "os.mkdir" or failed == errno.EIO):
            raise OSError(failed, os.strerror(failed))


_VOID: Final = ctypes.c_void_p
_Open = ctypes.CFUNCTYPE(ctypes.c_int, _VOID, _VOID, _VOID, ctypes.c_int, _VOID)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _VOID, _VOID, ctypes.c_int)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _VOID, _VOID, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _VOID, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _VOID, ctypes.c_int)


class _Methods(ctypes.Structure):
    _fields_ = (("version", ctypes.c_int), ("calls", _VOID * _METHODS))


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("path_bytes_max", ctypes.c_int),
        ("next", _VOID),
        ("name", ctypes.c_char_p),
        ("data", _VOID),
        ("open", _VOID),
        ("delete", _VOID),
    )


_kept: Final[list[object]] = []
"""What SQLite points to for as long as the process lives."""


def _wrap_sqlite(disk: Disk) -> None:
    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (AttributeError, OSError) as exc:
        raise Unreachable(str(exc)) from exc
    find.restype, find.argtypes = ctypes.POINTER(_Vfs), (ctypes.c_char_p,)
    vfs = find(None).contents
    open_file, delete_file = _Open(vfs.open), _Delete(vfs.delete)
    wrapped: dict[int, _Methods] = {}

    def opened(this: int, path: int, file: int, flags: int, out: int) -> int:
        if flags & _CREATE and disk.meets():
            return _CANTOPEN
        result = open_file(this, path, file, flags, out)
        methods = ctypes.cast(file, ctypes.POINTER(_VOID))
        if result == 0 and methods[0]:
            if methods[0] not in wrapped:
                wrapped[methods[0]] = _wrap_file(disk, methods[0])
            methods[0] = ctypes.addressof(wrapped[methods[0]])
        return int(result)

    def deleted(this: int, path: int, sync: int) -> int:
        return _DELETE if disk.meets() == errno.EIO else int(delete_file(this, path, sync))

    _kept.extend((wrapped, opened_call := _Open(opened), deleted_call := _Delete(deleted)))
    vfs.open, vfs.delete = _address(opened_call), _address(deleted_call)


def _wrap_file(disk: Disk, address: int) -> _Methods:
    methods = _Methods.from_buffer_copy(_Methods.from_address(address))
    write, truncate, sync = (
        kind(methods.calls[at]) for kind, at in ((_Write, 2), (_Truncate, 3), (_Sync, 4))
    )

    def written(file: int, content: int, count: int, at: int) -> int:
        if failed := disk.meets():
            return _FULL if failed == errno.ENOSPC else _WRITE
        if count > 1:
            # What a kill or a full disk leaves may be torn.
            write(file, content, count // 2, at)
            if failed := disk.meets():
                return _FULL if failed == errno.ENOSPC else _WRITE
        return int(write(file, content, count, at))

    def truncated(file: int, size: int) -> int:
        return _TRUNCATE if disk.meets() == errno.EIO else int(truncate(file, size))

    def synced(file: int, flags: int) -> int:
        return _SYNC if disk.meets() else int(sync(file, flags))

    calls = (_Write(written), _Truncate(truncated), _Sync(synced))
    _kept.append(calls)
    for at, call in enumerate(calls, start=2):
        methods.calls[at] = _address(call)
    return methods


def _address(call: Callable[..., object]) -> int | None:
    return ctypes.cast(call, _VOID).value  # type: ignore[arg-type]  # a function that ctypes made
