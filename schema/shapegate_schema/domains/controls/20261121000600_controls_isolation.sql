-- Confine each table of the controls domain to its org, and hand all of them to Electric.

-- migrate:up
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'control_providers', 'controls', 'provider_networks', 'control_interactions',
        'quadrant_classifications', 'organizational_traces', 'competency_records'
    ] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation_select ON public.%I FOR SELECT TO app_rw
            USING (organization_id = public.current_org_id())', name);
        EXECUTE format('CREATE POLICY tenant_isolation_insert ON public.%I FOR INSERT TO app_rw
            WITH CHECK (organization_id = public.current_org_id())', name);
        EXECUTE format('CREATE POLICY tenant_isolation_update ON public.%I FOR UPDATE TO app_rw
            USING (organization_id = public.current_org_id())
            WITH CHECK (organization_id = public.current_org_id())', name);
        EXECUTE format('CREATE POLICY tenant_isolation_delete ON public.%I FOR DELETE TO app_rw
            USING (organization_id = public.current_org_id())', name);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO app_rw', name);
        EXECUTE format('CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_organization()', name);
        EXECUTE format('CREATE TRIGGER keep_updated_at BEFORE UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at()', name);

        EXECUTE format('CREATE POLICY electric_reads_all ON public.%I FOR SELECT TO electric USING (true)', name);
        EXECUTE format('GRANT SELECT ON public.%I TO electric', name);
        EXECUTE format('ALTER TABLE public.%I REPLICA IDENTITY FULL', name);
        EXECUTE format('ALTER PUBLICATION electric_publication_default ADD TABLE public.%I', name);
    END LOOP;
END
$$;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
