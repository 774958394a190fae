"""What an org and its owner may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_schema.errors import InvalidName
from shapegate_schema.naming import SLUG_CHARS_MAX, check_names, check_slug


def check(slug: str = "acme", name: str = "Acme Ltd", owner_email: str = "ada@acme.example") -> None:
    check_names(slug=slug, name=name, owner_email=owner_email)


@pytest.mark.parametrize(
    ("slug", "name", "email"),
    [
        ("acme", "Acme Ltd", "ada@acme.example"),
        ("a", "A", "a@b"),
        ("acme-2-go", "Ácme & Söhne “GmbH”", "ada.o'neil+x@mail.acme.example"),
        ("a" * SLUG_CHARS_MAX, "n" * 200, "é@exämple.example"),
    ],
)
def test_names_that_can_be_stored_and_shown_are_taken(slug: str, name: str, email: str) -> None:
    check(slug, name, email)
    check_slug(slug)


@pytest.mark.parametrize(
    "slug",
    [
        *("", "Acme", "acme ", "2acme", "-acme", "acme-", "a--b", "a_b", "a.b", "a/b", "äcme", "acme\n"),
        "a" * (SLUG_CHARS_MAX + 1),
        "ac3e0000-0000-4000-8000-000000000000",
        "'; drop table organizations; --",
    ],
)
def test_a_slug_is_lower_case_plain_and_no_id(slug: str) -> None:
    with pytest.raises(InvalidName, match="the slug is"):
        check(slug=slug)
    with pytest.raises(InvalidName, match="the slug is"):
        check_slug(slug)


@pytest.mark.parametrize("name", ["", " ", " Acme", "Acme ", "Ac\nme", "Ac\x00me", "Ac\u202eme", "n" * 201])
def test_a_name_is_printable_and_bounded(name: str) -> None:
    with pytest.raises(InvalidName, match="the name is"):
        check(name=name)


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "@acme.example", "ada@", "ada@@acme.example", "a da@acme.example", "ada@acme..example"),
        *(
            "ada@acme.example\n",
            "ada\x00@acme.example",
            "ada@.example",
            "ada@acme.",
            "x" * 65 + "@acme.example",
        ),
        "a@" + "x" * 320,
    ],
)
def test_an_address_has_one_at_sign_between_two_parts(email: str) -> None:
    with pytest.raises(InvalidName, match="the owner's e-mail address is"):
        check(owner_email=email)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InvalidName, match=r"the slug is .*the name is .*the owner's e-mail address is"):
        check("", "", "")


@given(slug=st.text(max_size=70), name=st.text(max_size=210), email=st.text(max_size=330))
def test_what_is_taken_has_no_control_characters_and_nothing_else_escapes(
    slug: str, name: str, email: str
) -> None:
    try:
        check(slug, name, email)
    except InvalidName:
        return
    assert (slug + name + email).isprintable()
    assert slug == slug.lower()
