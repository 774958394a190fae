"""Migration files as tests write them."""

from __future__ import annotations

from shapegate_schema.migration import SourceFile
from shapegate_schema.plan import MigrationSet


def version_of(number: int) -> str:
    """A version: the `number` of a file as the last digits of a timestamp."""
    return f"{20260101000000 + number}"


def migration_file(number: int, sql: str = "SELECT 1;", *, name: str = "step") -> SourceFile:
    """A well-formed file with a down section that must never run."""
    text = f"-- migrate:up\n{sql}\n\n-- migrate:down\nSELECT 1 / 0;\n"
    return SourceFile(name=f"{version_of(number)}_{name}.sql", content=text.encode())


def migration_set(*files: SourceFile, name: str = "shared") -> MigrationSet:
    """A folder of files."""
    return MigrationSet(name=name, files=files)
