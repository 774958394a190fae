"""What the gate says of its work: past facts, without a token, a secret, a filter value or a row."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeServed:
    """One shape request was answered, refused or broken off."""

    request_id: str
    method: str
    status: int
    code: str
    """`served`, `aborted`, or the code of the refusal."""
    org: str | None
    user: str | None
    table: str | None
    offset: str | None
    handle: str | None
    live: bool
    body_bytes: int
    seconds: float


class Observer(Protocol):
    """Who is told."""

    def served(self, event: ShapeServed) -> None:
        """Take note of one answered request; must not raise and must not wait."""


class LogObserver:
    """Writes one line per request to the log `shapegate.proxy`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("shapegate.proxy")

    def served(self, event: ShapeServed) -> None:
        """Write the event as one JSON object."""
        self._log.info(json.dumps({"event": "shape_served", **asdict(event)}))


def server_log(parent: str) -> logging.Logger:
    """Make the log of an HTTP server below `parent`, without causes.

    A parser's error quotes the line that it cannot read, and with it a token (SECURITY I-10, J-16).
    """
    log = logging.Logger(f"{parent}.http")  # of one server alone
    log.parent = logging.getLogger(parent)
    log.addFilter(_without_cause)
    return log


def _without_cause(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True
