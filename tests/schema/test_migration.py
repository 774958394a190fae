from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_schema.domains import domain_names, migration_sets
from shapegate_schema.errors import MalformedMigration
from shapegate_schema.migration import SourceFile, line_of, parse_migration, parse_version

NAME = "20261121000100_roles.sql"


def parse(text: str) -> str:
    return parse_migration("shared", SourceFile(name=NAME, content=text.encode())).sql


def problems_of(name: str, content: bytes) -> tuple[str, ...]:
    with pytest.raises(MalformedMigration) as refused:
        parse_migration("shared", SourceFile(name=name, content=content))
    return refused.value.problems


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("-- migrate:up\nSELECT 1;\n", "\nSELECT 1;\n"),
        ("-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n", "\nSELECT 1;\n"),
        ("-- about\n\n--migrate:up\nSELECT 1;\n--  migrate:down\n", "\nSELECT 1;\n"),
        ("-- migrate:up\r\nSELECT 1;\r\n-- migrate:down\r\n", "\nSELECT 1;\r\n"),
        ("\ufeff-- migrate:up\nSELECT 1;\n", "\nSELECT 1;\n"),
        ("-- migrate:up\n-- migrate:down\n", "\n"),
        ("-- migrate:up\nSELECT 'see -- migrate:down';\n", "\nSELECT 'see -- migrate:down';\n"),
    ],
)
def test_only_the_up_section_is_run(text: str, sql: str) -> None:
    assert parse(text) == sql


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SELECT 1;\n", "expected one `-- migrate:up`"),
        (b"", "expected one `-- migrate:up`"),
        (b"-- migrate:down\n-- migrate:up\n", "expected one `-- migrate:up`"),
        (b"-- migrate:up\n-- migrate:up\n", "expected one `-- migrate:up`"),
        (b"-- migrate:up\n-- migrate:down\n-- migrate:up\n-- migrate:down\n", "expected one"),
        (b"-- migrate:upwards\n", "expected one `-- migrate:up`"),
        (b"-- migrate:up transaction:false\nSELECT 1;\n", "transaction:false"),
        (b"SELECT 1;\n-- migrate:up\n", "before `-- migrate:up`"),
        (b"-- migrate:up\n  commit work;\n", "COMMIT controls the transaction"),
        (b"-- migrate:up\nBEGIN;\nSELECT 1;\n", "BEGIN controls the transaction"),
        (b"-- migrate:up\nSTART  TRANSACTION;\n", "controls the transaction"),
        (b"-- migrate:up\nROLLBACK AND CHAIN;\n", "ROLLBACK controls the transaction"),
        (b"-- migrate:up\nSELECT '\xff';\n", "not UTF-8"),
        (b"-- migrate:up\nSELECT '\0';\n", "without NUL"),
    ],
)
def test_content_that_cannot_be_run_safely_is_refused(content: bytes, words: str) -> None:
    (problem,) = problems_of(NAME, content)
    assert words in problem


def test_blocks_of_plpgsql_are_no_transaction_control() -> None:
    body = "DO $$\nBEGIN\n    PERFORM 1;\nEXCEPTION WHEN others THEN\n    NULL;\nEND;\n$$;"
    assert body in parse(f"-- migrate:up\n{body}\n")


@pytest.mark.parametrize(
    "name",
    [
        "roles.sql",
        "1_roles.sql",
        "202611210001000_roles.sql",
        "20261121000100.sql",
        "20261121000100_.sql",
        "20261121000100-roles.sql",
        "20261121000100_Roles.sql",
        "20261121000100_a b.sql",
        "20261121000100_roles.sql.bak",
        "20261121000100_roles.sql\n",
        "٢٠٢٦١١٢١٠٠٠١٠٠_roles.sql",
    ],
)
def test_a_name_that_does_not_order_is_refused(name: str) -> None:
    assert parse_version(name) is None
    (problem,) = problems_of(name, b"-- migrate:up\n")
    assert "rename it" in problem


def test_every_problem_of_a_file_is_said_at_once() -> None:
    assert len(problems_of("roles.sql", b"SELECT 1;\n-- migrate:up x:y\nCOMMIT;\n")) == 4


def test_the_checksum_is_that_of_the_whole_file() -> None:
    content = b"-- migrate:up\nSELECT 1;\n-- migrate:down\n"
    migration = parse_migration("shared", SourceFile(name=NAME, content=content))
    assert migration.checksum == hashlib.sha256(content).hexdigest()
    assert (migration.version, migration.label) == ("20261121000100", f"shared/{NAME}")


def test_a_position_becomes_a_line_of_the_file() -> None:
    text = "-- about\n-- migrate:up\nSELECT 'é';\nSELECT oops;\n"
    migration = parse_migration("shared", SourceFile(name=NAME, content=text.encode()))
    assert line_of(migration, str(migration.sql.index("oops") + 1)) == 4
    assert line_of(migration, str(migration.sql.index("'é'") + 1)) == 3
    assert line_of(migration, None) is None


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=30) | st.just(NAME), content=st.binary(max_size=60))
def test_nothing_but_malformed_migration_escapes(name: str, content: bytes) -> None:
    for tried in (content, b"-- migrate:up\n" + content):
        with contextlib.suppress(MalformedMigration):
            parse_migration("shared", SourceFile(name=name, content=tried))


@pytest.mark.parametrize("domain", domain_names())
def test_shipped_files_suit_dbmate_too(domain: str) -> None:
    """Dbmate needs a down section and refuses statements before the up section."""
    for one in migration_sets(domain):
        for file in one.files:
            parse_migration(one.name, file)
            assert b"\n-- migrate:down\n" in file.content
