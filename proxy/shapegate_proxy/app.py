"""The gate as a server: the routes, and its start and stop."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web
from yarl import URL

from shapegate_proxy import handlers
from shapegate_proxy.electric import ElectricClient
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.held import HeldRequests
from shapegate_proxy.keys import KeySource, PublishedKeys, SharedSecret
from shapegate_proxy.observe import server_log
from shapegate_proxy.policy import Policy, parse_policy
from shapegate_proxy.revocation import UncheckedSessions, open_sessions
from shapegate_proxy.services import Services
from shapegate_proxy.tokens import Verifier

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from shapegate_proxy.config import IssuerConfig, ProxyConfig
    from shapegate_proxy.observe import Observer
    from shapegate_proxy.revocation import Sessions

SHAPE_PATHS: Final = ("/v1/shape", "/api/electric/sync", "/api/electric/orgs/{org}/sync")
LINE_BYTES_MAX: Final = 32 * 1024
"""Above the gate's own bound on request targets, so that the gate answers, not the parser (DESIGN 13)."""
DRAIN_SECONDS: Final = 5.0
"""How long a stop waits for answers under way; held requests are given back at once."""


def create_app(services: Services) -> web.Application:
    """Wire the routes to their handlers."""
    app = web.Application(middlewares=[handlers.boundary])
    app[handlers.SERVICES] = services
    for path in SHAPE_PATHS:
        app.router.add_get(path, handlers.get_shape)  # HEAD comes with it
        app.router.add_options(path, handlers.preflight)
    app.router.add_get("/health", handlers.health)
    app.router.add_get("/health/detailed", handlers.health_detailed)
    app.on_response_prepare.append(handlers.set_common_headers)
    app.on_shutdown.append(_begin_drain)
    return app


async def _begin_drain(app: web.Application) -> None:
    app[handlers.SERVICES].held.begin_drain()


def load_policy(config: ProxyConfig) -> Policy:
    """Read the policy file. Raises ConfigError if it cannot be read or has problems."""
    try:
        text = config.policy_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError((f"policy: {str(config.policy_path)!r} cannot be read: {exc}",)) from exc
    return parse_policy(text)


def utc_now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_proxy(
    config: ProxyConfig,
    *,
    observer: Observer,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[URL]:
    """Run the gate inside of the block; yields its URL (a port of 0 picks a free one).

    Raises ConfigError if the policy has problems, OSError if the address cannot be bound.
    """
    policy = load_policy(config)
    async with AsyncExitStack() as stack:
        electric = ElectricClient(config.electric_url)
        stack.push_async_callback(electric.close)
        keys = _key_source(config.issuer, await stack.enter_async_context(aiohttp.ClientSession()))
        stack.push_async_callback(keys.close)
        held = HeldRequests()
        sessions: Sessions = UncheckedSessions()
        if config.database_url is not None:
            sessions = await stack.enter_async_context(open_sessions(config.database_url, held))
        services = Services(
            policy=policy,
            verifier=Verifier(config.issuer, keys, clock=clock),
            keys=keys,
            electric=electric,
            electric_url=config.electric_url,
            electric_secret=config.electric_secret,
            origins=config.origins,
            observer=observer,
            held=held,
            sessions=sessions,
            clock=clock,
        )
        runner = web.AppRunner(
            create_app(services),
            access_log=None,
            logger=server_log("shapegate.proxy"),
            keepalive_timeout=config.idle_seconds,
            handler_cancellation=True,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            auto_decompress=False,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None, "setup makes it"
        _bound_first_head(runner.server)
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield URL.build(scheme="http", host=host, port=port)


def _bound_first_head(server: web.Server) -> None:
    """Let the idle deadline hold for the first head too; aiohttp arms it after the first request only."""
    admit = server.connection_made

    def connection_made(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        handler.keep_alive(True)
        admit(handler, transport)

    server.connection_made = connection_made  # type: ignore[method-assign]  # there is no other hook


def _key_source(issuer: IssuerConfig, http: aiohttp.ClientSession) -> KeySource:
    if issuer.secret is not None:
        return SharedSecret(issuer.secret)
    if issuer.jwks_url is not None:
        return PublishedKeys(issuer.jwks_url, http)
    raise ConfigError(("expected SHARED_TOKEN_SECRET or JWKS_URL: nothing says how tokens are verified",))
