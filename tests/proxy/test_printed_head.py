"""Heads of answers as bytes."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.printed_head import CHUNKED, HeadPrinter, print_fields

PAGE = "https://app.example"


class Read:
    """What httptools reads of an answer."""

    def __init__(self, data: bytes) -> None:
        self.fields: list[tuple[str, str]] = []
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode(), value.decode()))


def printer() -> HeadPrinter:
    return HeadPrinter(frozenset({PAGE}), now=lambda: 784111777.5)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_head_is_what_was_given_and_what_every_answer_has(chunked: bool) -> None:
    read = Read(printer().print(409, print_fields({"x-a": ""}), None, "r-1", CHUNKED if chunked else ""))
    assert read.parser.get_status_code() == 409
    assert read.fields == [
        ("x-a", ""),
        ("vary", "authorization, origin"),
        ("server", "shapegate"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", "r-1"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        *([("transfer-encoding", "chunked")] if chunked else []),
    ]


@pytest.mark.parametrize("status", [100, 200, 431, 599])
def test_every_status_is_printed(status: int) -> None:
    printed = printer().print(status, "", None, "r-1")
    assert Read(printed).parser.get_status_code() == status


@pytest.mark.parametrize(("origin", "named"), [(PAGE, [PAGE]), ("https://elsewhere.example", []), (None, [])])
def test_I_18_only_an_allowed_page_is_named(origin: str | None, named: list[str]) -> None:
    read = Read(printer().print(200, "", origin, "r-1"))
    assert [value for name, value in read.fields if name == "access-control-allow-origin"] == named


def test_the_date_goes_with_the_clock() -> None:
    seconds = iter((0.0, 0.9, 1.0))
    running = HeadPrinter(frozenset(), now=lambda: next(seconds))
    dates = [dict(Read(running.print(200, "", None, "r")).fields)["date"][-6:] for _ in range(3)]
    assert dates == ["00 GMT", "00 GMT", "01 GMT"]


@given(st.text())
def test_I_17_a_value_that_would_end_its_line_is_not_printed(value: str) -> None:
    try:
        printed = print_fields({"x": value})
    except ValueError:
        assert set("\r\n\0") & set(value)
    else:
        assert printed.count("\n") == 1
