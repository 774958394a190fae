"""The seed rows: two orgs that look alike, and the people who belong to them.

Ids are fixed, so seeding again changes nothing. There are no passwords here; the issuer sets them. Further
rows can be added for load: the server makes them, so a hundred thousand take seconds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_schema.connection import ADVISORY_LOCK_KEY, open_connection, postgres_text
from shapegate_schema.domains import rows_script, seed_scripts
from shapegate_schema.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

_ORGS: Final = "SELECT id, slug, name FROM public.organizations WHERE slug = ANY($1) ORDER BY slug"
_LOGINS: Final = """
SELECT u.email, u.id AS user_id, o.id AS organization_id, o.slug, o.name, m.role,
       array(SELECT every.organization_id FROM public.memberships AS every
             WHERE every.user_id = u.id AND every.status = 'active'
             ORDER BY every.organization_id <> u.organization_id, every.organization_id) AS organization_ids
FROM public.users AS u
JOIN public.organizations AS o ON o.id = u.organization_id
JOIN public.memberships AS m ON m.user_id = u.id AND m.organization_id = u.organization_id
WHERE u.email = ANY($1)
ORDER BY u.email
"""
_RANGE: Final = "SELECT set_config('seed.first', $1, true), set_config('seed.last', $2, true)"
ROWS_MAX: Final = 10_000_000
"""Of further rows: a bound on one run; the numbers in their ids have room for more."""
_BATCH_ROWS: Final = 10_000
"""Of further rows in one transaction: who follows the changes holds a whole one at a time."""
_SLUGS: Final = ("acme", "globex")
_EMAILS: Final = ("ada@acme.example", "ben@acme.example", "grace@globex.example", "hugo@globex.example")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOrg:
    """A seeded organization."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedLogin:
    """A seeded user and the org where a login lands: the home org."""

    email: str
    user_id: UUID
    organization_id: UUID
    organization_slug: str
    organization_name: str
    role: str
    """In the home org."""
    organization_ids: tuple[UUID, ...]
    """Every org with an active membership, the home org first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """What seeding leaves behind."""

    orgs: tuple[SeedOrg, ...]
    """By slug."""
    logins: tuple[SeedLogin, ...]
    """One for each user, by email."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSeeded:
    """A batch of further rows was committed."""

    done: int
    """So far, those that were there before included."""
    total: int


async def seed(
    database_url: str,
    domain: str = "controls",
    *,
    rows: int = 0,
    on_rows: Callable[[RowsSeeded], None] | None = None,
) -> Seeds:
    """Insert the seed rows of a domain that are not there yet, all or none, then `rows` further ones.

    The further rows are spread over both orgs and the domain's biggest tables. They come in batches, each all
    or none; what a broken run left out, the next one adds. `database_url` must pass row-level security
    (superuser or BYPASSRLS): the tables force it on their owner.
    Raises SeedError, UnknownDomain, and what open_connection raises.
    """
    if not 0 <= rows <= ROWS_MAX:
        raise SeedError(f"{rows} further rows were asked for; expected 0 to {ROWS_MAX}")
    scripts, further = seed_scripts(domain), rows_script(domain)
    async with open_connection(database_url) as connection:
        with _translated():
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK_KEY)
                for script in scripts:
                    await connection.execute(script)
                seeds = await _read_seeds(connection)
            for first in range(1, rows + 1, _BATCH_ROWS):
                last = min(first + _BATCH_ROWS - 1, rows)
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK_KEY)
                    await connection.execute(_RANGE, str(first), str(last))
                    await connection.execute(further)
                if on_rows is not None:
                    on_rows(RowsSeeded(done=last, total=rows))
    return seeds


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as exc:
        raise SeedError(
            f"the schema does not fit the seed rows ({postgres_text(exc)}); run the migrations first"
        ) from exc
    except asyncpg.InsufficientPrivilegeError as exc:
        raise SeedError(
            f"seeding needs a superuser or a role with BYPASSRLS ({postgres_text(exc)}); give that URL"
        ) from exc
    except asyncpg.IntegrityConstraintViolationError as exc:
        raise SeedError(
            f"other rows are in the way of the seed rows ({postgres_text(exc)}); they were left as they are"
        ) from exc
    except asyncpg.LockNotAvailableError as exc:
        raise SeedError("another run migrates or seeds this database for too long; try again") from exc


async def _read_seeds(connection: asyncpg.Connection) -> Seeds:
    orgs: Sequence[asyncpg.Record] = await connection.fetch(_ORGS, _SLUGS)
    logins: Sequence[asyncpg.Record] = await connection.fetch(_LOGINS, _EMAILS)
    return Seeds(
        orgs=tuple(SeedOrg(id=row["id"], slug=row["slug"], name=row["name"]) for row in orgs),
        logins=tuple(
            SeedLogin(
                email=row["email"],
                user_id=row["user_id"],
                organization_id=row["organization_id"],
                organization_slug=row["slug"],
                organization_name=row["name"],
                role=row["role"],
                organization_ids=tuple(row["organization_ids"]),
            )
            for row in logins
        ),
    )
