"""A sound deployment is found sound; each planted fault is found, named, and nothing else is."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from yarl import URL

from shapegate_cli.doctor.facts import Names
from shapegate_cli.doctor.line import Verdict
from shapegate_schema.domains import domain_names, policy_file
from shapegate_wire.identifier import parse_table
from tests.cli.doctor.deployment import ACME, GLOBEX, INITECH, SECRET, open_deployment, open_gate, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from shapegate_cli.doctor.line import Line
    from tests.cli.doctor.deployment import Deployment
    from tests.conftest import CreateDatabase

Found = set[tuple[str, str]]
"""Check and subject of findings."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(
    create_session_database: CreateDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """One deployment for all tests here; what they plant they take away."""
    folder = tmp_path_factory.mktemp("deployment")
    async with open_deployment(await create_session_database(), folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gates(deployment: Deployment) -> AsyncIterator[Mapping[str, URL]]:
    """The gate of each domain; Electric has the shapes that clients ask for."""
    async with AsyncExitStack() as stack:
        running = {}
        for domain in domain_names():
            environ = deployment.environ(domain)
            running[domain] = await stack.enter_async_context(open_gate(environ))
            await deployment.look(environ, running[domain])
        yield running


def of(lines: Sequence[Line], verdict: Verdict) -> Found:
    return {(line.check, line.subject) for line in lines if line.verdict is verdict}


CHECKS = {"agreement", "clock", "configuration", "electric", "gate", "isolation", "policy", "postgres"}
CHECKS |= {"publication", "roles", "slots"}


@pytest.mark.parametrize("domain", domain_names())
async def test_D_01_D_11_I_01_a_sound_deployment_is_found_sound(
    deployment: Deployment, gates: Mapping[str, URL], domain: str
) -> None:
    lines = await deployment.look(deployment.environ(domain), gates[domain])
    assert [line for line in lines if line.verdict is not Verdict.OK] == []
    assert {line.check for line in lines} == CHECKS
    compared = {line.subject: line.text for line in lines if line.check == "agreement"}
    assert set(compared) == {ACME, GLOBEX}
    assert all(" 0 rows" not in text for text in compared.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong, how to mend it, and where it shows."""

    name: str
    domain: str
    plant: str = ""
    mend: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    fails: Found
    says: str
    """Part of the line that names the cause."""
    not_compared: bool = False
    """Whether sync cannot be compared then."""


CONTROLS = {("agreement", f"{org} public.controls") for org in (ACME, GLOBEX)}
FAULTS = [
    Fault(
        name="a dropped policy",
        domain="controls",
        plant="DROP POLICY tenant_isolation_select ON controls",
        mend="CREATE POLICY tenant_isolation_select ON controls FOR SELECT TO app_rw "
        "USING (organization_id = current_org_id())",
        fails={("isolation", "public.controls"), *CONTROLS},
        says="app_rw may SELECT, but no row-level policy lets a row pass",
    ),
    Fault(
        name="NO FORCE",
        domain="erp",
        plant="ALTER TABLE vendors NO FORCE ROW LEVEL SECURITY",
        mend="ALTER TABLE vendors FORCE ROW LEVEL SECURITY",
        fails={("isolation", "public.vendors")},
        says="is not forced: the owner passes it",
    ),
    Fault(
        name="a missing index",
        domain="nexus",
        plant="DROP INDEX nexus_tenant_relationships_vendor_id_index",
        mend="CREATE INDEX nexus_tenant_relationships_vendor_id_index "
        "ON nexus_tenant_relationships (vendor_id, status)",
        fails={("policy", "public.nexus_tenant_relationships")},
        says="vendor_id scopes it and no index begins with it",
    ),
    Fault(
        name="replica identity default",
        domain="nexus",
        plant="ALTER TABLE nexus_case_messages REPLICA IDENTITY DEFAULT",
        mend="ALTER TABLE nexus_case_messages REPLICA IDENTITY FULL",
        fails={("policy", "public.nexus_case_messages")},
        says="its replica identity is not FULL",
    ),
    Fault(
        name="a role without BYPASSRLS",
        domain="erp",
        plant="ALTER ROLE electric NOBYPASSRLS",
        mend="ALTER ROLE electric BYPASSRLS",
        fails={("roles", "electric")},
        says="has no BYPASSRLS",
    ),
    Fault(
        name="an org column that may be NULL",
        domain="erp",
        plant="ALTER TABLE products ALTER tenant_id DROP NOT NULL",
        mend="ALTER TABLE products ALTER tenant_id SET NOT NULL",
        fails={("policy", "public.products")},
        says="tenant_id scopes it and may be NULL",
    ),
    Fault(
        name="a stale slot",
        domain="controls",
        plant="SELECT pg_create_logical_replication_slot('electric_slot_old', 'pgoutput')",
        mend="SELECT pg_drop_replication_slot('electric_slot_old')",
        fails={("slots", "electric_slot_old")},
        says="is stale: nobody follows it",
    ),
    Fault(
        name="a too short secret",
        domain="controls",
        environ={"TOKEN_SECRET": SECRET[:20]},
        fails={("configuration", "gate")},
        says="TOKEN_SECRET is too short",
        not_compared=True,
    ),
    Fault(
        name="a wrong upstream secret",
        domain="controls",
        environ={"ELECTRIC_SECRET": "another-long-secret"},
        fails={("electric", "ELECTRIC_SECRET")},
        says="refuses the gate's ELECTRIC_SECRET",
        not_compared=True,
    ),
]


@asynccontextmanager
async def planted(deployment: Deployment, fault: Fault) -> AsyncIterator[None]:
    if fault.plant:
        await deployment.run_as_superuser(fault.plant)
    try:
        yield
    finally:
        if fault.mend:
            await deployment.run_as_superuser(fault.mend)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_D_01_D_11_a_planted_fault_is_named_and_nothing_else_is(
    deployment: Deployment, gates: Mapping[str, URL], fault: Fault
) -> None:
    environ = deployment.environ(fault.domain, **fault.environ)
    async with planted(deployment, fault):
        lines = await deployment.look(environ, gates[fault.domain])
    assert of(lines, Verdict.FAIL) == fault.fails
    assert [line for line in lines if line.verdict is Verdict.FAIL and fault.says in line.text]
    skipped: Found = {("agreement", "sync and RLS")} if fault.not_compared else set()
    assert of(lines, Verdict.WARNING) == skipped


async def test_a_wrong_scope_column_is_named_and_shows_in_the_rows(
    deployment: Deployment, tmp_path: Path
) -> None:
    wrong = tmp_path / "policy.toml"
    right = policy_file("controls").read_text()
    scoped = '[tables.controls]\nscope = "organization_id = {org}"'
    assert scoped in right
    wrong.write_text(right.replace(scoped, scoped.replace("organization_id", "id")))
    environ = deployment.environ("controls", SHAPEGATE_POLICY=str(wrong))
    async with open_gate(environ) as gate_url:
        lines = await deployment.look(environ, gate_url, orgs=())
    assert of(lines, Verdict.FAIL) == {("isolation", "public.controls"), *CONTROLS}
    assert of(lines, Verdict.WARNING) == {("agreement", INITECH)}  # nobody has a token for it
    (cause,) = [line for line in lines if line.check == "isolation" and line.verdict is Verdict.FAIL]
    assert "the scope compares id, row-level security looks at organization_id" in cause.text
    (ours,) = [line for line in lines if line.subject == f"{ACME} public.controls"]
    assert "8 rows are seen by the application and not synced: ac3e0012-" in ours.text
    assert "and 3 more" in ours.text


def without_roles(folder: Path) -> Path:
    """A policy of erp that keeps nothing from anybody of the org."""
    path = folder / "policy.toml"
    path.write_text(policy_file("erp").read_text().replace('roles = ["owner", "admin"]\n', ""))
    return path


@pytest.fixture
def members(tmp_path: Path) -> Path:
    """Tokens of plain members."""
    (tmp_path / ACME).write_text(token(ACME, "acme", "member", "11111111-1111-4111-8111-111111111111"))
    return tmp_path


async def test_a_table_that_the_policy_keeps_from_the_visitor_is_said_to_be_left_out(
    deployment: Deployment, gates: Mapping[str, URL], members: Path
) -> None:
    lines = await deployment.look(deployment.environ("erp"), gates["erp"], tokens=members, orgs=(ACME,))
    assert of(lines, Verdict.FAIL) == set()
    (left_out,) = [line for line in lines if line.verdict is Verdict.WARNING]
    assert left_out.subject == f"{ACME} public.employees"
    assert left_out.remedy == "give a token of admin or owner"


async def test_a_gate_that_serves_what_the_policy_keeps_from_a_role_is_found(
    deployment: Deployment, members: Path
) -> None:
    lax = deployment.environ("erp", SHAPEGATE_POLICY=str(without_roles(members)))
    async with open_gate(lax) as gate_url:
        lines = await deployment.look(deployment.environ("erp"), gate_url, tokens=members, orgs=(ACME,))
    (found,) = [line for line in lines if line.verdict is Verdict.FAIL]
    assert found.subject == f"{ACME} public.employees"
    assert "is synced by member, from whom the policy keeps it" in found.text


async def test_without_the_applications_url_a_superuser_acts_as_its_role(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    lines = await deployment.look(deployment.environ("nexus"), gates["nexus"], app_database_url=None)
    assert of(lines, Verdict.OK) >= {("agreement", ACME), ("agreement", GLOBEX)}
    assert of(lines, Verdict.FAIL) | of(lines, Verdict.WARNING) == set()


async def test_a_plain_role_sees_as_much_but_may_not_act_as_the_application(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    plain = deployment.app_database_url.replace("app_rw", "electric")
    environ = deployment.environ("controls")
    told: dict[str, Any] = {"database_url": plain, "app_database_url": None}
    lines = await deployment.look(environ, gates["controls"], **told)
    assert of(lines, Verdict.FAIL) == set()
    (skipped,) = [line for line in lines if line.verdict is Verdict.WARNING]
    assert skipped.text == "not compared: this role may not act as app_rw"
    assert {line.check for line in lines} == CHECKS


async def test_the_url_of_another_role_is_not_compared_as_the_applications(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    told: dict[str, Any] = {"app_database_url": deployment.app_database_url.replace("app_rw", "electric")}
    lines = await deployment.look(deployment.environ("controls"), gates["controls"], **told)
    (found,) = [line for line in lines if line.verdict is Verdict.FAIL]
    assert "is of the role electric: expected app_rw" in found.text


async def test_only_the_tables_that_were_named_are_compared(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    told: dict[str, Any] = {"tables": frozenset({parse_table("controls")}), "orgs": (ACME,)}
    lines = await deployment.look(deployment.environ("controls"), gates["controls"], **told)
    (compared,) = [line for line in lines if line.check == "agreement"]
    assert compared.text == "1 tables with 8 rows are synced as RLS shows them"


async def test_a_table_that_the_application_may_not_read_does_not_keep_the_others_from_being_compared(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    await deployment.run_as_superuser("REVOKE SELECT ON controls FROM app_rw")
    try:
        lines = await deployment.look(deployment.environ("controls"), gates["controls"], orgs=(ACME,))
    finally:
        await deployment.run_as_superuser("GRANT SELECT ON controls TO app_rw")
    (found,) = [line for line in lines if line.verdict is not Verdict.OK]
    assert found.subject == f"{ACME} public.controls"
    assert found.text == "is synced, but as the application it cannot be read (InsufficientPrivilegeError)"
    assert ("agreement", ACME) in of(lines, Verdict.OK)


async def test_rows_that_differ_only_for_a_moment_do_not_count(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    dropped, pauses = FAULTS[0], []
    assert dropped.name == "a dropped policy"

    async def mend(seconds: float) -> None:
        pauses.append(seconds)
        await deployment.run_as_superuser(dropped.mend)

    told: dict[str, Any] = {"tables": frozenset({parse_table("controls")}), "orgs": (ACME,), "pause": mend}
    await deployment.run_as_superuser(dropped.plant)
    lines = await deployment.look(deployment.environ("controls"), gates["controls"], **told)
    assert [line.verdict for line in lines if line.check == "agreement"] == [Verdict.OK]
    assert pauses == [1.0]


async def test_a_gate_that_electric_refuses_is_named_and_the_rest_is_not_waited_for(
    deployment: Deployment,
) -> None:
    refused = deployment.environ("controls", ELECTRIC_SECRET="another-long-secret")
    async with open_gate(refused) as gate_url:
        lines = await deployment.look(deployment.environ("controls"), gate_url, sync_seconds=0.5)
    (found,) = [line for line in lines if line.verdict is not Verdict.OK]
    assert (found.verdict, found.check, found.subject) == (Verdict.FAIL, "agreement", ACME)
    assert "not up to date within 0.5 s: competency_records" in found.text
    assert "nothing further was compared" in found.text


AWAY = "postgresql://nobody:hunter2@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("told", "verdict", "subject", "says"),
    [
        ({"database_url": None}, Verdict.WARNING, "database", "no URL was given"),
        ({"database_url": AWAY}, Verdict.FAIL, "database", "cannot be connected to (ConnectionRefusedError)"),
        ({"database_url": "no url"}, Verdict.FAIL, "database", "cannot be connected to"),
        ({"app_database_url": AWAY}, Verdict.FAIL, "database", "cannot be connected to"),
        ({"visitors": None}, Verdict.WARNING, "sync and RLS", "there is nobody to sync as"),
        ({"gate_url": URL("http://127.0.0.1:1")}, Verdict.FAIL, "health", "no answer (ClientConnectorError)"),
        ({"names": Names(app_role="nobody")}, Verdict.WARNING, "nobody", "is no role"),
        ({"names": Names(stream="other")}, Verdict.FAIL, "electric_publication_other", "is not there"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_what_cannot_be_looked_at_is_said_without_a_password(
    deployment: Deployment,
    gates: Mapping[str, URL],
    told: dict[str, Any],
    verdict: Verdict,
    subject: str,
    says: str,
) -> None:
    named = {"tables": frozenset({parse_table("controls")}), "gate_url": gates["controls"], **told}
    lines = await deployment.look(deployment.environ("controls"), **named)
    said = [line.text for line in lines if (line.verdict, line.subject) == (verdict, subject)]
    assert [text for text in said if says in text]
    assert not [line for line in lines if "hunter2" in f"{line.text}{line.remedy}"]


async def test_without_a_policy_the_database_is_looked_at_all_the_same(
    deployment: Deployment, gates: Mapping[str, URL], tmp_path: Path
) -> None:
    environ = deployment.environ("controls", SHAPEGATE_POLICY=str(tmp_path / "missing.toml"))
    lines = await deployment.look(environ, gates["controls"])
    assert of(lines, Verdict.FAIL) == {("configuration", "gate")}
    assert of(lines, Verdict.OK) >= {("postgres", "server"), ("roles", "electric")}


async def test_an_electric_that_is_away_is_found_and_nothing_is_waited_for(
    deployment: Deployment, gates: Mapping[str, URL]
) -> None:
    environ = deployment.environ("controls", ELECTRIC_URL="http://127.0.0.1:1")
    lines = await deployment.look(environ, gates["controls"])
    assert of(lines, Verdict.FAIL) == {("electric", "health")}
    assert of(lines, Verdict.WARNING) == {("agreement", "sync and RLS")}
