-- Further rows, numbered seed.first to seed.last: of five, one product, two places where it lies, one order for it
-- and that order's item; group by group for either org. Ids follow from the numbers, so that repeating a range
-- inserts nothing.

CREATE OR REPLACE TEMPORARY VIEW seed_rows AS
SELECT n, (n - 1) % 5 AS part, n - (n - 1) % 5 AS product, o.id AS org
FROM generate_series(current_setting('seed.first')::int, current_setting('seed.last')::int) AS n
JOIN pg_temp.seed_orgs AS o ON left(o.id::text, 4) = CASE (n - 1) / 5 % 2 WHEN 0 THEN 'ac3e' ELSE '610b' END;

INSERT INTO public.products (id, tenant_id, sku, name, category, unit, unit_price, selling_price, tax_rate, created_by)
SELECT pg_temp.seed_id(r.org, '0121', r.n), r.org, 'P-' || r.n, 'Product ' || r.n,
    (ARRAY['steel', 'fastener', 'coating', 'safety'])[1 + r.n / 5 % 4], 'piece', r.n % 5000 / 10.0, r.n % 5000 / 8.0, 20, 'seed'
FROM pg_temp.seed_rows AS r WHERE r.part = 0
ON CONFLICT (id) DO NOTHING;

-- The checks of foreign keys keep their plans, and those made for a small table are slow for a big one.
ANALYZE public.products;

INSERT INTO public.inventory (
    id, tenant_id, product_id, warehouse_location, quantity_on_hand, quantity_reserved, avg_cost_per_unit, valuation
)
SELECT pg_temp.seed_id(r.org, '0124', r.n), r.org, pg_temp.seed_id(r.org, '0121', r.product),
    'Hall/' || r.part, r.n % 1000, r.n % 10, r.product % 5000 / 10.0, (r.n % 1000) * (r.product % 5000 / 10.0)
FROM pg_temp.seed_rows AS r WHERE r.part IN (1, 2)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.sales_orders (
    id, tenant_id, so_number, customer_id, status, so_date, subtotal, tax_amount, total_amount, payment_status, created_by
)
SELECT pg_temp.seed_id(r.org, '0123', r.n), r.org, 'S-' || r.n, pg_temp.seed_id(r.org, '0029', 1 + r.n / 5 % 1000),
    (ARRAY['draft', 'confirmed', 'packed', 'shipped', 'delivered'])[1 + r.n / 5 % 5], current_date - r.n / 5 % 365,
    r.product % 5000 / 8.0, r.product % 5000 / 40.0, r.product % 5000 / 8.0 * 1.2,
    (ARRAY['pending', 'partial', 'paid'])[1 + r.n / 5 % 3], 'seed'
FROM pg_temp.seed_rows AS r WHERE r.part = 3
ON CONFLICT (id) DO NOTHING;

ANALYZE public.sales_orders;

INSERT INTO public.sales_order_items (
    id, tenant_id, sales_order_id, product_id, quantity, unit_price, tax_rate, line_total
)
SELECT pg_temp.seed_id(r.org, '0127', r.n), r.org, pg_temp.seed_id(r.org, '0123', r.n - 1),
    pg_temp.seed_id(r.org, '0121', r.product), 1, r.product % 5000 / 8.0, 20, r.product % 5000 / 8.0
FROM pg_temp.seed_rows AS r WHERE r.part = 4
ON CONFLICT (id) DO NOTHING;
