"""What is the nexus domain's own: rows of two parties, of a case, of one user, under the plain role.

In the seeds Acme and Globex are each other's client and vendor, and Initech deals with both: what is between
Initech and one of them must stay hidden from the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import asyncpg
import pytest

from tests.schema.acting import ACME, ADA, BEN, GLOBEX, HUGO, SET_USER, acting_for, ids, refusal, row_of

if TYPE_CHECKING:
    from uuid import UUID

BETWEEN: Final = "CASE-0001"
"""Acme is the client, Globex the vendor."""
ACMES: Final = "CASE-0003"
"""Between Acme and Initech."""
GLOBEXS: Final = "CASE-0005"
"""Between Globex and Initech."""
NEW_CASE: Final = "INSERT INTO public.nexus_cases (subject, client_id, vendor_id) VALUES ('New', {}, {})"
NEW_MESSAGE: Final = (
    "INSERT INTO public.nexus_case_messages (body, case_id, sender_context, sender_context_id) "
    "VALUES ('New', {}, {}, {})"
)
RLS: Final = "42501"


async def keys(app: asyncpg.Connection, table: str, key: str) -> list[str]:
    return [row[0] for row in await app.fetch(f"SELECT {key} FROM public.{table} ORDER BY {key}")]


async def test_I_01_D_03_each_party_sees_what_it_is_a_party_of(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        assert await keys(app, "nexus_cases", "case_id") == [f"CASE-000{n}" for n in (1, 2, 3, 4, 6)]
        assert await keys(app, "nexus_case_messages", "message_id") == [
            f"MSG-000{n}" for n in (1, 2, 3, 4, 5, 7)
        ]
        assert await keys(app, "nexus_invoices", "invoice_id") == ["INV-0001", "INV-0002", "INV-0003"]
        assert await keys(app, "nexus_payments", "payment_id") == ["PAY-0001", "PAY-0002", "PAY-0003"]
    async with acting_for(app, GLOBEX):
        assert await keys(app, "nexus_cases", "case_id") == [f"CASE-000{n}" for n in (1, 2, 4, 5)]
        assert await keys(app, "nexus_case_messages", "message_id") == [
            f"MSG-000{n}" for n in (1, 2, 3, 5, 6)
        ]
        assert await keys(app, "nexus_invoices", "invoice_id") == ["INV-0001", "INV-0003", "INV-0004"]
        assert await keys(app, "nexus_payments", "payment_id") == ["PAY-0001", "PAY-0003", "PAY-0004"]


async def test_I_01_a_user_sees_its_own_notifications_and_those_for_everyone(app: asyncpg.Connection) -> None:
    expected = {
        (ACME, BEN): ["NTF-0001", "NTF-0003"],
        (ACME, ADA): ["NTF-0002", "NTF-0003"],
        (GLOBEX, ADA): ["NTF-0006", "NTF-0007"],
        (GLOBEX, HUGO): ["NTF-0004", "NTF-0007"],
        # A user who is no member of the org is nobody there.
        (ACME, HUGO): ["NTF-0003"],
    }
    for (org, user), seen in expected.items():
        async with acting_for(app, org, user):
            assert await keys(app, "nexus_notifications", "notification_id") == seen


async def test_D_02_a_user_without_an_org_sees_nothing(app: asyncpg.Connection) -> None:
    async with app.transaction():
        await app.execute(SET_USER, ADA)
        assert await ids(app, "nexus_notifications") == set()
        assert await ids(app, "nexus_users") == set()
        assert await app.fetchval("SELECT public.current_nexus_user_id()") is None


async def test_D_05_the_view_counts_what_its_reader_sees(app: asyncpg.Connection) -> None:
    count = (
        "SELECT user_id, total_unread, payment_unread, critical_unread FROM public.nexus_notification_counts"
    )
    async with acting_for(app, ACME, ADA):
        rows = await app.fetch(f"{count} ORDER BY user_id NULLS LAST")
        assert [tuple(row) for row in rows] == [(ADA, 1, 1, 1), (None, 1, 0, 0)]
    assert await app.fetch(count) == []


@pytest.mark.parametrize(
    ("org", "client", "vendor"),
    [
        (ACME, "TC-ACME", "TV-GLOBEX"),
        (ACME, "TC-GLOBEX", "TV-ACME"),
        (GLOBEX, "TC-GLOBEX", "TV-INITECH"),
    ],
)
async def test_I_23_either_party_opens_a_case_under_a_key_made_for_it(
    app: asyncpg.Connection, org: UUID, client: str, vendor: str
) -> None:
    async with acting_for(app, org):
        made = await app.fetchval(f"{NEW_CASE.format('$1', '$2')} RETURNING case_id", client, vendor)
    assert made.startswith("CASE-")
    assert len(made) == len("CASE-") + 32


async def test_I_23_a_case_between_others_is_refused(app: asyncpg.Connection) -> None:
    insert = NEW_CASE.format("$1", "$2")
    # The relationship exists, yet not with us.
    told = await refusal(app, ACME, insert, "TC-GLOBEX", "TV-INITECH")
    assert told == await refusal(app, ACME, insert, "TC-NOBODY", "TV-NOBODY")
    assert told[0] == RLS


async def test_I_24_a_party_without_a_relationship_is_refused_like_one_that_does_not_exist(
    app: asyncpg.Connection,
) -> None:
    """Initech is a tenant, and Globex is not its vendor."""
    insert = NEW_CASE.format("$1", "'TV-GLOBEX'")
    told = await refusal(app, GLOBEX, insert, "TC-INITECH")
    assert told == await refusal(app, GLOBEX, insert, "TC-NOBODY")
    assert told[0] == "23503"


async def test_D_09_I_24_a_relationship_of_others_is_refused_like_one_that_does_not_exist(
    app: asyncpg.Connection,
) -> None:
    insert = (
        "INSERT INTO public.nexus_cases (subject, client_id, vendor_id, relationship_id) "
        "VALUES ('New', 'TC-ACME', 'TV-GLOBEX', $1)"
    )
    told = await refusal(app, ACME, insert, row_of(GLOBEX, "0033", 2))
    assert told == await refusal(app, ACME, insert, uuid4())
    assert told[0] == "23503"


@pytest.mark.parametrize("column", ["assigned_to", "resolved_by"])
async def test_D_09_I_24_a_case_names_people_of_ones_own_and_a_stranger_is_as_good_as_nobody(
    app: asyncpg.Connection, column: str
) -> None:
    update = f"UPDATE public.nexus_cases SET {column} = $1 WHERE case_id = '{BETWEEN}'"
    told = await refusal(app, ACME, update, "USR-GRACE-GLOBEX")
    assert told == await refusal(app, ACME, update, "USR-NOBODY")
    assert told[:2] == ("23503", f"{column} of nexus_cases is no user of the parties")
    async with acting_for(app, ACME):
        assert await app.execute(update, "USR-BEN-ACME") == "UPDATE 1"


async def test_a_case_that_the_other_partys_people_have_can_be_worked_on(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        update = (
            "UPDATE public.nexus_cases SET status = 'escalated', assigned_to = assigned_to WHERE case_id = $1"
        )
        assert await app.execute(update, BETWEEN) == "UPDATE 1"


async def test_D_09_not_even_the_superuser_names_people_of_a_third_org(superuser: asyncpg.Connection) -> None:
    for update in (
        f"UPDATE public.nexus_cases SET assigned_to = $1 WHERE case_id = '{ACMES}'",
        "UPDATE public.nexus_payments SET reconciled_by = $1 WHERE payment_id = 'PAY-0002'",
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="no user of the parties"):
            async with superuser.transaction():
                await superuser.execute(update, "USR-HUGO-GLOBEX")
        await superuser.execute(update, "USR-ADA-ACME")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("nexus_cases", "vendor_id", "TV-INITECH"),
        ("nexus_cases", "case_id", "CASE-9"),
        ("nexus_case_messages", "case_id", ACMES),
        ("nexus_case_messages", "sender_user_id", "USR-ADA-ACME"),
        ("nexus_invoices", "client_id", "TC-INITECH"),
        ("nexus_payments", "to_id", "TV-INITECH"),
        ("nexus_notifications", "tenant_id", "TNT-INITECH"),
        ("nexus_tenant_relationships", "vendor_id", "TV-INITECH"),
        ("nexus_tenants", "tenant_client_id", "TC-OTHER"),
        ("nexus_users", "user_id", "USR-OTHER"),
    ],
)
async def test_D_10_not_even_the_superuser_moves_a_row_to_another_party(
    superuser: asyncpg.Connection, table: str, column: str, value: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"a row of {table} keeps its {column}"):
        await superuser.execute(f"UPDATE public.{table} SET {column} = $1 WHERE {column} <> $1", value)


async def test_I_23_a_message_is_sent_in_ones_own_name(app: asyncpg.Connection) -> None:
    insert = f"{NEW_MESSAGE.format('$1', '$2', '$3')} RETURNING sender_user_id, sender_tenant_id"
    async with acting_for(app, ACME, BEN):
        sent = await app.fetchrow(insert, BETWEEN, "client", "TC-ACME")
    assert tuple(sent or ()) == ("USR-BEN-ACME", "TNT-ACME")
    async with acting_for(app, GLOBEX, ADA):
        sent = await app.fetchrow(insert, BETWEEN, "vendor", "TV-GLOBEX")
    assert tuple(sent or ()) == ("USR-ADA-GLOBEX", "TNT-GLOBEX")


@pytest.mark.parametrize(
    ("context", "context_id"),
    [
        ("vendor", "TV-ACME"),  # an own key, and not Acme's side of this case
        ("vendor", "TC-ACME"),
        ("vendor", "TV-GLOBEX"),
        ("client", "TV-GLOBEX"),
        ("client", "TC-GLOBEX"),
    ],
)
async def test_I_23_a_message_is_sent_from_ones_own_side_of_the_case(
    app: asyncpg.Connection, context: str, context_id: str
) -> None:
    told = await refusal(
        app, ACME, NEW_MESSAGE.format("$1", "$2", "$3"), BETWEEN, context, context_id, user=BEN
    )
    assert told[:2] == (RLS, 'new row violates row-level security policy for table "nexus_case_messages"')


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("sender_user_id", "USR-ADA-ACME"),
        ("sender_user_id", "USR-HUGO-GLOBEX"),
        ("sender_tenant_id", "TNT-GLOBEX"),
    ],
)
async def test_I_23_nobody_writes_in_anothers_name(app: asyncpg.Connection, column: str, value: str) -> None:
    insert = (
        "INSERT INTO public.nexus_case_messages (body, case_id, sender_context, sender_context_id, "
        f"{column}) VALUES ('New', '{BETWEEN}', 'client', 'TC-ACME', $1)"
    )
    assert (await refusal(app, ACME, insert, value, user=BEN))[0] == RLS


async def test_I_23_without_a_user_no_message_is_sent(app: asyncpg.Connection) -> None:
    insert = NEW_MESSAGE.format(f"'{BETWEEN}'", "'client'", "'TC-ACME'")
    assert (await refusal(app, ACME, insert))[0] == RLS


async def test_I_24_a_case_of_others_is_refused_like_one_that_does_not_exist(app: asyncpg.Connection) -> None:
    insert = NEW_MESSAGE.format("$1", "'client'", "'TC-ACME'")
    told = await refusal(app, ACME, insert, GLOBEXS, user=BEN)
    assert told == await refusal(app, ACME, insert, "CASE-NONE", user=BEN)
    assert told[0] == RLS


async def test_D_09_money_cannot_be_hung_on_a_case_or_an_invoice_between_others(
    superuser: asyncpg.Connection,
) -> None:
    payment = (
        "INSERT INTO public.nexus_payments (from_id, to_id, amount, {}) "
        "VALUES ('TC-ACME', 'TV-GLOBEX', 1, $1)"
    )
    invoice = (
        "INSERT INTO public.nexus_invoices (client_id, vendor_id, invoice_date, due_date, subtotal, "
        "total_amount, case_id) VALUES ('TC-ACME', 'TV-GLOBEX', now(), now(), 1, 1, $1)"
    )
    for insert, foreign, own in (
        (payment.format("case_id"), ACMES, BETWEEN),
        (payment.format("invoice_id"), "INV-0002", "INV-0001"),
        (invoice, ACMES, BETWEEN),
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with superuser.transaction():
                await superuser.execute(insert, foreign)
        await superuser.execute(insert, own)


async def test_a_message_is_marked_as_read_by_either_party_and_edited_by_none(
    app: asyncpg.Connection,
) -> None:
    mark = "UPDATE public.nexus_case_messages SET is_read = true, read_at = now() WHERE message_id = $1"
    async with acting_for(app, GLOBEX, HUGO):
        assert await app.execute(mark, "MSG-0001") == "UPDATE 1"
        assert await app.execute(mark, "MSG-0004") == "UPDATE 0"
    told = await refusal(app, ACME, "UPDATE public.nexus_case_messages SET body = $1", "Other", user=BEN)
    assert told[0] == RLS


async def test_I_23_a_notification_is_marked_by_its_user_and_one_for_everyone_by_nobody(
    app: asyncpg.Connection,
) -> None:
    mark = "UPDATE public.nexus_notifications SET is_read = true"
    async with acting_for(app, ACME, BEN):
        assert await app.execute(mark) == "UPDATE 1"
        read = "SELECT notification_id FROM public.nexus_notifications WHERE is_read"
        assert await app.fetchval(read) == "NTF-0001"
    async with acting_for(app, ACME):
        assert await app.execute(mark) == "UPDATE 0"


async def test_I_23_a_profile_is_edited_by_its_owner_and_a_role_by_nobody(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME, BEN):
        assert await app.execute("UPDATE public.nexus_users SET display_name = 'Ben B.'") == "UPDATE 1"
        renamed = await keys(app, "nexus_users", "display_name")
    assert renamed == ["Ada", "Ben B."]
    for column in ("role", "status", "email", "user_id"):
        told = await refusal(app, ACME, f"UPDATE public.nexus_users SET {column} = $1", "owner", user=BEN)
        assert told[:2] == (RLS, "permission denied for table nexus_users")


async def test_S_07_an_invoice_can_be_updated_and_its_rest_is_computed(superuser: asyncpg.Connection) -> None:
    """With the whole row as identity, PostgreSQL 18 refuses it unless generated columns are published."""
    rest = await superuser.fetchval(
        "UPDATE public.nexus_invoices SET amount_paid = 2500 WHERE invoice_id = 'INV-0001' "
        "RETURNING amount_outstanding::int"
    )
    assert rest == 20
