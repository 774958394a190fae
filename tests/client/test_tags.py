"""Tags of rows: what makes a row visible, what a move does to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_client.tags import RowTags, parse_row_tags, read_row_tags
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Change, Operation


def change(
    tags: tuple[str, ...] = (), active: tuple[bool, ...] = (), removed: tuple[str, ...] = ()
) -> Change:
    return Change(
        key="k",
        operation=Operation.UPDATE,
        value={},
        tags=tags,
        active_conditions=active,
        removed_tags=removed,
    )


@pytest.mark.parametrize(
    ("tags", "active", "visible"),
    [
        (("a",), (True,), True),
        (("a",), (False,), False),
        (("1/", "/b"), (True, False), True),
        (("1/", "/b"), (False, True), True),
        (("1/", "/b"), (False, False), False),
        (("a//", "/b/1"), (True, True, False), True),
        (("a//", "/b/1"), (False, True, False), False),
        (("a//", "/b/1"), (False, True, True), True),
        (("/",), (False, False), True),
    ],
)
def test_C_40_a_row_is_visible_while_some_disjunct_has_all_of_its_conditions(
    tags: tuple[str, ...], active: tuple[bool, ...], *, visible: bool
) -> None:
    assert RowTags(tags, active).visible is visible


def test_C_40_a_move_names_rows_by_position_and_hash_and_never_a_plain_condition() -> None:
    tags = RowTags(("a//", "/b/1", "a/b/"), (True, True, True))
    assert tags.slots == {(0, "a"), (1, "b")}
    assert tags.with_condition(1, holds=False) == RowTags(tags.tags, (True, False, True))


def test_C_40_what_an_update_says_takes_the_place_of_what_was_held() -> None:
    assert read_row_tags(change(("a/", "/b"), (True, False), ("c/",))) == RowTags(("a/", "/b"), (True, False))
    assert read_row_tags(change(("a/", "/b"))) == RowTags(("a/", "/b"), (True, True))
    assert read_row_tags(change()) is None


@pytest.mark.parametrize(
    "broken",
    [
        change(("a/", "b"), (True, True)),
        change(("a",), (True, True)),
        change(("a/",), (True,)),
        change((), (True,)),
        change((), (), ("a",)),
    ],
)
def test_C_40_tags_that_do_not_fit_their_conditions_are_refused(broken: Change) -> None:
    with pytest.raises(MalformedResponse):
        read_row_tags(broken)


@given(st.lists(st.text(), max_size=4), st.lists(st.booleans(), max_size=4))
def test_C_41_tags_and_conditions_survive_the_store(tags: list[str], active: list[bool]) -> None:
    held = RowTags(tuple(tags), tuple(active))
    assert parse_row_tags(*held.print()) == held
