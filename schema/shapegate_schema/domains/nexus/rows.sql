-- Further rows, numbered seed.first to seed.last: of five, one case and four messages in it; group by group for
-- either org as the client, and by turns for the two vendors it has. Ids and keys follow from the numbers, so that
-- repeating a range inserts nothing.

CREATE OR REPLACE TEMPORARY VIEW seed_rows AS
SELECT n, (n - 1) % 5 AS part, n - (n - 1) % 5 AS case_number, c.prefix, c.sender, r.id AS relationship_id, r.client_id, r.vendor_id
FROM generate_series(current_setting('seed.first')::int, current_setting('seed.last')::int) AS n
JOIN (VALUES (0, 'ac3e', 'USR-BEN-ACME'), (1, '610b', 'USR-HUGO-GLOBEX')) AS c (turn, prefix, sender)
    ON c.turn = (n - 1) / 5 % 2
JOIN public.nexus_tenant_relationships AS r ON r.id = pg_temp.seed_id(c.prefix, '0033', 1 + (n - 1) / 10 % 2);

INSERT INTO public.nexus_cases (
    id, case_id, client_id, vendor_id, relationship_id, subject, case_type, status, priority, tags, created_at
)
SELECT pg_temp.seed_id(r.prefix, '0132', r.n), 'CASE-S' || r.n, r.client_id, r.vendor_id, r.relationship_id, 'Case ' || r.n,
    (ARRAY['general', 'delivery', 'quality'])[1 + r.n / 5 % 3], (ARRAY['open', 'in_progress', 'resolved'])[1 + r.n / 5 % 3],
    (ARRAY['low', 'normal', 'high', 'urgent'])[1 + r.n / 5 % 4], ARRAY['seed'], now() - make_interval(mins => r.n)
FROM pg_temp.seed_rows AS r WHERE r.part = 0
ON CONFLICT (id) DO NOTHING;

-- The checks of foreign keys keep their plans, and those made for a small table are slow for a big one.
ANALYZE public.nexus_cases;

INSERT INTO public.nexus_case_messages (
    id, message_id, case_id, sender_user_id, sender_tenant_id, sender_context, sender_context_id, body, created_at
)
SELECT pg_temp.seed_id(r.prefix, '0134', r.n), 'MSG-S' || r.n, 'CASE-S' || r.case_number, r.sender, u.tenant_id, 'client',
    r.client_id, 'Message ' || r.n, now() - make_interval(mins => r.n)
FROM pg_temp.seed_rows AS r
JOIN public.nexus_users AS u ON u.user_id = r.sender
WHERE r.part > 0
ON CONFLICT (id) DO NOTHING;
