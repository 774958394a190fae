-- The claims that this domain's scopes name: an org's own keys. An org that has none yet gets tokens without them,
-- and what a scope compares with a missing claim is refused.

-- migrate:up
CREATE OR REPLACE FUNCTION shapegate_auth.claims_of(user_id uuid, organization_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(
        (
            SELECT pg_catalog.jsonb_build_object(
                'tenant', t.tenant_id, 'client', t.tenant_client_id, 'vendor', t.tenant_vendor_id
            )
            FROM public.nexus_tenants AS t WHERE t.organization_id = claims_of.organization_id
        ),
        '{}'::pg_catalog.jsonb
    );

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
