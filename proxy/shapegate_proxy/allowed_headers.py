"""The two allow-lists of headers: of a client's request for Electric, of Electric's answer for the client.

What is not named here does not pass in either direction (SECURITY I-16, REQUIREMENTS P-31, P-42); what is
named passes only if it looks as Electric writes it. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shapegate_proxy.answers import NO_STORE, REVALIDATE
from shapegate_proxy.errors import UpstreamFault
from shapegate_proxy.printed_head import print_fields
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONDITION_CHARS_MAX: Final = 1_024
REMEMBERED_MAX: Final = 1_024
REMEMBERED_CHARS_MAX: Final = 4_096
"""Together they keep what is remembered of answers below 10 MB."""
SCHEMA_CHARS_MAX: Final = 64 * 1024

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]{0,256}"'
_TAGS: Final = re.compile(rf"\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG}){{0,15}}", re.ASCII)
_ONE_TAG: Final = re.compile(_TAG, re.ASCII)
_TRACE: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)

_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_FLAG: Final = r"true|false"
_RETURNED: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(pattern)
    for name, pattern in {
        names.ELECTRIC_HANDLE: r"[0-9A-Za-z_.:-]{1,128}",
        names.ELECTRIC_OFFSET: r"-1|[0-9]{1,20}_(?:[0-9]{1,20}|inf)",
        names.ELECTRIC_SCHEMA: rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{0,{SCHEMA_CHARS_MAX}}}",
        names.ELECTRIC_CURSOR: r"[0-9]{1,20}",
        names.ELECTRIC_UP_TO_DATE: r"(?:true)?",
        names.ELECTRIC_HAS_DATA: _FLAG,
        names.ELECTRIC_SNAPSHOT: _FLAG,
        names.ELECTRIC_KNOWN_ERROR: _FLAG,
    }.items()
}
_LOOKED_AT: Final = frozenset(
    {*_RETURNED, names.ETAG, "connection", "content-encoding", "content-length", "content-type"}
)
"""What an answer is made of; nothing else that Electric says changes it."""
_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8"})
_STREAM: Final = frozenset({"text/event-stream", "text/event-stream; charset=utf-8"})


class ClientHead:
    """The headers of one answer for the client, and the lines that they are."""

    __slots__ = ("fields", "framed", "headers")

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Print them. Raises ValueError for a value that would end its line."""
        self.headers = headers
        self.fields = print_fields(headers)
        self.framed = "content-length" in headers
        """Whether they say how long the body is."""

    def fields_for(self, body_bytes: int) -> str:
        """Return the lines for a whole body of this length, which they tell then in any case."""
        return self.fields if self.framed else f"{self.fields}content-length: {body_bytes}\r\n"


def condition(values: Sequence[str]) -> str | None:
    """Choose the If-None-Match that Electric is told; one that is not entity tags asks for nothing.

    A request without one is answered in full, so leaving it out is always right (RFC 9110 13.1.2).
    """
    if len(values) != 1 or len(values[0]) > CONDITION_CHARS_MAX:
        return None
    return values[0] if _TAGS.fullmatch(values[0]) else None


def trace_parent(values: Sequence[str]) -> str | None:
    """Choose the `traceparent` that Electric is told (W3C Trace Context 3.2.2, version 00)."""
    found = _TRACE.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return None
    return values[0]


class _Newest:
    """The head that was chosen last: an answer that many share has the same for each of them."""

    __slots__ = ("head", "headers", "kind")

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}
        self.kind: tuple[int, bool, bool] | None = None
        self.head = ClientHead({})


_newest: Final = _Newest()


def client_head(status: int, headers: Mapping[str, str], *, org_in_url: bool, sse: bool) -> ClientHead:
    """Choose what the client gets, as `client_headers`; what was chosen before is remembered."""
    kind = status, org_in_url, sse
    if _newest.headers is not headers or _newest.kind != kind:
        head = _head(status, headers, org_in_url=org_in_url, sse=sse)
        _newest.headers, _newest.kind, _newest.head = headers, kind, head
    return _newest.head


def _head(status: int, headers: Mapping[str, str], *, org_in_url: bool, sse: bool) -> ClientHead:
    # Without what is not looked at: Electric says an id and a time with each answer.
    said = tuple([header for header in headers.items() if header[0] in _LOOKED_AT])
    if sum([len(value) for _, value in said]) > REMEMBERED_CHARS_MAX:
        return ClientHead(client_headers(status, headers, org_in_url=org_in_url, sse=sse))
    return _remembered(status, said, org_in_url, sse)


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered(status: int, said: tuple[tuple[str, str], ...], org_in_url: bool, sse: bool) -> ClientHead:
    return ClientHead(client_headers(status, dict(said), org_in_url=org_in_url, sse=sse))


def client_headers(status: int, headers: Mapping[str, str], *, org_in_url: bool, sse: bool) -> dict[str, str]:
    """Choose what of a 200, 304 or 409 the client gets, empty values included, and who may keep it.

    An answer whose URL names the org may be revalidated if it has a tag to do so by; every other one is
    stored nowhere (DESIGN 5).
    Raises UpstreamFault for a value that no Electric writes.
    """
    one_hop = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    passed = {
        name: _checked(name, headers[name], pattern)
        for name, pattern in _RETURNED.items()
        if name in headers and name not in one_hop
    }
    if status != 304:
        passed["content-type"] = _content_type(headers, sse=sse)
        if "content-length" in headers:
            passed["content-length"] = _checked("content-length", headers["content-length"], _LENGTH)
    revalidated = org_in_url and status != 409 and names.ETAG in headers
    if revalidated:
        passed[names.ETAG] = _checked(names.ETAG, headers[names.ETAG], _ONE_TAG)
    passed[names.CACHE_CONTROL] = REVALIDATE if revalidated else NO_STORE
    return passed


def _checked(name: str, value: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(value) is None:
        raise UpstreamFault(f"Electric's answer has a header {name} that cannot be passed on")
    return value


def _content_type(headers: Mapping[str, str], *, sse: bool) -> str:
    """Allow a log or subset, and an event stream where one was asked for; never a coded body (I-17)."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UpstreamFault("Electric's answer is compressed, which the gate did not ask for")
    value = headers.get("content-type", "").lower()
    if value in _JSON or (sse and value in _STREAM):
        return value
    raise UpstreamFault("Electric's answer is neither JSON nor the event stream that was asked for")
