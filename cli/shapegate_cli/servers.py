"""`shapegate proxy` and `shapegate config`: the gate, configured by environment."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

import click

from shapegate_cli.problems import Failed, explained
from shapegate_cli.running import stop_signal

if TYPE_CHECKING:
    from shapegate_proxy.configuration import Configuration

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
        found = read_configuration(os.environ)
        configure_logs(format_name=found.config.log_format, level=found.config.log_level)
        asyncio.run(_proxy(found))


async def _proxy(found: Configuration) -> None:
    from shapegate_proxy.app import open_proxy
    from shapegate_proxy.logs import LogEvent
    from shapegate_proxy.observe import LogObserver

    async with (
        stop_signal(within_seconds=STOP_SECONDS) as stopped,
        open_proxy(found.config, found.policy, observer=LogObserver()) as url,
    ):
        _LOG.info(LogEvent(name="listening", fields={"url": str(url)}))
        await stopped.wait()
        _LOG.info(LogEvent(name="stopping", fields={}))


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
