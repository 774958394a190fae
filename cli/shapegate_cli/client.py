"""`shapegate client`: log in, sync, watch, query, switch and log out from the command line.

Data goes to standard output, all else to standard error. Each failure is one sentence and an exit code:
1 failed, 2 usage, 3 unreachable, 4 not logged in or refused, 5 must resync.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapegate_cli.client_profile import (
    Profile,
    read_password,
    read_profile,
    remove_rows,
    run,
    session_of,
    until_up_to_date,
    write_profile,
)
from shapegate_cli.client_progress import shown_progress
from shapegate_cli.output import describe_batch, list_changes, print_table, printable
from shapegate_cli.problems import Failed, Misused
from shapegate_client import ClientSettings, LiveMode, ShapeDefinition, log_out, open_rows
from shapegate_client.catalogue import read_shapes
from shapegate_client.config import parse_address
from shapegate_client.errors import StoreMissing
from shapegate_client.home import Home
from shapegate_client.unfinished import active_principal, recover
from shapegate_harness.home import HomeUnknown, shapegate_home

if TYPE_CHECKING:
    from shapegate_client import Principal


_LIVE_MODE = click.option(
    "--live-mode",
    type=click.Choice([mode.value for mode in LiveMode]),
    default=LiveMode.LONG_POLL.value,
    show_default=True,
    help="How changes are waited for; sse needs a path that passes bytes on as they come.",
)


@click.group()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where login and rows are kept; by default below SHAPEGATE_HOME.",
)
@click.pass_context
def client(context: click.Context, home: Path | None) -> None:
    """Sync the rows of your org into local SQLite, and read them offline."""
    try:
        context.obj = (home or shapegate_home() / "client").absolute()
    except HomeUnknown as exc:
        raise Misused(str(exc)) from exc


@client.command()
@click.option("--issuer", required=True, help="Address of the token issuer.")
@click.option("--proxy", required=True, help="Address of the Shapegate proxy.")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def login(home: Path, issuer: str, proxy: str, email: str, password_stdin: bool) -> None:
    """Log in; the password comes from standard input, SHAPEGATE_PASSWORD, or a prompt."""
    password = read_password(from_stdin=password_stdin)

    async def work() -> tuple[Principal, str]:
        profile = Profile(home=home, issuer_url=issuer, proxy_url=proxy)
        async with profile.credentials() as credentials:
            await recover(Home(home), credentials, parse_address("proxy", proxy))
            principal = await credentials.login(email, password)
            write_profile(profile)
            return principal, credentials.kept_in

    principal, kept_in = run(work())
    click.echo(f"logged in as {principal.email}, in {principal.organization.name}", err=True)
    click.echo(f"the login is kept in {kept_in}", err=True)


@client.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def orgs(home: Path, as_json: bool) -> None:
    """List the orgs that you may enter; a star marks the one in use."""

    async def work() -> Principal:
        async with read_profile(home).credentials() as credentials:
            return await active_principal(Home(home), credentials)

    principal = run(work())
    if as_json:
        listed = [
            {**dataclasses.asdict(each), "in_use": each.id == principal.organization.id}
            for each in principal.organizations
        ]
        click.echo(json.dumps(listed, ensure_ascii=False))
        return
    rows = [
        ("*" if each.id == principal.organization.id else "", each.slug, each.name, each.role, each.id)
        for each in principal.organizations
    ]
    print_table(("", "slug", "name", "role", "id"), rows)


@client.command()
@click.argument("tables", nargs=-1)
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for up-to-date.")
@click.option("--fresh", is_flag=True, help="Remove the local rows of the org in use first.")
@_LIVE_MODE
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def sync(
    home: Path, tables: tuple[str, ...], timeout: float, fresh: bool, live_mode: str, as_json: bool
) -> None:
    """Bring TABLES up to date, by default all that were synced before, then exit."""

    async def work() -> list[tuple[object, ...]]:
        if fresh:
            await remove_rows(home)
        async with session_of(home, ClientSettings(live_mode=LiveMode(live_mode))) as session:
            definitions = [ShapeDefinition(table=table) for table in tables]
            definitions = definitions or [shape.definition for shape in await session.stored()]
            if not definitions:
                raise Misused("nothing was synced yet: name the tables to sync")
            for definition in definitions:
                await session.subscribe(definition)
            with shown_progress(session):
                await until_up_to_date(session, timeout)
            names = {shape.definition: shape.name for shape in await session.stored()}
            return [(names[each], session.db.table(names[each]).count) for each in definitions]

    rows = run(work())
    if as_json:
        click.echo(json.dumps([{"table": table, "rows": count} for table, count in rows]))
    else:
        print_table(("table", "rows"), rows)


@client.command()
@click.argument("table")
@_LIVE_MODE
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each commit.")
@click.pass_obj
def watch(home: Path, table: str, live_mode: str, as_json: bool) -> None:
    """Keep TABLE up to date and print each change until interrupted; keys only, `query` reads the rows."""

    async def work() -> None:
        async with session_of(home, ClientSettings(live_mode=LiveMode(live_mode))) as session:
            await session.subscribe(ShapeDefinition(table=table))
            async for batch in session.watch(table):
                click.echo(describe_batch(batch) if as_json else "\n".join(list_changes(batch)))

    run(work())


@client.command()
@click.argument("sql")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@click.pass_obj
def query(home: Path, sql: str, form: str) -> None:
    """Read the local rows by SQL, online or not, also while another command syncs."""

    async def work() -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        async with read_profile(home).credentials() as credentials:
            _, db = await open_rows(credentials, home=home)
        try:
            cursor = db.conn.execute(sql)
            return tuple(each[0] for each in cursor.description or ()), cursor.fetchall()
        except sqlite3.Error as exc:
            raise Failed(f"the query failed: {exc}; `shapegate client status` lists the tables") from exc
        finally:
            db.close()

    columns, rows = run(work())
    if form == "table":
        print_table(columns, rows)
    elif form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows([printable(cell) for cell in row] for row in rows)
    else:
        objects = [{name: printable(cell) for name, cell in zip(columns, row, strict=True)} for row in rows]
        click.echo(json.dumps(objects, ensure_ascii=False))


@client.command()
@click.argument("org")
@click.option("--purge", is_flag=True, help="Remove the rows of the org that is left.")
@click.pass_obj
def switch(home: Path, org: str, purge: bool) -> None:
    """Enter another org, named by slug or id; its rows come with the next sync.

    Needs no network if you were in that org within the life of its token.
    """

    async def work() -> Principal:
        async with session_of(home) as session:
            known = {each.slug: each.id for each in session.principal.organizations}
            return await session.switch(known.get(org, org), keep=not purge)

    principal = run(work())
    click.echo(f"now in {principal.organization.name}; `shapegate client sync` brings its rows", err=True)


@client.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def status(home: Path, as_json: bool) -> None:
    """Say who is logged in, in which org, and how old the local rows are; asks no server."""
    profile = read_profile(home)

    async def work() -> tuple[Principal, str, list[tuple[object, ...]]]:
        async with profile.credentials() as credentials:
            kept_in = credentials.kept_in
            try:
                principal, db = await open_rows(credentials, home=home)
            except StoreMissing:
                return await active_principal(Home(home), credentials), kept_in, []
        try:
            return (
                principal,
                kept_in,
                [
                    (
                        shape.name,
                        db.table(shape.name).count if shape.position else 0,
                        shape.committed_at.isoformat(timespec="seconds") if shape.committed_at else "never",
                    )
                    for shape in read_shapes(db)
                ],
            )
        finally:
            db.close()

    principal, kept_in, tables = run(work())
    if as_json:
        described = {
            "email": principal.email,
            "organization": principal.organization.slug,
            "organization_id": principal.organization.id,
            "issuer_url": profile.issuer_url,
            "proxy_url": profile.proxy_url,
            "login_kept_in": kept_in,
            "tables": [dict(zip(("table", "rows", "changed_at"), row, strict=True)) for row in tables],
        }
        click.echo(json.dumps(described, ensure_ascii=False))
        return
    click.echo(f"{principal.email} in {principal.organization.name} ({principal.organization.slug})")
    click.echo(f"proxy {profile.proxy_url}, issuer {profile.issuer_url}; the login is kept in {kept_in}")
    print_table(("table", "rows", "last change"), tables)


@client.command()
@click.pass_obj
def logout(home: Path) -> None:
    """Remove your rows of every org and your tokens from this machine, and end the login."""
    profile = read_profile(home)

    async def work() -> None:
        async with profile.credentials() as credentials:
            await log_out(credentials, home=home)

    run(work())
    click.echo("logged out; nothing of yours is left here", err=True)
