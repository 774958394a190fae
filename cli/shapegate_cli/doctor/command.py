"""The command: options and environment in, one line for each finding out, exit code 1 if one failed."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shapegate_cli.doctor.facts import Names
from shapegate_cli.doctor.line import Verdict
from shapegate_cli.output import one_line
from shapegate_cli.problems import Failed, Misused, Unreachable, explained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from yarl import URL

    from shapegate_cli.doctor.examine import Case
    from shapegate_cli.doctor.line import Line
    from shapegate_wire.identifier import TableName

_NAMES: Final = Names()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    stack: Path | None
    """The file of a running stack; None is the deployment of the environment."""
    orgs: tuple[str, ...]
    tables: frozenset[TableName]
    proxy_url: str | None
    database_url: str | None
    app_database_url: str | None
    token_command: tuple[str, ...] | None
    """Its words."""
    names: Names


@click.command()
@click.option(
    "--stack",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Look at what `shapegate up` runs (or wrote to that file), not at the environment's deployment.",
)
@click.option("--org", "orgs", multiple=True, metavar="ID", help="Compare this org only; may be repeated.")
@click.option("--table", "tables", multiple=True, help="Compare this table only; may be repeated.")
@click.option("--proxy-url", help="Where the gate answers.  [default: by HOST and PORT]")
@click.option("--database-url", help="Any role that may connect, best a superuser.  [default: DATABASE_URL]")
@click.option(
    "--app-database-url",
    envvar="APP_DATABASE_URL",
    help="The application's role.  [default: APP_DATABASE_URL, or SET ROLE]",
)
@click.option(
    "--token-command",
    metavar="COMMAND",
    help="Prints a token for the org that stands in it for {org}; runs without a shell.",
)
@click.option("--app-role", default=_NAMES.app_role, show_default=True)
@click.option("--electric-role", default=_NAMES.electric_role, show_default=True)
@click.option("--electric-stream", default=_NAMES.stream, show_default=True, help="Electric's stream id.")
@click.option(
    "--org-setting",
    default=_NAMES.org_setting,
    show_default=True,
    help="Setting that says for which org a transaction acts.",
)
@click.option(
    "--user-setting", default=_NAMES.user_setting, show_default=True, help="Setting that says for which user."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")
def doctor(
    stack: str | None,
    orgs: tuple[str, ...],
    tables: tuple[str, ...],
    proxy_url: str | None,
    database_url: str | None,
    app_database_url: str | None,
    token_command: str | None,
    app_role: str,
    electric_role: str,
    electric_stream: str,
    org_setting: str,
    user_setting: str,
    as_json: bool,
) -> None:
    """Look whether Postgres, Electric, gate and policy fit, and whether sync agrees with RLS.

    The deployment is that of the environment `shapegate proxy` runs with. For each org, what a fresh client
    syncs through the gate is compared with what the application reads under row-level security. Nothing is
    changed. Exit code 1 if a check failed; warnings do not count.
    """
    from shapegate_cli.up import running_file
    from shapegate_harness.home import HomeUnknown
    from shapegate_wire.identifier import MalformedIdentifier, parse_table

    with explained({MalformedIdentifier: Misused, HomeUnknown: Failed}):
        asked = Asked(
            stack=None if stack is None else Path(stack) if stack else running_file(),
            orgs=tuple(org.lower() for org in orgs),
            tables=frozenset(map(parse_table, tables)),
            proxy_url=proxy_url,
            database_url=database_url,
            app_database_url=app_database_url,
            token_command=None if token_command is None else _words(token_command),
            names=Names(
                app_role=app_role,
                electric_role=electric_role,
                stream=electric_stream,
                org_setting=org_setting,
                user_setting=user_setting,
            ),
        )
    counted = asyncio.run(_doctor(asked, as_json=as_json))
    summary = ", ".join(f"{counted[verdict]} {verdict.value}" for verdict in Verdict)
    if counted[Verdict.FAIL]:
        raise Failed(f"the deployment needs care: {summary}")
    click.echo(f"shapegate: {summary}", err=True)


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as exc:
        raise Misused(f"the token command cannot be split into words: {exc}") from exc


async def _doctor(asked: Asked, *, as_json: bool) -> Counter[Verdict]:
    from shapegate_cli.doctor.examine import examine

    counted: Counter[Verdict] = Counter()
    async with _case(asked) as case:
        async for line in examine(case):
            counted[line.verdict] += 1
            click.echo(_printed_json(line) if as_json else _printed(line))
    return counted


@asynccontextmanager
async def _case(asked: Asked) -> AsyncIterator[Case]:
    """Choose the parts: here the deployment of the environment and that of a stack are told apart."""

    from shapegate_cli.doctor.configured import read_configured
    from shapegate_cli.doctor.examine import Case
    from shapegate_cli.doctor.visitors import open_visitors
    from shapegate_cli.issuer_store import utc_now

    addresses = None
    if asked.stack is not None:
        from shapegate_cli.doctor.stack_file import NoStack, NotAStack, configured_stack, read_addresses

        with explained({NoStack: Unreachable, NotAStack: Failed}):
            addresses = read_addresses(asked.stack)
        configured = configured_stack(addresses)
    else:
        configured = read_configured(os.environ)
    database_url = configured.database_url
    async with open_visitors(addresses, configured.issuers, asked.token_command) as visitors:
        yield Case(
            configured=configured,
            names=asked.names,
            gate_url=configured.gate_url if asked.proxy_url is None else _gate_url(asked.proxy_url),
            database_url=asked.database_url or (None if database_url is None else database_url.reveal()),
            app_database_url=asked.app_database_url or (addresses.app_database_url if addresses else None),
            visitors=visitors,
            orgs=asked.orgs,
            tables=asked.tables,
            clock=utc_now,
        )


def _gate_url(text: str) -> URL:
    from shapegate_client.config import BadAddress, parse_address

    with explained({BadAddress: Misused}):
        return parse_address("gate", text)


def _printed(line: Line) -> str:
    text = f"{line.verdict.value:<7}  {line.check} {one_line(line.subject)}: {one_line(line.text)}"
    return f"{text}\n{'':<9}do: {one_line(line.remedy)}" if line.remedy else text


def _printed_json(line: Line) -> str:
    return json.dumps({**asdict(line), "verdict": line.verdict.value}, ensure_ascii=False)
