"""The body of a token: where its issuer says what, and which values count."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.config import IssuerConfig, Secret
from shapegate_proxy.errors import ExpiredToken, InvalidToken, NoOrganization
from shapegate_proxy.token_body import (
    TEXT_CHARS_MAX,
    read_further,
    read_lifetime,
    read_org,
    read_role,
    read_session,
    read_user,
)
from shapegate_wire.strict_json import Number, parse_object
from tests.proxy.builders import ACME, NOW, SECRET

SECONDS = int(NOW.timestamp())


def said(**claims: object) -> dict[str, object]:
    """Claims as they are read from a token."""
    return parse_object(json.dumps(claims))


def config(**changes: Any) -> IssuerConfig:
    return IssuerConfig(issuer="urn:a", audience="a", secret=Secret(SECRET), **changes)


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        (("organization_id",), {"organization_id": ACME}),
        (("app_metadata", "org_id"), {"app_metadata": {"org_id": ACME}}),
        (("https://app.example/org",), {"https://app.example/org": ACME}),
        (("https://app.example/", "a.b", "c"), {"https://app.example/": {"a.b": {"c": ACME}}}),
    ],
)
def test_J_07_the_org_is_read_at_its_path(path: tuple[str, ...], claims: dict[str, object]) -> None:
    assert read_org(claims, config(org_claim=path)) == ACME


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"organization_id": ACME},  # another name than the configured one
        {"app_metadata": ACME},
        {"app_metadata": [ACME]},
        {"app_metadata": {"org_id": [ACME]}},
        {"app_metadata": {"org_id": {"org_id": ACME}}},
        {"app_metadata": {"org_id": None}},
        {"app_metadata.org_id": ACME},
    ],
)
def test_J_07_no_other_place_and_no_other_form_is_an_org(claims: dict[str, object]) -> None:
    with pytest.raises(NoOrganization):
        read_org(claims, config(org_claim=("app_metadata", "org_id")))


@pytest.mark.parametrize(
    ("prefix", "subject", "user"),
    [("", "u-1", "u-1"), ("user?id=", "user?id=u-1", "u-1"), ("user?id=", "user?id=user?id=u", "user?id=u")],
)
def test_the_users_prefix_is_taken_off(prefix: str, subject: str, user: str) -> None:
    assert read_user({"sub": subject}, config(subject_prefix=prefix)) == user


@pytest.mark.parametrize(
    "subject", ["u-1", "user?id=", "service?id=u-1", " user?id=u-1", "USER?id=u-1", "", None, 7]
)
def test_a_user_without_the_prefix_is_refused(subject: object) -> None:
    with pytest.raises(InvalidToken):
        read_user({"sub": subject}, config(subject_prefix="user?id="))


@pytest.mark.parametrize(
    "value", ["", "x" * (TEXT_CHARS_MAX + 1), "a\nb", "a\x00", "\ud800", "\u202e", 7, True, None, ["a"]]
)
def test_what_is_no_short_printable_text_is_no_claim(value: object) -> None:
    settings = config(claims={"client": ("app", "client")})
    assert read_further({"app": {"client": value}}, settings) == {}
    assert read_role({"role": value}, settings) is None
    with pytest.raises(InvalidToken):
        read_user({"sub": value}, settings)
    with pytest.raises(InvalidToken):
        read_session({"jti": value})


def test_further_claims_come_under_the_names_that_scopes_use() -> None:
    settings = config(claims={"client": ("app", "client"), "vendor": ("vendor",)})
    assert read_further({"app": {"client": "c-7"}, "other": "x"}, settings) == {"client": "c-7"}
    assert read_role({"app": {"role": "admin"}}, config(role_claim=("app", "role"))) == "admin"


@pytest.mark.parametrize("value", ["1", True, False, [1], {"a": 1}, None, -1, 1e300, 10**400, (1 << 38) - 1])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_J_05_times_are_json_numbers(name: str, value: object) -> None:
    with pytest.raises(InvalidToken):
        read_lifetime(said(**({"exp": SECONDS + 60} | {name: value})), config())


def test_J_05_a_token_has_an_end() -> None:
    with pytest.raises(InvalidToken):
        read_lifetime(said(iat=SECONDS), config())


@pytest.mark.parametrize(
    ("claims", "seconds", "counts"),
    [
        ({"exp": SECONDS}, 9.9, True),
        ({"exp": SECONDS}, 10, False),
        ({"exp": SECONDS + 100, "nbf": SECONDS}, -10, True),
        ({"exp": SECONDS + 100, "nbf": SECONDS}, -10.1, False),
        ({"exp": SECONDS + 100, "iat": SECONDS}, -10.1, False),
        ({"exp": SECONDS + 100, "iat": SECONDS - 500, "nbf": SECONDS}, -10.1, False),
        ({"exp": SECONDS + 0.5}, 10.4, True),
    ],
)
def test_J_05_a_token_counts_within_its_times_and_the_leeway(
    claims: dict[str, object],
    seconds: float,
    counts: bool,  # a table of cases
) -> None:
    lifetime = read_lifetime(said(**claims), config(leeway_seconds=10.0))
    now = NOW + timedelta(seconds=seconds)
    if counts:
        lifetime.check(now.timestamp())
        assert lifetime.expires_at > now
        return
    with pytest.raises(ExpiredToken):
        lifetime.check(now.timestamp())


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"exp": SECONDS + 600, "iat": SECONDS}, True),
        ({"exp": SECONDS + 601, "iat": SECONDS}, False),
        ({"exp": SECONDS + 600}, False),
        ({"exp": SECONDS + 600, "nbf": SECONDS}, False),
    ],
)
def test_J_05_a_life_above_the_maximum_is_refused(
    claims: dict[str, object],
    accepted: bool,  # a table of cases
) -> None:
    settings = config(lifetime_seconds_max=600.0)
    if accepted:
        assert read_lifetime(said(**claims), settings).ends == SECONDS + 610
        return
    with pytest.raises(InvalidToken):
        read_lifetime(said(**claims), settings)


@given(
    st.dictionaries(
        st.sampled_from(["exp", "nbf", "iat", "sub", "organization_id", "jti", "role"]),
        st.none()
        | st.booleans()
        | st.integers().map(lambda number: Number(str(number)))
        | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: Number(repr(number)))
        | st.text()
        | st.lists(st.text(), max_size=2),
    )
)
def test_nothing_but_a_refusal_comes_of_any_body(claims: dict[str, object]) -> None:
    for read in (read_lifetime, read_user, read_org, read_role, read_further):
        try:
            read(claims, config())
        except (InvalidToken, NoOrganization):
            continue
