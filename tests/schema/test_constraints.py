"""What a column takes: its words, its bounds."""

from __future__ import annotations

import asyncpg
import pytest

from tests.schema.acting import GLOBEX


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("organizations", "status", "gone"),
        ("users", "role", "root"),
        ("memberships", "role", "root"),
        ("memberships", "status", "gone"),
        ("control_providers", "provider_type", "friend"),
        ("controls", "control_type", "magical"),
        ("controls", "current_quadrant", "unknown"),
        ("controls", "functional_range", "medium"),
        ("provider_networks", "relationship_type", "likes"),
        ("control_interactions", "interaction_type", "ignore"),
        ("control_interactions", "quadrant_before", "unknown"),
        ("control_interactions", "quadrant_after", "unknown"),
        ("quadrant_classifications", "quadrant", "unknown"),
        ("quadrant_classifications", "reason", "whim"),
        ("organizational_traces", "trace_type", "rumour"),
        ("competency_records", "competency_level", "guru"),
        ("verification_strategies", "quadrant", "unknown"),
        ("verification_strategies", "verification_method", "hope"),
        ("risk_predictions", "quadrant", "unknown"),
        ("risk_predictions", "functional_range", "medium"),
        ("vendors", "status", "gone"),
        ("products", "status", "gone"),
        ("purchase_orders", "status", "shipped"),
        ("purchase_orders", "payment_status", "owed"),
        ("sales_orders", "status", "sent"),
        ("sales_orders", "payment_status", "overdue"),
        ("inventory", "status", "gone"),
        ("employees", "status", "retired"),
        ("nexus_tenants", "status", "gone"),
        ("nexus_tenants", "onboarding_status", "never"),
        ("nexus_users", "role", "root"),
        ("nexus_tenant_relationships", "relationship_type", "friends"),
        ("nexus_tenant_relationships", "status", "gone"),
        ("nexus_cases", "case_type", "rumour"),
        ("nexus_cases", "status", "lost"),
        ("nexus_cases", "priority", "whenever"),
        ("nexus_case_messages", "message_type", "shout"),
        ("nexus_invoices", "status", "forgotten"),
        ("nexus_payments", "status", "promised"),
        ("nexus_payments", "payment_method", "barter"),
        ("nexus_notifications", "notification_type", "gossip"),
        ("nexus_notifications", "priority", "urgent"),
        ("nexus_notifications", "context", "neither"),
    ],
)
async def test_enumerated_texts_take_their_words_only(
    superuser: asyncpg.Connection, table: str, column: str, value: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(f"UPDATE public.{table} SET {column} = $1", value)


@pytest.mark.parametrize("probability", ["-0.01", "1.01", "NaN"])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("controls", "failure_probability"),
        ("risk_predictions", "failure_probability"),
        ("risk_predictions", "confidence_score"),
    ],
)
async def test_a_probability_lies_between_nought_and_one(
    superuser: asyncpg.Connection, table: str, column: str, probability: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(f"UPDATE public.{table} SET {column} = $1::text::numeric", probability)


async def test_an_address_is_one_login_whatever_its_case(superuser: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await superuser.execute(
            "INSERT INTO public.users (email, organization_id) VALUES ('ADA@Acme.Example', $1)", GLOBEX
        )
