"""The policy file: TOML read into a Policy, every problem at once and each with its line.

Default is deny: a key that is not known here is refused. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from shapegate_proxy.errors import ConfigError
from shapegate_proxy.policy import Policy, TableLimits, TablePolicy
from shapegate_proxy.scope_parser import parse_scope
from shapegate_proxy.scope_tokens import ScopeRefused
from shapegate_proxy.toml_lines import key_lines, line_of
from shapegate_wire.errors import WireError
from shapegate_wire.identifier import TableName, parse_columns, parse_table, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.scope import Scope
    from shapegate_proxy.toml_lines import KeyPath

VERSION: Final = 1
LIMIT_MAX: Final = 1_000_000
SHOWN_CHARS_MAX: Final = 80
_TOP: Final = ("version", "tables", "lookups")
_TABLE: Final = ("scope", "columns", "hidden", "roles", "limits")
_LIMITS: Final = ("shapes_per_hour", "subset_rows")
_TYPE: Final = re.compile(
    r"[a-z_][a-z0-9_. ]{0,62}(\([0-9]{1,4}(, ?[0-9]{1,4})?\))?[a-z ]{0,32}(\[\])?", re.ASCII
)
_SYNTAX_LINE: Final = re.compile(r" *\(at line ([0-9]+), (column [0-9]+)\)")


def parse_policy(text: str, *, source: str = "policy") -> Policy:
    """Read a policy file; `source` is its name. Raises ConfigError, which names every problem at once."""
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError((_syntax_problem(str(exc), source),)) from exc
    except RecursionError as exc:
        raise ConfigError((f"{source}: is nested too deeply: expected tables of a policy",)) from exc
    reader = _Reader()
    policy = reader.policy(loaded)
    if reader.problems:
        lines = key_lines(text)
        placed = sorted((line_of(path, lines), number) for number, (path, _) in enumerate(reader.problems))
        raise ConfigError(
            tuple(f"{source}:{line}: {_told(*reader.problems[number])}" for line, number in placed)
        )
    return policy


def _syntax_problem(told: str, source: str) -> str:
    """Put the line to where the other problems have it; tomllib tells it in words."""
    found = _SYNTAX_LINE.search(told)
    if found is None:
        return f"{source}: is not TOML: {told}"
    return f"{source}:{found[1]}: is not TOML: {told[: found.start()]} at {found[2]}"


def _told(path: KeyPath, text: str) -> str:
    table = ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quote(key) for key in path[:2])
    return f"[{table}]: {text}" if len(path) > 1 else text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}..."


class _Reader:
    """What is wrong with a file so far; values of what is wrong are not used, since the file is refused."""

    def __init__(self) -> None:
        self.problems: list[tuple[KeyPath, str]] = []

    def policy(self, loaded: Mapping[str, object]) -> Policy:
        self._check_keys((), loaded, _TOP)
        version = loaded.get("version")
        if type(version) is not int or version != VERSION:
            self._problem(("version",), f"version is {_shown(version)}: expected {VERSION}")
        entries = self._entries(("tables",), loaded.get("tables", {}))
        if not entries:
            self._problem(("tables",), "names no table: expected at least one [tables.<name>]")
        read_only = self._entries(("lookups",), loaded.get("lookups", {}))
        for table in entries.keys() & read_only.keys():
            told = f"{table} is synced too: expected further columns of it in its `hidden`"
            self._problem(read_only[table][0], told)
        lookups = {table: self._columns(path, entry) for table, (path, entry) in read_only.items()}
        columns = {table: self._table_columns(path, entry) for table, (path, entry) in entries.items()}
        readable = lookups | {table: synced | hidden for table, (synced, hidden) in columns.items()}
        tables = {}
        for table, (path, entry) in entries.items():
            scope = self._scope(path, entry.get("scope"), readable[table], readable)
            roles, limits = self._roles(path, entry.get("roles")), self._limits(path, entry.get("limits", {}))
            if scope is not None:
                synced, hidden = columns[table]
                tables[table] = TablePolicy(
                    table=table, scope=scope, columns=synced, hidden=hidden, roles=roles, limits=limits
                )
        return Policy(tables=tables, lookups=lookups)

    def _problem(self, path: KeyPath, text: str) -> None:
        self.problems.append((path, text))

    def _check_keys(self, path: KeyPath, entry: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in entry:
            if key not in known:
                self._problem((*path, key), f"unknown key {_shown(key)}: expected {', '.join(known)}")

    def _entries(
        self, path: KeyPath, loaded: object
    ) -> dict[TableName, tuple[KeyPath, Mapping[str, object]]]:
        """Read the tables below `[tables]` or `[lookups]`, each by its parsed name."""
        found: dict[TableName, tuple[KeyPath, Mapping[str, object]]] = {}
        if not isinstance(loaded, dict):
            self._problem(path, f"{path[0]} is {_shown(loaded)}: expected [{path[0]}.<name>]")
            return found
        for name, entry in loaded.items():
            here = (*path, name)
            try:
                table = parse_table(name)
            except WireError as exc:
                self._problem(here, str(exc))
                continue
            if table in found:
                self._problem(here, f"{table} is named twice")
            elif not isinstance(entry, dict):
                self._problem(here, f"is {_shown(entry)}: expected a table of keys")
            else:
                found[table] = (here, entry)
        return found

    def _table_columns(
        self, path: KeyPath, entry: Mapping[str, object]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Read what is synced and what is hidden of a table."""
        self._check_keys(path, entry, _TABLE)
        synced = self._columns((*path, "columns"), entry.get("columns"))
        hidden = self._columns((*path, "hidden"), entry["hidden"]) if "hidden" in entry else {}
        for name in synced.keys() & hidden.keys():
            self._problem((*path, "hidden", name), f"column {name!r} is both synced and hidden")
        return synced, hidden

    def _columns(self, path: KeyPath, entry: object) -> dict[str, str]:
        if not isinstance(entry, dict) or not entry:
            self._problem(path, f'{path[-1]} names no columns: expected lines like id = "uuid"')
            return {}
        columns: dict[str, str] = {}
        for name, type_ in entry.items():
            try:
                parse_columns(quote(name))
            except WireError as exc:
                self._problem((*path, name), str(exc))
            if isinstance(type_, str) and _TYPE.fullmatch(type_):
                columns[name] = type_
            else:
                told = (
                    f"column {_shown(name)} has type {_shown(type_)}: expected a Postgres type name as text"
                )
                self._problem((*path, name), told)
        return columns

    def _scope(
        self,
        path: KeyPath,
        text: object,
        columns: Mapping[str, str],
        tables: Mapping[TableName, Mapping[str, str]],
    ) -> Scope | None:
        here = (*path, "scope")
        if not isinstance(text, str):
            self._problem(here, f"scope is {_shown(text)}: expected a text like `organization_id = {{org}}`")
            return None
        try:
            return parse_scope(text, columns=columns, tables=tables)
        except ScopeRefused as exc:
            self._problem(here, f"scope is {_shown(text)}: {exc}")
            return None

    def _roles(self, path: KeyPath, entry: object) -> frozenset[str] | None:
        if entry is None:
            return None
        named = entry if isinstance(entry, list) else []
        roles = frozenset(role for role in named if isinstance(role, str) and role.strip())
        if not roles or len(roles) != len(named):
            told = f"roles is {_shown(entry)}: expected role names, each once; without the key, everyone"
            self._problem((*path, "roles"), told)
        return roles

    def _limits(self, path: KeyPath, entry: object) -> TableLimits:
        here = (*path, "limits")
        if not isinstance(entry, dict):
            self._problem(here, f"limits is {_shown(entry)}: expected keys of {', '.join(_LIMITS)}")
            return TableLimits()
        self._check_keys(here, entry, _LIMITS)
        shapes_per_hour, subset_rows = (self._limit(here, entry, name) for name in _LIMITS)
        return TableLimits(shapes_per_hour=shapes_per_hour, subset_rows=subset_rows)

    def _limit(self, path: KeyPath, entry: Mapping[str, object], name: str) -> int | None:
        value = entry.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LIMIT_MAX:
            self._problem(
                (*path, name), f"{name} is {_shown(value)}: expected a number from 1 to {LIMIT_MAX:_}"
            )
            return None
        return value
