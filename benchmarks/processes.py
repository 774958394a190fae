"""CPU time and memory of a process and all that it started, from /proc (Linux)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12
"""Places in /proc/<pid>/stat behind the name (Linux: proc(5))."""
_RESET_PEAK: Final = "5"
"""Written to clear_refs, it lets the peak of the resident memory start anew (Linux: proc(5))."""


class NoProc(Exception):
    """This system does not tell the CPU time or the memory of other processes."""


def cpu_seconds(pid: int, *, proc: Path = _PROC) -> float:
    """Add up user and system time of a process and its living descendants. Raises NoProc."""
    stats = _stats(proc)
    ticks = sum(
        int(stats[each][_USER_TICKS]) + int(stats[each][_SYSTEM_TICKS]) for each in _family(pid, stats, proc)
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_nanoseconds(pid: int, *, proc: Path = _PROC) -> int:
    """Add up the time on a CPU of all living threads of a process and its living descendants.

    Finer than the ticks of `cpu_seconds`. Raises NoProc.
    """
    spent = 0
    for each in _family(pid, _stats(proc), proc):
        for path in (proc / str(each) / "task").glob("*/schedstat"):
            with suppress(OSError):  # the thread has ended meanwhile
                spent += int(path.read_text(encoding="ascii").split()[0])
    if spent == 0:
        raise NoProc(f"{proc} says nothing of the threads of process {pid}")
    return spent


def busy_seconds(*, proc: Path = _PROC) -> float:
    """Add up the time that all processors were not idle since the system started. Raises NoProc."""
    try:
        first = (proc / "stat").read_text(encoding="ascii").partition("\n")[0]
    except OSError as exc:
        raise NoProc(f"{proc / 'stat'} cannot be read: {exc.strerror}") from exc
    user, nice, system, _idle, _iowait, *rest = (int(word) for word in first.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Add up the CPU time of this process and of all that it started and that has ended."""
    return sum(os.times()[:4])


def private_bytes(pid: int, *, proc: Path = _PROC) -> int:
    """Add up the resident memory that a process and its descendants share with nobody. Raises NoProc."""
    return sum(
        sum(_kilobytes(proc / str(each) / "smaps_rollup", ("Private_Clean", "Private_Dirty")))
        for each in _family(pid, _stats(proc), proc)
    )


def resident_bytes(pid: int, *, proc: Path = _PROC) -> int:
    """Return the resident memory of one process. Raises NoProc."""
    return sum(_kilobytes(proc / str(pid) / "status", ("VmRSS",)))


def peak_bytes(pid: int, *, proc: Path = _PROC) -> int:
    """Return the peak of the resident memory since `reset_peak`. Raises NoProc."""
    return sum(_kilobytes(proc / str(pid) / "status", ("VmHWM",)))


def reset_peak(pid: int, *, proc: Path = _PROC) -> None:
    """Let the peak of a process start from what it has now. Raises NoProc."""
    try:
        (proc / str(pid) / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError as exc:
        raise NoProc(f"the peak of process {pid} cannot be reset: {exc.strerror}") from exc


def _kilobytes(path: Path, names: tuple[str, ...]) -> list[int]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as exc:
        raise NoProc(f"{path} cannot be read: {exc.strerror}") from exc
    found = [line.split() for line in lines]
    return [int(words[1]) * 1_024 for words in found if words and words[0].rstrip(":") in names]


def _family(pid: int, stats: dict[int, list[str]], proc: Path) -> set[int]:
    if pid not in stats:
        raise NoProc(f"{proc} says nothing of process {pid}")
    counted: set[int] = {pid}
    while grown := {child for child, stat in stats.items() if int(stat[_PARENT]) in counted} - counted:
        counted |= grown
    return counted


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
