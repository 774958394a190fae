"""How much of a workload one deployment carries, and what it meets first. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.cost_model import predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.cost_model import Costs, Prediction
    from benchmarks.workload import Deployment, Electric, Workload

CPU_SHARE_MAX: Final = 0.6
"""Of a core for each process: what is left is for bursts, and for a machine that is slower than this one."""
CONNECTIONS_MAX: Final = 10_000
"""Of one process: the default of `connections` in `[limits]`."""
DESCRIPTORS_MAX: Final = 20_000
"""Of one process: what the machine of the measurements allows."""
_ORGS_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The most organizations that are within every limit."""

    orgs: int
    online: float
    """Users at a time."""
    prediction: Prediction
    limit: str
    """What one more organization would exceed."""


def use(deployment: Deployment, prediction: Prediction, electric: Electric) -> Mapping[str, float]:
    """Say how much of each limit is taken; 1.0 is all of it."""
    processes = deployment.processes
    return {
        "CPU of the gate": prediction.cores / processes / CPU_SHARE_MAX,
        "connections of the gate": prediction.connections / processes / CONNECTIONS_MAX,
        "open files of the gate": prediction.descriptors / DESCRIPTORS_MAX,
        "live requests at Electric": prediction.electric_held / electric.existing_at_once,
        "row changes at Electric": prediction.electric_changes / electric.changes_per_second,
    }


def carry(workload: Workload, deployment: Deployment, costs: Costs, electric: Electric) -> Carried:
    """Find the most organizations of this kind that a deployment carries; at least one is said."""
    low, high = 1, _ORGS_MAX
    while low < high:
        middle = (low + high + 1) // 2
        if _exceeded(replace(workload, orgs=middle), deployment, costs, electric) is None:
            low = middle
        else:
            high = middle - 1
    found = replace(workload, orgs=low)
    limit = _exceeded(replace(workload, orgs=low + 1), deployment, costs, electric)
    return Carried(
        orgs=low,
        online=low * workload.users * workload.online,
        prediction=predict(found, deployment, costs, electric),
        limit=limit or "none",
    )


def _exceeded(workload: Workload, deployment: Deployment, costs: Costs, electric: Electric) -> str | None:
    shares = use(deployment, predict(workload, deployment, costs, electric), electric)
    name = max(shares, key=shares.__getitem__)
    return name if shares[name] > 1 else None
