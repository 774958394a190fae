"""`shapegate schema provision`, `suspend`, `resume` and `delete`, as an operator runs them."""

from __future__ import annotations

import pytest

from shapegate_schema.migrate import migrate
from tests.cli.commands import shapegate

NAMES = ("--slug", "initech", "--name", "Initech Ltd", "--owner-email", "ivy@initech.example")


async def test_an_org_from_its_making_to_its_end(database_url: str) -> None:
    await migrate(database_url)

    async def schema(*words: str) -> tuple[int | None, str]:
        ended = await shapegate("schema", *words, DATABASE_URL=database_url)
        return ended.code, ended.out + ended.err

    code, said = await schema("provision", *NAMES)
    assert code == 0
    first, org, *_ = said.splitlines()
    assert first == "created: Initech Ltd (initech), active"
    org_id = org.split()[-1]
    assert f"SELECT set_current_org_id('{org_id}')" in said
    assert "shapegate issuer password --email ivy@initech.example" in said
    code, said = await schema("provision", *NAMES)
    assert (code, said.splitlines()[0]) == (0, "there already: Initech Ltd (initech), active")
    assert await schema("suspend", "--slug", "initech") == (0, "initech is suspended\n")
    assert await schema("suspend", "--slug", "initech") == (0, "initech was suspended already\n")
    assert await schema("resume", "--slug", "initech") == (0, "initech is active\n")
    assert await schema("delete", "--slug", "initech") == (0, "initech is deleted\n")
    assert await schema("delete", "--slug", "initech") == (
        1,
        "shapegate: there is no org with the slug 'initech'; slugs are lower case, as provision took them\n",
    )


async def test_names_that_cannot_be_are_a_mistake_in_use_and_all_are_named() -> None:
    words = ("--slug", "Initech", "--name", " x", "--owner-email", "ivy")
    ended = await shapegate("schema", "provision", *words, DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    assert ended.code == 2
    assert all(
        text in ended.err for text in ("the slug is 'Initech'", "the name is ' x'", "address is 'ivy'")
    )


async def test_a_database_that_does_not_answer_is_exit_code_3() -> None:
    ended = await shapegate("schema", "provision", *NAMES, DATABASE_URL="postgresql://n:secret@127.0.0.1:1/x")
    assert ended.code == 3
    assert "secret" not in ended.err


@pytest.mark.parametrize("command", ["provision", "suspend", "resume", "delete"])
async def test_each_command_says_what_it_does(command: str) -> None:
    ended = await shapegate("schema", command, "--help")
    assert ended.code == 0
    assert "--slug" in ended.out
