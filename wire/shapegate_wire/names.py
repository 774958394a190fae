"""Every parameter and header name of the shape protocol, written once (PROTOCOL 1.2, 2.1)."""

from __future__ import annotations

from typing import Final

TABLE: Final = "table"
WHERE: Final = "where"
PARAMS: Final = "params"
COLUMNS: Final = "columns"
QUERYABLE_COLUMNS: Final = "queryable_columns"
REPLICA: Final = "replica"
LOG: Final = "log"
OFFSET: Final = "offset"
HANDLE: Final = "handle"
LIVE: Final = "live"
LIVE_SSE: Final = "live_sse"
EXPERIMENTAL_LIVE_SSE: Final = "experimental_live_sse"
CURSOR: Final = "cursor"
EXPIRED_HANDLE: Final = "expired_handle"
CACHE_BUSTER: Final = "cache-buster"
SECRET: Final = "secret"  # noqa: S105  # the name of a parameter, not a secret
API_SECRET: Final = "api_secret"  # noqa: S105  # the same, in its old spelling
SOURCE_ID: Final = "source_id"
SUBSET_PREFIX: Final = "subset__"
LIMIT: Final = "limit"
ORDER_BY: Final = "order_by"
WHERE_EXPR: Final = "where_expr"
ORDER_BY_EXPR: Final = "order_by_expr"
SUBSET_FIELDS: Final = (WHERE, PARAMS, LIMIT, OFFSET, ORDER_BY)
"""What a subset is asked by: keys of a POST's body and, behind the prefix, parameters of a query."""
SUBSET_IGNORED: Final = (WHERE_EXPR, ORDER_BY_EXPR)
"""What published clients send beside it, as trees; Electric reads the texts only (REQUIREMENTS P-12)."""

ELECTRIC_HANDLE: Final = "electric-handle"
ELECTRIC_OFFSET: Final = "electric-offset"
ELECTRIC_SCHEMA: Final = "electric-schema"
ELECTRIC_CURSOR: Final = "electric-cursor"
ELECTRIC_UP_TO_DATE: Final = "electric-up-to-date"
ELECTRIC_HAS_DATA: Final = "electric-has-data"
ELECTRIC_SNAPSHOT: Final = "electric-snapshot"
ELECTRIC_KNOWN_ERROR: Final = "electric-internal-known-error"
ELECTRIC_SERVER: Final = "electric-server"
RETRY_AFTER: Final = "retry-after"
CACHE_CONTROL: Final = "cache-control"
ETAG: Final = "etag"


def param(index: int) -> str:
    """Name of the query parameter that carries the value of `$index`; the first is 1."""
    return f"{PARAMS}[{index}]"


def subset(field: str) -> str:
    """Name of the query parameter that carries a field of a subset."""
    return SUBSET_PREFIX + field
