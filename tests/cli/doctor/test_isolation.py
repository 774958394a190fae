"""Whether row-level security confines the application on each table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_cli.doctor.facts import Names
from shapegate_cli.doctor.isolation import judge_isolation
from shapegate_cli.doctor.line import Verdict
from tests.cli.doctor.facts import ITEMS, POLICY, facts, guarded, row_policy

if TYPE_CHECKING:
    from shapegate_cli.doctor.facts import Guarded

BY_OTHER = row_policy(columns=frozenset({"owner_id"}))
OPEN = row_policy(name="all_see", verb="SELECT", conditions=("true",), columns=frozenset())
RESTRICTIVE = row_policy(name="narrower", permissive=False, conditions=("true",))


def test_D_01_sound_tables_are_one_line() -> None:
    (line,) = judge_isolation(POLICY, facts().guarded, Names())
    assert (line.verdict, line.subject) == (Verdict.OK, "2 tables")


@pytest.mark.parametrize(
    ("met", "says"),
    [
        (guarded(enabled=False, forced=False, policies=()), ["row-level security is off"]),
        (guarded(forced=False), ["is not forced"]),
        (guarded(app_owns=True), ["belongs to app_rw"]),
        (guarded(app_rights=frozenset({"SELECT", "INSERT", "TRUNCATE"})), ["app_rw has TRUNCATE"]),
        (guarded(policies=()), ["app_rw may SELECT, but no", "app_rw may INSERT, but no"]),
        (guarded(policies=(row_policy("SELECT"),)), ["app_rw may INSERT, but no"]),
        (guarded(policies=(row_policy("SELECT"), row_policy("INSERT"))), []),
        (guarded(policies=(row_policy(), OPEN)), ["the row-level policy all_see lets app_rw reach"]),
        (guarded(policies=(row_policy(), RESTRICTIVE)), []),
        (guarded(policies=(RESTRICTIVE,)), ["app_rw may SELECT, but no", "app_rw may INSERT, but no"]),
        (
            guarded(policies=(BY_OTHER,)),
            ["the scope compares organization_id, row-level security looks at owner"],
        ),
        (guarded(app_rights=frozenset(), policies=()), []),
    ],
)
def test_D_01_D_03_D_07_what_lets_rows_of_others_through_or_none_is_named(
    met: Guarded, says: list[str]
) -> None:
    lines = [
        line for line in judge_isolation(POLICY, {ITEMS: met}, Names()) if line.verdict is not Verdict.OK
    ]
    assert all(
        line.verdict is Verdict.FAIL and line.subject == "public.items" and line.remedy for line in lines
    )
    assert len(lines) == len(says)
    assert all(line.text.find(said) >= 0 for line, said in zip(lines, says, strict=True))
