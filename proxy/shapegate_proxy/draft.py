"""Drafts a policy file from a catalogue, for an operator to read, narrow and keep.

What cannot be scoped, cannot be synced or looks like a secret is written as a comment, with the reason: the
draft grants less than might be wanted, never more (DESIGN 2). Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.claims import scope_type
from shapegate_wire.identifier import TableName, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapegate_proxy.catalogue import Catalogue, CatalogueColumn, CatalogueTable

ORG_COLUMNS: Final = ("organization_id", "org_id", "tenant_id")
"""The usual names of the column that says whose a row is."""

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TYPE: Final = re.compile(r"[a-z_][a-z0-9_ ]*(\[\])?", re.ASCII)
_SECRET: Final = re.compile(
    r"passw|secret|token|hash(ed)?\b|_hash|salt|api_?key|private|credential|ssn|iban|bank_|card_number", re.I
)

_HEAD: Final = """\
# What may be synced, drafted from a database: read it, narrow it, keep it under review.
# A table or a column that is not here is not served. `scope` says which rows: {org} is the organization of
# the verified token, {user} its subject. Types are Postgres' own names.
version = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoped:
    text: str
    column: str


def draft_policy(catalogue: Catalogue, *, org_columns: Sequence[str] = ORG_COLUMNS) -> str:
    """Print a policy for every table that one of these columns scopes, the first that fits."""
    home = _home_of_orgs(catalogue.tables.values(), org_columns)
    parts = [_HEAD]
    for table in sorted(catalogue.tables.values(), key=lambda item: item.table):
        scoped = _scope(table, org_columns, home)
        reason = _unfit(table, scoped, org_columns)
        printed = _entry(table, scoped, catalogue)
        if reason is not None:
            parts.append(f"# [tables.{_key(table.table)}] is left out: {reason}\n")
        else:
            parts.append(printed)
    return "\n".join(parts)


def _home_of_orgs(tables: Iterable[CatalogueTable], org_columns: Sequence[str]) -> TableName | None:
    """Find the table of the organizations: the one that most org columns refer to."""
    counted = Counter(
        table.references[name] for table in tables for name in org_columns if name in table.references
    )
    return counted.most_common(1)[0][0] if counted else None


def _scope(table: CatalogueTable, org_columns: Sequence[str], home: TableName | None) -> _Scoped | None:
    names = table.key if table.table == home and len(table.key) == 1 else org_columns
    for name in names:
        column = table.columns.get(name)
        if column is not None and scope_type(column.type) is not None:
            return _Scoped(text=f"{_sql_name(name)} = {{org}}", column=name)
    return None


def _unfit(table: CatalogueTable, scoped: _Scoped | None, org_columns: Sequence[str]) -> str | None:
    if not table.is_synced_kind:
        return f"it is a {table.kind}, which Electric does not sync"
    if not table.key:
        return "it has no primary key"
    unprinted = [name for name in table.key if _TYPE.fullmatch(table.columns[name].type) is None]
    if unprinted:
        return f"the type of its key {_bare(unprinted[0])} has a name that a policy cannot spell"
    if scoped is None:
        wanted = " or ".join(org_columns)
        return f"it has no column {wanted} of a type that a scope compares; write a scope by hand"
    return None


def _entry(table: CatalogueTable, scoped: _Scoped | None, catalogue: Catalogue) -> str:
    if scoped is None:
        return ""
    lines = [f"[tables.{_key(table.table)}]"]
    if table.columns[scoped.column].nullable:
        lines.append(f"# rows whose {_bare(scoped.column)} is NULL are nobody's and are not synced")
    lines += [f"scope = {_text(scoped.text)}", f"[tables.{_key(table.table)}.columns]"]
    lines += [_column(table, column, scoped, catalogue) for column in table.columns.values()]
    return "\n".join(lines) + "\n"


def _column(table: CatalogueTable, column: CatalogueColumn, scoped: _Scoped, catalogue: Catalogue) -> str:
    line = f"{_bare(column.name)} = {_text(column.type)}"
    if column.name in table.key or column.name == scoped.column:
        return line
    if _TYPE.fullmatch(column.type) is None:
        return f"# {_bare(column.name)} is left out: its type's name cannot be spelled in a policy"
    if _SECRET.search(column.name):
        return f"# {line}  # looks like a secret: sync it only if every member may read it"
    if column.generated and not catalogue.sends_generated_columns:
        return f"# {line}  # generated: Postgres before 18 does not replicate it"
    if not column.deterministic:
        return f"# {line}  # its collation is not deterministic: a filter on it can raise"
    return line


def _key(table: TableName) -> str:
    """Print a table's name as a key: `items`, or quoted where the schema or the name need it."""
    if table.schema == "public" and _PLAIN.fullmatch(table.name):
        return table.name
    parts = (table.name,) if table.schema == "public" else (table.schema, table.name)
    return _text(".".join(_sql_name(part) for part in parts))


def _sql_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else quote(name)


def _bare(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """Print a TOML basic string: a JSON string, but for DEL, which TOML wants escaped (TOML 1.0, String)."""
    return json.dumps(text, ensure_ascii=False).translate({127: "\\u007f"})
