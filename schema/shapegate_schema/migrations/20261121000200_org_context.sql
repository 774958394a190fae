-- Which org a transaction acts for, and the triggers that keep rows in their org.

-- migrate:up

-- After a transaction-local setting ended, the setting is '' and not NULL, and ''::uuid raises; hence nullif.
-- No context is NULL, and no row equals NULL: without a context nothing is seen and nothing written.
-- The body is bound to its objects now (SQL-standard body), so no search_path changes what it means; and unlike a
-- function with a SET clause it can be inlined into the policies, where it serves as an index condition.
CREATE FUNCTION public.current_org_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(pg_catalog.current_setting('app.current_org_id', true), '')::pg_catalog.uuid;

-- Local to the transaction: outside of one it does nothing, and a pooled connection carries nothing on.
CREATE FUNCTION public.set_current_org_id(org_id uuid) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_catalog.set_config('app.current_org_id', coalesce(org_id::text, ''), true) $$;

-- BEFORE INSERT OR UPDATE on every table with organization_id. Row-level security checks its result.
CREATE FUNCTION public.keep_organization() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.organization_id IS NULL THEN
            NEW.organization_id := public.current_org_id();
        END IF;
    ELSIF NEW.organization_id IS DISTINCT FROM OLD.organization_id THEN
        RAISE EXCEPTION 'a row of % stays in its organization', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', HINT = 'Insert a new row in the other organization instead.';
    END IF;
    RETURN NEW;
END
$$;

-- BEFORE UPDATE on every table with updated_at.
CREATE FUNCTION public.keep_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.updated_at := pg_catalog.now();
    RETURN NEW;
END
$$;

REVOKE ALL ON FUNCTION public.current_org_id() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.set_current_org_id(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.keep_organization() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.keep_updated_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.current_org_id() TO app_rw;
GRANT EXECUTE ON FUNCTION public.set_current_org_id(uuid) TO app_rw;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
