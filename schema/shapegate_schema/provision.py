"""Orgs as an operator makes, suspends and ends them; each change is one transaction.

Who calls has to pass row-level security (a superuser or a role with BYPASSRLS): the tables force it on their
owner. All is told to the proxy by the triggers of the tables, at once.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final, Literal

import asyncpg

from shapegate_schema.connection import ADVISORY_LOCK_KEY, open_connection, postgres_text
from shapegate_schema.errors import OrgInUse, ProvisionRefused, UnknownOrg
from shapegate_schema.naming import check_names, check_slug

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from uuid import UUID

Status = Literal["active", "suspended"]

_ORG: Final = "SELECT id, name, status FROM public.organizations WHERE slug = $1 FOR UPDATE"
_ADD_ORG: Final = "INSERT INTO public.organizations (name, slug) VALUES ($1, $2) RETURNING id, name, status"
_OWNERS: Final = """
SELECT u.email, u.id FROM public.memberships AS m JOIN public.users AS u ON u.id = m.user_id
WHERE m.organization_id = $1 AND m.role = 'owner' ORDER BY lower(u.email)
"""
_ADD_USER: Final = """
INSERT INTO public.users (email, organization_id, role) VALUES ($1, $2, 'owner') RETURNING id
"""
_ADD_OWNER: Final = """
INSERT INTO public.memberships (user_id, organization_id, role) VALUES ($1, $2, 'owner')
"""
_SET_STATUS: Final = "UPDATE public.organizations SET status = $2 WHERE id = $1"
_BELONGING: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, quote_ident(a.attname) AS org_column,
       array(SELECT DISTINCT format('%I.%I', pn.nspname, p.relname)
             FROM pg_constraint AS k JOIN pg_class AS p ON p.oid = k.confrelid
             JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
             WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid <> c.oid) AS parents
FROM pg_constraint AS f
JOIN pg_class AS c ON c.oid = f.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
WHERE f.contype = 'f' AND f.confrelid = 'public.organizations'::regclass AND cardinality(f.conkey) = 1
ORDER BY 1
"""
"""Every table that says by a foreign key of one column whose its rows are."""
_MOVE_HOMES: Final = """
UPDATE public.users AS u SET organization_id = other.organization_id
FROM (
    SELECT DISTINCT ON (m.user_id) m.user_id, m.organization_id FROM public.memberships AS m
    WHERE m.organization_id <> $1 ORDER BY m.user_id, m.status, m.inserted_at, m.organization_id
) AS other
WHERE u.organization_id = $1 AND other.user_id = u.id
"""
_END_SESSIONS: Final = """
UPDATE shapegate_auth.sessions SET revoked_at = now(), reason = 'org_deleted'
WHERE organization_id = $1 AND revoked_at IS NULL
"""
_END_REFRESHING: Final = """
UPDATE shapegate_auth.refresh_tokens SET used_at = now() WHERE organization_id = $1 AND used_at IS NULL
"""
_PEOPLE: Final = frozenset({"public.users", "public.memberships"})
"""What provisioning itself makes; all else that belongs to an org is its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedOrg:
    """An org with its owner, as asked for."""

    id: UUID
    slug: str
    name: str
    owner_id: UUID
    owner_email: str
    created: bool
    """False if all of it was there before, and nothing was changed."""
    status: Status


async def provision(database_url: str, *, slug: str, name: str, owner_email: str) -> ProvisionedOrg:
    """Make an org and its first member, the owner, or find that they are there; all or nothing.

    Whoever has the address already gets one more membership and keeps the home org. An org that has another
    name or other owners is left alone. Raises InvalidName naming every problem, ProvisionRefused, and what
    open_connection raises.
    """
    check_names(slug=slug, name=name, owner_email=owner_email)
    async with _transaction(database_url) as connection:
        org = await connection.fetchrow(_ORG, slug)
        created = org is None
        org = org or await connection.fetchrow(_ADD_ORG, name, slug)
        assert org is not None, "an insert that does not fail returns its row"
        if org["name"] != name:
            raise ProvisionRefused(
                f"the slug {slug!r} is that of {org['name']!r}: expected {name!r}; choose another slug"
            )
        owner_id, owner_added = await _owner(connection, org["id"], slug, owner_email)
    return ProvisionedOrg(
        id=org["id"],
        slug=slug,
        name=name,
        owner_id=owner_id,
        owner_email=owner_email,
        created=created or owner_added,
        status=org["status"],
    )


async def suspend(database_url: str, slug: str) -> bool:
    """Cut an org's members off, at the proxy at once; say whether that is new. Raises UnknownOrg."""
    return await _set_status(database_url, slug, "suspended")


async def resume(database_url: str, slug: str) -> bool:
    """Let a suspended org's members in again; say whether that is new. Raises UnknownOrg."""
    return await _set_status(database_url, slug, "active")


async def delete(database_url: str, slug: str, *, with_data: bool) -> Mapping[str, int]:
    """Delete an org, its members and its sessions; return how many rows went, by table.

    Without `with_data` an org that has rows is left alone. Rows that it shares with another org are never
    deleted here. A user who belongs to another org stays and has a home there. Raises UnknownOrg or OrgInUse.
    """
    check_slug(slug)
    async with _transaction(database_url) as connection:
        org_id = await _known(connection, slug)
        tables = _children_first(await connection.fetch(_BELONGING))
        counts = {name: await _count(connection, name, column, org_id) for name, column in tables.items()}
        data = {name: count for name, count in counts.items() if count and name not in _PEOPLE}
        if data and not with_data:
            listed = ", ".join(f"{count} in {name}" for name, count in sorted(data.items()))
            raise OrgInUse(f"the org {slug!r} has rows: {listed}; ask for them to be deleted with it")
        await connection.execute(_MOVE_HOMES, org_id)
        await connection.execute(_END_SESSIONS, org_id)
        await connection.execute(_END_REFRESHING, org_id)
        try:
            for name, column in tables.items():
                await connection.execute(f"DELETE FROM {name} WHERE {column} = $1", org_id)  # noqa: S608  # quoted by Postgres
            await connection.execute("DELETE FROM public.organizations WHERE id = $1", org_id)
        except asyncpg.ForeignKeyViolationError as exc:
            raise OrgInUse(
                f"rows that the org {slug!r} shares with others still refer to it "
                f"(table {exc.table_name}); nothing was deleted: end those first, or suspend the org"
            ) from exc
    return data


async def _owner(
    connection: asyncpg.Connection, org_id: UUID, slug: str, owner_email: str
) -> tuple[UUID, bool]:
    """Find or add the owner; the second part says whether it was added. Raises ProvisionRefused."""
    owners: Mapping[str, UUID] = {
        row["email"].lower(): row["id"] for row in await connection.fetch(_OWNERS, org_id)
    }
    if owner_email.lower() in owners:
        return owners[owner_email.lower()], False
    if owners:
        raise ProvisionRefused(
            f"the org {slug!r} has {len(owners)} other owners: expected {owner_email!r} or none; "
            "only the first member is made here"
        )
    user_id = await connection.fetchval(
        "SELECT id FROM public.users WHERE lower(email) = lower($1)", owner_email
    )
    user_id = user_id or await connection.fetchval(_ADD_USER, owner_email, org_id)
    assert user_id is not None, "an insert that does not fail returns its row"
    try:
        await connection.execute(_ADD_OWNER, user_id, org_id)
    except asyncpg.UniqueViolationError as exc:
        raise ProvisionRefused(
            f"{owner_email!r} is a member of {slug!r}, but not as its owner; change the role there"
        ) from exc
    return user_id, True


async def _set_status(database_url: str, slug: str, status: Status) -> bool:
    check_slug(slug)
    async with _transaction(database_url) as connection:
        org = await connection.fetchrow(_ORG, slug)
        if org is None:
            raise _unknown(slug)
        if org["status"] == status:
            return False
        await connection.execute(_SET_STATUS, org["id"], status)
        return True


async def _known(connection: asyncpg.Connection, slug: str) -> UUID:
    org_id: UUID | None = await connection.fetchval(_ORG, slug)
    if org_id is None:
        raise _unknown(slug)
    return org_id


def _unknown(slug: str) -> UnknownOrg:
    return UnknownOrg(f"there is no org with the slug {slug!r}; slugs are lower case, as provision took them")


async def _count(connection: asyncpg.Connection, name: str, column: str, org_id: UUID) -> int:
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {name} WHERE {column} = $1",  # noqa: S608  # both quoted by Postgres
        org_id,
    )
    return count


def _children_first(rows: Sequence[asyncpg.Record]) -> Mapping[str, str]:
    """Order the tables so that each is emptied before those it refers to; gives the org's column by table."""
    columns = {row["name"]: row["org_column"] for row in rows}
    graph = {row["name"]: [parent for parent in row["parents"] if parent in columns] for row in rows}
    try:
        parents_first = tuple(TopologicalSorter(graph).static_order())
    except CycleError as exc:
        raise OrgInUse(
            f"the tables {', '.join(exc.args[1])} refer to each other in a circle: delete their rows by hand"
        ) from exc
    return {name: columns[name] for name in reversed(parents_first)}


@contextlib.asynccontextmanager
async def _transaction(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Run the block in one transaction, after whoever else migrates, seeds or provisions this database."""
    async with open_connection(database_url) as connection:
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK_KEY)
                if not await connection.fetchval(
                    "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
                ):
                    raise ProvisionRefused(
                        "this role does not pass row-level security, so it would find no org; "
                        "give the URL of a superuser or of a role with BYPASSRLS"
                    )
                yield connection
        except asyncpg.UndefinedTableError as exc:
            raise ProvisionRefused(
                f"the schema is not there ({postgres_text(exc)}); run the migrations first"
            ) from exc
        except asyncpg.InsufficientPrivilegeError as exc:
            raise ProvisionRefused(
                f"this role may not provision ({postgres_text(exc)}); give a superuser's URL"
            ) from exc
        except asyncpg.LockNotAvailableError as exc:
            raise ProvisionRefused("another run works on this database for too long; try again") from exc
