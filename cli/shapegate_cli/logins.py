"""`shapegate schema logins`: the roles that the migrations make get to log in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from shapegate_cli.database import database_url
from shapegate_cli.problems import Failed, Unreachable, explained


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def logins(files: tuple[Path, ...]) -> None:
    """Let roles log in, each with the password of the database URL that one of FILES holds.

    DATABASE_URL (or DATABASE_URL_FILE) is a superuser's. Running it again changes nothing but new passwords.
    """
    from shapegate_schema.errors import DatabaseUnreachable, SchemaError

    given = [read_login(file) for file in files]
    with explained({DatabaseUnreachable: Unreachable, SchemaError: Failed}):
        asyncio.run(_set_logins(database_url("a superuser's URL"), given))
    for role, _ in given:
        click.echo(f"{role} may log in")


def read_login(file: Path) -> tuple[str, str]:
    """Read role and password of the URL in a file. Raises Failed; its text shows nothing of the content."""
    try:
        parts = urlsplit(file.read_text(encoding="utf-8").strip())
        parts.port  # noqa: B018  # raises for what is no port, which part of a password may look like
    except (OSError, ValueError) as exc:
        raise Failed(f"{file} cannot be read as a URL ({type(exc).__name__})") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.username or not parts.password:
        raise Failed(f"{file} holds no postgresql:// URL with a user and a password")
    return unquote(parts.username), unquote(parts.password)


async def _set_logins(owner_url: str, given: list[tuple[str, str]]) -> None:
    from shapegate_schema.roles import set_login

    for role, password in given:
        await set_login(owner_url, role, password)
