"""The whole road on real parts, and that its checks can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
import sqlite_utils

from shapegate_harness.ports import Ports
from shapegate_harness.scenario import Differs, Recorder, StepDone, StepFailed, StepResult, run_scenario
from shapegate_harness.scenario.checks import expect_no_trace, expect_same
from shapegate_harness.scenario.script import SCRIPTS
from shapegate_harness.scenario.steps import steps_of
from shapegate_harness.stack import open_stack
from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import domain_names, policy_file
from tests.canary import watched_stack

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.scenario.checks import Rows
    from tests.canary import Canary


@pytest.mark.parametrize("domain", domain_names())
async def test_every_step_of_the_scenario_holds(open_folder: Path, canary: Canary, domain: str) -> None:
    recorder, results = Recorder(), list[StepResult]()
    folder = open_folder / f"scenario {domain}"
    async with (
        open_stack(folder, ports=Ports(), observer=recorder, domain=domain, durable=False) as running,
        watched_stack(running, canary),
    ):
        held = await run_scenario(running, recorder, folder / "clients", results.append)
    assert held, results[-1]
    assert [result.name for result in results] == [name for name, _ in steps_of(domain)]
    assert all(isinstance(result, StepDone) and result.checked for result in results)


async def test_the_first_step_that_fails_ends_the_scenario_and_says_what_differed(open_folder: Path) -> None:
    recorder, results = Recorder(), list[StepResult]()
    folder = open_folder / "failing scenario"
    async with open_stack(folder, ports=Ports(), observer=recorder, durable=False) as running:
        connection = await asyncpg.connect(running.addresses.database_url)
        await connection.execute("ALTER TABLE controls DISABLE ROW LEVEL SECURITY")
        await connection.close()
        held = await run_scenario(running, recorder, folder / "clients", results.append)
    assert not held
    assert [result.name for result in results] == ["log in", "first sync"]
    assert isinstance(results[-1], StepFailed)
    assert "public.controls: 16 rows expected, 8 seen; 8 missing" in results[-1].difference


def test_each_shipped_domain_has_a_script_that_fits_its_policy() -> None:
    assert set(SCRIPTS) == set(domain_names())
    for domain, script in SCRIPTS.items():
        tables = parse_policy(policy_file(domain).read_text(encoding="utf-8")).tables.values()
        columns = {table.table.name: set(table.columns) for table in tables}
        assert {script.column, script.org_column} <= columns[script.table]
        assert all(set(names) <= columns[table] for table, names in script.owners.items())
        closed = {table.table.name for table in tables if not table.admits("member")}
        assert closed == ({script.for_owners} if script.for_owners else set())


def row(name: str) -> dict[str, object]:
    return {"id": "1", "name": name}


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ({}, "1 missing: 1"),
        ({"1": row("a"), "2": row("b")}, "1 too many: 2"),
        ({"1": row("secret value")}, "1 different: 1 (name)"),
    ],
)
def test_rows_that_differ_are_told_by_id_and_column_never_by_value(local: Rows, said: str) -> None:
    with pytest.raises(Differs) as caught:
        expect_same("controls", local, {"1": row("a")})
    assert said in str(caught.value)
    assert "secret value" not in str(caught.value)


def test_a_trace_of_another_org_is_found_in_a_database_file(tmp_path: Path) -> None:
    db = sqlite_utils.Database(tmp_path / "rows.sqlite3")
    db.table("rows").insert({"id": 1, "organization_id": "the-other-org"})
    db.close()
    with pytest.raises(Differs):
        expect_no_trace(tmp_path, {"the mark": "the-other-org"})
    assert expect_no_trace(tmp_path, {"the mark": "nowhere"}) > 0
