from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.capacity import CONNECTIONS_MAX, carry, use
from benchmarks.cost_model import predict
from benchmarks.workload import Deployment, Electric, Workload
from shapegate_proxy.limit_settings import LimitSettings
from tests.benchmarks.test_cost_model import COSTS

ELECTRIC = Electric()


@pytest.mark.parametrize(
    ("workload", "deployment", "limit"),
    [
        (Workload(changes_per_minute=0.1), Deployment(), "connections of the gate"),
        (Workload(changes_per_minute=600), Deployment(), "CPU of the gate"),
        (Workload(own=1.0), Deployment(gates=4), "live requests at Electric"),
        (Workload(rows_per_change=10_000), Deployment(gates=4), "row changes at Electric"),
        (
            Workload(changes_per_minute=0.1, online=0.9),
            Deployment(collapse=False, gates=9),
            "live requests at Electric",
        ),
    ],
)
def test_as_much_is_carried_as_is_within_every_limit(
    workload: Workload, deployment: Deployment, limit: str
) -> None:
    found = carry(workload, deployment, COSTS, ELECTRIC)
    assert found.limit == limit
    for orgs, within in ((found.orgs, True), (found.orgs + 1, False)):
        made = predict(replace(workload, orgs=orgs), deployment, COSTS, ELECTRIC)
        assert (max(use(deployment, made, ELECTRIC).values()) <= 1) == within


def test_the_connections_of_a_process_are_those_that_the_gate_admits() -> None:
    assert LimitSettings().connections == CONNECTIONS_MAX
