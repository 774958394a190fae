"""Whether Electric's role sees every row and the application's role its own only (SECURITY D-01, D-07, D-11).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_cli.doctor.line import fail, ok, warning
from shapegate_wire.identifier import print_columns, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapegate_cli.doctor.facts import Guarded, Role
    from shapegate_cli.doctor.line import Line
    from shapegate_proxy.policy import Policy
    from shapegate_wire.identifier import TableName


def judge_electric_role(
    name: str, role: Role | None, policy: Policy, guarded: Mapping[TableName, Guarded]
) -> Iterator[Line]:
    """Judge the role that Electric connects as.

    Row-level policies that let it see everything are no substitute for BYPASSRLS: they have to be there for
    each table, and one that is forgotten makes snapshots incomplete without an error.
    """
    if role is None:
        seen = "is no role: expected the one that Electric connects as"
        yield warning("roles", name, seen, "name it by --electric-role")
        return
    found: list[Line] = []
    if not (role.replicates or role.superuser):
        seen = "has no REPLICATION: expected it, or Electric cannot follow the database"
        found.append(fail("roles", name, seen, f"ALTER ROLE {quote(name)} REPLICATION"))
    if not (role.bypasses_rls or role.superuser):
        seen = (
            "has no BYPASSRLS: expected it, since under row-level security its snapshots lack rows while "
            "changes of every org stream on"
        )
        found.append(fail("roles", name, seen, f"ALTER ROLE {quote(name)} BYPASSRLS"))
    if not role.logs_in:
        found.append(fail("roles", name, "may not log in", f"ALTER ROLE {quote(name)} LOGIN"))
    if role.superuser:
        seen = "is a superuser: expected no more than LOGIN, REPLICATION, BYPASSRLS and SELECT"
        found.append(warning("roles", name, seen, f"ALTER ROLE {quote(name)} NOSUPERUSER"))
    for table, met in sorted(guarded.items()):
        granted = policy.tables[table]
        unreadable = [column for column in met.electric_unreadable if column in granted.columns]
        if unreadable:
            seen = f"may not read {', '.join(unreadable)} of {table}: expected all that the policy names"
            remedy = f"GRANT SELECT ({print_columns(tuple(unreadable))}) ON {table.to_sql()} TO {quote(name)}"
            found.append(fail("roles", name, seen, remedy))
    yield from found or [ok("roles", name, "follows the database, passes row-level security and reads")]


def judge_app_role(name: str, role: Role | None) -> Iterator[Line]:
    """Judge the role that the application connects as."""
    if role is None:
        seen = "is no role: expected the one that the application connects as"
        yield warning("roles", name, seen, "name it by --app-role")
        return
    found = [
        fail("roles", name, f"has {attribute}: expected a role that row-level security holds", remedy)
        for attribute, has, remedy in (
            ("SUPERUSER", role.superuser, f"ALTER ROLE {quote(name)} NOSUPERUSER"),
            ("BYPASSRLS", role.bypasses_rls, f"ALTER ROLE {quote(name)} NOBYPASSRLS"),
            ("REPLICATION", role.replicates, f"ALTER ROLE {quote(name)} NOREPLICATION"),
        )
        if has
    ]
    yield from found or [ok("roles", name, "is held by row-level security")]
