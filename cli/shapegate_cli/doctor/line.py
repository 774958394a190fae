"""What a check found: one line each. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It could not be looked at, or will be trouble later."""
    FAIL = "fail"
    """It is wrong now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One finding, without any value of a row but its key, and without any secret."""

    verdict: Verdict
    check: str
    """The kind of check, in a word."""
    subject: str
    """What was looked at: a table, a role, a slot, an address."""
    text: str
    """What was seen and what was expected."""
    remedy: str = ""
    """What to do; empty if there is nothing."""


def ok(check: str, subject: str, text: str) -> Line:
    """State that all is well."""
    return Line(verdict=Verdict.OK, check=check, subject=subject, text=text)


def warning(check: str, subject: str, text: str, remedy: str) -> Line:
    """State what could not be seen, or will be trouble."""
    return Line(verdict=Verdict.WARNING, check=check, subject=subject, text=text, remedy=remedy)


def fail(check: str, subject: str, text: str, remedy: str) -> Line:
    """State what is wrong."""
    return Line(verdict=Verdict.FAIL, check=check, subject=subject, text=text, remedy=remedy)
