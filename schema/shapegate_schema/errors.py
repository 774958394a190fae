"""What can go wrong with a database's schema, its roles and its seed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SchemaError(Exception):
    """Root of every error of this package; its text says what was seen, what was expected, what to do."""


class InvalidDatabaseUrl(SchemaError):
    """A database URL that does not parse. The text never repeats it: it may hold a password."""


class DatabaseUnreachable(SchemaError):
    """No connection to the database, or it was lost on the way; trying again may help."""


class DatabaseRefused(SchemaError):
    """Postgres answered with an error that trying again does not heal."""


class UnknownDomain(SchemaError):
    """A domain that this package does not ship."""


class UnknownRole(SchemaError):
    """A role that the migrations do not make, or that this cluster does not have yet."""


class InvalidPassword(SchemaError):
    """A password that cannot be a role's password. The text never repeats it."""


class SeedError(SchemaError):
    """Seed rows that the database does not take: no migrations yet, other rows in the way, too few rights."""


class InvalidName(SchemaError):
    """A slug, a name or an address that no org or owner can have; names every problem at once."""


class ProvisionRefused(SchemaError):
    """An org that is there in another form, a schema that is not, or too few rights. Nothing was changed."""


class UnknownOrg(SchemaError):
    """There is no org of that slug."""


class OrgInUse(SchemaError):
    """An org that has rows, its own or shared with others. Nothing was deleted."""


class MigrationError(SchemaError):
    """Root of what stops a migration run."""


class MalformedMigration(MigrationError):
    """A file that is no migration; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class MigrationsRefused(MigrationError):
    """Files and ledger do not fit together; `problems` names every file at once. Nothing was applied."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  {text}" for text in self.problems)
        super().__init__(f"the migrations were refused and nothing was applied:{listed}")


class MigrationFailed(MigrationError):
    """A statement of `file` failed; the file was rolled back as a whole, those before it stay applied."""

    def __init__(self, *, file: str, line: int | None, message: str) -> None:
        self.file = file
        self.line = line
        """The line in the file, where Postgres says one."""
        self.message = message
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {message}; nothing of this file was applied")


class TransactionEnded(MigrationError):
    """A file ended the transaction that the runner had opened for it, so it may be applied in part."""


class MigrationLockBusy(MigrationError):
    """Another run holds the migration lock of this database for longer than the bound."""
