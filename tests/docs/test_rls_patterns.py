"""Every SQL block of docs/rls-patterns.md is run, and gives what it says."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_schema.roles import set_login
from tests.docs.blocks import blocks, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CreateDatabase

PAGE: Final = read_document("rls-patterns.md")
OWNER: Final = "-- as the owner\n"
END: Final = re.compile(r"(?P<sql>.*;)(?:  -- (?P<kind>gives|refused) (?P<said>.+))?", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement of a block and what the comment behind it says."""

    sql: str
    kind: str | None
    said: str | None


def statements(block: str) -> Iterator[Statement]:
    """Split a block; a statement ends with the line that ends with a semicolon and a comment behind it."""
    lines: list[str] = []
    for line in block.splitlines():
        lines.append(line)
        text = "\n".join(lines)
        if (found := END.fullmatch(text)) and text.count("$$") % 2 == 0:
            yield Statement(found["sql"], found["kind"], found["said"])
            lines = []
    assert "".join(lines).strip() == ""


async def outcome(connection: asyncpg.Connection, statement: Statement) -> str:
    """Run one statement; a refusal leaves the transaction as it was."""
    try:
        async with connection.transaction():
            if re.match(r"(?i)select|insert.*returning", statement.sql, re.DOTALL):
                value = await connection.fetchval(statement.sql)
                if value is None:
                    return "NULL"
                return str(value).lower() if isinstance(value, bool) else str(value)
            return str(await connection.execute(statement.sql))
    except asyncpg.PostgresError as exc:
        return f"refused {exc.sqlstate}"


async def differences(connection: asyncpg.Connection, block: str) -> list[str]:
    """Run a block and list where it does not do what it says."""
    found = []
    for statement in statements(block):
        did = await outcome(connection, statement)
        expected = f"refused {statement.said}" if statement.kind == "refused" else statement.said
        if expected is None and not did.startswith("refused"):
            continue
        if did != expected:
            found.append(f"{statement.sql} did {did!r}: expected {expected!r}")
    return found


async def test_every_block_does_what_it_says(create_database: CreateDatabase, seeded_database: str) -> None:
    url = await create_database(seeded_database)
    password = secrets.token_urlsafe()
    await set_login(url, "app_rw", password)
    owner = await asyncpg.connect(url)
    app = await asyncpg.connect(url, user="app_rw", password=password)
    found = []
    try:
        for block in blocks(PAGE, "sql"):
            if block.startswith(OWNER):
                found += await differences(owner, block.removeprefix(OWNER))
            else:
                transaction = app.transaction()
                await transaction.start()
                found += await differences(app, block)
                await transaction.rollback()
    finally:
        await app.close()
        await owner.close()
    assert found == []


def test_most_statements_say_what_comes_of_them() -> None:
    said = [statement.kind for block in blocks(PAGE, "sql") for statement in statements(block)]
    assert said.count("gives") > 15
    assert said.count("refused") > 8
