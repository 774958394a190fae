"""`shapegate issuer`: the development token issuer, its passwords and its keys."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapegate_cli.client_profile import read_password
from shapegate_cli.database import database_url
from shapegate_cli.issuer_store import explained_store, issuer_store, utc_now
from shapegate_cli.problems import Failed, Misused, Unreachable, explained
from shapegate_cli.running import stop_signal

if TYPE_CHECKING:
    from shapegate_harness.issuer import IssuerSettings

_key_file = click.option("--key-file", type=click.Path(path_type=Path), help="Signing keys; made if missing.")


@click.group(invoke_without_command=True)
@click.option("--port", type=click.IntRange(0, 65535), default=4001, show_default=True)
@_key_file
@click.option("--subject-prefix", default="", help="What users' names begin with in tokens: 'user?id='.")
@click.pass_context
def issuer(context: click.Context, port: int, key_file: Path | None, subject_prefix: str) -> None:
    """Run the development token issuer on loopback until Ctrl-C or SIGTERM.

    DATABASE_URL has to be the role shapegate_issuer's. Tokens are signed by the keys of --key-file (EdDSA) or
    by SHARED_TOKEN_SECRET (HS256). Not for production.
    """
    from shapegate_harness.issuer import IssuerError

    if context.invoked_subcommand is not None:
        return
    url = database_url("the URL of the role shapegate_issuer")
    with explained({IssuerError: Failed, OSError: Unreachable}):
        asyncio.run(_issuer(url, port, _settings(key_file, subject_prefix)))


@issuer.command("password")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def password(email: str, password_stdin: bool) -> None:
    """Give a user a password; another one than before ends all logins of the user.

    It comes from standard input, SHAPEGATE_PASSWORD, or a prompt.
    """
    from shapegate_harness.issuer.administration import set_password
    from shapegate_harness.issuer.forms import new_password_problem
    from shapegate_harness.issuer.passwords import Passwords

    given = read_password(from_stdin=password_stdin)
    if problem := new_password_problem(given):
        raise Misused(f"the password {problem}")

    async def work() -> bool:
        async with issuer_store() as store, Passwords.open() as passwords:
            return await set_password(store, passwords, email=email, password=given, now=utc_now())

    with explained_store():
        changed = asyncio.run(work())
    click.echo(f"the password of {email} {'is set' if changed else 'was that already'}", err=True)


@issuer.command("rotate-key")
@_key_file
@click.option("--forget", is_flag=True, help="Drop the former keys at once, and all tokens with them.")
def rotate_key(key_file: Path | None, forget: bool) -> None:
    """Put a new signing key before the others; a running issuer notices by itself.

    The new key is published at once and signs two minutes later; the two before it stay published.
    """
    from shapegate_harness.issuer import IssuerError
    from shapegate_harness.issuer.key_file import rotate

    if key_file is None:
        raise click.UsageError("--key-file is missing: expected the file of the signing keys")
    with explained({IssuerError: Failed}):
        key = rotate(key_file, forget=forget)
    click.echo(f"the newest key is {key.kid}")


def _settings(key_file: Path | None, subject_prefix: str) -> IssuerSettings:
    from shapegate_harness.issuer import IssuerSettings
    from shapegate_proxy.environment import Environment
    from shapegate_proxy.findings import Findings

    findings = Findings()
    secret = Environment(os.environ, findings).secret("SHARED_TOKEN_SECRET")
    if findings.problems:
        raise Failed("\n".join(findings.problems))
    try:
        return IssuerSettings(
            issuer=os.environ.get("JWT_ISSUER") or "urn:shapegate:dev-issuer",
            audience=os.environ.get("JWT_AUDIENCE") or "shapegate",
            key_file=key_file,
            secret=secret,
            subject_prefix=subject_prefix,
        )
    except ValueError as exc:
        raise Misused(f"the issuer cannot start: {exc} (--key-file, SHARED_TOKEN_SECRET)") from exc


async def _issuer(database_url: str, port: int, settings: IssuerSettings) -> None:
    from shapegate_harness.issuer import TokenIssuer

    async with (
        stop_signal() as stopped,
        TokenIssuer.open(database_url=database_url, settings=settings, port=port) as running,
    ):
        click.echo(f"development issuer listens on {running.url}", err=True)
        await stopped.wait()
