"""`shapegate up`: the embedded stack until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shapegate_cli.problems import Failed, Unreachable, explained
from shapegate_cli.running import stop_signal

if TYPE_CHECKING:
    from shapegate_harness.stack import Addresses

PORT: Final = 4000


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Port of the proxy.  [default: {PORT}, or a free one]"
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write addresses and logins to a file."
)
@click.option("--no-seed", is_flag=True, help="Start with empty tables and without users.")
@click.option(
    "--rows", type=click.IntRange(min=0), default=0, help="Seed this many further rows.  [default: 0]"
)
@click.option("--domain", default="controls", show_default=True, help="One of the shipped domains.")
def up(port: int | None, json_path: Path | None, no_seed: bool, rows: int, domain: str) -> None:
    """Run Postgres, Electric, an issuer and the proxy on this machine until Ctrl-C.

    For development, on loopback only. The data outlive the run (SHAPEGATE_HOME says where).
    """
    from shapegate_harness.electric import ElectricError
    from shapegate_harness.home import HomeUnknown
    from shapegate_harness.issuer import IssuerError
    from shapegate_harness.postgres import PostgresError
    from shapegate_schema.errors import SchemaError

    if no_seed and rows:
        raise click.UsageError("--rows adds to the seed, which --no-seed leaves out: give one of them")
    known = {PostgresError: Failed, SchemaError: Failed, IssuerError: Failed, ElectricError: Unreachable}
    with explained({**known, HomeUnknown: Failed, OSError: Failed}):
        asyncio.run(_up(port, json_path, domain, seeded=not no_seed, rows=rows))


def running_file() -> Path:
    """Return where a running stack says what `--json` would say; not there while none runs."""
    from shapegate_harness.home import shapegate_home

    return shapegate_home() / "stack" / "running.json"


async def _up(port: int | None, json_path: Path | None, domain: str, *, seeded: bool, rows: int) -> None:
    from shapegate_harness.home import shapegate_home
    from shapegate_harness.ports import Ports, preferred_ports
    from shapegate_harness.stack import Silent, open_stack

    async with (
        stop_signal() as stopped,
        open_stack(
            shapegate_home() / "stack",
            ports=preferred_ports(PORT) if port is None else Ports(proxy=port),
            observer=Silent(),
            domain=domain,
            seeded=seeded,
            rows=rows,
            on_progress=lambda text: click.echo(f"{text} ...", err=True),
        ) as stack,
    ):
        for path in (running_file(), json_path):
            if path is not None:
                _write_private(path, stack.addresses.to_json())
        _show(stack.addresses)
        try:
            await stopped.wait()
        finally:
            running_file().unlink(missing_ok=True)
        click.echo("stopping ...", err=True)
    click.echo("stopped", err=True)


def _show(addresses: Addresses) -> None:
    click.echo(f"proxy     {addresses.proxy_url}/v1/shape")
    click.echo(f"issuer    {addresses.issuer_url}")
    click.echo(f"database  {addresses.app_database_url}  (as the application, under row-level security)")
    for login in addresses.logins:
        click.echo(f"login     {login.email}  {login.password}  {login.role} of {login.organization}")
    click.echo("check     shapegate doctor --stack")
    click.echo("ready; Ctrl-C stops everything")


def _write_private(path: Path, text: str) -> None:
    """Write at once or not at all; the file holds passwords, so it is the user's own."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    unfinished.replace(path)
