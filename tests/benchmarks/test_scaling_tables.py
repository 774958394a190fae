"""The tables of docs/scaling.md are those that the measured figures make, and its names are real ones."""

from __future__ import annotations

import re

import pytest

from benchmarks.cost_figures import read_figures
from benchmarks.scaling_tables import fill, marks, tables
from shapegate_proxy.limit_settings import LimitSettings
from tests.docs.blocks import read_document

DOCUMENT = read_document("scaling.md")


def test_the_tables_of_the_document_are_computed_from_the_measured_figures() -> None:
    printed = tables(read_figures())
    assert sorted(marks(DOCUMENT)) == sorted(printed)
    assert fill(DOCUMENT, printed) == DOCUMENT, "run python -m benchmarks.simulate --tables"


def test_a_place_without_a_table_is_refused() -> None:
    with pytest.raises(KeyError):
        fill("<!-- simulated: nothing -->\n<!-- end -->", {})


def test_every_metric_of_the_document_is_one_that_is_documented() -> None:
    running = read_document("running.md")
    metrics = set(re.findall(r"shapegate_[a-z_]+", DOCUMENT))
    assert len(metrics) > 3
    assert {metric for metric in metrics if metric not in running} == set()


def test_every_limit_of_the_document_has_its_default() -> None:
    limits = LimitSettings()
    assert limits.requests_per_org == 2_000
    assert limits.live_per_principal == 50
    assert "`requests_per_org` (2,000)" in DOCUMENT
    assert "`live_per_principal` (50)" in DOCUMENT
