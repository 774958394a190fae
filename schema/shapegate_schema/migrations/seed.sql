-- Two orgs and the people in them. Ids are fixed: seeding again inserts nothing.
-- Acme's begin with ac3e, Globex' with 610b, so that a row in the wrong place is seen at a glance.

INSERT INTO public.organizations (id, name, slug) VALUES
    ('ac3e0000-0000-4000-8000-000000000000', 'Acme Construction Ltd', 'acme'),
    ('610b0000-0000-4000-8000-000000000000', 'Globex Facilities', 'globex')
ON CONFLICT (id) DO NOTHING;

INSERT INTO public.users (id, email, organization_id, role, confirmed_at) VALUES
    ('ac3e0001-0000-4000-8000-000000000001', 'ada@acme.example', 'ac3e0000-0000-4000-8000-000000000000', 'owner', now()),
    ('ac3e0001-0000-4000-8000-000000000002', 'ben@acme.example', 'ac3e0000-0000-4000-8000-000000000000', 'member', now()),
    ('610b0001-0000-4000-8000-000000000001', 'grace@globex.example', '610b0000-0000-4000-8000-000000000000', 'owner', now()),
    ('610b0001-0000-4000-8000-000000000002', 'hugo@globex.example', '610b0000-0000-4000-8000-000000000000', 'viewer', now())
ON CONFLICT (id) DO NOTHING;

-- Ada belongs to both.
INSERT INTO public.memberships (id, user_id, organization_id, role) VALUES
    ('ac3e0002-0000-4000-8000-000000000001', 'ac3e0001-0000-4000-8000-000000000001', 'ac3e0000-0000-4000-8000-000000000000', 'owner'),
    ('ac3e0002-0000-4000-8000-000000000002', 'ac3e0001-0000-4000-8000-000000000002', 'ac3e0000-0000-4000-8000-000000000000', 'member'),
    ('610b0002-0000-4000-8000-000000000001', '610b0001-0000-4000-8000-000000000001', '610b0000-0000-4000-8000-000000000000', 'owner'),
    ('610b0002-0000-4000-8000-000000000002', '610b0001-0000-4000-8000-000000000002', '610b0000-0000-4000-8000-000000000000', 'viewer'),
    ('610b0002-0000-4000-8000-000000000003', 'ac3e0001-0000-4000-8000-000000000001', '610b0000-0000-4000-8000-000000000000', 'member')
ON CONFLICT (id) DO NOTHING;
