"""`shapegate schema`: the Postgres side, on any database."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shapegate_cli.database import database_url
from shapegate_cli.problems import Failed, Misused, Unreachable, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_schema.provision import ProvisionedOrg

_database = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    help="URL of the owner.  [default: DATABASE_URL]",
    show_envvar=False,
)
_slug = click.option("--slug", required=True, help="Short name of the org.")
_domain = click.option("--domain", default="controls", show_default=True, help="One of the shipped domains.")


@click.group()
def schema() -> None:
    """Migrations, orgs and seed rows."""


@schema.command("up")
@_database
@_domain
def schema_up(database_url: str | None, domain: str) -> None:
    """Apply the migrations that are not applied yet."""
    from shapegate_schema.migrate import migrate

    with _explained():
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
    from shapegate_schema.migrate import status

    with _explained():
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
@click.option(
    "--rows", type=click.IntRange(min=0), default=0, help="Add this many further rows.  [default: 0]"
)
def schema_seed(database_url: str | None, domain: str, rows: int) -> None:
    """Insert the example rows of two organizations; running it again changes nothing."""
    from shapegate_schema.seed import seed

    with _explained():
        seeds = asyncio.run(
            seed(
                _given(database_url),
                domain,
                rows=rows,
                on_rows=lambda batch: click.echo(f"{batch.done} of {batch.total} rows ...", err=True),
            )
        )
    for login in seeds.logins:
        click.echo(f"{login.email}  {login.role} of {login.organization_name}")


@schema.command("provision")
@_database
@_slug
@click.option("--name", required=True, help="Name of the org, as people read it.")
@click.option("--owner-email", required=True, help="Address of its first member.")
def schema_provision(database_url: str | None, slug: str, name: str, owner_email: str) -> None:
    """Make an org and its first member, the owner; running it again changes nothing.

    Whoever has the address already gets a membership more. Needs a superuser's URL, or one with BYPASSRLS.
    """
    from shapegate_schema.provision import provision

    with _explained():
        org = asyncio.run(provision(_given(database_url), slug=slug, name=name, owner_email=owner_email))
    click.echo(f"{'created' if org.created else 'there already'}: {org.name} ({org.slug}), {org.status}")
    click.echo(_next_steps(org))


@schema.command("suspend")
@_database
@_slug
def schema_suspend(database_url: str | None, slug: str) -> None:
    """Cut an org's members off at once; its rows stay."""
    from shapegate_schema.provision import suspend

    with _explained():
        changed = asyncio.run(suspend(_given(database_url), slug))
    click.echo(f"{slug} {'is suspended' if changed else 'was suspended already'}")


@schema.command("resume")
@_database
@_slug
def schema_resume(database_url: str | None, slug: str) -> None:
    """Let the members of a suspended org in again."""
    from shapegate_schema.provision import resume

    with _explained():
        changed = asyncio.run(resume(_given(database_url), slug))
    click.echo(f"{slug} {'is active' if changed else 'was active already'}")


@schema.command("delete")
@_database
@_slug
@click.option("--with-data", is_flag=True, help="Delete its rows too; those shared with others never.")
def schema_delete(database_url: str | None, slug: str, with_data: bool) -> None:
    """Delete an org with its memberships, and end its sessions; refused while it has rows.

    Members who belong to other orgs stay there; all others go.
    """
    from shapegate_schema.provision import delete

    with _explained():
        deleted = asyncio.run(delete(_given(database_url), slug, with_data=with_data))
    for table, count in deleted.items():
        click.echo(f"{count} rows of {table}")
    click.echo(f"{slug} is deleted")


def _next_steps(org: ProvisionedOrg) -> str:
    return (
        f"organization_id  {org.id}\n"
        f"owner            {org.owner_email}, {org.owner_id}\n"
        "next:\n"
        f"  tokens of your identity provider carry sub={org.owner_id} and organization_id={org.id};\n"
        f"  the development issuer needs a password: shapegate issuer password --email {org.owner_email}\n"
        f"  rows are written after SELECT set_current_org_id('{org.id}'), in the same transaction"
    )


@contextmanager
def _explained() -> Iterator[None]:
    from shapegate_schema.errors import DatabaseUnreachable, InvalidName, SchemaError

    with explained({InvalidName: Misused, DatabaseUnreachable: Unreachable, SchemaError: Failed}):
        yield


def _given(given: str | None) -> str:
    return given or database_url("the URL of the database's owner")
