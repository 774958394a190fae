"""The command lines of initdb, the server and the guard. Pure: no I/O, no clock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUPERUSER: Final = "postgres"

ENVIRONMENT: Final = (("LC_ALL", "C"), ("TZ", "UTC"), ("PATH", "/usr/bin:/bin"))
"""All that Postgres sees of our environment. PG* variables would redirect it; LC_ALL keeps its messages,
which we read, untranslated, and its macOS build single-threaded at start."""

_SETTINGS: Final = (
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("wal_level", "logical"),
    ("max_connections", "100"),
    ("max_replication_slots", "64"),
    ("max_wal_senders", "16"),
    ("io_method", "sync"),  # no I/O worker processes: small databases gain nothing from them
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_checkpoints", "off"),  # the log only begins anew at the next start; nothing may fill it meanwhile
)
_NOT_DURABLE: Final = (("fsync", "off"), ("full_page_writes", "off"))


def initdb_command(initdb: Path, *, data: Path, password_file: Path, durable: bool) -> tuple[str, ...]:
    """Return the command that makes the data folder: UTF-8, sorted by code point, passwords for everyone."""
    return (
        str(initdb),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    )


def server_command(postgres: Path, *, data: Path, port: int, durable: bool) -> tuple[str, ...]:
    """Return the command that runs the server on `data`.

    Not durable, a crash of the machine (not of the server) loses the database. `synchronous_commit` stays
    on in any case: without it logical changes came back empty.
    """
    settings = (*_SETTINGS, ("port", str(port)), *(() if durable else _NOT_DURABLE))
    return (str(postgres), "-D", str(data), *(f"--{name}={value}" for name, value in settings))


def is_server_command(command_line: str, *, data: Path) -> bool:
    """Say whether a process's arguments, joined by spaces, are those of a server on `data`."""
    return f"/postgres -D {data} " in f"{command_line} "


def guard_command(
    guard: Path, command: Sequence[str], *, uid: int | None, gid: int | None
) -> tuple[str, ...]:
    """Return the command that runs `command` under the guard, isolated from our Python environment."""
    ids = ("" if number is None else str(number) for number in (uid, gid))
    return (sys.executable, "-I", "-S", str(guard), *ids, *command)
