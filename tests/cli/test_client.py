"""`shapegate client`, as a process of its own, against a gate and an issuer on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.client.servers import Gate, Issuer, served, stall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAIT = 30.0
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


async def begin(home: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shapegate_cli", "client", "--home", str(home), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **environment},
    )


async def shapegate(home: Path, *arguments: str, **environment: str) -> Ended:
    process = await begin(home, *arguments, **environment)
    async with asyncio.timeout(WAIT):
        out, err = await process.communicate()
    assert "Traceback" not in err.decode()
    return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())


def login(*, issuer: str, proxy: str) -> tuple[str, ...]:
    return ("login", "--issuer", issuer, "--proxy", proxy, "--email", "ada@acme.example")


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A gate that trusts an issuer's tokens."""

    gate: Gate
    issuer: Issuer
    proxy_url: str
    issuer_url: str

    def login(self) -> tuple[str, ...]:
        return (
            "login",
            "--issuer",
            self.issuer_url,
            "--proxy",
            self.proxy_url,
            "--email",
            "ada@acme.example",
        )


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    gate, issuer = Gate(), Issuer()
    gate.tokens = issuer.access
    gate.create("acme", "items", {1: "a1", 2: "a2"})
    gate.create("globex", "items", {7: "g7"})
    async with served(gate.app) as proxy_url, served(issuer.app) as issuer_url:
        yield Servers(gate=gate, issuer=issuer, proxy_url=proxy_url, issuer_url=issuer_url)


def kept_in(home: Path) -> list[str]:
    """The files with a login, rows or addresses."""
    return sorted(path.name for path in home.rglob("*") if path.suffix in (".sqlite3", ".json"))


def damage(home: Path) -> None:
    for store in home.glob("stores/*/*.sqlite3"):
        store.write_bytes(b"not a database any more, " * 1000)


async def test_a_day_at_the_command_line(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    async with servers() as running:
        said = await shapegate(home, *running.login(), SHAPEGATE_PASSWORD="correct")
        assert (said.code, said.out) == (0, "")
        assert "Acme" in said.err
        said = await shapegate(home, "orgs")
        assert said.out.splitlines()[1].split("\t")[:2] == ["*", "acme"]
        said = await shapegate(home, "sync", "items")
        assert (said.code, said.out) == (0, "table\trows\nitems\t2\n")
        running.gate.commit("acme", "items", ("insert", 3, None))
        assert (await shapegate(home, "sync")).out == "table\trows\nitems\t3\n"
        query = ("query", "SELECT id, title FROM items ORDER BY id")
        assert (await shapegate(home, *query)).out == "id\ttitle\n1\ta1\n2\ta2\n3\t\n"
        assert (await shapegate(home, *query, "--format", "csv")).out.split() == [
            "id,title",
            "1,a1",
            "2,a2",
            "3,",
        ]
        said = await shapegate(home, *query, "--format", "json")
        assert json.loads(said.out)[2] == {"id": 3, "title": None}
        said = await shapegate(home, "switch", "globex", "--purge")
        assert said.code == 0
        assert "Globex" in said.err or "globex" in said.err
        assert (await shapegate(home, "sync")).out == "table\trows\nitems\t1\n"
        said = await shapegate(home, "status", "--json")
        assert json.loads(said.out)["organization"] == "globex"
        assert json.loads(said.out)["tables"][0]["rows"] == 1
        assert (await shapegate(home, "logout")).code == 0
        said = await shapegate(home, *query)
        assert said.code == 4
        assert "log in" in said.err
        assert kept_in(home) == ["profile.json"]


async def test_watch_prints_commits_until_interrupted_while_query_reads_and_switch_is_refused(
    tmp_path: Path,
) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        watching = await begin(tmp_path, "watch", "items", "--json")
        assert watching.stdout is not None
        async with asyncio.timeout(WAIT):
            assert json.loads(await watching.stdout.readline())["replaced"] is True
            running.gate.commit("acme", "items", ("insert", 3, "a3"))
            assert json.loads(await watching.stdout.readline())["inserted"] == [[3]]
        said = await shapegate(tmp_path, "query", "SELECT count(*) AS n FROM items")
        assert said.out == "n\n3\n"
        said = await shapegate(tmp_path, "switch", "globex")
        assert said.code == 1
        assert "another session" in said.err
        watching.send_signal(signal.SIGINT)
        async with asyncio.timeout(WAIT):
            _, err = await watching.communicate()
        assert watching.returncode == 130
        assert b"Traceback" not in err


async def test_each_failure_is_one_sentence_and_its_own_exit_code(tmp_path: Path) -> None:
    async with servers() as running:
        for arguments, environment, code in (
            (("status",), {}, 4),
            (("sync", "items"), {}, 4),
            (running.login(), {}, 2),
            (running.login(), {"SHAPEGATE_PASSWORD": "wrong"}, 4),
            (
                login(issuer=NOWHERE, proxy=NOWHERE),
                {"SHAPEGATE_PASSWORD": "x"},
                3,
            ),
            (login(issuer="x", proxy="y"), {"SHAPEGATE_PASSWORD": "x"}, 2),
            (running.login(), {"SHAPEGATE_PASSWORD": "correct"}, 0),
            (("sync",), {}, 2),
            (("sync", "secrets"), {}, 4),
            (("sync", "a b"), {}, 2),
            (("query", "SELECT 1 FROM nowhere"), {}, 1),
            (("query", "DELETE FROM items"), {}, 1),
            (("switch", "initech"), {}, 4),
        ):
            said = await shapegate(tmp_path, *arguments, **environment)
            assert (arguments, said.code) == (arguments, code)
            assert code == 0 or len(said.err.strip().splitlines()) == 1
    said = await shapegate(tmp_path, "sync", "items")
    assert said.code == 3
    assert "unreachable" in said.err


async def test_a_damaged_store_asks_to_sync_again(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        await shapegate(tmp_path, "sync", "items")
        damage(tmp_path)
        said = await shapegate(tmp_path, "sync", "items")
        assert said.code == 5
        assert "sync --fresh" in said.err
        said = await shapegate(tmp_path, "sync", "--fresh", "--json", "items")
        assert json.loads(said.out) == [{"table": "items", "rows": 2}]


async def test_machines_read_json_and_lines(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        listed = json.loads((await shapegate(tmp_path, "orgs", "--json")).out)
        assert [(each["slug"], each["in_use"]) for each in listed] == [("acme", True), ("globex", False)]
        described = json.loads((await shapegate(tmp_path, "status", "--json")).out)
        assert "credentials.json" in described["login_kept_in"]
        watching = await begin(tmp_path, "watch", "items")
        assert watching.stdout is not None
        async with asyncio.timeout(WAIT):
            assert (await watching.stdout.readline()).startswith(b"complete\titems\tat ")
            running.gate.commit("acme", "items", ("insert", 3, "a3"), ("update", 1, "n"), ("delete", 2, None))
            lines = [await watching.stdout.readline() for _ in range(3)]
            assert lines == [b"insert\titems\t3\n", b"update\titems\t1\n", b"delete\titems\t2\n"]
        watching.send_signal(signal.SIGINT)
        async with asyncio.timeout(WAIT):
            assert await watching.wait() == 130


async def test_an_interrupted_sync_ends_at_once_and_goes_on_the_next_time(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        running.gate.failing = stall
        syncing = await begin(tmp_path, "sync", "items")
        async with asyncio.timeout(WAIT):
            await running.gate.asked.wait()
            syncing.send_signal(signal.SIGINT)
            out, err = await syncing.communicate()
        assert (syncing.returncode, out, err.strip()) == (130, b"", b"")
        running.gate.failing = None
        assert (await shapegate(tmp_path, "sync", "items")).out == "table\trows\nitems\t2\n"


async def test_a_switch_back_needs_no_network_while_the_token_lives(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        await shapegate(tmp_path, "sync", "items")
        assert (await shapegate(tmp_path, "switch", "globex")).code == 0
    assert (await shapegate(tmp_path, "switch", "acme")).code == 0
    assert (await shapegate(tmp_path, "query", "SELECT title FROM items")).out == "title\na1\na2\n"
    said = await shapegate(tmp_path, "switch", "initech")
    assert said.code == 3


async def test_T_09_who_is_no_member_any_more_is_told_so_and_has_no_rows_left(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        await shapegate(tmp_path, "sync", "items")
        del running.issuer.members["acme"]
        running.gate.tokens = {"none": "acme"}
        said = await shapegate(tmp_path, "sync")
        assert said.code == 4
        assert "no member of org 'acme' any more" in said.err
        assert (await shapegate(tmp_path, "query", "SELECT * FROM items")).code == 1
        assert not any(name.endswith(".sqlite3") for name in kept_in(tmp_path))
        assert (await shapegate(tmp_path, "logout")).code == 0


async def test_T_06_logout_works_with_a_damaged_store_and_without_network(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        await shapegate(tmp_path, "sync", "items")
    damage(tmp_path)
    assert (await shapegate(tmp_path, "logout")).code == 0
    assert kept_in(tmp_path) == ["profile.json"]
