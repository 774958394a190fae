"""Why the embedded Postgres could not be started, a class per cause that a person can act on."""

from __future__ import annotations


class PostgresError(Exception):
    """Root of every error of the embedded Postgres; the text is one sentence that says what to do."""


class PlatformUnsupported(PostgresError):
    """No Postgres binaries that run here: another operating system, or the wheel is not installed."""


class AccountUnavailable(PostgresError):
    """Started as root, but the unprivileged account that must run the server cannot be used."""


class FolderUnusable(PostgresError):
    """The folder is closed to us or to the server's account, belongs to another, or holds other files."""


class FolderInUse(PostgresError):
    """Another running Shapegate holds the folder; `pid` is its process, None if it did not say."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        self.pid = pid
        super().__init__(message)


class VersionMismatch(PostgresError):
    """The data were written by another major version of Postgres than the installed one."""


class PortUnavailable(PostgresError):
    """The port that was asked for cannot be listened on, or no free one was found."""


class DiskFull(PostgresError):
    """The disk that holds the folder has no space left."""


class StartTimedOut(PostgresError):
    """The server did not become ready in time; the text ends with the last lines of its log."""


class ServerFailed(PostgresError):
    """Postgres gave up for a reason of its own; the text ends with the last lines of its log."""
