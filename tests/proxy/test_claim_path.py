"""Paths to claims: plain ones by dots, others as lists, and nothing that could be read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.claim_path import PATH_NAMES_MAX, parse_claim_path, print_claim_path


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("organization_id", ("organization_id",)),
        ("app_metadata.org-id", ("app_metadata", "org-id")),
        (["https://app.example/org"], ("https://app.example/org",)),
        (["a.b", "c d", "ć"], ("a.b", "c d", "ć")),
        (["x"] * PATH_NAMES_MAX, ("x",) * PATH_NAMES_MAX),
    ],
)
def test_J_07_a_path_is_read(value: object, path: tuple[str, ...]) -> None:
    assert parse_claim_path(value) == path


NO_PATHS: tuple[object, ...] = (
    *("", ".", "a.", ".a", "a..b", "a b", "https://app.example/org", "ć", "a\n"),
    *([], [""], ["a", 7], [["a"]], {"a": "b"}, 7, None),
    *(["x"] * (PATH_NAMES_MAX + 1), ".".join("x" * (PATH_NAMES_MAX + 1))),
)


@pytest.mark.parametrize("value", NO_PATHS)
def test_J_07_anything_else_is_no_path(value: object) -> None:
    assert parse_claim_path(value) is None


@given(st.lists(st.text(alphabet="aZ0_-", min_size=1), min_size=1, max_size=PATH_NAMES_MAX))
def test_a_plain_path_is_printed_as_it_is_read(names: list[str]) -> None:
    assert parse_claim_path(print_claim_path(tuple(names))) == tuple(names)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=PATH_NAMES_MAX))
def test_a_list_is_read_as_it_is(names: list[str]) -> None:
    assert parse_claim_path(names) == tuple(names)
