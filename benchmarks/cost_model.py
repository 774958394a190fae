"""What a workload costs the gate and Electric, from the figures of single requests. Pure: no I/O, no clock.

Means of a steady state, by renewal theory: changes and reloads come by chance (Poisson), users spread evenly
over processes. Bursts are not in it: many who connect at once cost as much CPU, at one moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

UP_TO_DATE_BYTES: Final = 75
"""The message that ends every answer which reaches the end of a log."""
ADMISSIONS_MAX: Final = 4_096
"""Requests that one process remembers having admitted, whoever asked (`shapegate_proxy.admissions`)."""
OWN_DESCRIPTORS: Final = 30
"""Of a process without connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Measured figures of one gate process; CPU times are of all its threads."""

    relayed_us: float
    """A request seen before, asked of Electric."""
    kept_us: float
    """A request seen before, answered from memory."""
    distinct_us: float
    """A request never seen before of a known token, asked of Electric."""
    passed_on_us_mb: float
    """A megabyte (10^6) of a long body, from Electric to the client."""
    kept_us_mb: float
    """The same from memory."""
    held_alone_bytes: float
    """A held live poll with an exchange of its own."""
    held_shared_bytes: float
    """One that shares the exchange of another."""
    process_bytes: float
    """Private memory of a process that has served a few requests."""
    admission_bytes: float
    """A remembered request."""

    @property
    def upstream_us(self) -> float:
        """One exchange with Electric."""
        return max(0.0, self.relayed_us - self.kept_us)

    @property
    def shared_us(self) -> float:
        """A request never seen before whose exchange is another's, or whose answer is in memory."""
        return self.distinct_us - self.upstream_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Electric:
    """What Electric 1.7 does by default, and what its authors publish; nothing of it was measured here."""

    long_poll_seconds: float = 20.0
    fresh_seconds: float = 60.0
    """`max-age` of all but the start of a log; longer than that no gate keeps anything."""
    start_fresh_seconds: float = 3_600.0
    """`s-maxage` of the start of a log, for an HTTP cache."""
    chunk_bytes: int = 10_485_760
    existing_at_once: int = 10_000
    """Requests with a handle that are admitted at once, held ones among them."""
    changes_per_second: float = 4_000.0
    """Row changes that one instance takes in where filters are of the form `column = constant AND ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What users do."""

    orgs: int = 100
    users: int = 50
    """Of one organization."""
    online: float = 0.4
    """The share of them that follows its shapes at a time."""
    shapes: int = 3
    """Followed by each user at the same time."""
    own: float = 0.0
    """The share of these that nobody else follows: a scope with the user, a filter of the user's own."""
    changes_per_minute: float = 6.0
    """Transactions in one organization; each touches one of its shapes."""
    rows_per_change: float = 1.0
    row_bytes: int = 500
    """Of a change message."""
    initial_bytes: int = 200_000
    """Of one shape from its beginning, log included."""
    reloads_per_hour: float = 2.0
    """How often one user reads all its shapes from the beginning."""
    return_seconds: float = 0.1
    """From an answer to the next request of the same client: the network there and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What stands before Electric."""

    gates: int = 1
    workers: int = 1
    """Processes of each gate."""
    collapse: bool = True
    cache_bytes: int = 64 * 1_024 * 1_024
    """Of each process; 0 keeps nothing."""
    http_cache: bool = False
    """Whether an HTTP cache stands between gates and Electric; it passes live requests on unkept."""

    @property
    def processes(self) -> int:
        """How many serve in all; they share nothing."""
        return self.gates * self.workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Means of a steady state, of all processes together where nothing else is said."""

    requests: float
    """Answered per second at the gate."""
    upstream_requests: float
    """Sent per second by the gates."""
    electric_requests: float
    """What of it reaches Electric per second."""
    held: float
    """Live polls at the gate at a time."""
    electric_held: float
    connections: float
    """Of clients; behind HTTP/2 those of the balancer."""
    descriptors: float
    """Of one process."""
    cores: float
    """CPU seconds per second."""
    memory_bytes: float
    body_bytes: float
    """To clients per second, without heads."""
    shapes: float
    """Logs that Electric keeps for those who are online."""
    electric_log_bytes: float
    """Of these, as they are sent; on disk they take about as much, and grow with every change."""
    electric_changes: float
    """Row changes per second that Electric takes in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """Shapes of one kind, and how each is used."""

    count: float
    followers: float
    changes: float
    """Per second to one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flow:
    """What one shape makes, per second."""

    polls: float
    syncs: float
    """Requests of those who begin anew."""
    upstream_live: float
    upstream_syncs: float
    electric_syncs: float
    live_bytes: float
    sync_bytes: float
    held: float
    upstream_held: float


def predict(workload: Workload, deployment: Deployment, costs: Costs, electric: Electric) -> Prediction:
    """Add up what every shape of a workload costs."""
    kinds = _kinds(workload)
    kept = _kept_share(workload, deployment, kinds)
    flows = [(kind, _flow(kind, workload, deployment, electric, kept)) for kind in kinds]

    def total(name: str) -> float:
        return sum(kind.count * float(getattr(flow, name)) for kind, flow in flows)

    polls, syncs = total("polls"), total("syncs")
    upstream_live, upstream_syncs = total("upstream_live"), total("upstream_syncs")
    missed = upstream_syncs / syncs if syncs else 0.0
    passed_on, from_memory = total("live_bytes") + missed * total("sync_bytes"), (1 - missed) * total("sync_bytes")
    shapes = sum(kind.count for kind in kinds)
    connections = sum(kind.count * kind.followers for kind in kinds)
    busy_us = (
        (polls + syncs) * costs.shared_us
        + (upstream_live + upstream_syncs) * costs.upstream_us
        + passed_on / 1e6 * costs.passed_on_us_mb
        + from_memory / 1e6 * costs.kept_us_mb
    )
    held, electric_held, processes = total("held"), total("upstream_held"), deployment.processes
    return Prediction(
        requests=polls + syncs,
        upstream_requests=upstream_live + upstream_syncs,
        electric_requests=upstream_live + total("electric_syncs"),
        held=held,
        electric_held=electric_held,
        connections=connections,
        descriptors=OWN_DESCRIPTORS + (connections + electric_held) / processes,
        cores=busy_us / 1e6,
        memory_bytes=processes * _process_bytes(workload, deployment, costs, shapes, polls + syncs)
        + held * (costs.held_shared_bytes if deployment.collapse else costs.held_alone_bytes),
        body_bytes=total("live_bytes") + total("sync_bytes"),
        shapes=shapes,
        electric_log_bytes=shapes * workload.initial_bytes,
        electric_changes=workload.orgs * workload.changes_per_minute / 60 * workload.rows_per_change,
    )


def poll_wait(changes: float, long_poll_seconds: float) -> float:
    """Return the mean seconds that a live poll is held: to the next change, or to its end."""
    if changes * long_poll_seconds < 1e-9:
        return long_poll_seconds
    return -math.expm1(-changes * long_poll_seconds) / changes


def occupied(processes: int, followers: float) -> float:
    """Return how many processes have at least one of so many followers, spread by chance."""
    if processes == 1 or followers <= 1:
        return min(1.0, followers)
    return processes * (1 - (1 - 1 / processes) ** followers)


def first_of(arrivals: float, seconds: float) -> float:
    """Return how many per second find nobody before them, if each one stays for so long."""
    return arrivals / (1 + arrivals * seconds)


def _kinds(workload: Workload) -> tuple[_Followed, ...]:
    online = workload.users * workload.online
    changes = workload.changes_per_minute / 60 / workload.shapes
    together = _Followed(
        count=workload.orgs * workload.shapes * (1 - workload.own), followers=online, changes=changes
    )
    alone = _Followed(
        count=workload.orgs * workload.shapes * workload.own * online,
        followers=1.0,
        changes=changes / online if online else 0.0,
    )
    return tuple(kind for kind in (together, alone) if kind.count > 0 and kind.followers > 0)


def _kept_share(workload: Workload, deployment: Deployment, kinds: tuple[_Followed, ...]) -> float:
    """Return how much of what may be kept finds room in a process."""
    reloads = workload.reloads_per_hour / 3_600
    wanted = sum(
        kind.count
        * occupied(deployment.processes, kind.followers)
        / deployment.processes
        * _share_within(reloads * kind.followers / deployment.processes)
        * workload.initial_bytes
        for kind in kinds
    )
    return min(1.0, deployment.cache_bytes / wanted) if wanted else float(deployment.cache_bytes > 0)


def _share_within(arrivals: float, seconds: float = 60.0) -> float:
    """Return the share of time that something is kept which is asked for so often, and kept so long."""
    return arrivals * seconds / (1 + arrivals * seconds)


def _flow(
    kind: _Followed, workload: Workload, deployment: Deployment, electric: Electric, kept: float
) -> _Flow:
    reloads = workload.reloads_per_hour / 3_600
    wait = poll_wait(kind.changes, electric.long_poll_seconds)
    back = workload.return_seconds
    # What changed while a client was on its way back is answered at once.
    waited = math.exp(-kind.changes * back) * wait
    polls = 1 / (back + waited)
    places = occupied(deployment.processes, kind.followers)
    begun = reloads * kind.followers
    at_place = begun / places
    parts = math.ceil(max(1, workload.initial_bytes) / electric.chunk_bytes) + 1
    missed = 1.0
    if kept:
        missed = 1 - kept * (1 - 1 / (1 + at_place * electric.fresh_seconds))
    # A kept end of a log is some seconds old; what came since is answered to the first live poll at once.
    lag = (1 - missed) * electric.fresh_seconds / 2
    behind = -math.expm1(-kind.changes * lag)
    upstream_syncs = begun * parts * missed
    electric_syncs = upstream_syncs
    if deployment.http_cache:
        by_part = upstream_syncs / parts
        electric_syncs = first_of(by_part, electric.start_fresh_seconds)
        electric_syncs += (parts - 1) * first_of(by_part, electric.fresh_seconds)
    if deployment.collapse:
        newcomers = places * (at_place * behind + first_of(at_place * (1 - behind), wait))
        upstream_live = places * polls + newcomers
        upstream_held = places * polls * waited + newcomers * (1 - behind) * wait
    else:
        upstream_live = kind.followers * polls + begun * (1 + behind)
        upstream_held = kind.followers * polls * waited
    change_bytes = workload.rows_per_change * workload.row_bytes
    answered = kind.followers * polls + begun * behind
    return _Flow(
        polls=answered,
        syncs=begun * parts,
        upstream_live=upstream_live,
        upstream_syncs=upstream_syncs,
        electric_syncs=electric_syncs,
        live_bytes=kind.followers * kind.changes * change_bytes
        + answered * UP_TO_DATE_BYTES
        + begun * kind.changes * lag * change_bytes,
        sync_bytes=begun * (workload.initial_bytes + UP_TO_DATE_BYTES),
        held=kind.followers * polls * waited,
        upstream_held=upstream_held,
    )


def _process_bytes(
    workload: Workload, deployment: Deployment, costs: Costs, shapes: float, requests: float
) -> float:
    """Return the memory of one process beside what it holds; all its bounded memories as full as they get."""
    # Every request of a new offset is remembered, so the memory of admissions is full within minutes.
    admissions = ADMISSIONS_MAX if requests > 0 else 0
    kept = min(deployment.cache_bytes, shapes * workload.initial_bytes if workload.reloads_per_hour else 0)
    return costs.process_bytes + admissions * costs.admission_bytes + kept
