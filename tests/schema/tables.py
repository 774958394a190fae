"""The tables with rows of orgs, of all domains: who sees which rows, and what the application may write."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_TENANT: Final = "SELECT {} FROM public.nexus_tenants WHERE organization_id = $1"
_CLIENT: Final = _TENANT.format("tenant_client_id")
_VENDOR: Final = _TENANT.format("tenant_vendor_id")
_PARTIES: Final = f"client_id = ({_CLIENT}) OR vendor_id = ({_VENDOR})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table and what holds for it."""

    name: str
    domain: str
    """`shared`, or the domain whose migrations make it."""
    seen: str
    """The rows that the org `$1` sees, as SQL."""
    org_column: str | None
    """The column that says whose a row is, if one does."""
    inserts: bool
    updates: str | None
    """A column that the application may update, if there is one."""
    deletes: bool

    def __str__(self) -> str:
        return self.name


def _confined(domain: str, org_column: str, *names: str) -> tuple[Table, ...]:
    """Tables of rows of one org each, which the application may write."""
    return tuple(
        Table(
            name=name,
            domain=domain,
            seen=f"{org_column} = $1",
            org_column=org_column,
            inserts=True,
            updates="updated_at",
            deletes=True,
        )
        for name in names
    )


def _narrow(
    name: str,
    seen: str,
    *,
    domain: str = "nexus",
    org_column: str | None = None,
    inserts: bool = False,
    updates: str | None = None,
) -> Table:
    return Table(
        name=name,
        domain=domain,
        seen=seen,
        org_column=org_column,
        inserts=inserts,
        updates=updates,
        deletes=False,
    )


TABLES: Final = (
    _narrow("organizations", "id = $1", domain="shared", org_column="id", updates="name"),
    _narrow("users", "organization_id = $1", domain="shared", org_column="organization_id"),
    _narrow("memberships", "organization_id = $1", domain="shared", org_column="organization_id"),
    *_confined(
        "controls",
        "organization_id",
        "control_providers",
        "controls",
        "provider_networks",
        "control_interactions",
        "quadrant_classifications",
        "organizational_traces",
        "competency_records",
        "verification_strategies",
        "service_level_agreements",
        "risk_predictions",
    ),
    *_confined(
        "erp",
        "tenant_id",
        "vendors",
        "products",
        "purchase_orders",
        "purchase_order_items",
        "sales_orders",
        "sales_order_items",
        "inventory",
        "employees",
    ),
    _narrow("nexus_tenants", "organization_id = $1", org_column="organization_id", updates="display_name"),
    _narrow("nexus_users", "organization_id = $1", org_column="organization_id", updates="display_name"),
    _narrow("nexus_tenant_relationships", _PARTIES),
    _narrow("nexus_cases", _PARTIES, inserts=True, updates="subject"),
    _narrow(
        "nexus_case_messages",
        f"case_id IN (SELECT case_id FROM public.nexus_cases WHERE {_PARTIES})",
        inserts=True,
        updates="is_read",
    ),
    _narrow("nexus_invoices", _PARTIES),
    _narrow("nexus_payments", f"from_id = ({_CLIENT}) OR to_id = ({_VENDOR})"),
    # Without a user there are only those for everyone; tests/schema/test_nexus.py has the others.
    _narrow(
        "nexus_notifications",
        f"tenant_id = ({_TENANT.format('tenant_id')}) AND user_id IS NULL",
        updates="is_read",
    ),
)
CONFINED: Final = tuple(table for table in TABLES if table.org_column is not None)
"""Each row is one org's, and a column says whose."""
SCOPED: Final = tuple(table for table in CONFINED if table.org_column != "id")
TWO_PARTIES: Final = tuple(table for table in TABLES if table.org_column is None)
"""Rows of two orgs, of a parent, or of one user of an org: no column names the org of the context."""
SYNCED: Final = tuple(table for table in TABLES if table.name != "memberships")
GENERATED: Final = frozenset({("nexus_invoices", "amount_outstanding")})
HIDDEN: Final = MappingProxyType(
    {
        "vendors": {"bank_details", "tax_id"},
        "sales_orders": {"delivery_address"},
        "employees": {
            "date_of_birth",
            "address",
            "mobile_primary",
            "mobile_secondary",
            "aadhar_number",
            "pan_number",
            "metadata",
        },
        "nexus_users": {"phone", "preferences", "last_login_at"},
        "nexus_invoices": {"amount_outstanding"},
        "nexus_payments": {"bank_account_last4"},
        "nexus_notifications": {"delivery_attempts"},
    }
)
"""Columns that no policy names: personal, one party's own, or generated. All others are synced."""
