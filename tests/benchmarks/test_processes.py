from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import NoProc, cpu_seconds

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
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) <= before:
        sum(range(100_000))
    assert cpu_seconds(os.getpid()) > before > 0
