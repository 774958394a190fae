"""Figures for Prometheus, on a listener of their own; no organization, user, handle or token is a label.

Labels hold closed sets only: kinds, statuses, codes, and tables that the policy names.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric

    from shapegate_proxy.held import HeldRequests
    from shapegate_proxy.observe import ShapeServed

FIRST_BYTE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
TOTAL_SECONDS: Final = (0.0025, 0.01, 0.05, 0.25, 1, 5, 21, 60, 300, 1800)
"""A long poll lasts 20 s when nothing happens, a stream up to the end of its token."""
NONE: Final = "none"


class Metrics:
    """An observer that counts; `exposition` prints the counts."""

    def __init__(self, held: HeldRequests, failures: Mapping[str, Callable[[], int]]) -> None:
        """Count for one gate; `failures` says how often each kind of look-up failed up to now."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Failures(failures))
        Gauge("shapegate_build_info", "The version that runs.", ["version"], registry=registry).labels(
            version("shapegate")
        ).set(1)
        for name, text, count in (
            ("requests_under_way", "Authenticated requests under way.", lambda: held.count),
            ("live_requests", "Long polls and event streams under way.", lambda: held.live_count),
        ):
            Gauge(f"shapegate_{name}", text, registry=registry).set_function(count)
        self._requests = Counter(
            "shapegate_requests",
            "Shape requests by what was asked and what became of it.",
            ["kind", "decision", "status", "code"],
            registry=registry,
        )
        self._tables = Counter(
            "shapegate_table_requests", "Shape requests by table of the policy.", ["table"], registry=registry
        )
        self._bytes = Counter(
            "shapegate_body_bytes",
            "Bytes of bodies sent, by table of the policy.",
            ["table"],
            registry=registry,
        )
        self._first_byte = Histogram(
            "shapegate_first_byte_seconds",
            "From the request to the head of its answer.",
            ["kind"],
            buckets=FIRST_BYTE_SECONDS,
            registry=registry,
        )
        self._seconds = Histogram(
            "shapegate_request_seconds",
            "From the request to the end of its answer.",
            ["kind"],
            buckets=TOTAL_SECONDS,
            registry=registry,
        )

    def served(self, event: ShapeServed) -> None:
        """Count one request."""
        kind, table = event.kind or NONE, event.table or NONE
        self._requests.labels(kind, event.decision, str(event.status), event.code).inc()
        self._tables.labels(table).inc()
        self._bytes.labels(table).inc(event.body_bytes)
        if event.first_byte_seconds is not None:
            self._first_byte.labels(kind).observe(event.first_byte_seconds)
        self._seconds.labels(kind).observe(event.seconds)


class _Failures(Collector):
    """Look-ups that failed, read when they are asked for."""

    def __init__(self, failures: Mapping[str, Callable[[], int]]) -> None:
        self._failures = failures

    def collect(self) -> Iterable[Metric]:
        """Read the counts now."""
        counter = CounterMetricFamily(
            "shapegate_failed_lookups", "Look-ups of keys and sessions that failed.", labels=["of"]
        )
        for name, count in self._failures.items():
            counter.add_metric([name], count())
        yield counter


def create_metrics_app(metrics: Metrics) -> web.Application:
    """Answer GET /metrics."""

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"content-type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app
