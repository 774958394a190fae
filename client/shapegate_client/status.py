"""How a session is doing, in one value. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_client.errors import LoginRequired, NotLoggedIn

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from shapegate_client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Connecting:
    """Not every subscribed shape has reached up-to-date in this run yet."""


@dataclass(frozen=True, slots=True)
class Live:
    """Every subscribed shape is up to date and waits for changes."""


@dataclass(frozen=True, slots=True)
class OfflineSince:
    """A peer does not answer; local rows are those of `since`, or of an earlier run where it is None."""

    since: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Switching:
    """Another org is being entered."""


@dataclass(frozen=True, slots=True)
class NeedsLogin:
    """The issuer ended the login; local rows stay readable."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The session was closed, or a shape can be synced no more."""

    reason: ClientError


Status = Connecting | Live | OfflineSince | Switching | NeedsLogin | Stopped


@dataclass(slots=True)
class ShapeProgress:
    """How one shape is doing."""

    table: str
    complete: bool = False
    """Whether it reached up-to-date in this run."""
    reachable: bool = True
    up_to_date_at: datetime.datetime | None = None
    """When it was last known to be up to date, in this run or an earlier one."""
    received_bytes: int = 0
    """Of bodies of answers, in this run, after decompression."""
    received_rows: int = 0
    """Rows that came and changes of rows, in this run, also if they are not committed yet."""
    reason: str = ""
    """Why it was not reachable last."""
    error: ClientError | None = None


def status_of(shapes: Sequence[ShapeProgress]) -> Status:
    """Sum up the shapes of a session; the worst of them speaks for all."""
    errors = [shape.error for shape in shapes if shape.error is not None]
    if any(isinstance(error, LoginRequired | NotLoggedIn) for error in errors):
        return NeedsLogin()
    if errors:
        return Stopped(errors[0])
    offline = [shape for shape in shapes if not shape.reachable]
    if offline:
        known = [shape.up_to_date_at for shape in offline if shape.up_to_date_at is not None]
        return OfflineSince(min(known) if len(known) == len(offline) else None)
    return Live() if shapes and all(shape.complete for shape in shapes) else Connecting()
