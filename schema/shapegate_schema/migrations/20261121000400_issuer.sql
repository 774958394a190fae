-- The token issuer's own tables: never synced, and out of reach for the application's role and for Electric.

-- migrate:up
CREATE SCHEMA shapegate_auth;
REVOKE ALL ON SCHEMA shapegate_auth FROM PUBLIC;
GRANT USAGE ON SCHEMA shapegate_auth TO shapegate_issuer, shapegate_proxy;

CREATE TABLE shapegate_auth.credentials (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES public.users (id) ON DELETE CASCADE,
    password_hash text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER keep_updated_at BEFORE UPDATE ON shapegate_auth.credentials
    FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at();

-- Sessions and refresh tokens refer to nobody by foreign key: they are the record of who was let in, and outlive
-- the user and the membership. Whether a session still counts is asked of memberships and organizations.
CREATE TABLE shapegate_auth.sessions (
    jti uuid NOT NULL PRIMARY KEY,
    family_id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    reason text
);
CREATE INDEX sessions_family_id_index ON shapegate_auth.sessions (family_id);
CREATE INDEX sessions_organization_id_user_id_index ON shapegate_auth.sessions (organization_id, user_id);
CREATE INDEX sessions_expires_at_index ON shapegate_auth.sessions (expires_at);

CREATE TABLE shapegate_auth.refresh_tokens (
    token_hash bytea NOT NULL PRIMARY KEY,
    family_id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_family_id_index ON shapegate_auth.refresh_tokens (family_id);
CREATE INDEX refresh_tokens_organization_id_user_id_index ON shapegate_auth.refresh_tokens (organization_id, user_id);
CREATE INDEX refresh_tokens_expires_at_index ON shapegate_auth.refresh_tokens (expires_at);

-- The grants already keep everybody else out; row-level security stands behind them, should one slip.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['credentials', 'sessions', 'refresh_tokens'] LOOP
        EXECUTE format('ALTER TABLE shapegate_auth.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE shapegate_auth.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY issuer_keeps_all ON shapegate_auth.%I TO shapegate_issuer
            USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON shapegate_auth.%I TO shapegate_issuer', name);
    END LOOP;
END
$$;
CREATE POLICY proxy_reads_all ON shapegate_auth.sessions FOR SELECT TO shapegate_proxy USING (true);
GRANT SELECT ON shapegate_auth.sessions TO shapegate_proxy;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
