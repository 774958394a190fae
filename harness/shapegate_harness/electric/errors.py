"""What can go wrong in the development Electric, by who has to act."""

from __future__ import annotations

from collections.abc import Mapping

Problems = Mapping[str, tuple[str, ...]]
"""Faults of a request by parameter, as Electric's 400 lists them."""


class ElectricError(Exception):
    """Root of every error of this package; its text says what was seen and what to do."""


class DecoderError(ElectricError):
    """Bytes that are no pgoutput message."""


class Misconfigured(ElectricError):
    """Postgres is there but does not allow logical replication, or the server is asked to be public."""


class Unreachable(ElectricError):
    """Postgres does not answer; the request or the reader may try again."""


class Rejected(ElectricError):
    """A request that no retry will make right; `problems` names every fault by parameter."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {', '.join(texts)}" for name, texts in problems.items()))


class Unavailable(ElectricError):
    """The answer would be right later; `retry_after_seconds` says when."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class Failed(ElectricError):
    """The shape cannot be made until somebody changes the database; the text says what."""


def rejected(parameter: str, text: str) -> Rejected:
    """Make the refusal of one parameter."""
    return Rejected({parameter: (text,)})
