-- What every table of a domain gets, in one place: policies, the right to read, Electric's part.

-- migrate:up

-- For migrations: nobody but the owner may call it. `seen` is the condition under which a row is the context's own,
-- with every name qualified. FORCE, since the owner passes row-level security otherwise. No policy is for PUBLIC: who
-- has none sees nothing. Rights to write are the caller's to grant.
CREATE PROCEDURE public.confine_table(name text, seen text)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant_isolation_select ON public.%I FOR SELECT TO app_rw USING (%s)', name, seen);
    EXECUTE format('CREATE POLICY tenant_isolation_insert ON public.%I FOR INSERT TO app_rw WITH CHECK (%s)', name, seen);
    EXECUTE format('CREATE POLICY tenant_isolation_update ON public.%1$I FOR UPDATE TO app_rw
        USING (%2$s) WITH CHECK (%2$s)', name, seen);
    EXECUTE format('CREATE POLICY tenant_isolation_delete ON public.%I FOR DELETE TO app_rw USING (%s)', name, seen);
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', name);
    EXECUTE format('GRANT SELECT ON public.%I TO app_rw', name);
    EXECUTE format('CREATE TRIGGER keep_updated_at BEFORE UPDATE ON public.%I
        FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at()', name);

    EXECUTE format('CREATE POLICY electric_reads_all ON public.%I FOR SELECT TO electric USING (true)', name);
    EXECUTE format('GRANT SELECT ON public.%I TO electric', name);
    EXECUTE format('ALTER TABLE public.%I REPLICA IDENTITY FULL', name);
    EXECUTE format('ALTER PUBLICATION electric_publication_default ADD TABLE public.%I', name);
END
$$;
REVOKE ALL ON PROCEDURE public.confine_table(text, text) FROM PUBLIC;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
