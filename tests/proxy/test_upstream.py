"""The request to Electric: what it always holds, and what never gets into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from yarl import URL

from shapegate_proxy.config import Secret
from shapegate_proxy.errors import RequestTooLong
from shapegate_proxy.policy import confine
from shapegate_proxy.upstream import build
from shapegate_wire.request import ShapeRequest, parse_request
from tests.proxy.builders import ACME, policy, principal

ELECTRIC = URL("http://electric:3000/any/path?x=1")


def query(text: str, secret: str | None = "s3cret") -> list[tuple[str, str]]:
    return list(build_url(text, secret).query.items())


def build_url(text: str, secret: str | None = "s3cret") -> URL:
    asked = parse_request(URL(f"http://gate/?{text}").query.items())
    confined = confine(principal(), asked, policy())
    return build(confined, electric_url=ELECTRIC, secret=Secret(secret) if secret else None).url


def test_P_01_the_whole_query_is_built_from_an_empty_one() -> None:
    assert query("table=items&offset=-1") == [
        ("table", '"public"."items"'),
        ("columns", '"id","name","organization_id"'),
        ("queryable_columns", '"id","name","organization_id"'),
        ("where", '"organization_id" = $1'),
        ("params[1]", ACME),
        ("offset", "-1"),
        ("secret", "s3cret"),
    ]


def test_I_13_the_upstream_path_is_a_constant() -> None:
    assert build_url("table=items&offset=-1").path == "/v1/shape"


def test_P_19_the_position_passes_unchanged() -> None:
    position = (
        "offset=12_3&handle=h-1&live=true&live_sse=true&experimental_live_sse=true&cursor=77"
        "&expired_handle=h-0&cache-buster=abc"
    )
    assert dict(query(f"table=items&{position}")).items() >= dict(URL(f"?{position}").query).items()


def test_P_50_an_empty_cursor_stays() -> None:
    assert ("cursor", "") in query("table=items&offset=0_0&handle=h&live=true&cursor=")


def test_modes_of_the_definition_pass() -> None:
    sent = query("table=items&offset=-1&replica=full&log=changes_only")
    assert ("replica", "full") in sent
    assert ("log", "changes_only") in sent


def test_P_21_without_a_secret_none_is_sent() -> None:
    assert not any(name == "secret" for name, _ in query("table=items&offset=-1", secret=None))


def test_I_10_the_secret_is_not_printed() -> None:
    asked = parse_request([("table", "items"), ("offset", "-1")])
    built = build(confine(principal(), asked, policy()), electric_url=ELECTRIC, secret=Secret("s3cret"))
    assert "s3cret" not in repr(built)
    assert "s3cret" not in repr(Secret("s3cret"))


def test_P_22_no_header_of_the_client_passes_but_if_none_match() -> None:
    asked = parse_request([("table", "items"), ("offset", "-1")])
    built = build(
        confine(principal(), asked, policy()), electric_url=ELECTRIC, secret=None, if_none_match='"e"'
    )
    assert {name for name, _ in built.headers} == {"accept-encoding", "accept", "if-none-match"}


@pytest.mark.parametrize("field", ["where", "params", "columns", "queryable_columns"])
def test_P_02_P_03_an_empty_filter_or_list_cannot_be_made(field: str) -> None:
    confined = confine(principal(), parse_request([("table", "items"), ("offset", "-1")]), policy())
    empty: Any = "  " if field == "where" else ()
    with pytest.raises(ValueError, match="needs a filter"):
        replace(confined, **{field: empty})


def test_P_18_a_request_that_electric_would_not_read_is_refused() -> None:
    asked: ShapeRequest = parse_request([("table", "items"), ("offset", "-1")])
    confined = replace(confine(principal(), asked, policy()), params=("x" * 9_500,))
    with pytest.raises(RequestTooLong):
        build(confined, electric_url=ELECTRIC, secret=None)
