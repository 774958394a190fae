"""`shapegate proxy`, `shapegate issuer` and `shapegate config`: single servers, configured by environment."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shapegate_cli.problems import Failed, Unreachable, explained
from shapegate_cli.running import stop_signal

if TYPE_CHECKING:
    from shapegate_proxy.config import ProxyConfig

STOP_SECONDS: Final = 9.5
"""After so long the proxy has stopped, whatever hangs: what starts it again often waits 10 s."""
_LOG: Final = logging.getLogger("shapegate.proxy")


@click.command()
def proxy() -> None:
    """Run the proxy until Ctrl-C or SIGTERM, configured by environment variables.

    See .env.example for all of them, and `shapegate config` for what they amount to.
    """
    from shapegate_proxy.configuration import read_configuration
    from shapegate_proxy.errors import ConfigError
    from shapegate_proxy.logs import configure_logs

    with explained({ConfigError: Failed, OSError: Failed}):
        read = read_configuration(os.environ).config
        configure_logs(format_name=read.log_format, level=read.log_level)
        asyncio.run(_proxy(read))


async def _proxy(read: ProxyConfig) -> None:
    from shapegate_proxy.app import open_proxy
    from shapegate_proxy.logs import LogEvent
    from shapegate_proxy.observe import LogObserver

    async with (
        stop_signal(within_seconds=STOP_SECONDS) as stopped,
        open_proxy(read, observer=LogObserver()) as url,
    ):
        _LOG.info(LogEvent(name="listening", fields={"url": str(url)}))
        await stopped.wait()
        _LOG.info(LogEvent(name="stopping", fields={}))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=4001, show_default=True)
@click.option(
    "--key-file", type=click.Path(path_type=Path), required=True, help="Signing key; made if missing."
)
def issuer(port: int, key_file: Path) -> None:
    """Run the development token issuer on loopback until Ctrl-C or SIGTERM.

    DATABASE_URL has to be the role shapegate_issuer's. Not for production.
    """
    from shapegate_harness.issuer import IssuerError

    database_url = os.environ.get("DATABASE_URL")
    if not database_url:
        raise click.UsageError("DATABASE_URL is not set: expected the URL of the role shapegate_issuer")
    with explained({IssuerError: Failed, OSError: Unreachable}):
        asyncio.run(_issuer(database_url, port, key_file))


async def _issuer(database_url: str, port: int, key_file: Path) -> None:
    from shapegate_harness.issuer import IssuerSettings, TokenIssuer

    settings = IssuerSettings(
        issuer=os.environ.get("JWT_ISSUER") or "urn:shapegate:dev-issuer",
        audience=os.environ.get("JWT_AUDIENCE") or "shapegate",
        key_file=key_file,
    )
    async with (
        stop_signal() as stopped,
        TokenIssuer.open(database_url=database_url, settings=settings, port=port) as running,
    ):
        click.echo(f"development issuer listens on {running.url}", err=True)
        await stopped.wait()


@click.command()
def config() -> None:
    """Print what the proxy would run with, and where each value comes from; secrets are masked.

    Exit code 1 if it would not start.
    """
    from shapegate_proxy.configuration import read_configuration
    from shapegate_proxy.errors import ConfigError

    try:
        read = read_configuration(os.environ)
    except ConfigError as exc:
        raise Failed("\n".join(exc.problems)) from exc
    for setting in read.settings:
        click.echo(f"{setting.name} = {setting.value}  ({setting.origin})")
    tables = ", ".join(sorted(str(table) for table in read.policy.tables))
    click.echo(f"tables = {tables}  (file {read.config.policy_path})")
