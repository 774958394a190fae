"""What Electric's role and the application's role may, and may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_cli.doctor.line import Verdict
from shapegate_cli.doctor.roles import judge_app_role, judge_electric_role
from tests.cli.doctor.facts import ITEMS, POLICY, guarded, role

if TYPE_CHECKING:
    from shapegate_cli.doctor.facts import Role

OK, WARNING, FAIL = Verdict.OK, Verdict.WARNING, Verdict.FAIL


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (role(replicates=True, bypasses_rls=True), [(OK, "follows the database")]),
        (role(bypasses_rls=True), [(FAIL, "has no REPLICATION")]),
        (role(replicates=True), [(FAIL, "has no BYPASSRLS")]),
        (role(), [(FAIL, "has no REPLICATION"), (FAIL, "has no BYPASSRLS")]),
        (role(replicates=True, bypasses_rls=True, logs_in=False), [(FAIL, "may not log in")]),
        (role(superuser=True), [(WARNING, "is a superuser")]),
        (None, [(WARNING, "is no role")]),
    ],
)
def test_D_11_electrics_role_is_judged(found: Role | None, expected: list[tuple[Verdict, str]]) -> None:
    lines = list(judge_electric_role("electric", found, POLICY, {ITEMS: guarded()}))
    assert [line.verdict for line in lines] == [verdict for verdict, _ in expected]
    assert all(line.text.startswith(says) for line, (_, says) in zip(lines, expected, strict=True))


def test_D_11_a_column_of_the_policy_that_electric_may_not_read_is_named() -> None:
    unreadable = {ITEMS: guarded(electric_unreadable=("name", "hidden"))}
    (line,) = judge_electric_role("electric", role(replicates=True, bypasses_rls=True), POLICY, unreadable)
    assert line.verdict is FAIL
    assert line.text.startswith("may not read name of public.items")
    assert line.remedy == 'GRANT SELECT ("name") ON "public"."items" TO "electric"'


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (role(), [(OK, "is held by row-level security")]),
        (role(superuser=True), [(FAIL, "has SUPERUSER")]),
        (role(bypasses_rls=True), [(FAIL, "has BYPASSRLS")]),
        (role(replicates=True), [(FAIL, "has REPLICATION")]),
        (None, [(WARNING, "is no role")]),
    ],
)
def test_D_01_the_applications_role_is_judged(
    found: Role | None, expected: list[tuple[Verdict, str]]
) -> None:
    lines = list(judge_app_role("app_rw", found))
    assert [line.verdict for line in lines] == [verdict for verdict, _ in expected]
    assert all(line.text.startswith(says) for line, (_, says) in zip(lines, expected, strict=True))
