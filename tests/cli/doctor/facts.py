"""Facts of a sound database, to be changed one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shapegate_cli.doctor.facts import Facts, Guarded, Publication, Role, RowPolicy, Server, Slot
from shapegate_proxy.policy_file import parse_policy
from shapegate_wire.identifier import parse_table
from tests.proxy.catalogues import catalogue, column, table

POLICY = parse_policy("""
version = 1
[tables.organizations]
scope = "id = {org}"
[tables.organizations.columns]
id = "uuid"
[tables.items]
scope = "organization_id = {org}"
[tables.items.columns]
id = "uuid"
organization_id = "uuid"
name = "text"
""")
ITEMS, ORGANIZATIONS = parse_table("items"), parse_table("organizations")
TABLES = (
    table(
        "items",
        column("id", "uuid"),
        column("organization_id", "uuid"),
        column("name"),
        references={"organization_id": "organizations"},
    ),
    table("organizations", column("id", "uuid")),
)


def row_policy(verb: str = "ALL", **changes: Any) -> RowPolicy:
    usual = RowPolicy(
        name=f"own_{verb.lower()}",
        verb=verb,
        permissive=True,
        conditions=("(organization_id = current_org_id())",),
        columns=frozenset({"organization_id"}),
    )
    return replace(usual, **changes)


def guarded(**changes: Any) -> Guarded:
    usual = Guarded(
        enabled=True,
        forced=True,
        app_owns=False,
        app_rights=frozenset({"SELECT", "INSERT"}),
        electric_owns=False,
        electric_unreadable=(),
        policies=(row_policy(),),
    )
    return replace(usual, **changes)


def slot(**changes: Any) -> Slot:
    usual = Slot(
        name="electric_slot_default", is_here=True, active=True, wal_status="reserved", retained_bytes=4096
    )
    return replace(usual, **changes)


def role(**changes: Any) -> Role:
    usual = Role(superuser=False, replicates=False, bypasses_rls=False, logs_in=True)
    return replace(usual, **changes)


def server(**changes: Any) -> Server:
    usual = Server(version=170_002, wal_level="logical", slots_max=10, senders_max=10, is_standby=False)
    return replace(usual, **changes)


def publication(**changes: Any) -> Publication:
    usual = Publication(
        verbs=frozenset({"insert", "update", "delete", "truncate"}), tables=frozenset({ITEMS, ORGANIZATIONS})
    )
    return replace(usual, **changes)


def facts(**changes: Any) -> Facts:
    by_id = row_policy(columns=frozenset({"id"}))
    usual = Facts(
        server=server(),
        roles={"app_rw": role(), "electric": role(replicates=True, bypasses_rls=True)},
        slots=(slot(),),
        publication=publication(),
        guarded={ITEMS: guarded(), ORGANIZATIONS: guarded(policies=(by_id,))},
        catalogue=catalogue(*TABLES),
    )
    return replace(usual, **changes)
