"""The step of the nexus domain: what two orgs have with each other is seen by both, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_client import ShapeDefinition
from shapegate_harness.scenario.checks import as_application, expect
from shapegate_harness.scenario.scene import until

if TYPE_CHECKING:
    from shapegate_client import Session
    from shapegate_harness.scenario.scene import Scene

THIRD: Final = "ivy@initech.example"
"""The first member of Initech, which has dealings with both other orgs."""
CASES: Final = "nexus_cases"
MESSAGES: Final = "nexus_case_messages"


async def shared_case(scene: Scene) -> str:
    """Acme opens a case with Globex and one with Initech, and writes in both; each other org sees its own.

    Each change for one org is followed by one for the other, so that whoever has the later one and not the
    earlier one will never get it.
    """
    login = await scene.stack.admit(slug="initech", name="Initech Supplies", owner_email=THIRD)
    scene.logins[THIRD] = login
    ivy = await scene.log_in(THIRD)
    for table in (CASES, MESSAGES):
        await ivy.subscribe(ShapeDefinition(table=table))
    await ivy.up_to_date(timeout=30)
    with_globex = await _open_case(scene, "TV-GLOBEX")
    with_initech = await _open_case(scene, "TV-INITECH")
    await until(lambda: _cases(scene.ada) >= {with_globex, with_initech})
    await until(lambda: with_globex in _cases(scene.grace) and with_initech in _cases(ivy))
    await _write(scene, with_initech)
    await _write(scene, with_globex)
    await until(lambda: {with_globex, with_initech} <= _written(scene.ada))
    await until(lambda: with_globex in _written(scene.grace) and with_initech in _written(ivy))
    for session, foreign in ((scene.grace, with_initech), (ivy, with_globex)):
        org = session.principal.organization.slug
        expect(foreign not in _cases(session), f"{org} holds a case of two other orgs")
        expect(foreign not in _written(session), f"{org} holds a message in a case of two other orgs")
    return (
        f"{with_globex} is seen by acme and globex, {with_initech} by acme and initech, each with its message"
    )


async def _open_case(scene: Scene, vendor: str) -> str:
    async with as_application(scene.stack.addresses.app_database_url, scene.acme) as connection:
        case_id: str = await connection.fetchval(
            "INSERT INTO nexus_cases (client_id, vendor_id, subject) "
            "VALUES ('TC-ACME', $1, 'Opened in the scenario') RETURNING case_id",
            vendor,
        )
    return case_id


async def _write(scene: Scene, case_id: str) -> None:
    url, user = scene.stack.addresses.app_database_url, scene.ada.principal.user_id
    async with as_application(url, scene.acme, user) as connection:
        await connection.execute(
            "INSERT INTO nexus_case_messages (case_id, sender_context, sender_context_id, body) "
            "VALUES ($1, 'client', 'TC-ACME', 'Please have a look.')",
            case_id,
        )


def _cases(session: Session) -> set[str]:
    return {str(row["case_id"]) for row in session.db.query(f"SELECT case_id FROM {CASES}")}  # noqa: S608  # a constant


def _written(session: Session) -> set[str]:
    return {str(row["case_id"]) for row in session.db.query(f"SELECT case_id FROM {MESSAGES}")}  # noqa: S608  # a constant
