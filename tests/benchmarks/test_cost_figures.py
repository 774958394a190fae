from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from benchmarks.calibration import LiveCosts
from benchmarks.cost_figures import (
    ORIGINS,
    NoFigure,
    from_results,
    print_figures,
    read_figures,
    read_results,
)
from benchmarks.cost_model import Costs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def result(at: str, *costs: str, value: float = 50.0) -> Mapping[str, object]:
    figures: list[dict[str, object]] = [
        {"name": ORIGINS[cost].name, "unit": ORIGINS[cost].unit, "median": value} for cost in costs
    ]
    skipped: dict[str, object] = {"name": "a held live poll, alone", "skipped": "too busy"}
    return {"at": at, "commit": "0123456789abcdef", "changed_files": 0, "figures": [skipped, *figures]}


def test_each_cost_is_of_the_newest_result_that_has_it() -> None:
    found = from_results([result("new", "kept_us", value=20.0), result("old", *ORIGINS)])
    assert (found["kept_us"].at, found["kept_us"].value) == ("new", 20.0)
    assert {found[cost].at for cost in ORIGINS.keys() - {"kept_us"}} == {"old"}


@pytest.mark.parametrize(
    ("cost", "value"),
    [
        ("passed_on_us_mb", 500.0),
        ("kept_us_mb", 20_000.0),
        ("held_alone_bytes", 51_200.0),
        ("distinct_us", 50.0),
    ],
)
def test_a_result_is_converted_to_the_unit_of_the_cost(cost: str, value: float) -> None:
    assert from_results([result("now", *ORIGINS)])[cost].value == value


def test_what_was_never_measured_is_named_with_how_to_measure_it() -> None:
    with pytest.raises(NoFigure, match=r"--only held,tiny$"):
        from_results(
            [result("now", *(ORIGINS.keys() - {"relayed_us", "held_alone_bytes", "held_shared_bytes"}))]
        )


def test_every_cost_is_measured_by_the_bench_or_by_the_calibration() -> None:
    calibrated = {field.name for field in fields(LiveCosts)}
    assert {field.name for field in fields(Costs)} == ORIGINS.keys() | calibrated
    assert not ORIGINS.keys() & calibrated


def test_results_are_read_from_the_newest_on(tmp_path: Path) -> None:
    for name in ("proxy-20261121T1", "proxy-20261121T2", "client-20261121T3"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"at": name}))
    assert [each["at"] for each in read_results(tmp_path)] == ["proxy-20261121T2", "proxy-20261121T1"]


def test_figures_are_read_as_they_are_printed(tmp_path: Path) -> None:
    figures = read_figures()
    (tmp_path / "again.json").write_text(print_figures(figures))
    assert read_figures(tmp_path / "again.json") == figures
    assert min(each.value for each in figures.figures.values()) >= 0
