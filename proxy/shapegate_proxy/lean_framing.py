"""Where the body of an answer ends, as its head says it (RFC 9112 6.3). Pure: no I/O, no clock."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Framing(Enum):
    """How the end of a body shows."""

    SAID = "said"
    """By one length, or by chunks: a body that is cut is noticed."""
    CLOSE = "close"
    """With the end of the connection, as after any cut."""
    FAULTY = "faulty"
    """In two ways, or in a way that two readers may read differently."""


def read_framing(headers: Mapping[str, str], *, doubled: bool, modern: bool) -> Framing:
    """Read it from headers that the parser took; two lengths, or a length and chunks, it did not take.

    `doubled` says that one of the two headers came twice, `modern` that it is HTTP/1.1: before, nobody knew
    chunks (RFC 9112 6.1).
    """
    if doubled:
        return Framing.FAULTY
    codings = headers.get("transfer-encoding")
    if codings is None:
        return Framing.SAID if "content-length" in headers else Framing.CLOSE
    last = codings.rpartition(",")[2].strip(" \t").lower()
    if last != "chunked":
        return Framing.CLOSE
    return (
        Framing.SAID if modern and "," not in codings and "content-length" not in headers else Framing.FAULTY
    )


def leaves_nothing(headers: Mapping[str, str]) -> bool:
    """Say whether an answer that has no body by rule does not announce one either.

    Else a peer that sends it nevertheless would have it read as the next answer.
    """
    return "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0") == ""
