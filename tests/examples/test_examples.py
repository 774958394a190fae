"""The examples run as they are written, but for the addresses."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from shapegate_harness.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT = 30.0


async def begin(stack: Stack, folder: Path, program: str) -> asyncio.subprocess.Process:
    text = (EXAMPLES / program).read_text(encoding="utf-8")
    text = text.replace("http://127.0.0.1:4000", stack.addresses.proxy_url)
    text = text.replace("http://127.0.0.1:4001", stack.addresses.issuer_url)
    (folder / program).write_text(text, encoding="utf-8")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, program), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def run(stack: Stack, folder: Path, program: str) -> str:
    running = await begin(stack, folder, program)
    async with asyncio.timeout(WAIT):
        out, err = await running.communicate()
    assert (running.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_live_table_lists_the_rows_and_then_each_change(stack: Stack, tmp_path: Path) -> None:
    owner = await asyncpg.connect(stack.addresses.database_url)
    running = await begin(stack, tmp_path, "live_table.py")
    assert running.stdout is not None
    acme = "organization_id = (SELECT id FROM organizations WHERE slug = 'acme')"
    try:
        expected = await owner.fetch(f"SELECT name FROM controls WHERE {acme}")
        async with asyncio.timeout(WAIT):
            lines = [(await running.stdout.readline()).decode() for _ in expected]
            assert {line.split("\t")[0] for line in lines} == {row["name"] for row in expected}
            changed = "UPDATE controls SET updated_at = now() WHERE id = (SELECT id FROM controls WHERE {})"
            await owner.execute(changed.format(f"{acme} ORDER BY name LIMIT 1"))
            assert (await running.stdout.readline()).startswith(b"changed\t")
    finally:
        running.kill()
        await running.communicate()
        await owner.close()


async def test_sync_once_ends_when_all_is_up_to_date_and_the_second_run_reads_changes_only(
    stack: Stack, tmp_path: Path
) -> None:
    first = (await run(stack, tmp_path, "sync_once.py")).splitlines()
    count, table, received = first[0].split(maxsplit=2)
    assert table == "controls"
    assert int(count) > 0
    assert received == f"({count} received)"
    assert all(
        line.endswith("(0 received)") for line in (await run(stack, tmp_path, "sync_once.py")).splitlines()
    )


async def test_sync_once_ends_with_a_sentence_where_nobody_answers(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "sync_once.py").write_text(
        (EXAMPLES / "sync_once.py").read_text().replace("127.0.0.1:400", "127.0.0.1:1")
    )
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "sync_once.py"), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await running.communicate()
    assert running.returncode == 1
    assert err.startswith(b"sync_once: the token issuer is unreachable")
    assert len(err.splitlines()) == 1


async def test_the_notebook_reads_what_was_synced_and_describes_it_for_datasette(
    stack: Stack, tmp_path: Path
) -> None:
    await run(stack, tmp_path, "sync_once.py")
    said = await run(stack, tmp_path, "notebook.py")
    assert "ada@acme.example in Acme" in said
    (path,) = tmp_path.glob("local/stores/*/metadata.json")  # noqa: ASYNC240  # a test
    (store,) = tmp_path.glob("local/stores/*/*.sqlite3")  # noqa: ASYNC240  # a test
    metadata = json.loads(path.read_text())
    tables = metadata["databases"][store.stem]["tables"]
    assert {name for name, each in tables.items() if not each.get("hidden")} == {
        "controls",
        "provider_networks",
    }
    assert {"_shapegate_shapes", "_shapegate_owner"} <= tables.keys()
