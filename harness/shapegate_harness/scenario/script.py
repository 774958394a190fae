"""What the scenario changes, watches and tries to get in each of the shipped domains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One domain's part; its seeds have the orgs Acme and Globex, and rows for both in every table."""

    domain: str
    table: str
    """Whose rows are changed and waited for; the application may update them."""
    column: str
    """A text column of it."""
    theirs: str
    """A filter for rows of Globex, whose id is `{globex}`."""
    org_column: str
    """A column of the table that says whose a row is, and is never null."""
    foreign: tuple[str, ...]
    """Texts in lower case that no answer for Acme may hold, beside the id of Globex."""
    unseen: Mapping[str, str] = field(default_factory=dict)
    """Texts by a name for them that no file of Globex may hold, beside Acme's id and name."""
    for_owners: str | None = None
    """A table that plain members may not sync."""
    keys: str = "SELECT organization_id::text FROM (VALUES ($1::uuid)) AS org (organization_id)"
    """The names under which rows say that they are the org's, `$1`; asked as the database's owner."""
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns of which one holds a key of the org; for tables whose scope names no single column.

    A table that is in neither is compared with Postgres only.
    """


CONTROLS: Final = Script(
    domain="controls",
    table="controls",
    column="description",
    theirs="organization_id = '{globex}'",
    org_column="organization_id",
    foreign=("globex",),
)
ERP: Final = Script(
    domain="erp",
    table="products",
    column="description",
    theirs="tenant_id = '{globex}'",
    org_column="tenant_id",
    foreign=("globex",),
    for_owners="employees",
)
NEXUS: Final = Script(
    domain="nexus",
    table="nexus_cases",
    column="description",
    theirs="client_id = 'TC-GLOBEX' OR vendor_id = 'TV-GLOBEX'",
    org_column="client_id",
    # What Globex has with Initech; with Acme it shares cases, which name both.
    foreign=("globex facilities", "case-0005", "price list missing", "1ec40000"),
    unseen={"a case of Acme with Initech": "Helmets of the wrong size", "another": "Credit note"},
    keys="""
    SELECT unnest(ARRAY[organization_id::text, tenant_id, tenant_client_id, tenant_vendor_id])
    FROM public.nexus_tenants WHERE organization_id = $1::uuid
    """,
    owners={
        "nexus_tenant_relationships": ("client_id", "vendor_id"),
        "nexus_cases": ("client_id", "vendor_id"),
        "nexus_invoices": ("client_id", "vendor_id"),
        "nexus_payments": ("from_id", "to_id"),
        "nexus_notifications": ("tenant_id",),
    },
)
SCRIPTS: Final[Mapping[str, Script]] = {script.domain: script for script in (CONTROLS, ERP, NEXUS)}
