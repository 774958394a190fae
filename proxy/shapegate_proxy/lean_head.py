"""The head of a request to Electric as it goes on the wire. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yarl import URL


def print_host(url: URL) -> str:
    """Print what a Host header says of a URL: no default port, an IPv6 address in brackets (RFC 9110 7.2).

    Raises ValueError if the URL has no host.
    """
    host = url.host_port_subcomponent
    if not host:
        raise ValueError("the URL of Electric has no host")
    return host


def print_request(
    method: str, url: URL, headers: Iterable[tuple[str, str]], body: bytes | None, *, host: str
) -> bytes:
    """Print a request with its body; of headers, only Host and the length are added.

    Raises ValueError, which does not show the text, if a part of it would end its line: one request is never
    two.
    """
    # Not `raw_path_qs`, which the URL would keep for as long as the request is held.
    target = f"{url.raw_path}?{url.raw_query_string}" if url.raw_query_string else url.raw_path
    text = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n"
    lines = 3
    for name, value in headers:
        text += f"{name}: {value}\r\n"
        lines += 1
    if body is not None or method == "POST":
        text += f"content-length: {len(body or b'')}\r\n"
        lines += 1
    text += "\r\n"
    if text.count("\r") != lines or text.count("\n") != lines or "\0" in text or " " in target:
        raise ValueError("the request to Electric holds a line break, a NUL or a blank where none may be")
    head = text.encode()
    return head if body is None else head + body
