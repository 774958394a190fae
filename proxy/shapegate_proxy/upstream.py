"""The request to Electric, built from an empty one. Pure: no I/O, no clock.

Definition, filter and column lists come from the policy, a subset from its trees; of the client's request
only modes and position pass (REQUIREMENTS P-01 to P-03, P-06, P-11, P-18 to P-22).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shapegate_proxy.errors import RequestTooLong
from shapegate_wire import names
from shapegate_wire.identifier import print_columns
from shapegate_wire.shape import LogMode, Replica

if TYPE_CHECKING:
    from collections.abc import Hashable

    from yarl import URL

    from shapegate_proxy.config import Secret
    from shapegate_proxy.known_answers import Sending
    from shapegate_proxy.policy import ConfinedRequest
    from shapegate_wire.shape import QueryPairs
    from shapegate_wire.subset import SubsetRequest

REQUEST_LINE_BYTES_MAX: Final = 9_500
"""Electric resets connections above some 10,000 bytes (PROTOCOL 1.2)."""
TRACE_PARENT: Final = "traceparent"
SHAPE_PATH: Final = ("v1", "shape")
"""Below ELECTRIC_URL, which may have a path of its own; nothing of a client's path gets into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """One request to Electric, ready to be sent; `url` holds the secret and is not printed."""

    method: str
    url: URL = field(repr=False)
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = field(default=None, repr=False)
    """JSON that a subset is asked with; built by us, never a client's."""
    live: bool
    sse: bool
    key: Hashable = field(init=False, repr=False)
    """All that Electric is asked, but not for whom: requests of one key have one answer."""
    sending: Sending | None = field(default=None, init=False, repr=False, compare=False)
    """What whoever sends it keeps of it, if it may be sent again."""

    def keep(self, sending: Sending) -> None:
        """Keep it for the next time."""
        object.__setattr__(self, "sending", sending)

    def __post_init__(self) -> None:
        """Name what is asked: a trace only says who asks."""
        headers = tuple(header for header in self.headers if header[0] != TRACE_PARENT)
        object.__setattr__(self, "key", (self.method, str(self.url), headers, self.body))


def build(
    confined: ConfinedRequest,
    *,
    electric_url: URL,
    secret: Secret | None,
    method: str = "GET",
    if_none_match: str | None = None,
    trace_parent: str | None = None,
) -> UpstreamRequest:
    """Print a confined request for Electric; `method` is the one it was asked by.

    A subset keeps its method, since a GET may be repeated on a new connection when a pooled one was dead; one
    that would be too long becomes a POST. Raises RequestTooLong if Electric would not read the request.
    """
    query = [*_definition(confined), *confined.asked.position_query()]
    if secret is not None:
        query.append((names.SECRET, secret.reveal()))
    subset = None if confined.subset is None else confined.subset.printed
    sent_as, url, body = _addressed(method, _shape_url(electric_url), query, subset)
    if not _fits(sent_as, url):
        raise RequestTooLong("The request that this one leads to is too long for Electric")
    headers = [("accept-encoding", "identity")]
    headers.append(("accept", "text/event-stream" if confined.asked.live_sse else "application/json"))
    if body is not None:
        headers.append(("content-type", "application/json"))
    if if_none_match is not None and subset is None:
        headers.append(("if-none-match", if_none_match))
    if trace_parent is not None:
        headers.append((TRACE_PARENT, trace_parent))
    return UpstreamRequest(
        method=sent_as,
        url=url,
        headers=tuple(headers),
        body=body,
        live=confined.asked.live,
        sse=confined.asked.live_sse,
    )


def _addressed(
    method: str, shape_url: URL, query: QueryPairs, subset: SubsetRequest | None
) -> tuple[str, URL, bytes | None]:
    """Decide by which method the request goes on, and where its subset stands."""
    if subset is None:
        return ("HEAD" if method == "HEAD" else "GET"), shape_url.with_query(query), None
    url = shape_url.with_query(query + subset.to_query())
    if method == "HEAD" or (method == "GET" and _fits(method, url)):
        return method, url, None
    return "POST", shape_url.with_query(query), subset.to_body()


@lru_cache(maxsize=8)
def _shape_url(electric_url: URL) -> URL:
    return electric_url.joinpath(*SHAPE_PATH)


def _fits(method: str, url: URL) -> bool:
    # Not `raw_path_qs`: the URL would keep that too, for as long as Electric holds the request.
    return len(f"{method} {url.raw_path}?{url.raw_query_string} HTTP/1.1") <= REQUEST_LINE_BYTES_MAX


def _definition(confined: ConfinedRequest) -> QueryPairs:
    asked = confined.asked.definition
    pairs: QueryPairs = [
        (names.TABLE, confined.table.to_sql()),
        (names.COLUMNS, print_columns(confined.columns)),
        (names.QUERYABLE_COLUMNS, print_columns(confined.queryable_columns)),
        (names.WHERE, confined.where),
    ]
    pairs += [(names.param(index), value) for index, value in enumerate(confined.params, start=1)]
    if asked.replica is not Replica.DEFAULT:
        pairs.append((names.REPLICA, asked.replica.value))
    if asked.log is not LogMode.FULL:
        pairs.append((names.LOG, asked.log.value))
    return pairs
