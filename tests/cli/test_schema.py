"""`shapegate schema` on a real database, for every domain."""

from __future__ import annotations

import asyncio
import sys

import pytest

from shapegate_schema.domains import domain_names


async def run(*words: str, **environ: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shapegate_cli", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environ},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("domain", domain_names())
async def test_a_domain_is_migrated_and_seeded_with_as_many_rows_as_asked(
    database_url: str, domain: str
) -> None:
    code, out, err = await run("schema", "up", "--domain", domain, DATABASE_URL=database_url)
    assert (code, err) == (0, "")
    assert f"applied {domain}/" in out
    code, out, err = await run("schema", "seed", "--domain", domain, "--rows", "7", DATABASE_URL=database_url)
    assert (code, err) == (0, "7 of 7 rows ...\n")
    assert "ada@acme.example  owner of Acme Construction Ltd\n" in out
    code, out, _ = await run("schema", "status", "--domain", domain, DATABASE_URL=database_url)
    assert code == 0
    assert "pending" not in out


async def test_a_domain_that_is_not_shipped_is_named_with_those_that_are(database_url: str) -> None:
    code, _, err = await run("schema", "up", "--domain", "nope", DATABASE_URL=database_url)
    assert code == 1
    assert "'nope' is not shipped; there are controls, erp, nexus" in err


async def test_rows_without_a_seed_are_a_mistake_in_use() -> None:
    code, _, err = await run("up", "--no-seed", "--rows", "5")
    assert code == 2
    assert "--rows adds to the seed, which --no-seed leaves out" in err
