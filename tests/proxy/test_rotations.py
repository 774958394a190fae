"""Which answers may still be kept after the log of their shape was said to be gone."""

from __future__ import annotations

import pytest
from yarl import URL

from shapegate_proxy.rotations import Rotations, shape_of

SHAPE, OTHER = b"shape", b"other"
DEFINITION = "table=items&columns=id&queryable_columns=id&where=x&params[1]=acme"


@pytest.mark.parametrize(
    "position",
    [
        "offset=0_0&handle=h-1",
        "offset=now",
        "offset=0_inf&handle=h-1&live=true&live_sse=true&experimental_live_sse=true&cursor=7",
        "offset=-1&expired_handle=h-0&cache-buster=abc",
        "offset=-1&subset__where=y&subset__limit=1&secret=s",
    ],
)
def test_a_shape_is_one_wherever_in_its_log_one_asks(position: str) -> None:
    electric = URL("http://electric/v1/shape")
    start = shape_of(electric.with_query(f"{DEFINITION}&offset=-1"))
    assert shape_of(electric.with_query(f"{DEFINITION}&{position}")) == start


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("table=items", "table=notes"),
        ("columns=id", "columns=id,name"),
        ("where=x", "where=y"),
        ("params[1]=acme", "params[1]=globex"),
        ("where=x", "where=x&replica=full"),
        ("where=x", "where=x&log=changes_only"),
        ("params[1]=acme", "params[1]=acme&params[2]=7"),
    ],
)
def test_another_definition_is_another_shape(part: str, instead: str) -> None:
    electric = URL("http://electric/v1/shape")
    changed = ("&" + DEFINITION).replace("&" + part, "&" + instead, 1)[1:]
    assert shape_of(electric.with_query(changed)) != shape_of(electric.with_query(DEFINITION))


@pytest.mark.parametrize(
    ("told", "handle", "allowed"),
    [
        ([], "h-1", True),
        (["h-2"], "h-1", False),
        (["h-2"], "h-2", True),
        (["h-2", "h-2"], "h-2", True),
        ([None], "h-1", False),
        (["h-2", None], "h-2", False),
        # Two words that differ: which was said first is not known.
        (["h-2", "h-1"], "h-1", False),
        (["h-1", "h-2"], "h-2", False),
    ],
)
def test_what_was_asked_before_is_allowed_if_its_log_is_the_one_that_is_present(
    told: list[str | None], handle: str, allowed: bool
) -> None:
    rotations = Rotations()
    since = rotations.count
    for present in told:
        rotations.tell(SHAPE, present=present)
    rotations.tell(OTHER, present="o-1")
    assert rotations.allow(SHAPE, handle, since=since) is allowed
    assert rotations.allow(SHAPE, handle, since=rotations.count)


def test_the_same_word_again_does_not_stop_what_was_asked_after_the_first() -> None:
    rotations = Rotations()
    for present in ("h-1", "h-2"):
        rotations.tell(SHAPE, present=present)
    since = rotations.count
    rotations.tell(SHAPE, present="h-2")
    assert rotations.allow(SHAPE, "h-2", since=since)
    assert not rotations.allow(SHAPE, "h-1", since=since)


def test_what_is_not_remembered_any_more_allows_nothing_that_was_asked_before() -> None:
    rotations = Rotations(shapes_max=2)
    since = rotations.count
    rotations.tell(b"1", present="h-2")
    after = rotations.count
    for shape in (b"2", b"3"):
        rotations.tell(shape, present=None)
    assert not rotations.allow(SHAPE, "h-1", since=since)
    assert rotations.allow(SHAPE, "h-1", since=after)
