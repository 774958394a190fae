"""The bounds within which a client works, and the addresses that it is given."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from yarl import URL

from shapegate_client.errors import ClientError

NAME: Final = "shapegate-client"


class BadAddress(ClientError):
    """An address that is no http or https URL, or carries a name and password."""

    def __init__(self, peer: str, text: str) -> None:
        super().__init__(
            f"the address of the {peer} {text[:80]!r} cannot be used: expected http://host[:port] or https://host"
        )


class LiveMode(enum.Enum):
    """How a shape that is up to date waits for changes."""

    LONG_POLL = "long-poll"
    """One request for each answer: passes through whatever speaks HTTP."""
    SSE = "sse"
    """A stream of events: saves a request per batch, and needs a path that passes bytes on as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Timeouts and bounds; the defaults fit Electric's own (PROTOCOL 4.1, 4.3)."""

    live_mode: LiveMode = LiveMode.LONG_POLL
    """Long polls by default: behind an intermediary that buffers, a stream is late and looks quiet."""
    live_seconds: float = 45.0
    """The whole of a live request; the server answers within 20 s."""
    silence_seconds: float = 45.0
    """The longest silence of a stream; the server says that it lives after 21 s of it."""
    stream_seconds: float = 600.0
    """The whole of a stream; the server ends it after 60 s."""
    look_seconds: float = 5.0
    """How often a wait looks whether the machine slept."""
    read_seconds: float = 60.0
    """The longest silence inside of any other request."""
    chunk_seconds: float = 600.0
    """The whole of any other request."""
    connect_seconds: float = 10.0
    body_bytes_max: int = 64_000_000
    """Electric's chunks have about 10 MB; a single event of a stream has this bound too."""
    pending_rows_max: int = 50_000
    """Rows held in memory before a batch goes to a copy aside on disk."""
    watch_batches_max: int = 256
    """Batches that wait for one slow watcher before they are merged into one."""


def parse_address(peer: str, text: str) -> URL:
    """Read the address of a peer. Raises BadAddress."""
    try:
        url = URL(text)
    except ValueError:
        raise BadAddress(peer, text) from None
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query or url.fragment:
        raise BadAddress(peer, "" if url.user else text)
    return url.with_path(url.path.rstrip("/"))
