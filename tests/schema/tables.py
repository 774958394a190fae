"""The tables with rows of orgs, each with the column that says whose a row is."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

ORG_COLUMNS: Final = MappingProxyType(
    {
        "organizations": "id",
        "users": "organization_id",
        "memberships": "organization_id",
        "control_providers": "organization_id",
        "controls": "organization_id",
        "provider_networks": "organization_id",
        "control_interactions": "organization_id",
        "quadrant_classifications": "organization_id",
        "organizational_traces": "organization_id",
        "competency_records": "organization_id",
    }
)
SCOPED: Final = tuple(table for table, column in ORG_COLUMNS.items() if column == "organization_id")
SYNCED: Final = tuple(table for table in ORG_COLUMNS if table != "memberships")
