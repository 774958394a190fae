from __future__ import annotations

import mmap
import os
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import (
    NoProc,
    busy_seconds,
    cpu_nanoseconds,
    cpu_seconds,
    own_seconds,
    peak_bytes,
    private_bytes,
    reset_peak,
    resident_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path


def process(proc: Path, pid: int, parent: int, user: int, system: int, name: str = "python") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    fields = ["S", str(parent), *["0"] * 9, str(user), str(system), *["0"] * 30]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_the_time_of_a_process_is_its_own_and_that_of_all_below_it(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 100, 10)
    process(tmp_path, 30, 20, 3, 0)
    process(tmp_path, 20, 10, 5, 2, name="a) S 99 (b")
    process(tmp_path, 40, 1, 1_000, 1_000)
    (tmp_path / "50").mkdir()  # it has ended
    ticks = os.sysconf("SC_CLK_TCK")
    assert cpu_seconds(10, proc=tmp_path) == pytest.approx(120 / ticks)
    assert cpu_seconds(20, proc=tmp_path) == pytest.approx(10 / ticks)


def test_a_system_that_says_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoProc, match="says nothing of process 10"):
        cpu_seconds(10, proc=tmp_path / "proc")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_time_of_this_process_grows_with_work() -> None:
    readings = [cpu_seconds(os.getpid())]
    while readings[-1] <= readings[0] and len(readings) < 10_000:
        sum(range(100_000))
        readings.append(cpu_seconds(os.getpid()))
    assert readings[-1] > readings[0] > 0  # one more reading could be less: a process below may end meanwhile


def thread(proc: Path, pid: int, number: int, nanoseconds: int) -> None:
    folder = proc / str(pid) / "task" / str(number)
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(f"{nanoseconds} 77 5\n")


def test_the_time_on_a_cpu_is_that_of_all_threads_of_a_process_and_all_below_it(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 0, 0)
    process(tmp_path, 20, 10, 0, 0)
    process(tmp_path, 40, 1, 0, 0)
    for pid, number, nanoseconds in ((10, 10, 100), (10, 11, 20), (20, 20, 3), (40, 40, 9_000)):
        thread(tmp_path, pid, number, nanoseconds)
    (tmp_path / "20" / "task" / "21").mkdir()  # it has ended
    assert cpu_nanoseconds(10, proc=tmp_path) == 123


def test_threads_that_nothing_is_said_of_are_named(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 5, 5)
    with pytest.raises(NoProc, match="threads of process 10"):
        cpu_nanoseconds(10, proc=tmp_path)


def test_what_is_neither_idle_nor_waits_is_busy(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 3 9000 800 4 5 6 70 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
    assert busy_seconds(proc=tmp_path) == pytest.approx(138 / os.sysconf("SC_CLK_TCK"))
    with pytest.raises(NoProc, match="cannot be read"):
        busy_seconds(proc=tmp_path / "proc")


def test_own_time_grows_with_work() -> None:
    before = own_seconds()
    while own_seconds() <= before:
        sum(range(100_000))
    assert own_seconds() > before >= 0


def test_memory_is_what_a_process_shares_with_nobody_and_what_it_peaked_at(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 0, 0)
    process(tmp_path, 20, 10, 0, 0)
    for pid in (10, 20):
        (tmp_path / str(pid) / "smaps_rollup").write_text(
            "55d0-7ffe ---p 00000000 00:00 0 [rollup]\n"
            "Rss: 900 kB\nShared_Clean: 500 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 30 kB\n"
        )
    (tmp_path / "10" / "status").write_text("Name:\tpython\nVmHWM:\t 1200 kB\nVmRSS:\t 900 kB\n")
    assert private_bytes(10, proc=tmp_path) == 2 * 40 * 1_024
    assert resident_bytes(10, proc=tmp_path) == 900 * 1_024
    assert peak_bytes(10, proc=tmp_path) == 1_200 * 1_024


def test_a_system_that_says_nothing_of_memory_is_named(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 0, 0)
    for read in (private_bytes, resident_bytes, peak_bytes):
        with pytest.raises(NoProc, match="cannot be read"):
            read(10, proc=tmp_path)
    with pytest.raises(NoProc, match="cannot be reset"):
        reset_peak(11, proc=tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_peak_of_this_process_starts_anew_and_grows_with_what_it_takes() -> None:
    pid = os.getpid()
    reset_peak(pid)
    before = peak_bytes(pid)
    taken = mmap.mmap(-1, 30_000_000)  # not of what this process was given before and does not use
    taken.write(b"x" * len(taken))
    assert peak_bytes(pid) - before > 0.9 * len(taken)
    assert cpu_nanoseconds(pid) > 0
    # Others of these tests may have processes below this one, which count as private too.
    assert min(private_bytes(pid), resident_bytes(pid)) > 0.9 * len(taken)
