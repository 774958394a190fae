-- Two orgs that are each other's client and vendor, and a third that has dealings with both and nobody who logs in:
-- of what is between Acme and Initech, Globex must see nothing. Runs after the shared seed.
-- An id tells the client's (or the only) org, table and number: ac3e0032-0000-4000-8000-000000000002 is Acme's
-- second case as a client.

CREATE OR REPLACE FUNCTION pg_temp.seed_id(prefix text, kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (prefix || kind || '-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;

INSERT INTO public.organizations (id, name, slug) VALUES
    ('1ec40000-0000-4000-8000-000000000000', 'Initech Supplies', 'initech')
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_tenants (
    id, organization_id, tenant_id, tenant_client_id, tenant_vendor_id, name, display_name, email, onboarding_status
)
SELECT pg_temp.seed_id(t.prefix, '0030', 1), o.id, 'TNT-' || upper(o.slug), 'TC-' || upper(o.slug), 'TV-' || upper(o.slug),
    o.name, initcap(o.slug), 'office@' || o.slug || '.example', 'completed'
FROM (VALUES ('ac3e', 'acme'), ('610b', 'globex'), ('1ec4', 'initech')) AS t (prefix, slug)
JOIN public.organizations AS o ON o.id = pg_temp.seed_id(t.prefix, '0000', 0)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_users (
    id, organization_id, user_id, tenant_id, auth_user_id, email, display_name, first_name, role, email_verified, preferences
)
SELECT pg_temp.seed_id(t.prefix, '0031', right(m.id::text, 1)::int), m.organization_id,
    'USR-' || upper(split_part(u.email, '@', 1)) || '-' || upper(t.slug), 'TNT-' || upper(t.slug), u.id, u.email,
    initcap(split_part(u.email, '@', 1)), initcap(split_part(u.email, '@', 1)), m.role, true, '{"theme": "dark"}'
FROM (VALUES ('ac3e', 'acme'), ('610b', 'globex')) AS t (prefix, slug)
JOIN public.memberships AS m ON m.id IN (
    pg_temp.seed_id(t.prefix, '0002', 1), pg_temp.seed_id(t.prefix, '0002', 2), pg_temp.seed_id(t.prefix, '0002', 3)
)
JOIN public.users AS u ON u.id = m.user_id
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_tenant_relationships (id, client_id, vendor_id, status, contract_ref, effective_from)
SELECT pg_temp.seed_id(r.prefix, '0033', r.n), r.client_id, r.vendor_id, r.status, r.contract_ref, current_date - 365
FROM (VALUES
    ('ac3e', 1, 'TC-ACME', 'TV-GLOBEX', 'active', 'C-1'),
    ('ac3e', 2, 'TC-ACME', 'TV-INITECH', 'active', 'C-2'),
    ('610b', 1, 'TC-GLOBEX', 'TV-ACME', 'active', 'C-3'),
    ('610b', 2, 'TC-GLOBEX', 'TV-INITECH', 'suspended', NULL),
    ('1ec4', 1, 'TC-INITECH', 'TV-ACME', 'active', NULL)
) AS r (prefix, n, client_id, vendor_id, status, contract_ref)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_cases (
    id, case_id, client_id, vendor_id, relationship_id, subject, description, case_type, status, priority, assigned_to,
    sla_due_at, amount_disputed, currency, tags
)
SELECT pg_temp.seed_id(c.prefix, '0032', c.n), 'CASE-' || c.key, r.client_id, r.vendor_id, r.id, c.subject, c.description,
    c.case_type, c.status, c.priority, c.assigned_to, now() + make_interval(days => c.due_in), c.amount, 'GBP', c.tags::text[]
FROM (VALUES
    ('ac3e', 1, 1, '0001', 'Lift stands still', 'Third time this month', 'quality', 'open', 'urgent', 'USR-HUGO-GLOBEX', 2, NULL, '{lift,safety}'),
    ('ac3e', 2, 1, '0002', 'Invoice counts a visit twice', NULL, 'dispute', 'pending_vendor', 'normal', 'USR-BEN-ACME', 10, 420.00, '{}'),
    ('ac3e', 3, 2, '0003', 'Helmets of the wrong size', 'Sent S, ordered L', 'delivery', 'in_progress', 'high', 'USR-BEN-ACME', 5, NULL, '{ppe}'),
    ('610b', 1, 1, '0004', 'Scaffold blocks the gate', NULL, 'general', 'open', 'high', 'USR-GRACE-GLOBEX', 1, NULL, '{}'),
    ('610b', 2, 2, '0005', 'Price list missing', NULL, 'contract', 'draft', 'low', NULL, NULL, NULL, '{"O''Brien, \"urgent\""}'),
    ('1ec4', 1, 1, '0006', 'Credit note', NULL, 'payment', 'resolved', 'normal', 'USR-ADA-ACME', 30, 99.95, '{}')
) AS c (prefix, n, relationship, key, subject, description, case_type, status, priority, assigned_to, due_in, amount, tags)
JOIN public.nexus_tenant_relationships AS r ON r.id = pg_temp.seed_id(c.prefix, '0033', c.relationship)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_case_messages (
    id, message_id, case_id, sender_user_id, sender_tenant_id, sender_context, sender_context_id, body, message_type, attachments
)
SELECT pg_temp.seed_id(m.prefix, '0034', m.n), 'MSG-' || m.key, 'CASE-' || m.case_key, m.sender, u.tenant_id, m.context,
    m.context_id, m.body, m.message_type, m.attachments::text[]
FROM (VALUES
    ('ac3e', 1, '0001', '0001', 'USR-BEN-ACME', 'client', 'TC-ACME', 'It stopped on floor 3 again.', 'message', '{photo.jpg}'),
    ('ac3e', 2, '0002', '0001', 'USR-HUGO-GLOBEX', 'vendor', 'TV-GLOBEX', 'On our way.', 'message', NULL),
    ('ac3e', 3, '0003', '0002', 'USR-ADA-ACME', 'client', 'TC-ACME', E'See the log:\n09:10 and 09:12.', 'note', NULL),
    ('ac3e', 4, '0004', '0003', 'USR-BEN-ACME', 'client', 'TC-ACME', 'Please send the right ones.', 'message', NULL),
    ('610b', 1, '0005', '0004', 'USR-GRACE-GLOBEX', 'client', 'TC-GLOBEX', 'Move it by noon.', 'escalation', NULL),
    ('610b', 2, '0006', '0005', 'USR-HUGO-GLOBEX', 'client', 'TC-GLOBEX', 'Which price holds?', 'message', NULL),
    ('1ec4', 1, '0007', '0006', 'USR-ADA-ACME', 'vendor', 'TV-ACME', 'Sent today.', 'resolution', NULL)
) AS m (prefix, n, key, case_key, sender, context, context_id, body, message_type, attachments)
JOIN public.nexus_users AS u ON u.user_id = m.sender
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_invoices (
    id, invoice_id, client_id, vendor_id, relationship_id, invoice_number, invoice_date, due_date, subtotal, tax_amount,
    total_amount, currency, amount_paid, status, case_id, line_items
)
SELECT pg_temp.seed_id(i.prefix, '0035', i.n), 'INV-' || i.key, r.client_id, r.vendor_id, r.id, i.number, current_date - 30,
    current_date + i.due_in, i.subtotal, i.subtotal * 0.2, i.subtotal * 1.2, 'GBP', i.paid, i.status, i.case_id,
    jsonb_build_array(jsonb_build_object('text', 'Service', 'amount', i.subtotal))
FROM (VALUES
    ('ac3e', 1, 1, '0001', 'G-77', 5, 2100.00, 2100.00, 'partial', 'CASE-0002'),
    ('ac3e', 2, 2, '0002', 'I-12', -3, 350.00, 0, 'overdue', NULL),
    ('610b', 1, 1, '0003', 'A-04', 20, 900.00, 1080.00, 'paid', NULL),
    ('610b', 2, 2, '0004', 'I-13', 12, 75.50, 0, 'sent', NULL)
) AS i (prefix, n, relationship, key, number, due_in, subtotal, paid, status, case_id)
JOIN public.nexus_tenant_relationships AS r ON r.id = pg_temp.seed_id(i.prefix, '0033', i.relationship)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_payments (
    id, payment_id, from_id, to_id, relationship_id, invoice_id, amount, currency, status, payment_method, payment_date,
    bank_account_last4, reconciled, reconciled_by, case_id
)
SELECT pg_temp.seed_id(p.prefix, '0036', p.n), 'PAY-' || p.key, r.client_id, r.vendor_id, r.id, p.invoice_id, p.amount, 'GBP',
    p.status, p.method, current_date - 5, p.last4, p.reconciled_by IS NOT NULL, p.reconciled_by, p.case_id
FROM (VALUES
    ('ac3e', 1, 1, '0001', 'INV-0001', 2100.00, 'completed', 'bank_transfer', '4321', 'USR-ADA-ACME', 'CASE-0002'),
    ('ac3e', 2, 2, '0002', 'INV-0002', 420.00, 'pending', 'wire', '4321', NULL, NULL),
    ('610b', 1, 1, '0003', 'INV-0003', 1080.00, 'completed', 'ach', '8765', 'USR-GRACE-GLOBEX', NULL),
    ('610b', 2, 2, '0004', 'INV-0004', 90.60, 'approved', 'credit_card', '1111', NULL, NULL)
) AS p (prefix, n, relationship, key, invoice_id, amount, status, method, last4, reconciled_by, case_id)
JOIN public.nexus_tenant_relationships AS r ON r.id = pg_temp.seed_id(p.prefix, '0033', p.relationship)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.nexus_notifications (
    id, notification_id, tenant_id, user_id, context, notification_type, priority, title, reference_type, reference_id, is_read
)
SELECT pg_temp.seed_id(n.prefix, '0037', n.n), 'NTF-' || n.key, n.tenant_id, u.auth_user_id, n.context, n.kind, n.priority,
    n.title, n.reference_type, n.reference_id, n.is_read
FROM (VALUES
    ('ac3e', 1, '0001', 'TNT-ACME', 'USR-BEN-ACME', 'client', 'case_assigned', 'high', 'A case is yours', 'case', 'CASE-0002', false),
    ('ac3e', 2, '0002', 'TNT-ACME', 'USR-ADA-ACME', 'client', 'payment_pending', 'critical', 'A payment waits', 'payment', 'PAY-0002', false),
    ('ac3e', 3, '0003', 'TNT-ACME', NULL, 'both', 'system_announcement', 'normal', 'Office closed on Friday', NULL, NULL, false),
    ('610b', 1, '0004', 'TNT-GLOBEX', 'USR-HUGO-GLOBEX', 'vendor', 'case_created', 'normal', 'A new case', 'case', 'CASE-0001', true),
    ('610b', 2, '0005', 'TNT-GLOBEX', 'USR-GRACE-GLOBEX', 'client', 'message_received', 'normal', 'An answer', 'message', 'MSG-0005', false),
    ('610b', 3, '0006', 'TNT-GLOBEX', 'USR-ADA-GLOBEX', 'both', 'welcome', 'low', 'Welcome, Ada', NULL, NULL, false),
    ('610b', 4, '0007', 'TNT-GLOBEX', NULL, 'both', 'maintenance_notice', 'normal', 'Maintenance tonight', NULL, NULL, false),
    ('1ec4', 1, '0008', 'TNT-INITECH', NULL, 'both', 'system_announcement', 'low', 'Prices go up', NULL, NULL, false)
) AS n (prefix, n, key, tenant_id, user_id, context, kind, priority, title, reference_type, reference_id, is_read)
LEFT JOIN public.nexus_users AS u ON u.user_id = n.user_id
ON CONFLICT (id) DO NOTHING;
