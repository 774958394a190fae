"""The request to Electric: what it always holds, and what never gets into it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from yarl import URL

from shapegate_proxy.config import Secret
from shapegate_proxy.errors import RequestTooLong
from shapegate_proxy.policy import ConfinedRequest, confine
from shapegate_proxy.upstream import UpstreamRequest, build
from shapegate_wire.request import ShapeRequest, parse_request
from tests.proxy.builders import ACME, policy, principal

ELECTRIC = URL("http://electric:3000")
SUBSET = 'subset__where=name=$1&subset__params={"1":"x"}&subset__order_by=id&subset__limit=5&subset__offset=0'


def query(text: str, secret: str | None = "s3cret") -> list[tuple[str, str]]:
    return list(build_url(text, secret).query.items())


def build_url(text: str, secret: str | None = "s3cret") -> URL:
    return build(confined(text), electric_url=ELECTRIC, secret=Secret(secret) if secret else None).url


def confined(text: str, body: bytes | None = None) -> ConfinedRequest:
    asked = parse_request(URL(f"http://gate/?{text}").query.items(), body)
    return confine(principal(), asked, policy())


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


@pytest.mark.parametrize(
    ("electric", "url"),
    [
        ("http://electric:3000", "http://electric:3000/v1/shape"),
        ("http://electric:3000/", "http://electric:3000/v1/shape"),
        ("http://host/electric", "http://host/electric/v1/shape"),
        ("http://host/a%20b/?x=1#y", "http://host/a%20b/v1/shape"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_I_13_the_upstream_path_is_a_constant_below_that_of_electric(
    electric: str, url: str, method: str
) -> None:
    for text in ("table=items&offset=-1", f"table=items&offset=-1&{SUBSET}"):
        built = build(confined(text), electric_url=URL(electric), secret=None, method=method)
        assert str(built.url.with_query(None)) == url
        assert [name for name, _ in built.url.query.items()].count("table") == 1
        assert "x" not in built.url.query


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
    assert built.headers == (
        ("accept-encoding", "identity"),
        ("accept", "application/json"),
        ("if-none-match", '"e"'),
    )


def test_W_11_a_stream_is_asked_for_as_one_and_the_trace_goes_on() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asked = confined("table=items&offset=0_0&handle=h&live=true&live_sse=true")
    built = build(asked, electric_url=ELECTRIC, secret=None, trace_parent=trace)
    assert (built.method, built.live, built.sse, built.body) == ("GET", True, True, None)
    assert built.headers == (
        ("accept-encoding", "identity"),
        ("accept", "text/event-stream"),
        ("traceparent", trace),
    )


@pytest.mark.parametrize(
    ("method", "sent"), [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "GET"), ("head", "GET")]
)
def test_a_long_poll_is_no_stream_and_keeps_its_method(method: str, sent: str) -> None:
    asked = confined("table=items&offset=0_0&handle=h&live=true")
    built = build(asked, electric_url=ELECTRIC, secret=None, method=method)
    assert (built.method, built.live, built.sse) == (sent, True, False)


@pytest.mark.parametrize("field", ["where", "params", "columns", "queryable_columns"])
def test_P_02_P_03_an_empty_filter_or_list_cannot_be_made(field: str) -> None:
    confined = confine(principal(), parse_request([("table", "items"), ("offset", "-1")]), policy())
    empty: Any = "  " if field == "where" else ()
    with pytest.raises(ValueError, match="needs a filter"):
        replace(confined, **{field: empty})


def test_P_18_a_request_that_electric_would_not_read_is_refused() -> None:
    asked: ShapeRequest = parse_request([("table", "items"), ("offset", "-1")])
    confined = replace(confine(principal(), asked, policy()), params=("x" * 9_500,))
    with pytest.raises(
        RequestTooLong, match=r"^The request that this one leads to is too long for Electric$"
    ):
        build(confined, electric_url=ELECTRIC, secret=None)


def line_bytes(built: UpstreamRequest) -> int:
    """The length of the request's first line, without its line end."""
    return len(f"{built.method} {built.url.raw_path_qs} HTTP/1.1".encode())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_P_18_a_request_line_of_9500_bytes_is_sent_and_of_9501_is_not(method: str) -> None:
    asked = confined("table=items&offset=-1")

    def built(chars: int) -> UpstreamRequest:
        return build(
            replace(asked, params=("x" * chars,)), electric_url=ELECTRIC, secret=Secret("s"), method=method
        )

    chars = 9_500 - line_bytes(built(1)) + 1
    assert line_bytes(built(chars)) == 9_500
    with pytest.raises(RequestTooLong):
        built(chars + 1)


@pytest.mark.parametrize(("beyond", "method"), [(0, "GET"), (1, "POST")])
def test_P_18_a_subset_becomes_a_post_exactly_where_a_get_would_be_too_long(beyond: int, method: str) -> None:
    def built(chars: int) -> UpstreamRequest:
        value = "é" * 500 + "x" * chars
        text = f'table=items&offset=-1&subset__where=name=$1&subset__params={{"1":"{value}"}}'
        return build(confined(text), electric_url=ELECTRIC, secret=None)

    chars = 1_000 + 9_500 - line_bytes(built(1_000))
    assert built(chars + beyond).method == method
    assert line_bytes(built(chars)) == 9_500


def test_P_11_a_subset_by_get_stands_beside_the_whole_definition() -> None:
    sent = query(f"table=items&offset=0_0&handle=h&log=changes_only&{SUBSET}")
    assert sent == [
        ("table", '"public"."items"'),
        ("columns", '"id","name","organization_id"'),
        ("queryable_columns", '"id","name","organization_id"'),
        ("where", '"organization_id" = $1'),
        ("params[1]", ACME),
        ("log", "changes_only"),
        ("offset", "0_0"),
        ("handle", "h"),
        ("secret", "s3cret"),
        ("subset__where", '("name" = $1)'),
        ("subset__params", '{"1":"x"}'),
        ("subset__limit", "5"),
        ("subset__offset", "0"),
        ("subset__order_by", '"id" ASC NULLS LAST'),
    ]


def test_P_06_P_11_a_subset_by_post_is_a_new_flat_body_and_the_url_is_that_of_the_shape() -> None:
    body = {
        "where": "name = $1",
        "params": {"1": "x"},
        "order_by": "id",
        "limit": 5,
        "where_expr": {"type": "val"},
        "order_by_expr": [],
    }
    asked = confined("table=items&offset=-1", json.dumps(body).encode())
    built = build(asked, electric_url=ELECTRIC, secret=None, method="POST")
    assert list(built.url.query.items()) == query("table=items&offset=-1", secret=None)
    assert built.headers == (
        ("accept-encoding", "identity"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
    )
    assert built.body is not None
    assert json.loads(built.body) == {
        "where": '("name" = $1)',
        "params": {"1": "x"},
        "order_by": '"id" ASC NULLS LAST',
        "limit": 5,
    }


def test_P_18_a_subset_too_long_for_a_get_becomes_a_post() -> None:
    names = ",".join(f"ééé{number:03}" for number in range(500))
    text = f'table=items&offset=-1&subset__where=name=any($1)&subset__params={{"1":"{{{names}}}"}}'
    built = build(confined(text), electric_url=ELECTRIC, secret=None)
    assert built.method == "POST"
    assert list(built.url.query.items()) == query("table=items&offset=-1", secret=None)
    assert built.body is not None
    (value,) = json.loads(built.body)["params"].values()
    assert value.replace('"', "") == f"{{{names}}}"
    with pytest.raises(RequestTooLong):
        build(confined(text), electric_url=ELECTRIC, secret=None, method="HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_subset_is_never_asked_for_on_condition_nor_held(method: str) -> None:
    asked = confined(f"table=items&offset=0_0&handle=h&live=true&live_sse=true&{SUBSET}")
    built = build(asked, electric_url=ELECTRIC, secret=None, method=method, if_none_match='"e"')
    assert (built.method, built.live, built.sse) == (method, False, False)
    assert not {"if-none-match"} & {name for name, _ in built.headers}
    assert ("accept", "application/json") in built.headers
    assert "live" not in built.url.query


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_P_08_a_request_without_a_subset_is_never_sent_as_anything_but_a_read(method: str) -> None:
    built = build(confined("table=items&offset=-1"), electric_url=ELECTRIC, secret=None, method=method)
    assert (built.method, built.body) == ("GET", None)


def test_I_10_neither_the_body_nor_the_url_is_printed() -> None:
    asked = confined("table=items&offset=-1", b'{"where":"name = \'classified\'"}')
    built = build(asked, electric_url=ELECTRIC, secret=Secret("s3cret"), method="POST")
    assert "classified" not in repr(built)
