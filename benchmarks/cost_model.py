"""What a workload costs the gate and Electric, from the figures of single requests. Pure: no I/O, no clock.

Means of a steady state, by renewal theory: changes and reloads come by chance (Poisson), users spread evenly
over processes. Bursts are not in it: many who connect at once cost as much CPU, at one moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.workload import Deployment, Electric, Workload

UP_TO_DATE_BYTES: Final = 75
"""The message that ends every answer which reaches the end of a log."""
ADMISSIONS_MAX: Final = 2_048
"""Requests that one process remembers having admitted, whoever asked (`shapegate_proxy.admissions`)."""
OWN_DESCRIPTORS: Final = 30
"""Of a process without connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Measured figures of one gate process; CPU times are of all its threads, in microseconds.

    The first three are of a busy process, in which one wake-up serves many; the live ones are of one that
    mostly sleeps.
    """

    kept_us: float
    """A request seen before, answered from memory."""
    relayed_us: float
    """A request seen before, asked of Electric."""
    distinct_us: float
    """A request never seen before of a known token, asked of Electric."""
    shared_live_us: float
    """A live poll from an offset never seen before, beside the exchange that it shares."""
    alone_live_us: float
    """One that is asked of Electric alone."""
    burst_us: float
    """What an answer of Electric to live polls costs but once, however many wait for it."""
    begin_us: float
    """To begin anew: connection, the two requests up to the end of a log, and the first live poll."""
    passed_on_us_mb: float
    """A megabyte (10^6) of a long body, from Electric to the client."""
    kept_us_mb: float
    """The same from memory."""
    held_alone_bytes: float
    """A held live poll with an exchange of its own."""
    held_shared_bytes: float
    """One that shares the exchange of another."""
    process_bytes: float
    """Private memory of a process that nobody has asked yet."""
    admission_bytes: float
    """A remembered request, with all else that its answer leaves behind."""

    @property
    def upstream_us(self) -> float:
        """One exchange with Electric."""
        return max(0.0, self.relayed_us - self.kept_us)


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
    bursts: float
    """Moments at which live polls are answered."""
    begun: float
    more_parts: float
    """Requests of those who begin anew beyond two each."""


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
    passed_on, from_memory = (
        total("live_bytes") + missed * total("sync_bytes"),
        (1 - missed) * total("sync_bytes"),
    )
    shapes = sum(kind.count for kind in kinds)
    connections = sum(kind.count * kind.followers for kind in kinds)
    # A group more is an exchange more, but not one more moment at which the process wakes up.
    apart = max(0.0, upstream_live - total("bursts"))
    busy_us = (
        polls * (costs.shared_live_us if deployment.collapse else costs.alone_live_us)
        + total("bursts") * costs.burst_us
        + total("begun") * costs.begin_us
        + total("more_parts") * costs.kept_us
        + (upstream_syncs + (apart if deployment.collapse else 0.0)) * costs.upstream_us
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
        memory_bytes=idle_bytes(deployment, costs)
        + processes * _filled_bytes(workload, deployment, costs, shapes, syncs)
        + held * (costs.held_shared_bytes if deployment.collapse else costs.held_alone_bytes),
        body_bytes=total("live_bytes") + total("sync_bytes"),
        shapes=shapes,
        electric_log_bytes=shapes * workload.initial_bytes,
        electric_changes=workload.orgs * workload.changes_per_minute / 60 * workload.rows_per_change,
    )


def idle_bytes(deployment: Deployment, costs: Costs) -> float:
    """Return the memory of all processes before anybody came; several workers have a parent."""
    parents = deployment.gates if deployment.workers > 1 else 0
    return (deployment.processes + parents) * costs.process_bytes


def poll_wait(changes: float, long_poll_seconds: float) -> float:
    """Return the mean seconds that a live poll is held: to the next change, or to its end."""
    if changes * long_poll_seconds < 1e-9:
        return long_poll_seconds
    return -math.expm1(-changes * long_poll_seconds) / changes


def occupied(processes: int, followers: float) -> float:
    """Return how many processes have at least one of so many followers, spread by chance."""
    if processes == 1 or followers <= 1:
        return min(1.0, followers)
    return processes * (1 - math.pow(1 - 1 / processes, followers))


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
    held = kind.followers * polls * waited
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
        groups = places * _groups(kind, first_of(at_place, wait), at_place, places, electric)
        upstream_live = min(kind.followers * polls + begun * (1 + behind), groups * polls + newcomers)
        # Who begins anew waits beside the others until the next answer, if there are others.
        beside = 1 - places / kind.followers
        upstream_held = min(held, groups * polls * waited + newcomers * (1 - behind) * wait * beside)
    else:
        upstream_live = kind.followers * polls + begun * (1 + behind)
        upstream_held = held
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
        held=held,
        upstream_held=upstream_held,
        bursts=places * polls,
        begun=begun,
        more_parts=begun * (parts - 2),
    )


def _groups(kind: _Followed, formed: float, begun: float, places: float, electric: Electric) -> float:
    """Return into how many groups of one cursor the followers in one process fall.

    So many begin there per second, and `formed` as many groups: those who begin within the same poll have one
    cursor. If that of the others is ahead, they stay a group of their own until the last of them leaves.
    """
    if not electric.cursors_apart or not begun:
        return 1.0
    members = kind.followers / places
    within = kind.changes * electric.long_poll_seconds
    doubled = kind.changes * (1 + math.expm1(-within) / within) if within > 1e-6 else 0.0
    ahead = -math.expm1(-doubled * electric.cursor_ahead_seconds)
    size = begun / formed
    stays = max(1.0, math.log(size) + 1 / size)  # In the time that one stays: about the harmonic number.
    lasting = formed * stays * members / begun
    return max(1.0, min(members, 1 + ahead * (lasting - 1)))


def _filled_bytes(
    workload: Workload, deployment: Deployment, costs: Costs, shapes: float, requests: float
) -> float:
    """Return what the bounded memories of one process grow to."""
    # Live polls are not remembered: each is of a new offset.
    asked = requests / deployment.processes * deployment.age_seconds if requests else 0.0
    admissions = min(ADMISSIONS_MAX, asked)
    kept = min(deployment.cache_bytes, shapes * workload.initial_bytes if workload.reloads_per_hour else 0)
    return admissions * costs.admission_bytes + kept
