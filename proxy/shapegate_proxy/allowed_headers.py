"""The two allow-lists of headers: of a client's request for Electric, of Electric's answer for the client.

What is not named here does not pass in either direction (SECURITY I-16, REQUIREMENTS P-31, P-42); what is
named passes only if it looks as Electric writes it. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shapegate_proxy.answer_head import AnswerHeaders
from shapegate_proxy.answers import NO_STORE, REVALIDATE
from shapegate_proxy.errors import UpstreamFault
from shapegate_proxy.printed_head import ClientHead
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONDITION_CHARS_MAX: Final = 1_024
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
_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8"})
_STREAM: Final = frozenset({"text/event-stream", "text/event-stream; charset=utf-8"})


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


def client_head(status: int, headers: Mapping[str, str], org_in_url: bool, sse: bool) -> ClientHead:
    """Choose what the client gets, as `client_headers`, once for all answers with these headers."""
    if not isinstance(headers, AnswerHeaders):
        return ClientHead(client_headers(status, headers, org_in_url=org_in_url, sse=sse))
    kind = status, org_in_url, sse
    head = headers.chosen.get(kind)
    if head is None:
        head = ClientHead(client_headers(status, headers, org_in_url=org_in_url, sse=sse))
        headers.chosen[kind] = head
    return head


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
