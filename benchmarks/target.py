"""Something that answers shape requests, and what is asked of it. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDLE: Final = "114035369-1795210827289986"
OFFSET: Final = "26800000_0"
SCHEMA: Final = (
    '{"id":{"type":"uuid","not_null":true,"pk_index":0},"name":{"type":"text"},'
    '"organization_id":{"type":"uuid","not_null":true}}'
)
UP_TO_DATE: Final = b'[{"headers":{"control":"up-to-date","global_last_seen_lsn":"265829048"}}]'
_WHERE: Final = "name = 'x' AND id <> '11111111-1111-4111-8111-111111111111'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running server on loopback that answers at `/v1/shape`."""

    name: str
    port: int
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    metrics: int | None = None
    """The port of the gate's metrics."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


def shape_target(table: str, *, offset: str = OFFSET, live: bool = False, more: str = "") -> str:
    """Print the target of a request for what is new of a shape; the client filters too."""
    where = quote(_WHERE, safe="")
    mode = "&live=true" if live else ""
    # The offset stands last, so that a script can put another one behind.
    return f"/v1/shape?table={table}&where={where}&handle={HANDLE}&log=full{mode}{more}&offset={offset}"


def print_request(target: str, headers: Mapping[str, str]) -> bytes:
    """Print a GET as a client sends it."""
    lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def is_complete(answer: bytes | bytearray) -> bool:
    """Tell whether a small answer has come whole: by its length or by its last chunk."""
    head, found, body = bytes(answer).partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return body.endswith(b"0\r\n\r\n")
