"""Figures for Prometheus, on a listener of their own; no organization, user, handle or token is a label.

A request is counted in plain `Tallies`; the families of Prometheus are made of them when somebody asks.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shapegate_proxy.tallies import FIRST_BYTE_SECONDS, TOTAL_SECONDS, Reading, Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from shapegate_proxy.held import HeldRequests
    from shapegate_proxy.observe import ShapeServed
    from shapegate_proxy.tallies import Durations


class Figures(Protocol):
    """What is exposed."""

    async def families(self) -> Iterable[Metric]:
        """Return the figures of this moment; must not take longer than a scraper waits."""


class Metrics:
    """An observer that counts, for one gate."""

    def __init__(
        self,
        held: HeldRequests,
        failures: Mapping[str, Callable[[], int]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Count for one gate; `failures` says how often each kind of look-up failed up to now."""
        self._held = held
        self._failures = failures
        self._clock = clock
        self._tallies = Tallies()

    def served(self, event: ShapeServed) -> None:
        """Count one request."""
        self._tallies.count(event, now=self._clock())

    def reading(self) -> Reading:
        """Return the counts of this moment, to be read or sent before the next request is counted."""
        return Reading(
            tallies=self._tallies,
            failures={name: count() for name, count in self._failures.items()},
            under_way=self._held.count,
            live=self._held.live_count,
            process=process_figures(),
        )

    async def families(self) -> Iterable[Metric]:
        """Return the counts of this moment."""
        return families(self.reading())

    @property
    def registry(self) -> CollectorRegistry:
        """The counts of this moment as a registry."""
        return _registry(families(self.reading()))


def process_figures() -> dict[str, float]:
    """Return what the system tells of this process, by the name of the figure."""
    return {sample.name: float(sample.value) for metric in _process_families() for sample in metric.samples}


def families(reading: Reading) -> tuple[Metric, ...]:
    """Print figures as families of Prometheus."""
    return (*_process(reading), *_gauges(reading), *_counters(reading), *_histograms(reading))


def _process_families() -> Iterable[Metric]:
    return ProcessCollector(registry=None).collect()


def _process(reading: Reading) -> Iterator[Metric]:
    for metric in _process_families():
        metric.samples = [
            sample._replace(value=reading.process[sample.name])
            for sample in metric.samples
            if sample.name in reading.process
        ]
        yield metric


def _gauges(reading: Reading) -> Iterator[Metric]:
    build = GaugeMetricFamily("shapegate_build_info", "The version that runs.", labels=["version"])
    build.add_metric([version("shapegate")], 1)
    yield build
    for name, text, value in (
        ("requests_under_way", "Authenticated requests under way.", reading.under_way),
        ("live_requests", "Long polls and event streams under way.", reading.live),
    ):
        yield GaugeMetricFamily(f"shapegate_{name}", text, value=value)


def _counters(reading: Reading) -> Iterator[Metric]:
    failures = CounterMetricFamily(
        "shapegate_failed_lookups", "Look-ups of keys and sessions that failed.", labels=["of"]
    )
    for name, failed in reading.failures.items():
        failures.add_metric([name], failed)
    requests = CounterMetricFamily(
        "shapegate_requests",
        "Shape requests by what was asked and what became of it.",
        labels=["kind", "decision", "status", "code"],
    )
    for (kind, decision, status, code), count in reading.tallies.requests.items():
        requests.add_metric([kind, decision, str(status), code], count.requests, count.created)
    tables = CounterMetricFamily(
        "shapegate_table_requests", "Shape requests by table of the policy.", labels=["table"]
    )
    sent = CounterMetricFamily(
        "shapegate_body_bytes", "Bytes of bodies sent, by table of the policy.", labels=["table"]
    )
    for name, table in reading.tallies.tables.items():
        tables.add_metric([name], table.requests, table.created)
        sent.add_metric([name], table.body_bytes, table.created)
    yield from (failures, requests, tables, sent)


def _histograms(reading: Reading) -> Iterator[Metric]:
    tallies = reading.tallies
    yield _histogram(
        "shapegate_first_byte_seconds",
        "From the request to the head of its answer.",
        FIRST_BYTE_SECONDS,
        tallies.first_byte,
    )
    yield _histogram(
        "shapegate_request_seconds",
        "From the request to the end of its answer.",
        TOTAL_SECONDS,
        tallies.total,
    )


def _histogram(
    name: str, text: str, bounds: tuple[float, ...], durations: Mapping[str, Durations]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["kind"])
    printed = [*(str(float(bound)) for bound in bounds), "+Inf"]
    for kind, taken in durations.items():
        if not any(taken.buckets):
            continue
        buckets = list(zip(printed, taken.cumulated(), strict=True))
        family.add_metric([kind], buckets, taken.seconds)
        # The library's family has no argument for it, as that of counters has.
        family.add_sample(f"{name}_created", {"kind": kind}, taken.created)
    return family


class _Collected(Collector):
    """Families that were made before the registry asks for them."""

    def __init__(self, collected: Iterable[Metric]) -> None:
        self._collected = tuple(collected)

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._collected


def _registry(collected: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(collected))
    return registry


def create_metrics_app(figures: Figures) -> web.Application:
    """Answer GET /metrics."""

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = encode(_registry(await figures.families()))
        return web.Response(body=body, headers={"content-type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app
