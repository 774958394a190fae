"""The development Electric as a whole: an engine on a database, and a socket on loopback."""

from __future__ import annotations

import ipaddress
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from shapegate_harness.electric.app import make_app
from shapegate_harness.electric.engine import Engine
from shapegate_harness.electric.errors import Misconfigured
from shapegate_harness.electric.serving import Serving
from shapegate_harness.electric.settings import ElectricSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LINE_BYTES_MAX: Final = 65_536
"""aiohttp's own bound, above the 10,000 bytes at which this server answers 414."""
_SHUTDOWN_SECONDS: Final = 1.0
"""How long open requests may go on when the server stops."""


class DevElectric:
    """Serves shapes of one database as ElectricSQL does, for development and tests."""

    def __init__(
        self,
        *,
        database_url: str,
        secret: str | None,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: ElectricSettings | None = None,
    ) -> None:
        """Raises Misconfigured if `host` is not a loopback address or the secret is empty."""
        if not _is_loopback(host):
            raise Misconfigured(
                f"host {host!r} is not a loopback address: expected 127.0.0.1 or ::1, since this server is "
                "for development only"
            )
        if secret is not None and not secret:
            raise Misconfigured("the secret is empty: pass None to serve without one")
        self._settings = settings if settings is not None else ElectricSettings()
        self._host = host
        self._port = port
        self._engine = Engine(database_url, self._settings)
        self._serving = Serving(self._engine, self._settings)
        self._app = make_app(self._engine, self._serving, secret=secret, settings=self._settings)
        self._runner: web.AppRunner | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        database_url: str,
        secret: str | None,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: ElectricSettings | None = None,
    ) -> AsyncIterator[DevElectric]:
        """Serve within the block. Raises as `start`."""
        electric = cls(database_url=database_url, secret=secret, host=host, port=port, settings=settings)
        await electric.start()
        try:
            yield electric
        finally:
            await electric.stop()

    @property
    def url(self) -> str:
        """The base address; valid once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def held_requests(self) -> int:
        """How many live requests wait for a change right now."""
        return self._serving.held

    async def start(self) -> None:
        """Follow the database and listen; a database that is away is waited for while serving 503.

        Raises Misconfigured or Failed if the database does not allow it, OSError if the port is taken.
        """
        try:
            await self._engine.start()
            self._runner = web.AppRunner(
                self._app,
                access_log=None,  # It would hold the secret.
                handler_cancellation=True,
                max_line_size=_LINE_BYTES_MAX,
                shutdown_timeout=_SHUTDOWN_SECONDS,
            )
            await self._runner.setup()
            await web.TCPSite(self._runner, self._host, self._port).start()
            self._port = self._runner.addresses[0][1]
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the socket, end held requests and leave nothing behind; idempotent."""
        await self._engine.stop()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
