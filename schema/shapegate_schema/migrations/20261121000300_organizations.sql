-- Organizations, users, and who belongs to which.

-- migrate:up
CREATE TABLE public.organizations (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL UNIQUE,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE public.users (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    email text NOT NULL,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    role text CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    confirmed_at timestamptz,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id)
);
COMMENT ON COLUMN public.users.organization_id IS 'The home org; memberships say which others there are.';
-- One person, one login: an address is unique over all orgs, whatever its case.
CREATE UNIQUE INDEX users_email_key ON public.users (lower(email));

-- A user may belong to several orgs. A row of an org that names a user therefore refers to
-- memberships (organization_id, user_id), not to users: it can name members of its own org only, wherever
-- their home is. A member with such rows is suspended, not deleted.
CREATE TABLE public.memberships (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES public.users (id),
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, user_id)
);
CREATE INDEX memberships_user_id_index ON public.memberships (user_id);

-- FORCE, since the owner passes row-level security otherwise. No policy is for PUBLIC: who has none sees nothing.
DO $$
DECLARE
    scoped record;
BEGIN
    FOR scoped IN
        SELECT * FROM (VALUES
            ('organizations', 'id'),
            ('users', 'organization_id'),
            ('memberships', 'organization_id')
        ) AS t (name, org_column)
    LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', scoped.name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', scoped.name);
        EXECUTE format('CREATE POLICY tenant_isolation_select ON public.%I FOR SELECT TO app_rw
            USING (%I = public.current_org_id())', scoped.name, scoped.org_column);
        EXECUTE format('CREATE POLICY tenant_isolation_insert ON public.%I FOR INSERT TO app_rw
            WITH CHECK (%I = public.current_org_id())', scoped.name, scoped.org_column);
        EXECUTE format('CREATE POLICY tenant_isolation_update ON public.%1$I FOR UPDATE TO app_rw
            USING (%2$I = public.current_org_id())
            WITH CHECK (%2$I = public.current_org_id())', scoped.name, scoped.org_column);
        EXECUTE format('CREATE POLICY tenant_isolation_delete ON public.%I FOR DELETE TO app_rw
            USING (%I = public.current_org_id())', scoped.name, scoped.org_column);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', scoped.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO app_rw', scoped.name);
        EXECUTE format('CREATE TRIGGER keep_updated_at BEFORE UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at()', scoped.name);
        IF scoped.org_column = 'organization_id' THEN
            EXECUTE format('CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE ON public.%I
                FOR EACH ROW EXECUTE FUNCTION public.keep_organization()', scoped.name);
        END IF;
    END LOOP;
END
$$;

CREATE POLICY issuer_reads_all ON public.organizations FOR SELECT TO shapegate_issuer USING (true);
CREATE POLICY issuer_reads_all ON public.users FOR SELECT TO shapegate_issuer USING (true);
CREATE POLICY issuer_reads_all ON public.memberships FOR SELECT TO shapegate_issuer USING (true);
GRANT SELECT ON public.organizations, public.users, public.memberships TO shapegate_issuer;

CREATE POLICY proxy_reads_all ON public.organizations FOR SELECT TO shapegate_proxy USING (true);
CREATE POLICY proxy_reads_all ON public.memberships FOR SELECT TO shapegate_proxy USING (true);
GRANT SELECT (id, status) ON public.organizations TO shapegate_proxy;
GRANT SELECT ON public.memberships TO shapegate_proxy;

-- Electric's role bypasses row-level security by attribute; the policies say the same where a managed Postgres
-- does not grant that attribute. REPLICA IDENTITY FULL and the publication are what Electric would set itself
-- if it owned the tables (run it with ELECTRIC_MANUAL_TABLE_PUBLISHING=true).
CREATE POLICY electric_reads_all ON public.organizations FOR SELECT TO electric USING (true);
CREATE POLICY electric_reads_all ON public.users FOR SELECT TO electric USING (true);
GRANT SELECT ON public.organizations, public.users TO electric;
ALTER TABLE public.organizations REPLICA IDENTITY FULL;
ALTER TABLE public.users REPLICA IDENTITY FULL;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'electric_publication_default') THEN
        CREATE PUBLICATION electric_publication_default;
    END IF;
END
$$;
ALTER PUBLICATION electric_publication_default ADD TABLE public.organizations, public.users;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
