from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_schema.domains import domain_names, migration_sets
from shapegate_schema.migration import SourceFile
from shapegate_schema.plan import Ledger, LedgerEntry, MigrationSet, plan
from tests.schema.builders import migration_file, migration_set, version_of

EMPTY = Ledger(entries=(), dbmate_versions=frozenset())


def entry(file: SourceFile, set_name: str = "shared") -> LedgerEntry:
    checksum = hashlib.sha256(file.content).hexdigest()
    return LedgerEntry(set_name=set_name, version=file.name[:14], name=file.name, checksum=checksum)


def ledger(*entries: LedgerEntry) -> Ledger:
    return Ledger(entries=entries, dbmate_versions=frozenset(entry.version for entry in entries))


def problems(sets: list[MigrationSet], applied: Ledger) -> list[str]:
    return [str(problem) for problem in plan(sets, applied).problems]


def test_on_an_empty_ledger_everything_is_pending_set_by_set() -> None:
    shared = migration_set(migration_file(3), migration_file(1))
    domain = migration_set(migration_file(2), name="controls")
    planned = plan([shared, domain], EMPTY)
    assert [m.label[:-9] for m in planned.pending] == [
        f"shared/{version_of(1)}",
        f"shared/{version_of(3)}",
        f"controls/{version_of(2)}",
    ]
    assert not planned.problems


def test_a_changed_file_is_refused_by_name() -> None:
    applied = ledger(entry(migration_file(1)))
    (problem,) = problems([migration_set(migration_file(1, "SELECT 2;"))], applied)
    assert problem.startswith(f"shared/{version_of(1)}_step.sql: changed after it was applied")


def test_a_missing_file_is_refused_by_name() -> None:
    applied = ledger(entry(migration_file(1)), entry(migration_file(2)))
    (problem,) = problems([migration_set(migration_file(2))], applied)
    assert problem.startswith(f"shared/{version_of(1)}_step.sql: was applied and is missing")


def test_a_whole_folder_that_is_missing_is_refused() -> None:
    assert len(problems([migration_set()], ledger(entry(migration_file(1))))) == 1


def test_a_file_before_an_applied_one_is_refused_by_name() -> None:
    applied = ledger(entry(migration_file(2)))
    (problem,) = problems([migration_set(migration_file(1), migration_file(2))], applied)
    assert problem.startswith(f"shared/{version_of(1)}_step.sql: is ordered before")


def test_two_applied_files_that_swapped_their_numbers_are_refused_by_name() -> None:
    first, second = migration_file(1, "SELECT 1;", name="a"), migration_file(2, "SELECT 2;", name="b")
    swapped = migration_set(
        SourceFile(name=f"{version_of(2)}_a.sql", content=first.content),
        SourceFile(name=f"{version_of(1)}_b.sql", content=second.content),
    )
    found = problems([swapped], ledger(entry(first), entry(second)))
    assert [text.partition(":")[0] for text in found] == [
        f"shared/{version_of(1)}_b.sql",
        f"shared/{version_of(2)}_a.sql",
    ]


def test_a_version_that_stands_twice_is_refused_across_sets() -> None:
    sets = [migration_set(migration_file(1)), migration_set(migration_file(1, name="other"), name="controls")]
    (problem,) = problems(sets, EMPTY)
    assert problem.startswith(f"controls/{version_of(1)}_other.sql: has the version of shared/")


def test_a_file_that_moved_to_another_set_is_refused() -> None:
    applied = ledger(entry(migration_file(1)))
    found = problems([migration_set(), migration_set(migration_file(1), name="controls")], applied)
    assert len(found) == 2


def test_a_file_that_dbmate_rolled_back_is_refused_by_name() -> None:
    applied = Ledger(entries=(entry(migration_file(1)),), dbmate_versions=frozenset())
    (problem,) = problems([migration_set(migration_file(1))], applied)
    assert "not in schema_migrations" in problem


def test_a_malformed_file_that_was_applied_is_not_called_missing_as_well() -> None:
    file = migration_file(1)
    (problem,) = problems([migration_set(replace(file, content=b"\xff"))], ledger(entry(file)))
    assert "not UTF-8" in problem


def test_every_problem_is_said_at_once() -> None:
    applied = ledger(entry(migration_file(3)), entry(migration_file(4)))
    files = (
        migration_file(1),
        migration_file(4, "SELECT 'changed';"),
        migration_file(5),
        migration_file(5, name="again"),
        SourceFile(name="notes.sql", content=b""),
    )
    assert len(problems([migration_set(*files)], applied)) == 6


def test_what_dbmate_applied_is_adopted_and_fixes_the_order() -> None:
    applied = Ledger(entries=(), dbmate_versions=frozenset({version_of(2), "20010101000000"}))
    planned = plan([migration_set(migration_file(2), migration_file(3))], applied)
    assert [m.version for m in planned.adopted] == [version_of(2)]
    assert [m.version for m in planned.pending] == [version_of(3)]
    assert not planned.problems
    assert len(problems([migration_set(migration_file(1), migration_file(2))], applied)) == 1


def test_a_shared_file_may_come_after_those_of_a_domain_were_applied() -> None:
    shared, domain = migration_file(1), migration_file(3)
    applied = ledger(entry(shared), entry(domain, "controls"))
    sets = [migration_set(shared, migration_file(2)), migration_set(domain, name="controls")]
    planned = plan(sets, applied)
    assert [m.version for m in planned.pending] == [version_of(2)]
    assert not planned.problems


def test_sets_of_other_domains_are_not_looked_at() -> None:
    applied = ledger(entry(migration_file(1)), entry(migration_file(9), "erp"))
    sets = [migration_set(migration_file(1)), migration_set(migration_file(2), name="controls")]
    planned = plan(sets, applied)
    assert [m.version for m in planned.pending] == [version_of(2)]
    assert not planned.problems


NUMBERS = st.sets(st.integers(0, 999), min_size=1, max_size=8).map(sorted)


@settings(max_examples=100, deadline=None)
@given(numbers=NUMBERS, data=st.data())
def test_what_follows_an_applied_prefix_is_pending_in_any_order_of_files(
    numbers: list[int], data: st.DataObject
) -> None:
    files = [migration_file(number) for number in numbers]
    done = data.draw(st.integers(0, len(files)))
    shuffled = data.draw(st.permutations(files))
    planned = plan([migration_set(*shuffled)], ledger(*(entry(file) for file in files[:done])))
    assert not planned.problems
    assert [m.name for m in planned.applied] == [file.name for file in files[:done]]
    assert [m.name for m in planned.pending] == [file.name for file in files[done:]]


@settings(max_examples=100, deadline=None)
@given(numbers=NUMBERS, data=st.data())
def test_exactly_the_files_that_were_tampered_with_are_named(numbers: list[int], data: st.DataObject) -> None:
    files = [migration_file(number) for number in numbers]
    harm = data.draw(st.lists(st.sampled_from(["keep", "change", "drop"]), min_size=len(files)))
    left = [
        replace(file, content=file.content + b"\n") if what == "change" else file
        for file, what in zip(files, harm, strict=False)
        if what != "drop"
    ]
    found = plan([migration_set(*left)], ledger(*(entry(file) for file in files))).problems
    harmed = {f"shared/{file.name}" for file, what in zip(files, harm, strict=False) if what != "keep"}
    assert {problem.file for problem in found} == harmed


@pytest.mark.parametrize("domain", domain_names())
def test_the_shipped_files_have_no_problem(domain: str) -> None:
    planned = plan(migration_sets(domain), EMPTY)
    assert not planned.problems
    assert planned.pending


def test_no_version_is_used_by_two_shipped_domains() -> None:
    domains = [migration_sets(domain)[1] for domain in domain_names()]
    shared = migration_sets(domain_names()[0])[0]
    assert not plan([shared, *domains], EMPTY).problems
