"""`shapegate schema`: the Postgres side, on any database."""

from __future__ import annotations

import asyncio
import os

import click

from shapegate_cli.problems import Failed, Unreachable, explained

_database = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    help="URL of the owner.  [default: DATABASE_URL]",
    show_envvar=False,
)
_domain = click.option("--domain", default="controls", show_default=True, help="One of the shipped domains.")


@click.group()
def schema() -> None:
    """Migrations and seed rows."""


@schema.command("up")
@_database
@_domain
def schema_up(database_url: str | None, domain: str) -> None:
    """Apply the migrations that are not applied yet."""
    from shapegate_schema.errors import DatabaseUnreachable, SchemaError
    from shapegate_schema.migrate import migrate

    with explained({DatabaseUnreachable: Unreachable, SchemaError: Failed}):
        applied = asyncio.run(
            migrate(
                _given(database_url),
                domain,
                on_applied=lambda done: click.echo(f"applied {done.file} in {done.seconds:.2f} s"),
                on_waiting=lambda: click.echo("waiting for another run to finish ...", err=True),
            )
        )
    click.echo(f"{len(applied)} applied" if applied else "nothing to apply")


@schema.command("status")
@_database
@_domain
def schema_status(database_url: str | None, domain: str) -> None:
    """List applied and pending migrations; exit code 1 if files and ledger do not fit."""
    from shapegate_schema.errors import DatabaseUnreachable, SchemaError
    from shapegate_schema.migrate import status

    with explained({DatabaseUnreachable: Unreachable, SchemaError: Failed}):
        found = asyncio.run(status(_given(database_url), domain))
    for migration in found.applied:
        click.echo(f"applied  {migration.label}")
    for migration in found.pending:
        click.echo(f"pending  {migration.label}")
    if found.problems:
        raise Failed("\n".join(str(problem) for problem in found.problems))


@schema.command("seed")
@_database
@_domain
def schema_seed(database_url: str | None, domain: str) -> None:
    """Insert the example rows of two organizations; running it again changes nothing."""
    from shapegate_schema.errors import DatabaseUnreachable, SchemaError
    from shapegate_schema.seed import seed

    with explained({DatabaseUnreachable: Unreachable, SchemaError: Failed}):
        seeds = asyncio.run(seed(_given(database_url), domain))
    for login in seeds.logins:
        click.echo(f"{login.email}  {login.role} of {login.organization_name}")


def _given(database_url: str | None) -> str:
    if not database_url:
        seen = "empty" if "DATABASE_URL" in os.environ else "not set"
        raise click.UsageError(f"DATABASE_URL is {seen}: expected the URL of the database's owner")
    return database_url
