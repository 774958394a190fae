"""Which heads are plain, and that a plain head says to aiohttp what it says here (SECURITY I-19)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import example, given
from hypothesis import strategies as st

from shapegate_proxy.plain_head import (
    FIELDS_MAX,
    PLAIN_BYTES_MAX,
    HeadReader,
    PlainHead,
    end_of_head,
    may_become_plain,
)
from shapegate_proxy.plain_request import _query

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage

TARGET = "/v1/shape?table=items&offset=-1"
HOST = "host: gate"


def head(*fields: str, target: str = TARGET, line: str | None = None) -> bytes:
    lines = [f"GET {target} HTTP/1.1" if line is None else line, *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


PLAIN = {
    "the least": (head(HOST), TARGET, None),
    "a name in capitals": (head("HOST: gate"), TARGET, None),
    "kept alive": (head(HOST, "Connection: Keep-Alive"), TARGET, None),
    "space around a value": (head(HOST, "authorization:  Bearer a.b.c  "), TARGET, None),
    "a cookie": (head(HOST, "cookie: a=b"), TARGET, None),
    "no query": (head(HOST, target="/api/electric/sync"), "/api/electric/sync", None),
    "an org": (head(HOST, target="/api/electric/orgs/a-1/sync?x"), "/api/electric/orgs/a-1/sync?x", "a-1"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_a_plain_head_is_read(case: str) -> None:
    sent, target, org = PLAIN[case]
    found = HeadReader().read(sent)
    assert found is not None
    assert (found.target, found.org) == (target, org)
    assert found.values("host") == ["gate"]
    assert list(found.values("via")) == []


UNUSUAL = {
    "another method": head(HOST, line=f"POST {TARGET} HTTP/1.1"),
    "HEAD": head(HOST, line=f"HEAD {TARGET} HTTP/1.1"),
    "an older version": head(HOST, line=f"GET {TARGET} HTTP/1.0"),
    "no version": head(HOST, line=f"GET {TARGET}"),
    "another path": head(HOST, target="/health"),
    "a path below": head(HOST, target="/v1/shape/x"),
    "a path that is escaped": head(HOST, target="/v1/shap%65"),
    "an org that is escaped": head(HOST, target="/api/electric/orgs/%61/sync"),
    "two slashes": head(HOST, target="//v1/shape"),
    "a path with dots": head(HOST, target="/v1/./shape"),
    "a whole URL": head(HOST, target=f"http://gate{TARGET}"),
    "a fragment": head(HOST, target=f"{TARGET}#x"),
    "no host": head("accept: */*"),
    "two hosts": head(HOST, HOST),
    "a length": head(HOST, "content-length: 0"),
    "a coding": head(HOST, "transfer-encoding: chunked"),
    "an upgrade": head(HOST, "connection: upgrade", "upgrade: h2c"),
    "an upgrade alone": head(HOST, "upgrade: h2c"),
    "an end": head(HOST, "connection: close"),
    "several tokens of a connection": head(HOST, "connection: keep-alive, x"),
    "an expectation": head(HOST, "expect: 100-continue"),
    "trailers": head(HOST, "te: trailers"),
    "a bare line feed": head(HOST + "\nx: y"),
    "a bare carriage return": head(HOST, "x: a\rb"),
    "a tab": head(HOST, "x: a\tb"),
    "NUL": head(HOST, "x: a\0"),
    "a letter beyond ASCII": head(HOST, "x: \xe4"),
    "a letter beyond ASCII in the target": head(HOST, target=f"{TARGET}&x=\xe4"),
    "a folded header": head(HOST, " x"),
    "no colon": head(HOST, "x"),
    "a space before the colon": head("host : gate"),
    "no name": head(HOST, ": x"),
    "many headers": head(HOST, *(f"x-{number}: y" for number in range(FIELDS_MAX))),
    "a long head": head(HOST, f"x: {'y' * PLAIN_BYTES_MAX}"),
    "two heads": head(HOST) + head(HOST),
    "half a head": head(HOST)[:-2],
    "nothing": b"",
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_I_19_what_is_unusual_is_not_plain(case: str) -> None:
    reader = HeadReader()
    assert reader.read(UNUSUAL[case]) is None
    assert reader.read(head(HOST)) is not None  # and nothing of it is kept


def aiohttp_reads(data: bytes) -> list[tuple[RawRequestMessage, object]] | None:
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, max_line_size=2**15, max_field_size=2**15)
        messages, _, _ = parser.feed_data(data)
        return list(messages)
    except HttpProcessingError:
        return None
    finally:
        loop.close()


names = st.sampled_from(
    [
        "host",
        "Host",
        "authorization",
        "origin",
        "content-length",
        "transfer-encoding",
        "connection",
        "x-a",
        "",
    ]
)
texts = st.one_of(
    st.sampled_from(["gate", "keep-alive", "close", "chunked", "0", "Bearer a.b.c", "", " ", "a, b"]),
    st.text(st.characters(max_codepoint=255), max_size=8),
)
breaks = st.sampled_from(["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n "])
fields = st.lists(st.tuples(names, st.sampled_from([": ", ":", " : ", ""]), texts, breaks), max_size=5)
queries = st.one_of(
    st.just("table=items&offset=-1"),
    st.text("abc=&%2+#?;[]/\\\"' \t\xe4", max_size=20),
)
paths = st.sampled_from(
    ["/v1/shape", "/api/electric/orgs/a/sync", "/v1/shape/", "//v1/shape", "http://x/v1/shape"]
)


@given(
    st.sampled_from(["GET", "GET", "GET", "POST", "get"]),
    paths,
    queries,
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2"]),
    fields,
)
@example("GET", "/v1/shape", "a=%00&a=%zz&b=+", "HTTP/1.1", [("host", ": ", " gate ", "\r\n")])
def test_I_19_what_is_plain_here_is_the_same_to_aiohttp(
    method: str, path: str, query: str, version: str, sent: list[tuple[str, str, str, str]]
) -> None:
    lines = "".join(name + colon + text + end for name, colon, text, end in sent)
    data = f"{method} {path}?{query} {version}\r\nhost: gate\r\n{lines}\r\n".encode("latin-1")
    found = HeadReader().read(data)
    if found is None:
        return
    messages = aiohttp_reads(data)
    assert messages is not None
    [(message, payload)] = messages
    assert (message.method, message.path, message.version) == ("GET", found.target, (1, 1))
    assert (message.should_close, message.upgrade, message.chunked) == (False, False, False)
    assert payload is EMPTY_PAYLOAD
    for name, values in found.fields.items():
        assert message.headers.getall(name) == values
    assert list(message.url.query.items()) == list(_query(found.target))


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_not(data: bytes) -> None:
    assert isinstance(HeadReader().read(data), PlainHead | None)


def test_a_head_is_cut_from_what_comes_behind_it() -> None:
    first, second = head(HOST), head(HOST, "x: y")
    assert end_of_head(first + second, 0) == len(first)
    assert end_of_head(first + second, len(first)) == len(first + second)
    assert end_of_head(first[:-1], 0) is None


@pytest.mark.parametrize(
    ("data", "may"),
    [
        (b"", True),
        (b"GE", True),
        (b"GET /v1", True),
        (b"GET " + b"/" * PLAIN_BYTES_MAX, False),
        (b"POST /", False),
        (b"GET http:", False),
        (b"\x16\x03", False),
    ],
)
def test_only_the_beginning_of_a_get_is_waited_for(data: bytes, may: bool) -> None:
    assert may_become_plain(data) is may
