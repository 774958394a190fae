"""Bodies and bearer tokens as callers send them: one object, each name once, texts only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.issuer.errors import MalformedAuthorization, MalformedBody, MissingToken
from shapegate_harness.issuer.forms import (
    LoginForm,
    parse_bearer,
    parse_login,
    parse_logout,
    parse_password,
    parse_refresh,
    parse_switch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "0190a0b0-0000-4000-8000-00000000000a"


def test_each_form_is_read() -> None:
    assert parse_login(b'{"email": "ada@acme.example", "password": "p"}') == LoginForm(
        email="ada@acme.example", password="p"
    )
    assert parse_refresh(b'{"refresh_token": "r"}').refresh_token == "r"
    assert parse_switch(json.dumps({"organization_id": ID.upper()}).encode()).organization_id == UUID(ID)
    assert parse_logout(b'{"refresh_token": "r"}').refresh_token == "r"


@pytest.mark.parametrize(
    ("new", "problem"),
    [("", "is empty"), ("seven77", "has 7 characters"), ("eight888", None), ("x" * 1025, "at most 1024")],
)
def test_a_new_password_has_eight_characters_at_least(new: str, problem: str | None) -> None:
    body = json.dumps({"current_password": "p", "new_password": new}).encode()
    if problem is None:
        assert parse_password(body).new_password == new
    else:
        with pytest.raises(MalformedBody, match=f"new_password .*{problem}"):
            parse_password(body)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_logout_needs_no_body(body: bytes) -> None:
    assert parse_logout(body).refresh_token is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{}{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"email": "a", "password": "\xff"}',
        b'{"email": "a", "password": NaN}',
        b'{"email": "a", "password": Infinity}',
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"9" * 16_000,
    ],
    ids=repr,
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_login(body)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "email is missing; password is missing"),
        ({"email": "a"}, "password is missing"),
        ({"email": 1, "password": None}, "email is not a text; password is not a text"),
        ({"email": ["a"], "password": {"a": 1}}, "email is not a text; password is not a text"),
        ({"email": "", "password": ""}, "email is empty; password is empty"),
        ({"email": "a" * 321, "password": "p"}, "email has 321 characters: at most 320 are read"),
        ({"email": "a", "password": "p" * 1025}, "password has 1025 characters: at most 1024 are read"),
        ({"email": "a\x00", "password": "p"}, "email holds a NUL"),
        ({"email": "a", "password": "\ud800"}, "password is not valid Unicode"),
        ({"email": "a", "password": "p", "admin": True}, "only email, password may be given"),
        ({"Email": "a", "password": "p"}, "email is missing; only email, password may be given"),
    ],
    ids=str,
)
def test_every_problem_of_a_login_is_named(body: dict[str, object], problem: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_login(json.dumps(body).encode())
    assert str(caught.value) == problem


def test_a_name_given_twice_is_refused_at_any_depth() -> None:
    for body in (
        b'{"email": "a", "email": "b", "password": "p"}',
        b'{"email": "a", "\\u0065mail": "b", "password": "p"}',
        b'{"email": {"x": 1, "x": 2}, "password": "p"}',
    ):
        with pytest.raises(MalformedBody, match="given twice"):
            parse_login(body)


@pytest.mark.parametrize(
    "text",
    ["", "1", ID[:-1], ID + "0", f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", ""), f"{ID}\n", "é" * 36],
    ids=repr,
)
def test_an_organization_id_is_a_uuid_in_its_usual_form(text: str) -> None:
    with pytest.raises(MalformedBody, match="organization_id is"):
        parse_switch(json.dumps({"organization_id": text}).encode())


def test_a_refusal_never_quotes_what_was_sent() -> None:
    secret = "hunter2-secret"
    for body in (
        f'{{"email": "a", "password": "{secret}"',
        f'{{"email": "a", "password": "{secret}", "{secret}": 1}}',
        f'{{"email": "", "password": ["{secret}"]}}',
    ):
        with pytest.raises(MalformedBody) as caught:
            parse_login(body.encode())
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_repr_of_a_form_hides_its_secrets() -> None:
    assert "hunter2" not in repr(LoginForm(email="a", password="hunter2"))
    assert "hunter2" not in repr(parse_refresh(b'{"refresh_token": "hunter2"}'))
    assert "hunter2" not in repr(parse_logout(b'{"refresh_token": "hunter2"}'))


PARSERS: tuple[Callable[[bytes], object], ...] = (parse_login, parse_refresh, parse_switch, parse_logout)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["email", "password"]), inner)
    ),
)


@settings(max_examples=100, deadline=None)
@given(body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_malformed_body_escapes(body: bytes) -> None:
    for parse in PARSERS:
        try:
            parse(body)
        except MalformedBody:
            continue


@settings(max_examples=50, deadline=None)
@given(
    email=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=320
    ),
    password=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1024),
)
def test_every_proper_text_arrives_as_it_was_sent(email: str, password: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"email": email, "password": password}, ensure_ascii=ascii_only).encode()
        assert parse_login(body) == LoginForm(email=email, password=password)


def test_I_15_no_header_is_a_missing_token() -> None:
    with pytest.raises(MissingToken):
        parse_bearer([])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_I_15_one_bearer_token_is_read(scheme: str) -> None:
    assert parse_bearer([f"{scheme} aa.bb-_.cc"]) == "aa.bb-_.cc"


@pytest.mark.parametrize(
    "headers",
    [
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer aa"],
        ["Bearer aa.bb"],
        ["Bearer aa.bb."],
        ["Bearer aa.bb.cc.dd"],
        ["Bearer  aa.bb.cc"],
        ["Bearer aa.bb.cc "],
        ["Bearer aa.bb.cc, Bearer aa.bb.cc"],
        ["Bearer aa.bb.c="],
        ["Bearer aa.bb.cc\n"],
        ["Basic YTpi"],
        ["aa.bb.cc"],
        ["Bearer aa.bb.cc", "Bearer aa.bb.cc"],
        ["Bearer aa.bb.cc", ""],
    ],
    ids=repr,
)
def test_I_15_anything_else_is_malformed(headers: list[str]) -> None:
    with pytest.raises(MalformedAuthorization):
        parse_bearer(headers)
