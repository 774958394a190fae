"""`shapegate policy` drafts from a real database and compares with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_schema.domains import domain_names, policy_file
from shapegate_schema.migrate import migrate
from tests.cli.commands import shapegate

if TYPE_CHECKING:
    from pathlib import Path


async def run(*words: str, **environ: str) -> tuple[int | None, str, str]:
    ended = await shapegate("policy", *words, **environ)
    return ended.code, ended.out, ended.err


@pytest.mark.parametrize("domain", domain_names())
async def test_the_shipped_policies_agree_with_their_migrations(domain: str, database_url: str) -> None:
    await migrate(database_url, domain)
    code, out, err = await run("check", "--policy", str(policy_file(domain)), DATABASE_URL=database_url)
    assert (code, err) == (0, ""), out + err
    assert out.splitlines()[-1].startswith("ok  ")


async def test_what_is_generated_passes_the_check(database_url: str, tmp_path: Path) -> None:
    await migrate(database_url, "controls")
    drafted = tmp_path / "policy.toml"
    code, _, err = await run("generate", "--output", str(drafted), DATABASE_URL=database_url)
    assert code == 0, err
    code, out, err = await run("check", "--policy", str(drafted), DATABASE_URL=database_url)
    assert (code, err) == (0, ""), out + err


async def test_a_file_that_is_there_is_not_overwritten(database_url: str, tmp_path: Path) -> None:
    kept = tmp_path / "policy.toml"
    kept.write_text("mine")
    code, _, err = await run("generate", "--output", str(kept), DATABASE_URL=database_url)
    assert (code, kept.read_text()) == (1, "mine")
    assert "exists" in err


async def test_disagreement_is_exit_code_1_with_every_problem(database_url: str, tmp_path: Path) -> None:
    wrong = tmp_path / "policy.toml"
    wrong.write_text(
        'version = 1\n[tables.nothing]\nscope = "a = {org}"\n[tables.nothing.columns]\na = "uuid"\n'
    )
    code, out, err = await run("check", "--policy", str(wrong), DATABASE_URL=database_url)
    assert code == 1
    assert "problem  public.nothing: is not in the database" in out
    assert "1 of the policy's statements" in err


async def test_a_database_that_is_away_is_exit_code_3() -> None:
    code, _, err = await run("generate", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert code == 3
    assert err.startswith("shapegate: the database cannot be read")


async def test_a_policy_with_faults_is_told_with_lines(tmp_path: Path) -> None:
    faulty = tmp_path / "policy.toml"
    faulty.write_text('version = 1\n[tables.items]\nscope = ""\n')
    code, _, err = await run("check", "--policy", str(faulty), DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert code == 1
    assert f"{faulty}:3: " in err
