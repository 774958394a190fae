"""How two sets of rows differ, by key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_cli.doctor.difference import Difference, differ, judge_difference, spell_key
from shapegate_cli.doctor.line import Verdict

KEYS = st.frozensets(st.tuples(st.sampled_from("abcdef")))


@given(seen=KEYS, synced=KEYS)
def test_a_difference_is_nothing_but_what_the_sets_do_not_share(
    seen: frozenset[tuple[str]], synced: frozenset[tuple[str]]
) -> None:
    found = differ(seen, synced)
    assert bool(found) is (seen != synced)
    assert (synced - found.unseen) | found.unsynced == seen


@given(first=st.tuples(KEYS, KEYS), later=st.tuples(KEYS, KEYS))
def test_what_lasts_differed_both_times(
    first: tuple[frozenset[tuple[str]], frozenset[tuple[str]]],
    later: tuple[frozenset[tuple[str]], frozenset[tuple[str]]],
) -> None:
    lasting = differ(*first).lasting(differ(*later))
    assert lasting.unseen == (first[1] - first[0]) & (later[1] - later[0])
    assert lasting.unsynced == (first[0] - first[1]) & (later[0] - later[1])


@pytest.mark.parametrize(
    ("type_", "postgres", "stored"),
    [
        ("uuid", "ac3e0000-0000-4000-8000-000000000000", "ac3e0000-0000-4000-8000-000000000000"),
        ("int8", "9007199254740993", 9007199254740993),
        ("bool", "true", 1),
        ("bool", "false", 0),
        ("float8", "1", 1.0),
        ("float8", "1e+20", 1e20),
        ("numeric", "1.50", "1.50"),
        ("bytea", "\\x00ff", b"\x00\xff"),
        ("text", "1", "1"),
    ],
)
def test_a_key_is_spelled_alike_on_both_sides(type_: str, postgres: str, stored: object) -> None:
    assert spell_key((postgres,), (type_,)) == spell_key((stored,), (type_,))


def test_a_difference_is_told_by_key_with_a_bound() -> None:
    many = frozenset((f"{number:02}", "x") for number in range(7))
    line = judge_difference("acme items", Difference(unseen=frozenset({("b",)}), unsynced=many))
    assert line.verdict is Verdict.FAIL
    assert line.text == (
        "1 rows are synced and not seen by the application: b; "
        "7 rows are seen by the application and not synced: 00/x, 01/x, 02/x, 03/x, 04/x and 2 more: "
        "expected the same rows"
    )
