"""Whether Electric can follow a Postgres: server, slots, publication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_cli.doctor.facts import Names, Publication
from shapegate_cli.doctor.line import Verdict
from shapegate_cli.doctor.replication import judge_publication, judge_server, judge_slots
from tests.cli.doctor.facts import ITEMS, ORGANIZATIONS, facts, publication, server, slot

if TYPE_CHECKING:
    from shapegate_cli.doctor.facts import Server, Slot

OK, WARNING, FAIL = Verdict.OK, Verdict.WARNING, Verdict.FAIL
GIB = 1024**3


@pytest.mark.parametrize(
    ("found", "verdict", "says"),
    [
        (server(), OK, "version 17, logical WAL"),
        (server(version=140_000), OK, "version 14"),
        (server(version=130_020), FAIL, "is version 13: expected 14 or later"),
        (server(wal_level="replica"), FAIL, "wal_level is 'replica': expected 'logical'"),
        (server(senders_max=0), FAIL, "max_wal_senders is 0"),
        (server(is_standby=True), FAIL, "is a standby: expected the primary"),
    ],
)
def test_a_server_is_judged(found: Server, verdict: Verdict, says: str) -> None:
    (line,) = judge_server(found)
    assert line.verdict is verdict
    assert says in line.text
    assert bool(line.remedy) is (verdict is not OK)


def test_every_fault_of_a_server_is_told_at_once() -> None:
    worst = server(version=90_600, wal_level="minimal", senders_max=0, is_standby=True)
    assert [line.verdict for line in judge_server(worst)] == [FAIL] * 4


OURS, IDLE = slot(), slot(active=False, retained_bytes=3 * 1024**2)
STALE = slot(name="electric_slot_old", active=False, retained_bytes=GIB)
ELSEWHERE = slot(name="debezium", is_here=False, active=False)


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        ((OURS,), [(OK, "is followed")]),
        ((slot(name="shapegate_dev_1"),), [(OK, "is followed")]),
        ((IDLE,), [(WARNING, "is in use by nobody and holds 3.0 MiB of WAL: Electric is down, or asleep")]),
        ((OURS, STALE), [(FAIL, "is stale: nobody follows it, and Postgres keeps 1024.0 MiB of WAL for it")]),
        ((OURS, slot(name="x", active=False)), [(FAIL, "is stale")]),
        ((OURS, ELSEWHERE), [(WARNING, "in another database of this cluster")]),
        (
            (OURS, slot(name="electric_slot_x", is_here=False, active=False)),
            [(FAIL, "is stale")],
        ),
        ((slot(retained_bytes=GIB),), [(OK, "is followed")]),
        ((slot(retained_bytes=GIB + 1),), [(WARNING, "is 1024.0 MiB behind")]),
        ((slot(wal_status="unreserved"),), [(FAIL, "every shape will start over")]),
        ((slot(wal_status="lost"),), [(FAIL, "every shape will start over")]),
        ((), [(FAIL, "nobody follows this database")]),
        ((slot(is_here=False),), [(FAIL, "nobody follows this database")]),
        ((STALE,), [(FAIL, "is stale"), (FAIL, "nobody follows this database")]),
    ],
)
def test_slots_are_judged(slots: tuple[Slot, ...], expected: list[tuple[Verdict, str]]) -> None:
    lines = list(judge_slots(facts(slots=slots), Names()))
    assert [line.verdict for line in lines] == [verdict for verdict, _ in expected]
    assert all(says in line.text for line, (_, says) in zip(lines, expected, strict=True))


def test_the_slot_of_another_stream_is_stale_when_nobody_follows_it() -> None:
    lines = list(
        judge_slots(facts(slots=(OURS, slot(name="electric_slot_b", active=False))), Names(stream="b"))
    )
    assert [(line.verdict, line.subject) for line in lines] == [(WARNING, "electric_slot_b")]


def test_where_all_slots_are_taken_that_is_what_is_to_be_mended() -> None:
    taken = (slot(is_here=False, name="a"), slot(is_here=False, name="b"))
    (line,) = judge_slots(facts(slots=taken, server=server(slots_max=2)), Names())
    assert line.remedy.startswith("all 2 slots are taken")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (publication(), [(OK, "electric_publication_default", "has 2 tables")]),
        (None, [(FAIL, "electric_publication_default", "is not there")]),
        (
            publication(tables=frozenset({ITEMS})),
            [(FAIL, "public.organizations", "changes never reach Electric")],
        ),
        (
            publication(verbs=frozenset({"insert", "update", "delete"})),
            [(FAIL, "electric_publication_default", "leaves out truncate")],
        ),
    ],
)
def test_a_publication_is_judged(found: Publication | None, expected: list[tuple[Verdict, str, str]]) -> None:
    lines = list(judge_publication(found, (ITEMS, ORGANIZATIONS), Names()))
    assert [(line.verdict, line.subject) for line in lines] == [each[:2] for each in expected]
    assert all(says in line.text for line, (_, _, says) in zip(lines, expected, strict=True))


def test_tables_that_electric_adds_by_itself_need_not_be_published_yet() -> None:
    (line,) = judge_publication(publication(tables=frozenset()), (), Names())
    assert line.verdict is OK
