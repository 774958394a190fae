"""`shapegate policy`: the policy file, drafted from a database and compared with one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapegate_cli.problems import Failed, Unreachable, explained

if TYPE_CHECKING:
    from shapegate_proxy.policy import Policy

_database = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    required=True,
    help="URL of any role that may connect.  [default: DATABASE_URL]",
)


@click.group()
def policy() -> None:
    """The file that says what may be synced, and to whom."""


@policy.command("generate")
@_database
@click.option("--org-column", multiple=True, help="Column that says whose a row is; the first found counts.")
@click.option("--schema", "schemas", multiple=True, default=("public",), show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file that is not there yet."
)
def generate(
    database_url: str, org_column: tuple[str, ...], schemas: tuple[str, ...], output: Path | None
) -> None:
    """Draft a policy from a database: every table that an org column scopes.

    Tables without one are listed as comments, with the reason, and so are columns that look like secrets.
    """
    from shapegate_proxy.catalogue_reader import CatalogueUnreachable, fetch_catalogue
    from shapegate_proxy.draft import ORG_COLUMNS, draft_policy

    with explained({CatalogueUnreachable: Unreachable}):
        catalogue = asyncio.run(fetch_catalogue(database_url, schemas=schemas))
    text = draft_policy(catalogue, org_columns=org_column or ORG_COLUMNS)
    if output is None:
        click.echo(text, nl=False)
        return
    with explained({OSError: Failed}), output.open("x", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"drafted {output}: read it, narrow it, then run `shapegate policy check`", err=True)


@policy.command("check")
@_database
@click.option(
    "--policy",
    "path",
    envvar="SHAPEGATE_POLICY",
    required=True,
    type=click.Path(path_type=Path),
    help="The policy file.  [default: SHAPEGATE_POLICY]",
)
def check(database_url: str, path: Path) -> None:
    """Compare a policy with the database that Electric follows; exit code 1 if requests would go wrong."""
    from shapegate_proxy.agreement import compare, type_names
    from shapegate_proxy.catalogue_reader import CatalogueUnreachable, fetch_catalogue

    read = _read(path)
    schemas = {table.schema for table in (*read.tables, *read.lookups)}
    with explained({CatalogueUnreachable: Unreachable}):
        catalogue = asyncio.run(fetch_catalogue(database_url, schemas=schemas, type_names=type_names(read)))
    found = compare(read, catalogue)
    for finding in found:
        click.echo(f"{'problem' if finding.is_problem else 'warning'}  {finding.table}: {finding.text}")
    problems = sum(finding.is_problem for finding in found)
    if problems:
        raise Failed(f"{path}: {problems} of the policy's statements do not hold in this database")
    click.echo(f"ok  {len(read.tables)} tables agree with the database")


def _read(path: Path) -> Policy:
    from shapegate_proxy.errors import ConfigError
    from shapegate_proxy.policy_file import parse_policy

    try:
        return parse_policy(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError) as exc:
        raise Failed(f"{path} cannot be read ({type(exc).__name__}): expected a policy file") from exc
    except ConfigError as exc:
        raise Failed("\n".join(exc.problems)) from exc
