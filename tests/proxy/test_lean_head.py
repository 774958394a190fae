"""A printed request is one request, with what was built and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shapegate_proxy.lean_head import print_host, print_request

ELECTRIC = URL("http://electric:3000")


@dataclass(frozen=True)
class Request:
    method: str
    url: URL
    headers: tuple[tuple[str, str], ...]
    body: bytes | None

    def printed(self) -> bytes:
        return print_request(self.method, self.url, self.headers, self.body, host="h")


def request(
    url: URL = ELECTRIC / "v1/shape",
    *headers: tuple[str, str],
    method: str = "GET",
    body: bytes | None = None,
) -> Request:
    return Request(method, url, headers, body)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://electric:3000", "electric:3000"),
        ("http://electric", "electric"),
        ("http://electric:80", "electric"),
        ("https://electric:443/below", "electric"),
        ("https://electric:80", "electric:80"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[::1]", "[::1]"),
        ("http://b\u00fccher.example", "xn--bcher-kva.example"),
        ("http://user:password@electric", "electric"),
    ],
)
def test_the_host_is_printed_as_the_url_names_it(url: str, host: str) -> None:
    assert print_host(URL(url)) == host


def test_a_url_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="no host"):
        print_host(URL("/v1/shape"))


@pytest.mark.parametrize(
    ("built", "printed"),
    [
        (request(), b"GET /v1/shape HTTP/1.1\r\nhost: h\r\n\r\n"),
        (request(ELECTRIC), b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
        (
            request((ELECTRIC / "v1/shape").with_query(where="a = 'b c'", offset="-1"), ("accept", "a/b")),
            b"GET /v1/shape?where=a+%3D+'b+c'&offset=-1 HTTP/1.1\r\nhost: h\r\naccept: a/b\r\n\r\n",
        ),
        (request(method="HEAD"), b"HEAD /v1/shape HTTP/1.1\r\nhost: h\r\n\r\n"),
        (
            request(ELECTRIC, ("content-type", "a/b"), method="POST", body=b'{"a":1}'),
            b'POST / HTTP/1.1\r\nhost: h\r\ncontent-type: a/b\r\ncontent-length: 7\r\n\r\n{"a":1}',
        ),
        (
            request(ELECTRIC, method="POST", body=b"\r\n\r\n"),
            b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
        ),
        (
            request(ELECTRIC, method="POST"),
            b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
        ),
    ],
)
def test_P_22_a_request_is_printed_as_it_was_built(built: Request, printed: bytes) -> None:
    assert built.printed() == printed


@pytest.mark.parametrize(
    "built",
    [
        request(ELECTRIC, ("a", "b\r\nc: d")),
        request(ELECTRIC, ("a", "b\nc: d")),
        request(ELECTRIC, ("a", "b\rc: d")),
        request(ELECTRIC, ("a", "b\0")),
        request(ELECTRIC, ("a\r\nb", "c")),
        request(URL("http://electric/a b", encoded=True)),
        request(URL("http://electric/?a=b\r\nc: d", encoded=True)),
        request(ELECTRIC, method="GET / HTTP/1.1\r\na: b\r\n\r\nGET"),
    ],
)
def test_I_19_what_would_end_a_line_is_refused_and_not_shown(built: Request) -> None:
    with pytest.raises(ValueError, match="holds a line break") as caught:
        built.printed()
    assert "c: d" not in str(caught.value)


@given(st.text(), st.text())
def test_I_19_whatever_a_value_is_the_request_has_its_lines_and_no_more(name: str, value: str) -> None:
    try:
        printed = request(ELECTRIC, (name, value)).printed()
    except ValueError:
        return
    head, end = printed.split(b"\r\n\r\n")
    assert end == b""
    assert len(head.splitlines()) == len(head.split(b"\r\n")) == 3


@given(st.dictionaries(st.text(), st.text(), max_size=4))
def test_I_19_a_query_is_one_word(query: dict[str, str]) -> None:
    line = request(ELECTRIC.with_query(query)).printed().split(b"\r\n")[0]
    assert len(line.split()) == 3
