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
        ("{X}", ("X",)),
        ("\r\n\t {a}\t\r\n ", ("a",)),
        ("{\t\r\n }", ()),
        ('{"a\\\nb"}', ("a\nb",)),
        ('{"a\nb" , c}', ("a\nb", "c")),
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
        *("\x0b{a}", "{a}\xa0", "X{a}X", "{\x0b}", "{\u2003}", "{a,\x0b}"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        parse_array(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a", "an array as {a,b}"),
        (
            "{a,}",
            "an array of one dimension as {a,b}, elements with commas or braces in quotes",
        ),
        ("{a}}", "nothing behind the array's closing brace"),
        ("{" + "1," * 1_000 + "1}", "an array of at most 1000 elements"),
    ],
)
def test_a_refusal_says_what_an_array_is(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="array") as caught:
        parse_array(text)
    assert str(caught.value) == told


def test_I_08_an_array_has_at_most_1000_elements() -> None:
    assert len(parse_array("{" + "1," * 999 + "1}")) == 1_000


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], "{}"),
        (["a", "b-1.e+5_"], "{a,b-1.e+5_}"),
        (["NULL", "null", "nul"], '{"NULL","null",nul}'),
        (["", "a b", "a,b", "{", "}", "\n"], '{"","a b","a,b","{","}","\n"}'),
        (['a"b', "a\\b", "é", "٣"], '{"a\\"b","a\\\\b","é","٣"}'),
    ],
)
def test_an_array_is_printed_with_quotes_around_all_but_plain_words(items: list[str], text: str) -> None:
    assert print_array(items) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=8) | st.sampled_from(["NULL", "", "a b", '"', "\\", "{", ","])))
def test_what_is_printed_is_read_again(items: list[str]) -> None:
    assert parse_array(print_array(items)) == tuple(items)
