"""What Postgres reports about itself: its pid file and its log. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

DISOWNED_PID: Final = 2**31 - 1
"""A pid no system hands out (Linux ends at 2**22), so that Postgres takes the file for a dead server's."""

_TAIL_LINES: Final = 5
_LINE_CHARACTERS_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What `postmaster.pid` says (Postgres: pidfile.h)."""

    pid: int
    ready: bool
    """Whether the server accepts connections; the line is written last, after recovery."""


class Complaint(enum.Enum):
    """Why a server or initdb gave up, as far as its words tell."""

    PORT_TAKEN = "the port is taken"
    PORT_FORBIDDEN = "the port may not be used"
    DISK_FULL = "no space is left"
    NOT_RUNNABLE = "the programs do not run on this machine"
    NAMELESS = "the account has no name"
    MEMORY_SHARED = "processes of the previous server have not ended yet"
    OTHER = "something else"


def parse_pid_file(text: str) -> PidFile | None:
    """Read `postmaster.pid`; None for a file that a crash left empty or cut short."""
    lines = text.splitlines()
    try:
        pid = int(lines[0])
    except (IndexError, ValueError):
        return None
    return PidFile(pid=pid, ready=len(lines) > 7 and lines[7].strip() == "ready") if pid > 0 else None


def disown(text: str) -> str:
    """Return the pid file with a pid that is never alive.

    The rest is kept, above all the shared memory key: by it a new server notices that processes of the old
    one still use the data, which removing the file would hide.
    """
    _, newline, rest = text.partition("\n")
    return f"{DISOWNED_PID}{newline}{rest}"


def complaint(log: str) -> Complaint:
    """Say why Postgres gave up. The messages are untranslated: the server runs with LC_ALL=C."""
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return Complaint.DISK_FULL
    wrong_machine = "Exec format error" in log or "No such file or directory" in log  # no such loader
    if ("could not execute" in log and wrong_machine) or "error while loading shared libraries" in log:
        return Complaint.NOT_RUNNABLE
    if "could not look up effective user ID" in log:
        return Complaint.NAMELESS
    if "could not bind" in log and "Address already in use" in log:
        return Complaint.PORT_TAKEN
    if "could not bind" in log and "Permission denied" in log:
        return Complaint.PORT_FORBIDDEN
    if "pre-existing shared memory block" in log:
        return Complaint.MEMORY_SHARED
    return Complaint.OTHER


def fault(log: str) -> str:
    """Return the first line that tells of an error, "nothing" if none does."""
    marks = ("FATAL:", "PANIC:", "ERROR:", "error:")
    found = (line for line in log.splitlines() if any(mark in line for mark in marks))
    return next(found, "nothing").strip()[:_LINE_CHARACTERS_MAX]


def last_lines(log: str) -> str:
    """Return the end of a log on one line, short enough to stand in a message."""
    lines = [line.strip()[:_LINE_CHARACTERS_MAX] for line in log.splitlines() if line.strip()]
    return " | ".join(lines[-_TAIL_LINES:]) or "nothing"
