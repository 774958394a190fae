"""What a client does next about a shape; `transition` decides it. Pure: no I/O, no clock.

A step says all that is to be done; whoever carries it out decides nothing. Pauses are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapegate_client.decode import LogItem
    from shapegate_client.errors import ClientError
    from shapegate_client.state import Asking, CatchingUp, Initial, Live, Streaming


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Take the messages in; at up-to-date, commit all that is pending together with the position."""

    state: CatchingUp | Live | Streaming
    messages: tuple[LogItem, ...]
    up_to_date: bool
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Wait for news of the stream that was opened."""

    state: Streaming


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """Close the stream and drop what it left without its up-to-date, then ask again."""

    state: CatchingUp | Live
    reason: str | None = None
    """What the peer did, if it is at fault."""
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Drop what is pending and read the log anew; committed rows stay readable until it is complete."""

    state: Initial
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Ask again."""

    state: Asking
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Ask again after a pause; `reason` says what the peer did."""

    state: Asking
    reason: str
    pause_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewToken:
    """Get another token, then ask the same."""

    state: Asking
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop for good."""

    error: ClientError


Step = Deliver | Listen | HangUp | Restart | Again | Wait | RenewToken | Halt
