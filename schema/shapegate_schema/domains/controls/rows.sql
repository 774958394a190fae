-- Further rows, numbered seed.first to seed.last: of five, one control, two interactions with it and two traces of
-- it; group by group for either org. Ids follow from the numbers, so that repeating a range inserts nothing.

CREATE OR REPLACE TEMPORARY VIEW seed_rows AS
SELECT n, (n - 1) % 5 AS part, n - (n - 1) % 5 AS control, o.id AS org
FROM generate_series(current_setting('seed.first')::int, current_setting('seed.last')::int) AS n
JOIN pg_temp.seed_orgs AS o ON left(o.id::text, 4) = CASE (n - 1) / 5 % 2 WHEN 0 THEN 'ac3e' ELSE '610b' END;

INSERT INTO public.controls (
    id, organization_id, name, control_type, last_touched_at, provider_distance, current_quadrant, failure_probability,
    primary_provider_id
)
SELECT pg_temp.seed_id(r.org, '0112', r.n), r.org, 'Control ' || r.n, (ARRAY['physical', 'procedural', 'technical'])[1 + r.n % 3],
    now() - make_interval(mins => r.n), r.n % 50 / 10.0, (ARRAY['self', 'specialist', 'service', 'strange'])[1 + r.n / 5 % 4],
    r.n % 100 / 100.0, pg_temp.seed_id(r.org, '0010', 1 + r.n / 5 % 5)
FROM pg_temp.seed_rows AS r WHERE r.part = 0
ON CONFLICT (id) DO NOTHING;

-- The checks of foreign keys keep their plans, and those made for a small table are slow for a big one.
ANALYZE public.controls;

INSERT INTO public.control_interactions (
    id, organization_id, control_id, user_id, interaction_type, duration_minutes, notes, issues_found
)
SELECT pg_temp.seed_id(r.org, '0113', r.n), r.org, pg_temp.seed_id(r.org, '0112', r.control), m.user_id,
    (ARRAY['use', 'inspect', 'maintain', 'test'])[1 + r.n % 4], r.n % 240, 'Round ' || r.n, r.n % 7 = 0
FROM pg_temp.seed_rows AS r
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(r.org, '0002', 1 + r.part % 2)
WHERE r.part IN (1, 2)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.organizational_traces (
    id, organization_id, control_id, trace_type, description, recorded_by_user_id, recorded_at, severity
)
SELECT pg_temp.seed_id(r.org, '0115', r.n), r.org, pg_temp.seed_id(r.org, '0112', r.control),
    (ARRAY['work_order', 'inspection_log', 'incident_report'])[1 + r.n % 3], 'Trace ' || r.n, m.user_id,
    now() - make_interval(mins => r.n), (ARRAY['low', 'medium', 'high', NULL])[1 + r.n % 4]
FROM pg_temp.seed_rows AS r
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(r.org, '0002', 1 + r.part % 2)
WHERE r.part IN (3, 4)
ON CONFLICT (id) DO NOTHING;
