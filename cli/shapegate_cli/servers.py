"""`shapegate proxy` and `shapegate config`: the gate, configured by environment."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from shapegate_cli.event_loop import run
from shapegate_cli.problems import Failed, explained
from shapegate_cli.running import stop_signal

if TYPE_CHECKING:
    from shapegate_proxy.configuration import Configuration

STOP_SECONDS: Final = 9.5
"""After so long the proxy has stopped, whatever hangs: what starts it again often waits 10 s."""
_LOG: Final = logging.getLogger("shapegate.proxy")


@click.command()
@click.option("--workers", type=int, help="How many processes serve.  [default: SHAPEGATE_WORKERS, or 1]")
def proxy(workers: int | None) -> None:
    """Run the proxy until Ctrl-C or SIGTERM, configured by environment variables.

    See .env.example for all of them, and `shapegate config` for what they amount to.
    """
    from shapegate_proxy.configuration import read_configuration
    from shapegate_proxy.errors import ConfigError
    from shapegate_proxy.logs import configure_logs
    from shapegate_proxy.workers import WorkersFailed

    told = {} if workers is None else {"SHAPEGATE_WORKERS": str(workers)}
    with explained({ConfigError: Failed, OSError: Failed, WorkersFailed: Failed}):
        found = read_configuration({**os.environ, **told})
        configure_logs(format_name=found.config.log_format, level=found.config.log_level)
        if found.config.workers == 1:
            run(_proxy(found), uvloop=found.config.uvloop)
        else:
            asyncio.run(_parent(found))


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


async def _parent(found: Configuration) -> None:
    """Keep the workers running; the address is bound and everything checked before the first starts."""
    from shapegate_proxy.app import serve_figures
    from shapegate_proxy.logs import LogEvent
    from shapegate_proxy.shared_address import hold_address
    from shapegate_proxy.workers import Workers

    # As the interpreter of this process, it must not import what happens to lie in the working directory.
    command = (sys.executable, "-I" if sys.flags.isolated else "-P", "-m", "shapegate_cli.proxy_worker")
    config = found.config
    with hold_address(config.host, config.port) as port:
        found = replace(found, config=replace(config, port=port))
        workers = Workers(found, command=command)
        async with (
            stop_signal(within_seconds=STOP_SECONDS) as stopped,
            serve_figures(config, workers),
            workers.running(),
        ):
            _LOG.info(LogEvent(name="listening", fields={"url": workers.url, "workers": config.workers}))
            await workers.run_until(stopped)
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
