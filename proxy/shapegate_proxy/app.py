"""The gate as a server: the routes, and its start and stop."""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import web

from shapegate_proxy import boundary, handlers
from shapegate_proxy.addresses import FailureBudget
from shapegate_proxy.admissions import Admissions
from shapegate_proxy.answer_cache import AnswerCache
from shapegate_proxy.audit import AuditLog
from shapegate_proxy.collapsing import Collapsing
from shapegate_proxy.compiled import CompiledFilters
from shapegate_proxy.descriptors import (
    RESERVED,
    OpenFiles,
    connections_sharing,
    connections_within,
    descriptors_for,
    raise_descriptors,
)
from shapegate_proxy.electric_http import ElectricClient
from shapegate_proxy.electric_lean import LeanClient
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.flights import Departures
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.issuers import open_issuers
from shapegate_proxy.kept_answers import AnswerCacheSettings
from shapegate_proxy.limits import Limits
from shapegate_proxy.logs import LogEvent, server_log
from shapegate_proxy.metrics import Metrics, create_metrics_app
from shapegate_proxy.observe import Observers
from shapegate_proxy.policy_file import parse_policy
from shapegate_proxy.printed_head import HeadPrinter
from shapegate_proxy.readiness import Check, Readiness
from shapegate_proxy.revocation import UncheckedSessions, open_sessions
from shapegate_proxy.server import ServePlain, ServerSettings, serve_app
from shapegate_proxy.services import Services
from shapegate_proxy.serving import serve, serve_at_once
from shapegate_proxy.tokens import Verifier
from shapegate_proxy.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from yarl import URL

    from shapegate_proxy.config import ProxyConfig, SharingSettings
    from shapegate_proxy.electric import UpstreamClient
    from shapegate_proxy.metrics import Figures
    from shapegate_proxy.observe import Observer
    from shapegate_proxy.policy import Policy
    from shapegate_proxy.revocation import Sessions

    Expose = Callable[[Metrics], AbstractAsyncContextManager[None]]

SHAPE_PATHS: Final = ("/v1/shape", "/api/electric/sync", "/api/electric/orgs/{org}/sync")
DRAIN_SECONDS: Final = 4.0
"""How long a stop waits for answers under way; held requests are given back at once."""
CLOSE_SECONDS: Final = 1.0
"""How long it waits after that for whoever has not said who they are; with the rest less than 10 s."""
METRICS_CONNECTIONS_MAX: Final = 32
"""Of scrapers, beside those of clients; a few of them watch a gate."""
CLIENTS: Final[Mapping[str, Callable[[URL, OpenFiles], UpstreamClient]]] = {
    "lean": lambda url, files: LeanClient(url, files=files),
    "aiohttp": lambda url, _: ElectricClient(url),
}
"""Whoever may speak to Electric; the first is the default."""
COUNTING: Final = "lean"
"""Who counts its connections among the open files; each client of another may need one more, unseen."""
FEW_CONNECTIONS: Final = 1_000
"""Whoever runs a gate that can hold fewer than that, and than configured, is told."""
_LOG: Final = logging.getLogger("shapegate.proxy")


def create_app(services: Services) -> web.Application:
    """Wire the routes to their handlers."""
    app = web.Application(middlewares=[boundary.boundary])
    app[boundary.SERVICES] = services
    for path in SHAPE_PATHS:
        app.router.add_get(path, handlers.get_shape)  # HEAD comes with it
        app.router.add_post(path, handlers.get_shape)
        app.router.add_options(path, handlers.preflight)
    app.router.add_get("/health", handlers.health)
    app.router.add_get("/health/detailed", handlers.health_detailed)
    app.on_response_prepare.append(boundary.set_common_headers)
    app.on_shutdown.append(_drain)
    return app


async def _drain(app: web.Application) -> None:
    await app[boundary.SERVICES].held.drain(finish_seconds=DRAIN_SECONDS)


def load_policy(config: ProxyConfig) -> Policy:
    """Read the policy file. Raises ConfigError if it cannot be read or has problems."""
    try:
        text = config.policy_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError((f"policy: {str(config.policy_path)!r} cannot be read: {exc}",)) from exc
    return parse_policy(text, source=str(config.policy_path))


@asynccontextmanager
async def open_proxy(
    config: ProxyConfig,
    policy: Policy,
    *,
    observer: Observer,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    connect: Callable[[URL], UpstreamClient] | None = None,
    expose: Expose | None = None,
    reuse_port: bool = False,
) -> AsyncIterator[URL]:
    """Run the gate inside of the block; yields its URL (a port of 0 picks a free one).

    `expose` runs what asks for figures, if they are configured; None is a listener on their address.
    With `reuse_port` other processes may listen on the gate's address too.
    Raises OSError if the address cannot be bound.
    """
    async with AsyncExitStack() as stack:
        counting = connect is None and config.sharing.client == COUNTING
        files, connections_max = _connections_max(config.limits.connections, counting=counting)
        url = config.electric_url
        client = connect(url) if connect is not None else CLIENTS[config.sharing.client](url, files)
        electric, kept = _upstream(config.sharing, client, monotonic)
        stack.push_async_callback(electric.close)
        issuers = await stack.enter_async_context(
            open_issuers(config.issuers, sessions=config.database_url is not None)
        )
        held = HeldRequests()
        sessions: Sessions = UncheckedSessions()
        if config.database_url is not None:
            sessions = await stack.enter_async_context(open_sessions(config.database_url, held))
        verifier = Verifier(issuers, clock=clock)
        readiness = Readiness(_checks(electric, verifier, sessions), monotonic=monotonic)
        stack.push_async_callback(readiness.close)
        log = server_log("shapegate.proxy")
        if config.metrics is not None:
            metrics = Metrics(
                held, {"keys": lambda: verifier.failures, "sessions": lambda: sessions.failures}
            )
            await stack.enter_async_context((expose or partial(serve_figures, config))(metrics))
            observer = Observers(observer, metrics)
        printer = HeadPrinter(config.origins)
        services = Services(
            policy=policy,
            verifier=verifier,
            admissions=Admissions(),
            filters=CompiledFilters(),
            electric=electric,
            kept=kept,
            printer=printer,
            electric_url=config.electric_url,
            electric_secret=config.electric_secret,
            origins=config.origins,
            observer=observer,
            held=held,
            sessions=sessions,
            limits=Limits(config.limits, monotonic=monotonic),
            turns=Turns(),
            failures=FailureBudget(per_minute=config.limits.failures_per_minute_address, monotonic=monotonic),
            trusted_proxies=config.trusted_proxies,
            audit=AuditLog(monotonic=monotonic),
            readiness=readiness,
            clock=clock,
        )
        settings = _server_settings(
            config,
            (config.host, config.port),
            origins=config.origins,
            connections_max=connections_max,
            reuse_port=reuse_port,
        )
        plain = ServePlain(
            admissions=services.admissions,
            printer=printer,
            serve=partial(serve, services),
            at_once=None if services.kept is None else partial(serve_at_once, services),
            begin=Departures(services).begin,
        )
        serving = serve_app(create_app(services), settings, log=log, plain=plain, files=files)
        yield await stack.enter_async_context(serving)


def _upstream(
    sharing: SharingSettings, client: UpstreamClient, monotonic: Callable[[], float]
) -> tuple[UpstreamClient, AnswerCache | None]:
    """Put before a client what shares its requests, and what keeps its answers."""
    shared: UpstreamClient = Collapsing(client) if sharing.collapse else client
    if not sharing.cache_bytes:
        return shared, None
    kept = AnswerCache(shared, AnswerCacheSettings(bytes_max=sharing.cache_bytes), monotonic=monotonic)
    return kept, kept


@asynccontextmanager
async def serve_figures(config: ProxyConfig, figures: Figures) -> AsyncIterator[None]:
    """Answer scrapers on the configured address inside of the block, if there is one.

    Raises OSError if the address cannot be bound.
    """
    if config.metrics is None:
        yield
        return
    settings = _server_settings(
        config, config.metrics, origins=frozenset(), connections_max=METRICS_CONNECTIONS_MAX
    )
    async with serve_app(create_metrics_app(figures), settings, log=server_log("shapegate.proxy")):
        yield


def _server_settings(
    config: ProxyConfig,
    address: tuple[str, int],
    *,
    origins: frozenset[str],
    connections_max: int,
    reuse_port: bool = False,
) -> ServerSettings:
    """Bear as little from a scraper as from a client."""
    host, port = address
    return ServerSettings(
        host=host,
        port=port,
        origins=origins,
        idle_seconds=config.idle_seconds,
        stall_seconds=config.stall_seconds,
        connections_max=connections_max,
        drain_seconds=CLOSE_SECONDS,
        reuse_port=reuse_port,
    )


def _connections_max(wanted: int, *, counting: bool) -> tuple[OpenFiles, int]:
    """Bound connections to the open files that the process may have, which are raised as far as allowed.

    Returns the files that connections share, and how many of clients they allow.
    """
    needed = descriptors_for(wanted)
    descriptors = raise_descriptors(needed)
    allowed = (connections_sharing if counting else connections_within)(descriptors, wanted)
    if allowed < min(wanted, FEW_CONNECTIONS):
        fields = {"connections": allowed, "wanted": wanted, "open_files": descriptors, "needed": needed}
        _LOG.warning(LogEvent(name="connections_bounded", fields=fields))
    return OpenFiles(max(1, descriptors - RESERVED)), allowed


def _checks(electric: UpstreamClient, verifier: Verifier, sessions: Sessions) -> tuple[Check, ...]:
    """Name what the gate needs to serve, without saying where it is."""

    async def electric_state() -> str:
        return (await electric.state()).value

    async def database() -> str:
        return "ok" if await sessions.available() else "failed"

    def keys_of(issuer: str) -> Check:
        async def keys() -> str:
            return "ok" if verifier.available()[issuer] else "failed"

        return f"keys of {issuer}", keys

    return ("electric", electric_state), ("database", database), *map(keys_of, verifier.available())
