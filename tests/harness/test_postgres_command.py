from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shapegate_harness.postgres.command import (
    guard_command,
    initdb_command,
    is_server_command,
    server_command,
)

DATA = Path("/some where/data")


def command(*, durable: bool = True) -> tuple[str, ...]:
    return server_command(Path("/opt/bin/postgres"), data=DATA, port=4711, durable=durable)


def test_the_server_listens_on_loopback_only_and_speaks_logical_replication() -> None:
    assert {
        "--listen_addresses=127.0.0.1",
        "--unix_socket_directories=",
        "--port=4711",
        "--wal_level=logical",
    } < set(command())


@pytest.mark.parametrize("durable", [True, False])
def test_synchronous_commit_is_never_touched(durable: bool) -> None:
    assert not [argument for argument in command(durable=durable) if "synchronous_commit" in argument]


def test_only_a_server_that_is_not_durable_skips_fsync() -> None:
    assert "--fsync=off" in command(durable=False)
    assert "--fsync=off" not in command(durable=True)


def test_initdb_asks_everyone_for_a_password() -> None:
    made = initdb_command(Path("/x/initdb"), data=DATA, password_file=Path("/pw"), durable=True)
    assert {"--auth=scram-sha-256", "--pwfile=/pw", "--encoding=UTF8"} < set(made)
    assert "--no-sync" not in made


@pytest.mark.parametrize(
    ("command_line", "ours"),
    [
        (" ".join(command()), True),
        (f"/other/bin/postgres -D {DATA}", True),
        (f"/opt/bin/postgres -D {DATA}2 --port=1", False),
        ("/opt/bin/postgres -D /elsewhere --port=1", False),
        (f"/bin/sleep {DATA}", False),
        (f"/opt/bin/notpostgres -D {DATA} ", False),
        ("", False),
    ],
)
def test_a_server_is_known_by_its_program_and_its_data_folder(command_line: str, ours: bool) -> None:
    assert is_server_command(command_line, data=DATA) is ours


def test_the_guard_runs_isolated_and_is_told_the_account() -> None:
    assert guard_command(Path("/g.py"), ("a", "b"), uid=7, gid=8) == (
        sys.executable,
        "-I",
        "-S",
        "/g.py",
        "7",
        "8",
        "a",
        "b",
    )
    assert guard_command(Path("/g.py"), ("a",), uid=None, gid=None)[4:] == ("", "", "a")
