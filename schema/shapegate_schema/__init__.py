"""Plain SQL migrations, row-level security, roles, seeds; the runner on asyncpg."""

from __future__ import annotations
