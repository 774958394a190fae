"""`shapegate sessions`: who is logged in, and ending that; on the issuer's tables, whoever runs the issuer.

DATABASE_URL is that of the role shapegate_issuer or of a superuser. The proxy cuts off at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from shapegate_cli.issuer_store import explained_store, issuer_store, utc_now
from shapegate_cli.output import print_table

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from shapegate_harness.issuer.account import ActiveLogin


@click.group()
def sessions() -> None:
    """Logins that go on, at the issuer."""


@sessions.command("list")
@click.option("--email", required=True)
def list_sessions(email: str) -> None:
    """List the logins of a user that go on, in every org."""
    from shapegate_harness.issuer.administration import active_logins

    async def work() -> tuple[ActiveLogin, ...]:
        async with issuer_store() as store:
            return await active_logins(store, email=email, now=utc_now())

    with explained_store():
        found = asyncio.run(work())
    print_table(
        ("session", "org", "issued at", "token until", "refresh until"),
        [
            (
                login.jti,
                login.organization,
                _shown(login.issued_at),
                _shown(login.expires_at),
                _shown(login.refresh_until),
            )
            for login in found
        ],
    )


@sessions.command("revoke")
@click.option("--session", "jti", type=click.UUID, help="The login that this session (jti) belongs to.")
@click.option("--email", help="All logins of this user, in every org.")
@click.option("--org", "slug", help="All logins to this org, of every member.")
def revoke(jti: UUID | None, email: str | None, slug: str | None) -> None:
    """End logins with all their tokens; exactly one option says which. They may log in again."""
    from shapegate_harness.issuer.administration import (
        end_all_of_organization,
        end_all_of_user,
        end_session,
    )

    if sum(given is not None for given in (jti, email, slug)) != 1:
        raise click.UsageError("expected exactly one of --session, --email and --org")

    async def work() -> int:
        async with issuer_store() as store:
            if jti is not None:
                await end_session(store, jti=jti, now=utc_now())
                return 1
            if email is not None:
                return await end_all_of_user(store, email=email, now=utc_now())
            assert slug is not None, "one of the three is given"
            return await end_all_of_organization(store, slug=slug, now=utc_now())

    with explained_store():
        ended = asyncio.run(work())
    click.echo(f"{ended} ended")


@sessions.command("clear")
def clear() -> None:
    """Delete what is over for long; a running issuer does so every hour."""
    from shapegate_harness.issuer.administration import clear_away

    async def work() -> int:
        async with issuer_store() as store:
            return await clear_away(store, now=utc_now())

    with explained_store():
        cleared = asyncio.run(work())
    click.echo(f"{cleared} sessions cleared away")


def _shown(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat(timespec="seconds")
