"""What a run would do: the files against the ledger. Pure: no I/O, no clock.

Files come in sets, applied one set after the other: `shared`, then a domain. The order rule holds within a
set, so that a shared migration may be added after a domain's were applied; for that, a shared file never
mentions a table of a domain. Sets that are not asked for are not looked at, so domains come and go alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_schema.errors import MalformedMigration
from shapegate_schema.migration import Migration, SourceFile, parse_migration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSet:
    """The files of one folder, in any order."""

    name: str
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A migration as it was when it was applied."""

    set_name: str
    version: str
    name: str
    checksum: str

    @property
    def label(self) -> str:
        """The file as messages name it."""
        return f"{self.set_name}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the database says was applied."""

    entries: tuple[LedgerEntry, ...]
    """Our own ledger: with checksums, of every set."""
    dbmate_versions: frozenset[str]
    """dbmate's ledger: versions only, perhaps of files that are none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that keeps a run from starting, and why."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does, in order. With `problems` it does nothing."""

    applied: tuple[Migration, ...]
    adopted: tuple[Migration, ...]
    """Applied by dbmate: only their checksums are to be written down."""
    pending: tuple[Migration, ...]
    problems: tuple[Problem, ...]


def plan(sets: Sequence[MigrationSet], ledger: Ledger) -> Plan:
    """Compare files and ledger; every problem is found, not only the first."""
    problems: list[Problem] = []
    migrations = _parse(sets, problems)
    problems += _duplicates(migrations)
    recorded = {entry.version: entry for entry in ledger.entries}
    applied = tuple(m for m in migrations if m.version in recorded)
    unrecorded = [m for m in migrations if m.version not in recorded]
    adopted = tuple(m for m in unrecorded if m.version in ledger.dbmate_versions)
    pending = tuple(m for m in unrecorded if m.version not in ledger.dbmate_versions)
    problems += _changed(applied, recorded)
    problems += _lost(sets, migrations, ledger)
    problems += _too_early(pending, ledger.entries, adopted)
    return Plan(applied=applied, adopted=adopted, pending=pending, problems=tuple(problems))


def _parse(sets: Sequence[MigrationSet], problems: list[Problem]) -> list[Migration]:
    migrations: list[Migration] = []
    for one in sets:
        parsed: list[Migration] = []
        for file in sorted(one.files, key=lambda file: file.name):
            try:
                parsed.append(parse_migration(one.name, file))
            except MalformedMigration as error:
                problems += [Problem(file=f"{one.name}/{file.name}", text=text) for text in error.problems]
        migrations += sorted(parsed, key=lambda m: m.version)
    return migrations


def _duplicates(migrations: Sequence[Migration]) -> list[Problem]:
    by_version: defaultdict[str, list[Migration]] = defaultdict(list)
    for migration in migrations:
        by_version[migration.version].append(migration)
    return [
        Problem(file=second.label, text=f"has the version of {first.label}; give it a later one")
        for first, *others in by_version.values()
        for second in others
    ]


def _changed(applied: Sequence[Migration], recorded: Mapping[str, LedgerEntry]) -> list[Problem]:
    problems: list[Problem] = []
    for migration in applied:
        entry = recorded[migration.version]
        if entry.set_name != migration.set_name:
            text = f"its version was applied as {entry.label}; give it a later one"
        elif entry.checksum != migration.checksum:
            text = "changed after it was applied; restore it, and put the change into a new file"
        else:
            continue
        problems.append(Problem(file=migration.label, text=text))
    return problems


def _lost(sets: Sequence[MigrationSet], migrations: Sequence[Migration], ledger: Ledger) -> list[Problem]:
    """What the ledger holds and the folders, or dbmate's ledger, do not."""
    # A file that is there but malformed has its own problem and is not missing as well.
    present = {(one.name, file.name) for one in sets for file in one.files}
    versions = {(migration.set_name, migration.version) for migration in migrations}
    names = {one.name for one in sets}
    problems: list[Problem] = []
    for entry in sorted(ledger.entries, key=lambda entry: entry.version):
        if entry.set_name not in names:
            continue
        if (entry.set_name, entry.version) not in versions and (entry.set_name, entry.name) not in present:
            text = "was applied and is missing now; restore it, applied files are never deleted or renumbered"
            problems.append(Problem(file=entry.label, text=text))
        if entry.version not in ledger.dbmate_versions:
            text = (
                "was applied but is not in schema_migrations, as if another tool had rolled it back; "
                "restore that row, or delete the file's row in shapegate_migrations if it was"
            )
            problems.append(Problem(file=entry.label, text=text))
    return problems


def _too_early(
    pending: Sequence[Migration], entries: Sequence[LedgerEntry], adopted: Sequence[Migration]
) -> list[Problem]:
    done = [(entry.set_name, entry.version, entry.label) for entry in entries]
    done += [(migration.set_name, migration.version, migration.label) for migration in adopted]
    newest = {set_name: (version, label) for set_name, version, label in sorted(done)}
    problems: list[Problem] = []
    for migration in pending:
        version, label = newest.get(migration.set_name, ("", ""))
        if migration.version < version:
            text = f"is ordered before {label}, which is applied; give it a later version"
            problems.append(Problem(file=migration.label, text=text))
    return problems
