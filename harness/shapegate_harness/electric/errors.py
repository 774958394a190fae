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


class Undecodable(Rejected):
    """A query that is no text; Electric's HTTP server refuses it before Electric sees it."""


class RejectedSubset(ElectricError):
    """A subset that no retry will make right; Electric lists its faults one level deeper.

    A fault that only the query found is a text, not a list (PROTOCOL 4.3).
    """

    def __init__(self, problems: Mapping[str, tuple[str, ...] | str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"subset {name}: {texts}" for name, texts in problems.items()))


class Unavailable(ElectricError):
    """The answer would be right later; `retry_after_seconds` says when."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class Overloaded(ElectricError):
    """More requests at once than are allowed; the client comes again after a while."""

    def __init__(self, kind: str, limit: int, *, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"Concurrent {kind} request limit exceeded (limit: {limit}), please retry")


class Failed(ElectricError):
    """The shape cannot be made until somebody changes the database; the text says what."""


def rejected(parameter: str, text: str) -> Rejected:
    """Make the refusal of one parameter."""
    return Rejected({parameter: (text,)})
