"""What a Postgres says of itself, as far as Electric and row-level security are concerned. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.catalogue import Catalogue
    from shapegate_wire.identifier import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How a deployment calls what the migrations call by their own names."""

    app_role: str = "app_rw"
    electric_role: str = "electric"
    stream: str = "default"
    """ELECTRIC_REPLICATION_STREAM_ID (PROTOCOL 7)."""
    org_setting: str = "app.current_org_id"
    """The setting by which the application says for which org a transaction acts."""
    user_setting: str = "app.current_user_id"

    @property
    def slot(self) -> str:
        """The replication slot that Electric makes for itself."""
        return f"electric_slot_{self.stream}"

    @property
    def publication(self) -> str:
        """The publication that Electric follows."""
        return f"electric_publication_{self.stream}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The settings of the server."""

    version: int
    """As `server_version_num` says: 180001 is 18.1."""
    wal_level: str
    slots_max: int
    senders_max: int
    is_standby: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role's attributes."""

    superuser: bool
    replicates: bool
    bypasses_rls: bool
    logs_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A logical replication slot of the cluster."""

    name: str
    is_here: bool
    """Whether it is of this database, not of another one in the same cluster."""
    active: bool
    wal_status: str
    """`reserved`, `extended`, `unreserved` or `lost` (Postgres: pg_replication_slots)."""
    retained_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is published to Electric."""

    verbs: frozenset[str]
    """Out of insert, update, delete and truncate."""
    tables: frozenset[TableName]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPolicy:
    """A row-level policy that applies to the application's role."""

    name: str
    verb: str
    """SELECT, INSERT, UPDATE, DELETE, or ALL of them."""
    permissive: bool
    conditions: tuple[str, ...]
    """Of USING and WITH CHECK those that there are, as Postgres prints them."""
    columns: frozenset[str]
    """The columns of the table itself that they read."""

    def covers(self, verb: str) -> bool:
        """Say whether it lets rows pass for a verb, in principle."""
        return self.permissive and self.verb in (verb, "ALL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A synced table as the roles meet it."""

    enabled: bool
    forced: bool
    app_owns: bool
    """Whether the application's role is the owner, or a member of it."""
    app_rights: frozenset[str]
    """What the application's role may do, to some column at least: SELECT, INSERT, TRUNCATE, ..."""
    electric_owns: bool
    """Whether Electric's role is the owner, and so publishes the table by itself."""
    electric_unreadable: tuple[str, ...]
    """Columns that Electric's role may not select."""
    policies: tuple[RowPolicy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One database, read at one moment."""

    server: Server
    roles: Mapping[str, Role]
    """Those of the two roles that there are."""
    slots: tuple[Slot, ...]
    publication: Publication | None
    guarded: Mapping[TableName, Guarded]
    """The policy's tables that there are."""
    catalogue: Catalogue
