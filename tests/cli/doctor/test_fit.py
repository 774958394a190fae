"""Whether the policy fits the database, and which table holds the orgs."""

from __future__ import annotations

from shapegate_cli.doctor.fit import comparable, judge_fit, org_table
from shapegate_cli.doctor.line import Verdict
from shapegate_proxy.policy_file import parse_policy
from tests.cli.doctor.facts import ITEMS, ORGANIZATIONS, POLICY, TABLES, facts, guarded
from tests.proxy.catalogues import catalogue, column, table


def test_what_fits_is_one_line() -> None:
    (line,) = judge_fit(POLICY, facts())
    assert (line.verdict, line.subject) == (Verdict.OK, "2 tables")


def test_what_policy_check_only_warns_of_is_a_failure_of_a_deployment() -> None:
    nullable = table("items", *TABLES[0].columns.values(), leading=frozenset({"id"}))
    lines = list(judge_fit(POLICY, facts(catalogue=catalogue(nullable, TABLES[1]))))
    assert [(line.verdict, line.subject) for line in lines] == [
        (Verdict.FAIL, "public.items"),
        (Verdict.OK, "1 tables"),
    ]


def test_electric_sets_the_replica_identity_of_tables_that_it_owns() -> None:
    unset = catalogue(table("items", *TABLES[0].columns.values(), sends_old_rows=False), TABLES[1])
    owned = {ITEMS: guarded(electric_owns=True), ORGANIZATIONS: guarded()}
    assert [line.verdict for line in judge_fit(POLICY, facts(catalogue=unset))] == [Verdict.FAIL, Verdict.OK]
    assert [line.verdict for line in judge_fit(POLICY, facts(catalogue=unset, guarded=owned))] == [Verdict.OK]


def test_only_tables_whose_whole_key_is_synced_can_be_compared() -> None:
    assert comparable(POLICY, facts()) == (ITEMS, ORGANIZATIONS)
    keyless = table("items", *TABLES[0].columns.values(), key=())
    assert comparable(POLICY, facts(catalogue=catalogue(keyless, TABLES[1]))) == (ORGANIZATIONS,)
    hidden_key = table("items", *TABLES[0].columns.values(), column("part"), key=("id", "part"))
    assert comparable(POLICY, facts(catalogue=catalogue(hidden_key))) == ()


def test_the_orgs_are_the_table_that_is_scoped_by_its_own_key() -> None:
    assert org_table(POLICY, facts()) == (ORGANIZATIONS, "id")


def test_of_several_such_tables_the_orgs_are_those_that_others_refer_to() -> None:
    wrong = parse_policy(
        'version = 1\n[tables.items]\nscope = "id = {org}"\n[tables.items.columns]\nid = "uuid"\n'
        '[tables.organizations]\nscope = "id = {org}"\n[tables.organizations.columns]\nid = "uuid"\n'
    )
    assert org_table(wrong, facts()) == (ORGANIZATIONS, "id")


def test_where_no_table_holds_the_orgs_there_is_none() -> None:
    keyed = catalogue(TABLES[0], table("organizations", column("id", "uuid"), key=("id", "part")))
    assert org_table(POLICY, facts(catalogue=keyed)) is None
    assert org_table(POLICY, facts(catalogue=catalogue(TABLES[0]))) is None
