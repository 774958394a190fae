"""The facts of a real Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shapegate_cli.doctor.facts import Names
from shapegate_cli.doctor.reading import DatabaseSilent, clock_offset_seconds, open_database, read_facts
from shapegate_proxy.policy_file import parse_policy
from shapegate_wire.identifier import parse_table

ITEMS, PARTS = parse_table("items"), parse_table("parts")
POLICY = parse_policy(
    "version = 1\n"
    + "".join(
        f'[tables.{name}]\nscope = "org = {{org}}"\n[tables.{name}.columns]\nid = "int8"\norg = "uuid"\n'
        for name in ("items", "parts", "missing")
    )
)
SCHEMA = """
CREATE ROLE doctor_app NOLOGIN; CREATE ROLE doctor_group NOLOGIN; CREATE ROLE doctor_electric REPLICATION;
GRANT doctor_group TO doctor_app;
CREATE TABLE items (id int8 PRIMARY KEY, org uuid NOT NULL, note text);
CREATE TABLE parts (id int8, org uuid NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE others (id int8);
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
ALTER TABLE parts OWNER TO doctor_group;
GRANT SELECT, TRUNCATE ON items TO doctor_app; GRANT UPDATE (note) ON items TO doctor_group;
GRANT SELECT (id, org) ON items TO doctor_electric;
CREATE POLICY own ON items FOR SELECT TO doctor_group USING (org = current_setting('x', true)::uuid);
CREATE POLICY all_of ON items
  USING (note IN (SELECT 'x' FROM others AS o WHERE o.id = items.id)) WITH CHECK (true);
CREATE POLICY not_ours ON items TO doctor_electric USING (true);
CREATE PUBLICATION electric_publication_doctor FOR TABLE items, parts WITH (publish = 'insert, update');
"""
ROLES = "doctor_app, doctor_group, doctor_electric"
CLEAN = f"DROP OWNED BY {ROLES}; DROP ROLE {ROLES}"
NAMES = Names(app_role="doctor_app", electric_role="doctor_electric", stream="doctor")


async def test_D_01_roles_rights_policies_and_what_is_published_are_read(database_url: str) -> None:
    async with open_database(database_url) as connection:
        await connection.execute(SCHEMA)
        try:
            found = await read_facts(connection, POLICY, NAMES)
            unknown = await read_facts(connection, POLICY, Names(app_role="nobody", electric_role="nobody"))
        finally:
            await connection.execute(CLEAN)
    assert (found.server.wal_level, found.server.is_standby) == ("logical", False)
    assert set(found.roles) == {"doctor_app", "doctor_electric"}
    assert (found.roles["doctor_electric"].replicates, found.roles["doctor_electric"].logs_in) == (
        True,
        False,
    )
    assert set(found.guarded) == {ITEMS, PARTS}
    items, parts = found.guarded[ITEMS], found.guarded[PARTS]
    assert (items.enabled, items.forced, items.app_owns, parts.app_owns) == (True, False, False, True)
    assert items.app_rights == {"SELECT", "UPDATE", "TRUNCATE"}
    assert items.electric_unreadable == ("note",)
    assert [(each.name, each.verb, sorted(each.columns)) for each in items.policies] == [
        ("all_of", "ALL", ["id", "note"]),
        ("own", "SELECT", ["org"]),
    ]
    assert items.policies[0].conditions[1:] == ("true",)
    assert found.publication is not None
    assert found.publication.verbs == {"insert", "update"}
    assert found.publication.tables >= {ITEMS, PARTS}
    assert (unknown.roles, unknown.publication) == ({}, None)
    assert unknown.guarded[ITEMS].app_rights == frozenset()


async def test_the_servers_clock_is_compared_with_ours(database_url: str) -> None:
    async with open_database(database_url) as connection:
        behind = await clock_offset_seconds(connection, lambda: datetime.now(UTC) + timedelta(seconds=100))
    assert -101 < behind < -99


async def test_a_connection_that_is_lost_is_said_to_be(database_url: str) -> None:
    async with open_database(database_url) as connection:
        killer = await asyncpg.connect(database_url)
        try:
            await killer.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
        finally:
            await killer.close()
        with pytest.raises(DatabaseSilent, match="cannot be read"):
            await read_facts(connection, POLICY, NAMES)
