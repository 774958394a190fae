"""Known failures as one sentence and an exit code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Failed(click.ClickException):
    """A failure to show to the user as a sentence; exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence on standard error."""
        click.echo(f"shapegate: {self.message}", err=True, file=file)


class Unreachable(Failed):
    """A peer does not answer; exit code 3."""

    exit_code = 3


class Misused(Failed):
    """The command line, a name or an address cannot be meant so; exit code 2."""

    exit_code = 2


class NotAllowed(Failed):
    """Nobody is logged in, or a server refuses who is; exit code 4."""

    exit_code = 4


@contextmanager
def explained(problems: Mapping[type[Exception], type[Failed]]) -> Iterator[None]:
    """Turn exceptions of these classes into a failure to show; the first class that fits decides which."""
    try:
        yield
    except tuple(problems) as exc:
        problem = next(problem for kind, problem in problems.items() if isinstance(exc, kind))
        raise problem(str(exc)) from exc
