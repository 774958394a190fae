"""A seeded database of every domain, as the tests of the schema make it."""

from __future__ import annotations

from tests.schema.conftest import migrated_template, seeded_database

__all__ = ["migrated_template", "seeded_database"]
