"""What is made of the loads of the client's bench."""

from __future__ import annotations

import json

import pytest

from benchmarks.client_whole_log import LOAD, TYPESCRIPT, Loaded, Loads, figures, read_loaded
from benchmarks.figure import Figure, Skipped, Verdict
from benchmarks.running import WrongAnswer

SAID = {"seconds": 4.0, "cpu_seconds": 6.0, "rows": 1_000, "peak_bytes": 90e6, "stall_seconds": 0.02}
LOADED = Loaded(seconds=4.0, cpu_seconds=6.0, peak_bytes=90e6, stall_seconds=0.02)


def test_what_a_load_printed_is_read_if_all_rows_arrived() -> None:
    assert read_loaded(json.dumps(SAID).encode(), rows=1_000) == LOADED
    with pytest.raises(WrongAnswer, match="1000 rows arrived: expected 999"):
        read_loaded(json.dumps(SAID).encode(), rows=999)


def test_each_load_is_compared_with_those_of_its_round() -> None:
    other = Loaded(seconds=2.0, cpu_seconds=1.0, peak_bytes=80e6, stall_seconds=0.01)
    loads = Loads(bare_seconds=[2.0, 3.0], client=[LOADED, other], typescript_seconds=[16.0, 6.0])
    load, rate, cpu, memory, stall, typescript = figures(loads, rows=1_000)
    assert isinstance(load, Figure)
    assert (load.goal, load.rounds) == (LOAD, (0.5, 1.5))
    assert load.verdict is Verdict.AIM_MET
    assert isinstance(typescript, Figure)
    assert (typescript.goal, typescript.rounds) == (TYPESCRIPT, (4.0, 3.0))
    found = [each.rounds for each in (rate, cpu, memory, stall) if isinstance(each, Figure)]
    assert found == [(250.0, 500.0), (6_000.0, 1_000.0), (90.0, 80.0), (20.0, 10.0)]


def test_a_peer_that_is_missing_from_some_round_on_is_skipped() -> None:
    loads = Loads(bare_seconds=[2.0, 2.0], client=[LOADED] * 2, typescript_seconds=[16.0], missing="no node")
    assert figures(loads, rows=1_000)[-1] == Skipped(goal=TYPESCRIPT, reason="no node")
