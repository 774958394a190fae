"""What docs/CLIENT_INTEGRATION.md shows in TypeScript is compiled, and run against the stack by node.

The packages are those of package-lock.json. They are installed once for each content of that file, into a
folder of the user's own below the temporary folder; with them there, nothing asks the network.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest

from tests.docs.blocks import blocks, read_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.stack import Stack

HERE: Final = Path(__file__).parent
NODE_MAJOR_MIN: Final = 20
INSTALL_SECONDS: Final = 120
COMPILE_SECONDS: Final = 120
ANSWER_SECONDS: Final = 30
SNIPPETS: Final = {
    "session.ts",
    "shape.ts",
    "rows.ts",
    "Controls.tsx",
    "collection.ts",
}
ADA: Final = ("ada@acme.example", "shapegate-demo")
DESCRIBE: Final = """
UPDATE controls SET description = $1
WHERE id = (SELECT min(id::text)::uuid FROM controls WHERE organization_id = $2)
"""


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs JavaScript; skips where there is none, or one that is too old."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the TypeScript of the documents is not run")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE_MAJOR_MIN:
        pytest.skip(f"node is {version.strip()}: the TypeScript of the documents needs {NODE_MAJOR_MIN}")
    return node


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder with node_modules as the lock file says; skips where they cannot be installed."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: the TypeScript of the documents is not run")
    lock = (HERE / "package-lock.json").read_bytes()
    name = f"shapegate-npm-{os.getuid()}-{hashlib.sha256(lock).hexdigest()[:16]}"
    installed = Path(tempfile.gettempdir(), name)
    if not installed.exists():
        _install(npm, installed)
    assert not installed.is_symlink()
    assert installed.stat().st_uid == os.getuid(), f"{installed} belongs to somebody else"
    return installed


def _install(npm: str, installed: Path) -> None:
    """Install beside, and move into place when it is whole; two test runs may do so at once."""
    unfinished = Path(tempfile.mkdtemp(prefix="shapegate-npm-"))
    try:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, unfinished)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        try:
            subprocess.run(
                command, cwd=unfinished, capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
            pytest.skip(f"npm could not install the clients, so the TypeScript is not run: {exc}")
        try:
            unfinished.rename(installed)
        except OSError:
            assert installed.exists(), f"{installed} cannot be made"
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@pytest.fixture(scope="session")
def built(node: str, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snippets and the programs around them, compiled, with every type checked."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(packages / "node_modules")
    for file in (*HERE.glob("*.ts"), *HERE.glob("*.tsx"), HERE / "package.json", HERE / "tsconfig.json"):
        shutil.copy(file, folder)
    for name, text in snippets().items():
        (folder / name).write_text(text)
    compiled = subprocess.run(
        [node, "node_modules/typescript/bin/tsc", "-p", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_SECONDS,
    )
    assert compiled.stdout == ""
    assert compiled.returncode == 0
    return folder


def snippets() -> dict[str, str]:
    """Every block of the page by the name of its file, which its first line says."""
    page = read_document("CLIENT_INTEGRATION.md")
    texts = [*blocks(page, "ts"), *blocks(page, "tsx")]
    return {text.partition(":")[0].removeprefix("// "): text for text in texts}


class Program:
    """A running program of this folder; it speaks in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, event: str) -> Any:
        """The value of the next event of a name; others before it are passed over."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            while line := await self._process.stdout.readline():
                name, value = json.loads(line)
                if name == event:
                    return value
        assert self._process.stderr is not None
        raise AssertionError(f"it ended without {event!r}: {(await self._process.stderr.read()).decode()}")

    def tell(self, value: object = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")


@asynccontextmanager
async def run(built: Path, program: str, stack: Stack) -> AsyncIterator[Program]:
    """Run a program as Ada inside of the block."""
    process = await asyncio.create_subprocess_exec(
        "node",  # found by `built`
        f"{program}.js",
        stack.addresses.proxy_url,
        stack.addresses.issuer_url,
        *ADA,
        cwd=built,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.addresses.database_url)
    yield connection
    await connection.close()


async def org_id(owner: asyncpg.Connection, slug: str) -> Any:
    return await owner.fetchval("SELECT id FROM organizations WHERE slug = $1", slug)


async def column_of(owner: asyncpg.Connection, column: str, slug: str) -> list[str]:
    rows = await owner.fetch(
        f"SELECT {column}::text FROM controls WHERE organization_id = $1", await org_id(owner, slug)
    )
    return sorted(row[0] for row in rows)


def test_every_snippet_of_the_page_is_compiled() -> None:
    assert snippets().keys() == SNIPPETS


async def test_C_20_a_shape_follows_changes_renews_its_token_and_is_left_by_a_switch(
    built: Path, stack: Stack, owner: asyncpg.Connection
) -> None:
    async with run(built, "follow", stack) as program:
        assert sorted(await program.told("rows")) == await column_of(owner, "id", "acme")
        acme, globex = [await org_id(owner, slug) for slug in ("acme", "globex")]
        await owner.execute(DESCRIBE, "seen by the shape", acme)
        while "seen by the shape" not in await program.told("changed"):
            pass
        program.tell()
        await owner.execute(DESCRIBE, "before the token", acme)
        spoilt = await program.told("spoilt")
        assert (spoilt["status"], spoilt["offset"] == "-1") == (401, False)
        await owner.execute(DESCRIBE, "after the token", acme)
        while "after the token" not in await program.told("changed"):
            pass
        program.tell()
        assert await program.told("renewed") is True
        program.tell(str(globex))
        assert await program.told("aborted") is True
        assert sorted(await program.told("switched")) == await column_of(owner, "id", "globex")
        assert await program.told("logged out") == 401


async def test_P_52_a_refusal_reaches_the_program_as_json_and_a_revoked_session_ends_its_shapes(
    built: Path, stack: Stack, owner: asyncpg.Connection
) -> None:
    async with run(built, "refused", stack) as program:
        refusal = await program.told("stopped")
        assert refusal["code"] == "table_not_allowed"
        assert refusal.keys() == {"message", "code", "hint", "request_id"}
        program.tell()
        session = await program.told("session")
        await program.told("up to date")
        await owner.execute(
            "UPDATE shapegate_auth.sessions SET revoked_at = now() WHERE jti::text = $1", session
        )
        assert "the issuer answered 401" in await program.told("stopped")


async def test_a_component_shows_the_rows_of_one_organization_then_of_the_other(
    built: Path, stack: Stack, owner: asyncpg.Connection
) -> None:
    async with run(built, "component", stack) as program:
        assert sorted(await program.told("shown")) == sorted(await column_of(owner, "name", "acme"))
        program.tell(str(await org_id(owner, "globex")))
        assert sorted(await program.told("shown")) == sorted(await column_of(owner, "name", "globex"))


async def test_C_48_a_collection_confirms_a_write_by_its_transaction(
    built: Path, stack: Stack, owner: asyncpg.Connection
) -> None:
    async with run(built, "collected", stack) as program:
        assert sorted(await program.told("rows")) == await column_of(owner, "id", "acme")
        save = await program.told("save")
        async with owner.transaction():
            await owner.execute(
                "UPDATE controls SET description = $1 WHERE id::text = $2",
                save["changes"]["description"],
                save["id"],
            )
            program_txid = await owner.fetchval("SELECT pg_current_xact_id()::xid::text")
        program.tell(int(program_txid))
        assert await program.told("confirmed") == "written by the collection"
