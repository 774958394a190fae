"""A token's own words: strict JSON, few header keys, and nothing but a refusal of anything else."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.errors import InvalidToken
from shapegate_proxy.unverified import CLAIM_DEPTH_MAX, parse_token

HEADER = {"alg": "HS256", "typ": "JWT"}
BODY = {"iss": "urn:a", "sub": "u"}


def segment(raw: str | bytes) -> str:
    packed = base64.urlsafe_b64encode(raw.encode() if isinstance(raw, str) else raw)
    return packed.rstrip(b"=").decode()


def written(header: object = HEADER, body: object = BODY) -> str:
    texts = (part if isinstance(part, str | bytes) else json.dumps(part) for part in (header, body))
    return ".".join((*(segment(text) for text in texts), "c2ln"))


def nested(depth: int) -> str:
    return f'{{"iss": "urn:a", "x": {"[" * depth}{"]" * depth}}}'


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_J_03_the_words_of_a_token_are_read(typ: str) -> None:
    read = parse_token(written(HEADER | {"kid": "k", "typ": typ}))
    assert (read.algorithm, read.kid, read.issuer, read.claims["sub"]) == ("HS256", "k", "urn:a", "u")
    assert parse_token(written({"alg": "EdDSA"})).kid is None


@pytest.mark.parametrize(
    "name", ["crit", "b64", "zip", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "iss", ""]
)
def test_J_03_any_other_header_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidToken):
        parse_token(written(HEADER | {name: "x"}))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        HEADER | {"alg": None},
        HEADER | {"alg": ["HS256"]},
        HEADER | {"kid": 7},
        HEADER | {"kid": ["k"]},
        HEADER | {"typ": "JWE"},
        HEADER | {"typ": 7},
        HEADER | {"typ": None},
    ],
)
def test_J_03_a_header_of_another_form_is_refused(header: object) -> None:
    with pytest.raises(InvalidToken):
        parse_token(written(header))


@pytest.mark.parametrize(
    "text",
    [
        '{"iss": "urn:a", "iss": "urn:a"}',
        '{"iss": "urn:a", "x": {"y": 1, "y": 1}}',
        '{"iss": "urn:a", "x": NaN}',
        '{"iss": "urn:a", "x": -Infinity}',
        '["iss"]',
        '"iss"',
        "null",
        "{",
        "",
        b'{"iss": "\xff"}',
        '{"iss": "urn:a"}{}',
        "\ufeff" + '{"iss": "urn:a"}',
        '{"iss": 7}',
        "{}",
        nested(CLAIM_DEPTH_MAX),
        nested(3_000),
    ],
)
def test_J_04_anything_but_strict_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidToken):
        parse_token(written(body=text))


def test_J_04_a_duplicate_key_in_the_header_is_refused() -> None:
    with pytest.raises(InvalidToken):
        parse_token(written('{"alg": "HS256", "alg": "none"}'))


def test_J_04_depth_up_to_the_bound_is_read() -> None:
    assert parse_token(written(body=nested(CLAIM_DEPTH_MAX - 1))).issuer == "urn:a"


def test_J_16_no_claim_is_printed() -> None:
    assert "marker" not in repr(parse_token(written(body=BODY | {"email": "marker"})))


@given(st.text(alphabet="ABCabc019-_", min_size=1), st.text(alphabet="ABCabc019-_", min_size=1))
def test_J_04_nothing_but_a_refusal_comes_of_any_segments(head: str, body: str) -> None:
    with pytest.raises(InvalidToken):
        parse_token(f"{head}.{body}.c2ln")


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_J_04_what_a_json_library_writes_is_read_as_it_was(value: object) -> None:
    assert parse_token(written(body={"iss": "urn:a", "x": value})).claims["x"] == value
