"""The token issuer as one started thing: key, database, password threads and a socket on loopback.

For development and tests only: it listens on loopback and nowhere else, keeps its signing key in a plain
file, and serves one process only. A real deployment brings an identity provider of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web

from shapegate_harness.issuer.administration import clear_away, set_password
from shapegate_harness.issuer.app import create_app
from shapegate_harness.issuer.attempts import Attempts
from shapegate_harness.issuer.errors import Refused, StartError
from shapegate_harness.issuer.key_file import KeyFile
from shapegate_harness.issuer.keys import KeyRing, shared_secret
from shapegate_harness.issuer.passwords import Passwords
from shapegate_harness.issuer.service import IssuerService
from shapegate_harness.issuer.store import Store
from shapegate_harness.issuer.tokens import AccessTokens, FixedKeys
from shapegate_proxy.logs import server_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shapegate_harness.issuer.settings import IssuerSettings
    from shapegate_harness.issuer.tokens import Keys

_LOG: Final = logging.getLogger("shapegate.issuer")

STOP_SECONDS: Final = 3.0
"""How long requests under way may go on after `stop`; they are short."""
CLEAR_SECONDS: Final = 3600.0
"""How often sessions and refresh tokens that are over are cleared away."""


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


class TokenIssuer:
    """A running development issuer; made by `start` or `open`."""

    def __init__(self, *, url: str, service: IssuerService, resources: AsyncExitStack) -> None:
        self.url = url
        self._service = service
        self._resources = resources

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        database_url: str,
        settings: IssuerSettings,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> AsyncIterator[TokenIssuer]:
        """Run an issuer for the length of a block; see `start`."""
        issuer = await cls.start(
            database_url=database_url,
            settings=settings,
            host=host,
            port=port,
            clock=clock,
            monotonic=monotonic,
            sleep=sleep,
        )
        try:
            yield issuer
        finally:
            await issuer.stop()

    @classmethod
    async def start(
        cls,
        *,
        database_url: str,
        settings: IssuerSettings,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> TokenIssuer:
        """Start an issuer on a loopback address; port 0 takes a free one.

        `database_url` names the role shapegate_issuer. Raises StartError if the address is not a loopback
        address or taken or the database cannot be used, KeyFileError if the key file cannot.
        """
        address = _loopback(host)
        keys = await asyncio.to_thread(_keys, settings, clock())
        async with AsyncExitStack() as resources:
            try:
                store = await resources.enter_async_context(
                    Store.open(database_url, seconds=settings.database_seconds)
                )
            except Refused as exc:
                raise StartError(
                    "the issuer cannot use its database: check that it runs and that its URL is right"
                ) from exc
            service = IssuerService(
                store=store,
                passwords=await resources.enter_async_context(Passwords.open()),
                tokens=AccessTokens(keys=keys, settings=settings),
                attempts=Attempts(settings, monotonic=monotonic),
                clock=clock,
            )
            clearing = asyncio.create_task(_clear_away(store, clock, sleep), name="shapegate-issuer-clear")
            resources.push_async_callback(_end, clearing)
            url = await resources.enter_async_context(_listening(create_app(service), address, port))
            _LOG.warning("development token issuer at %s: not for production", url)
            return cls(url=url, service=service, resources=resources.pop_all())

    async def stop(self) -> None:
        """Close the socket, let requests end, leave the database; idempotent."""
        await self._resources.aclose()

    async def set_password(self, email: str, password: str) -> None:
        """Give a user a password; if it is another one than before, all logins end. Raises UnknownUser."""
        service = self._service
        await set_password(
            service.store, service.passwords, email=email, password=password, now=service.clock()
        )


def _keys(settings: IssuerSettings, now: datetime) -> Keys:
    """Open what the settings say that signs. Raises KeyFileError."""
    if settings.secret is not None:
        secret = shared_secret(settings.secret.reveal().encode())
        return FixedKeys(fixed=KeyRing(signers=(secret,), changed_at=now))
    assert settings.key_file is not None, "settings name a key file or a secret"
    return KeyFile(settings.key_file)


async def _clear_away(
    store: Store, clock: Callable[[], datetime], sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Delete what is over, now and then, for ever; while the database is away, it stays."""
    while True:
        await sleep(CLEAR_SECONDS)
        with suppress(Refused):
            await clear_away(store, now=clock())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _loopback(host: str) -> str:
    """Resolve `localhost` without asking anybody; refuse what is not loopback. Raises StartError."""
    name = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise StartError(f"host is {host!r}: a development issuer listens on 127.0.0.1 or ::1 only")
    return name


@asynccontextmanager
async def _listening(app: web.Application, address: str, port: int) -> AsyncIterator[str]:
    """Serve an app; gives its URL. Raises StartError if the address cannot be had."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=server_log(_LOG.name),
        auto_decompress=False,
        shutdown_timeout=STOP_SECONDS,
    )
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, address, port).start()
        except OSError as exc:
            raise StartError(
                f"cannot listen on {address} port {port}: {exc.strerror or exc}; choose another port, or 0"
            ) from exc
        shown = f"[{address}]" if ":" in address else address
        yield f"http://{shown}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
