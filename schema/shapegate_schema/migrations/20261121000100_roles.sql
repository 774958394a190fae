-- The roles of the system. They belong to the cluster, so several databases share them, and none can log in
-- until shapegate_schema.roles.set_login gives it a password.
--
--   app_rw            the application: under row-level security, owns nothing
--   electric          reads the synced tables and the replication stream of every org; writes nothing
--   shapegate_issuer  the token issuer: who may log in, and the sessions
--   shapegate_proxy   the proxy: whether a session, a membership and an org still stand
--
-- On a managed Postgres where nobody may hand out REPLICATION or BYPASSRLS, let the provider's administrator
-- make the roles with these attributes first: nothing is altered that is already right.

-- migrate:up
DO $$
DECLARE
    wanted record;
    actual pg_catalog.pg_roles;
    wrong text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('app_rw', false),
            ('electric', true),
            ('shapegate_issuer', false),
            ('shapegate_proxy', false)
        ) AS role (name, sees_all)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
            BEGIN
                EXECUTE format(
                    'CREATE ROLE %I NOLOGIN%s', wanted.name,
                    CASE WHEN wanted.sees_all THEN ' REPLICATION BYPASSRLS' ELSE '' END
                );
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- Another database of this cluster is being migrated and was first.
            END;
        END IF;
        SELECT * INTO STRICT actual FROM pg_catalog.pg_roles WHERE rolname = wanted.name;
        -- Only what differs is named: to name NOSUPERUSER, for one, takes a superuser.
        wrong := concat_ws(
            ' ',
            CASE WHEN actual.rolsuper THEN 'NOSUPERUSER' END,
            CASE WHEN actual.rolcreaterole THEN 'NOCREATEROLE' END,
            CASE WHEN actual.rolcreatedb THEN 'NOCREATEDB' END,
            CASE WHEN actual.rolreplication AND NOT wanted.sees_all THEN 'NOREPLICATION'
                 WHEN NOT actual.rolreplication AND wanted.sees_all THEN 'REPLICATION' END,
            CASE WHEN actual.rolbypassrls AND NOT wanted.sees_all THEN 'NOBYPASSRLS'
                 WHEN NOT actual.rolbypassrls AND wanted.sees_all THEN 'BYPASSRLS' END
        );
        IF wrong <> '' THEN
            EXECUTE format('ALTER ROLE %I %s', wanted.name, wrong);
        END IF;
    END LOOP;
END
$$;

-- PostgreSQL 15 has no CREATE for PUBLIC in new databases; those upgraded from older ones still do.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO app_rw, electric, shapegate_issuer, shapegate_proxy;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
