"""Arrays as Postgres text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.filter.array_text import parse_array, print_array


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("{}", ()),
        (" { } ", ()),
        ("{a}", ("a",)),
        ("{ a , b c }", ("a", "b c")),
        ("{NULL,null,nUlL}", (None, None, None)),
        ('{"NULL","",","}', ("NULL", "", ",")),
        (r'{"a\"b\\c\d"}', ('a"b\\cd',)),
        ('{"}{"}', ("}{",)),
        ("{1,-2,1e5}", ("1", "-2", "1e5")),
    ],
)
def test_an_array_of_one_dimension_is_read(text: str, items: tuple[str | None, ...]) -> None:
    assert parse_array(text) == items


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "}",
            "a",
            "{a",
            "a}",
            "{a}b",
            "{,}",
            "{a,}",
            "{,a}",
            "{a,,b}",
            "{{a}}",
            "{{}}",
            "[1:1]={a}",
            "{a}{b}",
        ),
        *(
            '{"a}',
            '{"a"b}',
            '{a"b"}',
            "{a\\}",
            "{a\\,b}",
            '{"a\\"}',
            "{a{b}",
            "{a}}",
            "{" + "1," * 1_000 + "1}",
            "{" * 9_000,
        ),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        parse_array(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=8) | st.sampled_from(["NULL", "", "a b", '"', "\\", "{", ","])))
def test_what_is_printed_is_read_again(items: list[str]) -> None:
    assert parse_array(print_array(items)) == tuple(items)
