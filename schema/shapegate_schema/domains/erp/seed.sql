-- The same suppliers, goods and orders for both orgs: same numbers, other ids. Runs after the shared seed.
-- An id tells org, table and number: ac3e0022-0000-4000-8000-000000000003 is Acme's third purchase order.
-- Of the employees there is one for each membership, so Globex has one more.

CREATE OR REPLACE TEMPORARY VIEW seed_orgs AS
SELECT id FROM public.organizations
WHERE id IN ('ac3e0000-0000-4000-8000-000000000000', '610b0000-0000-4000-8000-000000000000');

CREATE OR REPLACE FUNCTION pg_temp.seed_id(org uuid, kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (left(org::text, 4) || kind || '-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;

INSERT INTO public.vendors (
    id, tenant_id, name, vendor_code, email, phone, city, country, tax_id, bank_details, status, rating, created_by
)
SELECT pg_temp.seed_id(o.id, '0020', v.n), o.id, v.name, v.code, v.email, v.phone, v.city, v.country, v.tax_id,
    v.bank::jsonb, v.status, v.rating, 'seed'
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'Steel & Sons', 'V-001', 'sales@steel.example', '+44 20 7946 0201', 'Sheffield', 'GB', 'GB100200300',
        '{"accountName": "Steel & Sons", "accountNumber": "00012345", "bankName": "Example Bank"}', 'active', 5),
    (2, 'Boltwerk GmbH', 'V-002', 'order@boltwerk.example', '+49 30 5550 0100', 'Berlin', 'DE', NULL, NULL, 'active', 3),
    (3, 'Palette Traders', 'V-003', NULL, NULL, 'Pune', 'IN', '27AAAAA0000A1Z5',
        '{"accountName": "Palette Traders", "accountNumber": "00067890", "ifsc": "EXMP0000001", "upiId": "palette@example"}',
        'suspended', 1)
) AS v (n, name, code, email, phone, city, country, tax_id, bank, status, rating)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.products (
    id, tenant_id, sku, name, category, unit, unit_price, selling_price, tax_rate, reorder_level, status, attributes, created_by
)
SELECT pg_temp.seed_id(o.id, '0021', p.n), o.id, p.sku, p.name, p.category, p.unit, p.unit_price, p.selling_price, p.tax_rate,
    p.reorder_level, p.status, p.attributes::jsonb, 'seed'
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'BEAM-200', 'Steel beam 200 mm', 'steel', 'piece', 149.90, 199.00, 20, 10, 'active', '{"length_mm": 6000}'),
    (2, 'BOLT-M12', 'Bolt M12 x 60', 'fastener', 'piece', 0.35, 0.60, 20, 5000, 'active', '{"grade": "8.8"}'),
    (3, 'PAINT-R', 'Rust primer, "red"', 'coating', 'litre', 12.50, 18.00, 20, 40, 'active', NULL),
    (4, 'HARNESS-1', 'Fall-arrest harness', 'safety', 'piece', 84.00, 120.00, 5, 8, 'draft', '{"sizes": ["S", "M", "L"]}')
) AS p (n, sku, name, category, unit, unit_price, selling_price, tax_rate, reorder_level, status, attributes)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.purchase_orders (
    id, tenant_id, po_number, vendor_id, status, po_date, expected_delivery_date, delivery_city, subtotal, tax_amount,
    total_amount, payment_terms, payment_status, line_items, created_by
)
SELECT pg_temp.seed_id(o.id, '0022', p.n), o.id, p.po_number, pg_temp.seed_id(o.id, '0020', p.vendor), p.status,
    current_date - p.days_ago, current_date - p.days_ago + 14, 'London', p.subtotal, p.subtotal * 0.2, p.subtotal * 1.2,
    'net 30', p.payment_status,
    jsonb_build_array(jsonb_build_object(
        'id', pg_temp.seed_id(o.id, '0026', p.n), 'product_id', pg_temp.seed_id(o.id, '0021', p.product), 'sku', p.sku,
        'quantity', p.quantity, 'unit_price', p.subtotal / p.quantity, 'tax_rate', 20, 'line_total', p.subtotal
    )), 'seed'
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'PO-1001', 1, 'delivered', 30, 1499.00, 'paid', 1, 'BEAM-200', 10),
    (2, 'PO-1002', 2, 'partial', 12, 1750.00, 'partial', 2, 'BOLT-M12', 5000),
    (3, 'PO-1003', 3, 'draft', 1, 250.00, 'pending', 3, 'PAINT-R', 20)
) AS p (n, po_number, vendor, status, days_ago, subtotal, payment_status, product, sku, quantity)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.purchase_order_items (
    id, tenant_id, purchase_order_id, product_id, quantity, unit_price, tax_rate, line_total, received_qty
)
SELECT pg_temp.seed_id(o.id, '0026', i.n), o.id, pg_temp.seed_id(o.id, '0022', i.n), pg_temp.seed_id(o.id, '0021', i.product),
    i.quantity, i.unit_price, 20, i.quantity * i.unit_price, i.received
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 1, 10, 149.90, 10), (2, 2, 5000, 0.35, 2000), (3, 3, 20, 12.50, 0)
) AS i (n, product, quantity, unit_price, received)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.sales_orders (
    id, tenant_id, so_number, customer_id, status, so_date, delivery_city, shipment_mode, subtotal, tax_amount, total_amount,
    payment_status, line_items, created_by
)
SELECT pg_temp.seed_id(o.id, '0023', s.n), o.id, s.so_number, pg_temp.seed_id(o.id, '0029', s.customer), s.status,
    current_date - s.days_ago, s.city, 'road', s.subtotal, s.subtotal * 0.2, s.subtotal * 1.2, s.payment_status,
    jsonb_build_array(jsonb_build_object(
        'id', pg_temp.seed_id(o.id, '0027', s.n), 'product_id', pg_temp.seed_id(o.id, '0021', s.product), 'sku', s.sku,
        'quantity', s.quantity, 'unit_price', s.subtotal / s.quantity, 'tax_rate', 20, 'line_total', s.subtotal
    )), 'seed'
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'SO-2001', 1, 'shipped', 9, 'Leeds', 796.00, 'partial', 1, 'BEAM-200', 4),
    (2, 'SO-2002', 2, 'confirmed', 4, 'Bath', 600.00, 'pending', 2, 'BOLT-M12', 1000),
    (3, 'SO-2003', 1, 'cancelled', 2, 'Leeds', 180.00, 'pending', 3, 'PAINT-R', 10)
) AS s (n, so_number, customer, status, days_ago, city, subtotal, payment_status, product, sku, quantity)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.sales_order_items (
    id, tenant_id, sales_order_id, product_id, quantity, unit_price, tax_rate, line_total, shipped_qty
)
SELECT pg_temp.seed_id(o.id, '0027', i.n), o.id, pg_temp.seed_id(o.id, '0023', i.n), pg_temp.seed_id(o.id, '0021', i.product),
    i.quantity, i.unit_price, 20, i.quantity * i.unit_price, i.shipped
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 1, 4, 199.00, 4), (2, 2, 1000, 0.60, 0), (3, 3, 10, 18.00, 0)
) AS i (n, product, quantity, unit_price, shipped)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.inventory (
    id, tenant_id, product_id, warehouse_location, quantity_on_hand, quantity_reserved, quantity_damaged,
    avg_cost_per_unit, valuation, reorder_level, last_stock_count_date, notes
)
SELECT pg_temp.seed_id(o.id, '0024', i.n), o.id, pg_temp.seed_id(o.id, '0021', i.product), i.place, i.on_hand, i.reserved, i.damaged,
    i.cost, i.on_hand * i.cost, 10, current_date - 7, i.notes
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 1, 'North/A-1', 42, 4, 0, 149.90, NULL),
    (2, 1, 'South/C-3', 6, 0, 1, 151.20, 'One beam bent'),
    (3, 2, 'North/B-7', 7200, 1000, 0, 0.35, NULL),
    (4, 3, 'North/F-2', 35, 10, 2, 12.50, 'Keep above 5 °C')
) AS i (n, product, place, on_hand, reserved, damaged, cost, notes)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.employees (
    id, tenant_id, auth_user_id, employee_code, first_name, last_name, email, department, designation, manager_id, role, roles,
    permissions, date_of_joining, date_of_birth, address, mobile_primary, aadhar_number, pan_number, metadata
)
SELECT pg_temp.seed_id(o.id, '0025', e.n), o.id, m.user_id, 'E-' || e.n, initcap(split_part(u.email, '@', 1)), NULL, u.email,
    e.department, e.designation, CASE WHEN e.n > 1 THEN pg_temp.seed_id(o.id, '0025', 1) END, e.role, e.roles::text[],
    e.permissions::text[], current_date - e.days, date '1990-01-01' + e.n, e.n || ' Private Lane', '+44 7700 90000' || e.n,
    '0000 0000 000' || e.n, 'AAAAA000' || e.n || 'A', '{"note": "personal"}'
FROM pg_temp.seed_orgs AS o
CROSS JOIN (VALUES
    (1, 'Management', 'Director', 'manager', '{manager,approver}', '{orders:approve,orders:write}', 2000),
    (2, 'Stores', 'Storekeeper', 'employee', '{storekeeper}', '{inventory:write}', 700),
    (3, 'Sales', 'Agent', 'employee', '{}', NULL, 30)
) AS e (n, department, designation, role, roles, permissions, days)
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(o.id, '0002', e.n)
JOIN public.users AS u ON u.id = m.user_id
ON CONFLICT (id) DO NOTHING;
