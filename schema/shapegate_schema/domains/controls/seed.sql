-- The same controls, providers and people's work for both orgs: same names, other ids. Runs after the shared seed.
-- An id tells org, table and number: ac3e0012-0000-4000-8000-000000000003 is Acme's third control.
-- What joins the third membership exists in Globex only, so that the orgs differ in their number of rows too.

CREATE OR REPLACE TEMPORARY VIEW seed_orgs AS
SELECT id FROM public.organizations
WHERE id IN ('ac3e0000-0000-4000-8000-000000000000', '610b0000-0000-4000-8000-000000000000');

CREATE OR REPLACE FUNCTION pg_temp.seed_id(org uuid, kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (left(org::text, 4) || kind || '-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;

INSERT INTO public.control_providers (id, organization_id, name, provider_type, contact_info, is_user_themselves)
SELECT pg_temp.seed_id(o.id, '0010', p.n), o.id, p.name, p.provider_type, p.contact_info::jsonb, p.themselves
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'John Smith (self)', 'user', NULL, true),
    (2, 'Sarah Jones (self)', 'user', NULL, true),
    (3, 'Safety Department', 'internal', '{"phone": "+44 20 7946 0101", "room": "B2.14"}', false),
    (4, 'EquipCare Services', 'contractor', '{"email": "service@equipcare.example", "hours": {"from": "08:00", "to": "18:00"}}', false),
    (5, 'GlobalSafe Industries', 'vendor', '{"email": "support@globalsafe.example", "languages": ["en", "de"]}', false)
) AS p (n, name, provider_type, contact_info, themselves)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.provider_networks (id, organization_id, from_provider_id, to_provider_id, relationship_type, path_weight)
SELECT pg_temp.seed_id(o.id, '0011', e.n), o.id, pg_temp.seed_id(o.id, '0010', e.source),
    pg_temp.seed_id(o.id, '0010', e.target), e.relationship_type, e.path_weight
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 1, 3, 'employs', 1.0),
    (2, 3, 4, 'contracts', 1.5),
    (3, 4, 5, 'supplies', 2.0)
) AS e (n, source, target, relationship_type, path_weight)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.controls (
    id, organization_id, name, description, control_type, last_touched_at, last_touched_by_user_id,
    provider_distance, current_quadrant, functional_range, failure_probability,
    requires_refresher_training, primary_provider_id, owned_by_user
)
SELECT pg_temp.seed_id(o.id, '0012', c.n), o.id, c.name, c.description, c.control_type,
    now() - make_interval(days => c.days_ago), m.user_id,
    c.distance, c.quadrant, c.functional_range, c.failure_probability,
    c.refresher, pg_temp.seed_id(o.id, '0010', c.provider), c.distance = 0
FROM pg_temp.seed_orgs AS o
CROSS JOIN (VALUES
    (1, 'PPE', 'Helmet, gloves, boots and eye protection', 'physical', 0, 5, 'self', 'wide', 0.05, false, 1),
    (2, 'Toolbox Lock', 'Lock-out of the tool box at the end of a shift', 'procedural', 0, 2, 'self', 'wide', 0.02, false, 1),
    (3, 'Confined Space Entry', 'Permit and watch for work in confined spaces', 'procedural', 1.0, 45, 'specialist', 'narrow', 0.25, true, 3),
    (4, 'Forklift', 'Operation of fork-lift trucks', 'physical', 1.0, 120, 'specialist', 'narrow', 0.40, true, 3),
    (5, 'Fire Suppression', 'Sprinklers and extinguishers', 'technical', 2.5, 10, 'service', 'wide', 0.10, false, 4),
    (6, 'HVAC', 'Ventilation of the workshop', 'technical', 2.5, 15, 'service', 'wide', 0.15, false, 4),
    (7, 'Overhead Crane', NULL, 'physical', 4.5, 200, 'strange', 'narrow', 0.75, true, 5),
    (8, 'Emergency Shower', NULL, 'technical', 4.5, 365, 'strange', 'narrow', 0.85, false, 5)
) AS c (n, name, description, control_type, distance, days_ago, quadrant, functional_range, failure_probability, refresher, provider)
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(o.id, '0002', 1)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.control_interactions (
    id, organization_id, control_id, user_id, interaction_type, duration_minutes, notes, issues_found,
    quadrant_before, quadrant_after
)
SELECT pg_temp.seed_id(o.id, '0013', i.n), o.id, pg_temp.seed_id(o.id, '0012', i.control), m.user_id,
    i.interaction_type, i.duration_minutes, i.notes, i.issues_found, i.quadrant_before, i.quadrant_after
FROM pg_temp.seed_orgs AS o
CROSS JOIN (VALUES
    (1, 1, 1, 'use', 15, NULL, false, 'self', 'self'),
    (2, 2, 2, 'inspect', 5, 'Lock turns, key number checked', false, 'self', 'self'),
    (3, 3, 1, 'test', 40, 'Gas detector drifts; sent for calibration', true, 'specialist', 'specialist'),
    (4, 5, 2, 'maintain', 90, E'Replaced two heads:\n"dry" type, O''Brien signed', false, 'service', 'service'),
    (5, 6, 3, 'inspect', 25, 'Filters due next month', false, 'service', 'service')
) AS i (n, control, member, interaction_type, duration_minutes, notes, issues_found, quadrant_before, quadrant_after)
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(o.id, '0002', i.member)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.quadrant_classifications (
    id, organization_id, control_id, quadrant, time_since_touched_days, provider_distance, reason
)
SELECT pg_temp.seed_id(o.id, '0014', c.n), o.id, pg_temp.seed_id(o.id, '0012', c.n), c.quadrant, c.days, c.distance, c.reason
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'self', 5, 0, 'touch_interaction'),
    (2, 'self', 2, 0, 'touch_interaction'),
    (3, 'specialist', 45, 1.0, 'initial_classification'),
    (4, 'specialist', 120, 1.0, 'time_decay'),
    (5, 'service', 10, 2.5, 'touch_interaction'),
    (6, 'service', 15, 2.5, 'initial_classification'),
    (7, 'strange', 200, 4.5, 'time_decay'),
    (8, 'strange', 365, 4.5, 'time_decay')
) AS c (n, quadrant, days, distance, reason)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.organizational_traces (
    id, organization_id, control_id, trace_type, description, recorded_by_user_id, recorded_at, related_incident_id, severity
)
SELECT pg_temp.seed_id(o.id, '0015', t.n), o.id, pg_temp.seed_id(o.id, '0012', t.control), t.trace_type, t.description,
    m.user_id, now() - make_interval(days => t.days_ago),
    CASE WHEN t.incident IS NOT NULL THEN pg_temp.seed_id(o.id, '0015', t.incident) END, t.severity
FROM pg_temp.seed_orgs AS o
CROSS JOIN (VALUES
    (1, 7, 1, 'incident_report', 'Load swung during a lift; nobody hurt', 30, NULL, 'high'),
    (2, 7, 2, 'work_order', 'Inspect brake and limit switch of the crane', 28, 1, 'medium'),
    (3, 5, 1, 'inspection_log', 'Quarterly check passed', 10, NULL, NULL),
    (4, 4, 2, 'training_record', 'Refresher booked', 3, NULL, 'low')
) AS t (n, control, member, trace_type, description, days_ago, incident, severity)
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(o.id, '0002', t.member)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.competency_records (
    id, organization_id, user_id, control_id, competency_level, last_training_date, next_refresher_due,
    training_hours, certified_by, certification_expires
)
SELECT pg_temp.seed_id(o.id, '0016', r.n), o.id, m.user_id, pg_temp.seed_id(o.id, '0012', r.control), r.competency_level,
    current_date - r.trained_days_ago, current_date + r.due_in_days, r.training_hours, r.certified_by,
    current_date + r.due_in_days
FROM pg_temp.seed_orgs AS o
CROSS JOIN (VALUES
    (1, 1, 3, 'expert', 60, 305, 24.5, 'Safety Department'),
    (2, 1, 4, 'proficient', 340, 25, 16, 'Safety Department'),
    (3, 2, 1, 'competent', 20, 345, 4, NULL),
    (4, 3, 7, 'novice', 7, 83, 2.25, 'GlobalSafe Industries')
) AS r (n, member, control, competency_level, trained_days_ago, due_in_days, training_hours, certified_by)
JOIN public.memberships AS m ON m.id = pg_temp.seed_id(o.id, '0002', r.member)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.verification_strategies (
    id, organization_id, quadrant, strategy_name, description, verification_method, frequency_days,
    notification_days_before, escalation_enabled
)
SELECT pg_temp.seed_id(o.id, '0017', s.n), o.id, s.quadrant, s.strategy_name, s.description, s.method, s.days, s.before, s.escalation
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 'self', 'Own report', 'Whoever uses it says how it is', 'user_reporting', 30, 3, false),
    (2, 'specialist', 'Toolbox talk', NULL, 'toolbox_talk', 90, 7, false),
    (3, 'service', 'Watch the agreement', 'Response times against what was agreed', 'sla_monitoring', 7, 1, true),
    (4, 'strange', 'Sample at random', NULL, 'proactive_sampling', 180, 14, true)
) AS s (n, quadrant, strategy_name, description, method, days, before, escalation)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.service_level_agreements (
    id, organization_id, control_id, provider_id, service_name, uptime_percentage, response_time_hours,
    resolution_time_hours, start_date, end_date, performance_current, breaches_count
)
SELECT pg_temp.seed_id(o.id, '0018', a.n), o.id, pg_temp.seed_id(o.id, '0012', a.control), pg_temp.seed_id(o.id, '0010', a.provider),
    a.service_name, a.uptime, a.response, a.resolution, current_date - 180, current_date + a.ends_in, a.performance, a.breaches
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 5, 4, 'Sprinkler maintenance', 99.5, 4, 24, 185, 99.7, 0),
    (2, 6, 4, 'Ventilation', 98.0, 24, 72, 185, 96.4, 3),
    (3, 7, 5, 'Crane inspection', 95.0, 48, 240, NULL, NULL, 1)
) AS a (n, control, provider, service_name, uptime, response, resolution, ends_in, performance, breaches)
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.risk_predictions (
    id, organization_id, control_id, days_since_touched, provider_distance, quadrant, functional_range,
    historical_incident_count, trace_count_last_90_days, failure_probability, predicted_failure_date,
    confidence_score, model_version
)
SELECT pg_temp.seed_id(o.id, '0019', p.n), o.id, pg_temp.seed_id(o.id, '0012', p.control), p.days, p.distance, p.quadrant, p.functional_range,
    p.incidents, p.traces, p.probability, current_date + p.fails_in, p.confidence, 'decay-1'
FROM pg_temp.seed_orgs AS o CROSS JOIN (VALUES
    (1, 4, 120, 1.0, 'specialist', 'narrow', 0, 1, 0.40, 200, 0.62),
    (2, 7, 200, 4.5, 'strange', 'narrow', 1, 2, 0.75, 45, 0.81),
    (3, 8, 365, 4.5, 'strange', 'narrow', 0, 0, 0.85, NULL, 0.33)
) AS p (n, control, days, distance, quadrant, functional_range, incidents, traces, probability, fails_in, confidence)
ON CONFLICT (id) DO NOTHING;
