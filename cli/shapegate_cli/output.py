"""How commands print rows: for people on a terminal, plain lines otherwise."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapegate_client import CommittedBatch


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows: framed on a terminal, separated by tabs otherwise."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(one_line(cell) for cell in row))
        return
    table = Table()
    for name in columns:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    Console().print(table)


def printable(cell: object) -> object:
    """Return a SQLite value as JSON and CSV can hold it: bytes as hexadecimal digits."""
    return cell.hex() if isinstance(cell, bytes) else cell


def describe_batch(batch: CommittedBatch) -> str:
    """Say in one JSON object what a commit did."""
    described = {
        "table": batch.table,
        "organization_id": batch.organization_id,
        "offset": batch.offset,
        "replaced": batch.replaced,
        "inserted": [[printable(part) for part in key] for key in batch.inserted],
        "updated": [[printable(part) for part in key] for key in batch.updated],
        "deleted": [[printable(part) for part in key] for key in batch.deleted],
    }
    return json.dumps(described, ensure_ascii=False)


def list_changes(batch: CommittedBatch) -> Iterator[str]:
    """Say in one line for each change what a commit did: the operation, the table and the row's key."""
    if batch.replaced:
        yield f"complete\t{batch.table}\tat {batch.offset}"
    changed = {"insert": batch.inserted, "update": batch.updated, "delete": batch.deleted}
    for operation, keys in changed.items():
        for key in keys:
            yield "\t".join((operation, batch.table, *map(one_line, key)))


def one_line(cell: object) -> str:
    """Return a value as text that cannot end the line or speak to the terminal."""
    text = "" if cell is None else str(printable(cell))
    return "".join(char if char.isprintable() else " " for char in text)
