-- The nexus domain, first part: who deals with whom, and whose context a transaction has.
--
-- An org appears under three text keys: TNT- as itself, TC- as somebody's client, TV- as somebody's vendor. A
-- user appears as USR-, once in each org. Most rows here belong to two orgs at once, so they have no column that
-- names one; they say client (TC-) and vendor (TV-), and a relationship between these two must exist first.

-- migrate:up

-- Whoever acts, beside the org it acts for; the rules are those of current_org_id and set_current_org_id.
CREATE FUNCTION public.current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(pg_catalog.current_setting('app.current_user_id', true), '')::pg_catalog.uuid;

CREATE FUNCTION public.set_current_user_id(user_id uuid) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_catalog.set_config('app.current_user_id', coalesce(user_id::text, ''), true) $$;

-- Text keys are unique over all orgs, so whoever may choose one may ask whether it is taken: they are made here,
-- at random, and the application's role has no right to write them.
CREATE FUNCTION public.generate_nexus_id(prefix text) RETURNS text
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN prefix || '-' || pg_catalog.upper(pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', ''));

CREATE TABLE public.nexus_tenants (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    organization_id uuid NOT NULL UNIQUE REFERENCES public.organizations (id),
    tenant_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('TNT') CHECK (tenant_id LIKE 'TNT-%'),
    tenant_client_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('TC') CHECK (tenant_client_id LIKE 'TC-%'),
    tenant_vendor_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('TV') CHECK (tenant_vendor_id LIKE 'TV-%'),
    name text NOT NULL,
    display_name text,
    email text,
    phone text,
    address text,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'pending', 'suspended', 'archived')),
    onboarding_status text NOT NULL DEFAULT 'pending' CHECK (onboarding_status IN ('pending', 'active', 'completed')),
    settings jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, tenant_id)
);

-- Passwords are the issuer's, in shapegate_auth. An address is unique within the org.
CREATE TABLE public.nexus_users (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    user_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('USR') CHECK (user_id LIKE 'USR-%'),
    tenant_id text NOT NULL,
    auth_user_id uuid NOT NULL,
    email text NOT NULL,
    display_name text,
    first_name text,
    last_name text,
    phone text,
    avatar_url text,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'pending', 'suspended', 'archived')),
    email_verified bool NOT NULL DEFAULT false,
    preferences jsonb NOT NULL DEFAULT '{}',
    last_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, auth_user_id),
    UNIQUE (tenant_id, user_id),
    UNIQUE (tenant_id, auth_user_id),
    CONSTRAINT nexus_users_tenant_id_fkey FOREIGN KEY (organization_id, tenant_id)
        REFERENCES public.nexus_tenants (organization_id, tenant_id),
    CONSTRAINT nexus_users_auth_user_id_fkey FOREIGN KEY (organization_id, auth_user_id)
        REFERENCES public.memberships (organization_id, user_id)
);
CREATE UNIQUE INDEX nexus_users_email_key ON public.nexus_users (organization_id, lower(email));
CREATE INDEX nexus_users_tenant_id_index ON public.nexus_users (organization_id, tenant_id);

CREATE TABLE public.nexus_tenant_relationships (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    client_id text NOT NULL REFERENCES public.nexus_tenants (tenant_client_id),
    vendor_id text NOT NULL REFERENCES public.nexus_tenants (tenant_vendor_id),
    relationship_type text NOT NULL DEFAULT 'client_vendor'
        CHECK (relationship_type IN ('client_vendor', 'partner', 'affiliate')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'pending', 'suspended', 'terminated')),
    contract_ref text,
    effective_from date,
    effective_to date,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (client_id, vendor_id),
    UNIQUE (id, client_id, vendor_id)
);
CREATE INDEX nexus_tenant_relationships_vendor_id_index ON public.nexus_tenant_relationships (vendor_id, status);
CREATE INDEX nexus_tenant_relationships_client_id_index ON public.nexus_tenant_relationships (client_id, status);

-- The caller's own keys: it reads its own rows of nexus_tenants and nexus_users, and no context finds none. In
-- policies they stand in a sub-select, which is worked out once for a statement and not for each row.
CREATE FUNCTION public.current_nexus_tenant_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT t.tenant_id FROM public.nexus_tenants AS t WHERE t.organization_id = public.current_org_id());

CREATE FUNCTION public.current_nexus_client_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT t.tenant_client_id FROM public.nexus_tenants AS t WHERE t.organization_id = public.current_org_id());

CREATE FUNCTION public.current_nexus_vendor_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT t.tenant_vendor_id FROM public.nexus_tenants AS t WHERE t.organization_id = public.current_org_id());

CREATE FUNCTION public.current_nexus_user_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (
        SELECT u.user_id FROM public.nexus_users AS u
        WHERE u.organization_id = public.current_org_id() AND u.auth_user_id = public.current_user_id()
    );

DO $$
DECLARE
    called text;
BEGIN
    FOREACH called IN ARRAY ARRAY[
        'current_user_id()', 'set_current_user_id(uuid)', 'generate_nexus_id(text)', 'current_nexus_tenant_id()',
        'current_nexus_client_id()', 'current_nexus_vendor_id()', 'current_nexus_user_id()'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION public.%s FROM PUBLIC', called);
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.%s TO app_rw', called);
    END LOOP;
END
$$;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
