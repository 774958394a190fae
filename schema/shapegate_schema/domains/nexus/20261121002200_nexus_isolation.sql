-- Confine the tables of the nexus domain to the one or two orgs that a row belongs to, and hand them to Electric.
--
-- The application's role gets what the domain needs: it opens and works on cases, writes messages, marks as read,
-- edits its own profile. Keys are nobody's to choose, money and relationships are somebody else's to write, and
-- what two orgs share is deleted by neither. All tables have policies for all four verbs, behind these rights.

-- migrate:up

-- BEFORE UPDATE: the columns named by the trigger say whose a row is, and stay.
CREATE FUNCTION public.keep_nexus_columns() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY TG_ARGV LOOP
        IF to_jsonb(NEW) -> kept IS DISTINCT FROM to_jsonb(OLD) -> kept THEN
            RAISE EXCEPTION 'a row of % keeps its %', TG_TABLE_NAME, kept
                USING ERRCODE = 'check_violation', HINT = 'Insert a new row instead.';
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;

-- BEFORE INSERT OR UPDATE: a person named in a row of two parties is a user of one of them. It reads under the
-- writer's own policies, so the application can name its own people only, and a stranger is as good as nobody.
-- The trigger names the client's column, the vendor's, then those with people in them.
CREATE FUNCTION public.keep_nexus_people() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    written jsonb := to_jsonb(NEW);
    stored jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END;
    person text;
BEGIN
    FOREACH person IN ARRAY TG_ARGV[2:] LOOP
        CONTINUE WHEN written ->> person IS NULL OR written ->> person = stored ->> person;
        IF NOT EXISTS (
            SELECT FROM public.nexus_users AS u JOIN public.nexus_tenants AS t ON t.tenant_id = u.tenant_id
            WHERE u.user_id = written ->> person
            AND (t.tenant_client_id = written ->> TG_ARGV[0] OR t.tenant_vendor_id = written ->> TG_ARGV[1])
        ) THEN
            RAISE EXCEPTION '% of % is no user of the parties', person, TG_TABLE_NAME
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;

-- BEFORE INSERT: a message is from whoever acts, unless a writer that passes the policies says otherwise.
CREATE FUNCTION public.fill_nexus_sender() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.sender_user_id := coalesce(NEW.sender_user_id, public.current_nexus_user_id());
    NEW.sender_tenant_id := coalesce(NEW.sender_tenant_id, public.current_nexus_tenant_id());
    RETURN NEW;
END
$$;

REVOKE ALL ON FUNCTION public.keep_nexus_columns() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.keep_nexus_people() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.fill_nexus_sender() FROM PUBLIC;

DO $$
DECLARE
    confined record;
BEGIN
    FOR confined IN
        SELECT * FROM (VALUES
            ('nexus_tenants', 'organization_id = public.current_org_id()', 'tenant_id, tenant_client_id, tenant_vendor_id'),
            ('nexus_users', 'organization_id = public.current_org_id()', 'user_id, tenant_id, auth_user_id'),
            ('nexus_tenant_relationships', '(client_id = (SELECT public.current_nexus_client_id())
                OR vendor_id = (SELECT public.current_nexus_vendor_id()))', 'client_id, vendor_id'),
            ('nexus_cases', '(client_id = (SELECT public.current_nexus_client_id())
                OR vendor_id = (SELECT public.current_nexus_vendor_id()))', 'case_id, client_id, vendor_id'),
            -- Under the reader's own policies nexus_cases holds the cases of its org, and no other.
            ('nexus_case_messages', 'case_id IN (SELECT c.case_id FROM public.nexus_cases AS c)',
                'message_id, case_id, sender_user_id, sender_tenant_id, sender_context, sender_context_id'),
            ('nexus_invoices', '(client_id = (SELECT public.current_nexus_client_id())
                OR vendor_id = (SELECT public.current_nexus_vendor_id()))', 'invoice_id, client_id, vendor_id'),
            ('nexus_payments', '(from_id = (SELECT public.current_nexus_client_id())
                OR to_id = (SELECT public.current_nexus_vendor_id()))', 'payment_id, from_id, to_id'),
            ('nexus_notifications', 'tenant_id = (SELECT public.current_nexus_tenant_id())
                AND (user_id = public.current_user_id() OR user_id IS NULL)', 'notification_id, tenant_id, user_id')
        ) AS t (name, seen, kept)
    LOOP
        CALL public.confine_table(confined.name, confined.seen);
        EXECUTE format('CREATE TRIGGER keep_columns BEFORE UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_nexus_columns(%s)', confined.name, confined.kept);
    END LOOP;
END
$$;

-- Narrower than what is seen: a profile is edited by its owner, a message is sent in one's own name and on one's own
-- side of the case, and of notifications those to oneself are marked, since a broadcast has one mark for everyone.
ALTER POLICY tenant_isolation_update ON public.nexus_users
    USING (organization_id = public.current_org_id() AND auth_user_id = public.current_user_id())
    WITH CHECK (organization_id = public.current_org_id() AND auth_user_id = public.current_user_id());
ALTER POLICY tenant_isolation_insert ON public.nexus_case_messages WITH CHECK (
    sender_user_id = (SELECT public.current_nexus_user_id())
    AND sender_tenant_id = (SELECT public.current_nexus_tenant_id())
    AND (case_id, sender_context_id) IN (
        SELECT c.case_id, CASE sender_context WHEN 'client' THEN c.client_id ELSE c.vendor_id END
        FROM public.nexus_cases AS c
    )
    AND sender_context_id IN ((SELECT public.current_nexus_client_id()), (SELECT public.current_nexus_vendor_id()))
);
ALTER POLICY tenant_isolation_delete ON public.nexus_case_messages USING (
    sender_user_id = (SELECT public.current_nexus_user_id())
    AND case_id IN (SELECT c.case_id FROM public.nexus_cases AS c)
);
ALTER POLICY tenant_isolation_update ON public.nexus_notifications
    USING (tenant_id = (SELECT public.current_nexus_tenant_id()) AND user_id = public.current_user_id())
    WITH CHECK (tenant_id = (SELECT public.current_nexus_tenant_id()) AND user_id = public.current_user_id());
ALTER POLICY tenant_isolation_delete ON public.nexus_notifications
    USING (tenant_id = (SELECT public.current_nexus_tenant_id()) AND user_id = public.current_user_id());

GRANT UPDATE (display_name, email, phone, address, settings) ON public.nexus_tenants TO app_rw;
GRANT UPDATE (display_name, first_name, last_name, phone, avatar_url, preferences) ON public.nexus_users TO app_rw;
GRANT INSERT (
    client_id, vendor_id, relationship_id, subject, description, case_type, status, priority, assigned_to, assigned_at,
    sla_due_at, invoice_ref, payment_ref, amount_disputed, currency, tags, category, metadata
) ON public.nexus_cases TO app_rw;
GRANT UPDATE (
    subject, description, case_type, status, priority, assigned_to, assigned_at, resolution, resolved_at, resolved_by,
    invoice_ref, payment_ref, amount_disputed, currency, tags, category, metadata, closed_at
) ON public.nexus_cases TO app_rw;
GRANT INSERT (
    case_id, sender_user_id, sender_tenant_id, sender_context, sender_context_id, body, body_html, message_type,
    attachments, metadata
) ON public.nexus_case_messages TO app_rw;
GRANT UPDATE (is_read, read_at) ON public.nexus_case_messages, public.nexus_notifications TO app_rw;
REVOKE ALL ON public.nexus_notification_counts FROM PUBLIC;
GRANT SELECT ON public.nexus_notification_counts TO app_rw;

-- The token issuer puts an org's keys into its tokens: the claims `tenant`, `client` and `vendor`.
CREATE POLICY issuer_reads_all ON public.nexus_tenants FOR SELECT TO shapegate_issuer USING (true);
GRANT SELECT (organization_id, tenant_id, tenant_client_id, tenant_vendor_id) ON public.nexus_tenants TO shapegate_issuer;

CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE ON public.nexus_tenants
    FOR EACH ROW EXECUTE FUNCTION public.keep_organization();
CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE ON public.nexus_users
    FOR EACH ROW EXECUTE FUNCTION public.keep_organization();
CREATE TRIGGER keep_people BEFORE INSERT OR UPDATE ON public.nexus_cases
    FOR EACH ROW EXECUTE FUNCTION public.keep_nexus_people(client_id, vendor_id, assigned_to, resolved_by);
CREATE TRIGGER keep_people BEFORE INSERT OR UPDATE ON public.nexus_payments
    FOR EACH ROW EXECUTE FUNCTION public.keep_nexus_people(from_id, to_id, reconciled_by);
CREATE TRIGGER fill_sender BEFORE INSERT ON public.nexus_case_messages
    FOR EACH ROW EXECUTE FUNCTION public.fill_nexus_sender();

-- With REPLICA IDENTITY FULL, PostgreSQL 18 refuses updates of a table whose stored generated columns are not
-- published (nexus_invoices); earlier versions leave them out by themselves.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        ALTER PUBLICATION electric_publication_default SET (publish_generated_columns = stored);
    END IF;
END
$$;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
