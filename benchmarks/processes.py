"""CPU time of a process and all that it started, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12
"""Places in /proc/<pid>/stat behind the name (Linux: proc(5))."""


class NoProc(Exception):
    """This system does not tell the CPU time of other processes."""


def cpu_seconds(pid: int, *, proc: Path = _PROC) -> float:
    """Add up user and system time of a process and its living descendants. Raises NoProc."""
    stats = _stats(proc)
    if pid not in stats:
        raise NoProc(f"{proc} says nothing of process {pid}")
    counted: set[int] = {pid}
    while grown := {child for child, stat in stats.items() if int(stat[_PARENT]) in counted} - counted:
        counted |= grown
    ticks = sum(int(stats[each][_USER_TICKS]) + int(stats[each][_SYSTEM_TICKS]) for each in counted)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stats(proc: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for entry in proc.glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # It has ended meanwhile.
        # The name is in parentheses and may hold anything, parentheses and spaces included.
        found[int(entry.name)] = text.rpartition(")")[2].split()
    return found
