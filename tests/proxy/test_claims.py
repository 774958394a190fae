"""Claims as values of parameters: one spelling, the column's type, and 403 where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.claims import CLAIM_CHARS_MAX, Fact, NamedClaim, ScopeType, claim_value, scope_type
from shapegate_proxy.errors import MissingClaim
from tests.proxy.builders import ACME, USER, principal

CLIENT = NamedClaim("client")


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("uuid", ScopeType.UUID),
        ("text", ScopeType.TEXT),
        ("varchar", ScopeType.VARCHAR),
        ("varchar(20)", ScopeType.VARCHAR),
        ("character varying (20)", ScopeType.VARCHAR),
        ("smallint", ScopeType.INT2),
        ("integer", ScopeType.INT4),
        ("int8", ScopeType.INT8),
    ],
)
def test_a_type_is_known_by_every_name_that_postgres_has(name: str, type_: ScopeType) -> None:
    assert scope_type(name) is type_


@pytest.mark.parametrize(
    "name",
    [
        *("numeric", "numeric(12,2)", "decimal", "float4", "float8", "real", "double precision", "money"),
        *("char", "char(5)", "character", "character(5)", "bpchar", "citext", "name", "bool", "jsonb"),
        *("uuid[]", "text[]", "timestamptz", "date", "bytea", "mood", "UUID", "varchar(20) x", ""),
    ],
)
def test_P_16_what_is_not_compared_alike_everywhere_has_no_scope_type(name: str) -> None:
    assert scope_type(name) is None


def test_each_claim_comes_from_its_own_place() -> None:
    caller = principal(role="owner", named={"org": "no org", "client": "TC-1"})
    facts = [claim_value(fact, ScopeType.TEXT, caller) for fact in Fact]
    assert facts == [ACME, USER, "owner"]
    assert claim_value(CLIENT, ScopeType.VARCHAR, caller) == "TC-1"


def test_P_15_a_uuid_has_one_spelling() -> None:
    caller = principal(named={"client": ACME.upper()})
    assert claim_value(CLIENT, ScopeType.UUID, caller) == ACME


def test_a_text_keeps_its_spelling() -> None:
    caller = principal(named={"client": "Ä b' OR 'a'='a"})
    assert claim_value(CLIENT, ScopeType.TEXT, caller) == "Ä b' OR 'a'='a"


@pytest.mark.parametrize("claim", [Fact.ROLE, CLIENT])
def test_P_02_a_claim_that_is_missing_is_refused_and_named(claim: Fact | NamedClaim) -> None:
    with pytest.raises(MissingClaim) as caught:
        claim_value(claim, ScopeType.TEXT, principal())
    told = f"The token says nothing of {claim}, by which rows of this table are chosen"
    assert caught.value.message == told
    assert (caught.value.status, caught.value.code) == (403, "missing_claim")


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        *((ScopeType.TEXT, text) for text in ("", " ", "\u3000", "a\x00", "a\nb", "\ud800", "x" * 257)),
        (ScopeType.VARCHAR, "\u2028"),
        *((ScopeType.UUID, text) for text in ("TC-1", ACME + "\n", ACME.replace("-", ""), "{" + ACME + "}")),
        *(
            (ScopeType.INT8, text)
            for text in ("1.0", "+1", "01", "-0", "1 ", "\u0661", "9223372036854775808")
        ),
        *((ScopeType.INT4, text) for text in ("2147483648", "-2147483649", "9" * 5_000)),
        *((ScopeType.INT2, text) for text in ("32768", "-32769", "")),
    ],
)
def test_P_02_I_05_a_value_that_electric_would_not_read_is_refused_without_showing_it(
    type_: ScopeType, text: str
) -> None:
    with pytest.raises(MissingClaim) as caught:
        claim_value(CLIENT, type_, principal(named={"client": text}))
    assert caught.value.message in (
        "The token says nothing of {claims.client}, by which rows of this table are chosen",
        f"The token's {{claims.client}} is not usable: expected a {type_.value}",
    )


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (ScopeType.INT2, "-32768"),
        (ScopeType.INT4, "2147483647"),
        (ScopeType.INT8, "-9223372036854775808"),
        (ScopeType.INT8, "0"),
        (ScopeType.TEXT, "x" * CLAIM_CHARS_MAX),
    ],
)
def test_a_value_at_the_edge_is_taken_as_it_is(type_: ScopeType, text: str) -> None:
    assert claim_value(CLIENT, type_, principal(named={"client": text})) == text


@given(st.sampled_from(ScopeType), st.text(max_size=60))
def test_any_text_is_one_stable_value_or_refused(type_: ScopeType, text: str) -> None:
    try:
        value = claim_value(CLIENT, type_, principal(named={"client": text}))
    except MissingClaim:
        return
    assert value.strip()
    assert claim_value(CLIENT, type_, principal(named={"client": value})) == value
