"""One migration file: its name, its checksum and the part of it that runs. Pure: no I/O, no clock.

The format is dbmate's: `<14 digits>_<name>.sql`, with a line `-- migrate:up` before the statements to run
and a line `-- migrate:down` after them. What follows the down line is never run here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from shapegate_schema.errors import MalformedMigration

_NAME: Final = re.compile(r"(?P<version>[0-9]{14})_[a-z0-9]+(?:_[a-z0-9]+)*\.sql", re.ASCII)
_DIRECTIVE: Final = re.compile(r"^--[ \t]*migrate:(?P<word>\S*)[ \t]*(?P<options>[^\r\n]*)\r?$", re.MULTILINE)
# `BEGIN` without a semicolon opens a block of PL/pgSQL; with one it is always transaction control.
_TRANSACTION_CONTROL: Final = re.compile(
    r"^[ \t]*(?P<word>BEGIN|START[ \t]+TRANSACTION|COMMIT|ROLLBACK)\b"
    r"(?:[ \t]+(?:WORK|TRANSACTION))?(?:[ \t]+AND[ \t]+CHAIN)?[ \t]*;",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file as it lies in its folder, unread."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A file that may be applied."""

    set_name: str
    """The folder's name in the ledger: `shared`, or a domain."""
    name: str
    version: str
    """Fourteen digits, one namespace over all sets, since dbmate keeps one; text order is time order."""
    checksum: str
    """sha256 of the whole file, hexadecimal."""
    sql: str
    first_line: int
    """The line of the file on which `sql` starts, counted from 1."""

    @property
    def label(self) -> str:
        """The file as messages name it."""
        return f"{self.set_name}/{self.name}"


def parse_migration(set_name: str, file: SourceFile) -> Migration:
    """Read one file. Raises MalformedMigration with everything that is wrong with it."""
    problems: list[str] = []
    version = parse_version(file.name)
    if version is None:
        problems.append("the name is not <14 digits>_<lower case words>.sql; rename it")
    text = _decode(file.content)
    if text is None:
        problems.append("the content is not UTF-8 text without NUL; save it as UTF-8")
    up = None if text is None else _up_part(text, problems)
    if version is None or text is None or up is None or problems:
        raise MalformedMigration(problems)
    sql, first_line = up
    return Migration(
        set_name=set_name,
        name=file.name,
        version=version,
        checksum=hashlib.sha256(file.content).hexdigest(),
        sql=sql,
        first_line=first_line,
    )


def parse_version(name: str) -> str | None:
    """Read the version out of a file name; None if the name is no migration's."""
    matched = _NAME.fullmatch(name)
    return None if matched is None else matched["version"]


def line_of(migration: Migration, position: str | None) -> int | None:
    """Turn the position in an error of Postgres (characters, from 1) into a line of the file."""
    if position is None or not position.isdecimal():
        return None
    return migration.first_line + migration.sql.count("\n", 0, int(position) - 1)


def _decode(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _up_part(text: str, problems: list[str]) -> tuple[str, int] | None:
    """Find the part to run and its first line; what is wrong is added to `problems`."""
    directives = list(_DIRECTIVE.finditer(text))
    words = [directive["word"] for directive in directives]
    if words not in (["up"], ["up", "down"]):
        problems.append(
            f"the sections are {words!r}; expected one `-- migrate:up`, then at most one `-- migrate:down`"
        )
        return None
    up = directives[0]
    if up["options"]:
        problems.append(f"`migrate:up` has the option {up['options']!r}; each file runs in one transaction")
    if any(line.strip() and not line.lstrip().startswith("--") for line in text[: up.start()].splitlines()):
        problems.append("statements stand before `-- migrate:up`, where they never run; move them below it")
    end = directives[1].start() if len(directives) > 1 else len(text)
    sql = text[up.end() : end]
    if (found := _TRANSACTION_CONTROL.search(sql)) is not None:
        problems.append(f"{found['word'].upper()} controls the transaction, which the runner does; remove it")
    return sql, text.count("\n", 0, up.end()) + 1
