"""Addresses of peers."""

from __future__ import annotations

import pytest

from shapegate_client.config import BadAddress, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000/api"),
        ("https://gate.example/base/", "https://gate.example/base/api"),
        ("http://[::1]:4000/", "http://[::1]:4000/api"),
    ],
)
def test_paths_are_joined_to_an_address(text: str, expected: str) -> None:
    assert str(parse_address("proxy", text) / "api") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gate",
        "gate:4000",
        "ftp://gate",
        "http://",
        "http://gate?x=1",
        "http://gate#x",
        "http://me:word@gate",
        "http://[",
        "http://gate:port",
    ],
)
def test_what_is_no_address_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_address("proxy", text)
    assert "word" not in str(refused.value)
