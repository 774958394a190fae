"""What is the erp domain's own: numbers unique within the org, references, order items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import asyncpg
import pytest

from tests.schema.acting import ACME, BEN, GLOBEX, HUGO, ORGS, acting_for, ids, refusal, row_of

if TYPE_CHECKING:
    from uuid import UUID

PRODUCT: Final = row_of(ACME, "0021")
ORDER: Final = row_of(ACME, "0022")
SALE: Final = row_of(ACME, "0023")


@pytest.mark.parametrize("org", ORGS, ids=["acme", "globex"])
async def test_D_10_an_insert_without_a_tenant_gets_that_of_the_context(
    app: asyncpg.Connection, org: UUID
) -> None:
    async with acting_for(app, org):
        filled = await app.fetchval("INSERT INTO public.vendors (name) VALUES ('New') RETURNING tenant_id")
    assert filled == org


async def test_I_23_an_insert_for_another_tenant_is_refused(app: asyncpg.Connection) -> None:
    told = await refusal(app, ACME, "INSERT INTO public.vendors (name, tenant_id) VALUES ('New', $1)", GLOBEX)
    assert told[:2] == ("42501", 'new row violates row-level security policy for table "vendors"')


async def test_D_02_an_insert_without_a_context_is_refused(app: asyncpg.Connection) -> None:
    for tenant in (None, ACME):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.NotNullViolationError)):
            await app.execute("INSERT INTO public.vendors (name, tenant_id) VALUES ('New', $1)", tenant)


@pytest.mark.parametrize(
    ("table", "column", "taken"),
    [
        ("vendors", "email", "Sales@Steel.example"),
        ("products", "sku", "BOLT-M12"),
        ("purchase_orders", "po_number", "PO-1002"),
        ("sales_orders", "so_number", "SO-2002"),
        ("employees", "email", "Ada@Acme.example"),
    ],
)
async def test_D_09_I_24_a_number_is_unique_within_the_org_and_the_same_in_another(
    app: asyncpg.Connection, superuser: asyncpg.Connection, table: str, column: str, taken: str
) -> None:
    same = f"SELECT tenant_id FROM public.{table} WHERE lower({column}) = lower($1) ORDER BY tenant_id"
    assert [row[0] for row in await superuser.fetch(same, taken)] == sorted(ORGS)
    free = f"SELECT id FROM public.{table} WHERE lower({column}) <> lower($1) LIMIT 1"
    with pytest.raises(asyncpg.UniqueViolationError, match=f'"{table}_'):
        async with acting_for(app, ACME):
            await app.execute(f"UPDATE public.{table} SET {column} = $1 WHERE id = ({free})", taken)


@pytest.mark.parametrize(
    ("insert", "foreign"),
    [
        (
            "purchase_orders (po_number, po_date, vendor_id) VALUES ('PO-9', now(), $1)",
            row_of(GLOBEX, "0020"),
        ),
        ("inventory (warehouse_location, product_id) VALUES ('Hall', $1)", row_of(GLOBEX, "0021")),
        (
            "purchase_order_items (product_id, quantity, unit_price, line_total, purchase_order_id) "
            f"VALUES ('{PRODUCT}', 1, 1, 1, $1)",
            row_of(GLOBEX, "0022"),
        ),
        (
            "purchase_order_items (purchase_order_id, quantity, unit_price, line_total, product_id) "
            f"VALUES ('{ORDER}', 1, 1, 1, $1)",
            row_of(GLOBEX, "0021"),
        ),
        (
            "sales_order_items (product_id, quantity, unit_price, line_total, sales_order_id) "
            f"VALUES ('{PRODUCT}', 1, 1, 1, $1)",
            row_of(GLOBEX, "0023"),
        ),
        (
            "sales_order_items (sales_order_id, quantity, unit_price, line_total, product_id) "
            f"VALUES ('{SALE}', 1, 1, 1, $1)",
            row_of(GLOBEX, "0021"),
        ),
        (
            "employees (employee_code, first_name, email, auth_user_id) VALUES ('E-9', 'x', 'x', $1)",
            HUGO,
        ),
        (
            "employees (employee_code, first_name, email, auth_user_id, manager_id) "
            f"VALUES ('E-9', 'x', 'x', '{BEN}', $1)",
            row_of(GLOBEX, "0025"),
        ),
    ],
)
async def test_D_09_I_24_a_parent_in_another_org_is_refused_like_one_that_does_not_exist(
    app: asyncpg.Connection, insert: str, foreign: UUID
) -> None:
    told = await refusal(app, ACME, f"INSERT INTO public.{insert}", foreign)
    assert told == await refusal(app, ACME, f"INSERT INTO public.{insert}", uuid4())
    assert told[0] == "23503"


async def test_a_customer_is_a_number_of_a_system_outside(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        done = await app.execute(
            "INSERT INTO public.sales_orders (so_number, so_date, customer_id) VALUES ('SO-9', now(), $1)",
            uuid4(),
        )
    assert done == "INSERT 0 1"


async def test_an_order_goes_with_its_items_and_a_product_in_use_stays(app: asyncpg.Connection) -> None:
    async with acting_for(app, ACME):
        own = await ids(app, "purchase_order_items", "purchase_order_id = $1", ORDER)
        assert len(own) == 1
        await app.execute("DELETE FROM public.purchase_orders WHERE id = $1", ORDER)
        assert await ids(app, "purchase_order_items", "id = ANY($1)", list(own)) == set()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with acting_for(app, ACME):
            await app.execute("DELETE FROM public.products WHERE id = $1", PRODUCT)


async def test_the_lines_of_an_order_are_there_as_written_and_as_items(superuser: asyncpg.Connection) -> None:
    differing = await superuser.fetchval(
        "SELECT count(*) FROM public.purchase_orders AS o JOIN public.purchase_order_items AS i "
        "ON i.purchase_order_id = o.id WHERE (o.line_items -> 0 ->> 'id')::uuid <> i.id "
        "OR (o.line_items -> 0 ->> 'product_id')::uuid <> i.product_id "
        "OR (o.line_items -> 0 ->> 'line_total')::numeric <> i.line_total"
    )
    assert differing == 0


@pytest.mark.parametrize("rating", [-1, 6])
async def test_a_rating_has_up_to_five_stars(superuser: asyncpg.Connection, rating: int) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute("UPDATE public.vendors SET rating = $1", rating)
