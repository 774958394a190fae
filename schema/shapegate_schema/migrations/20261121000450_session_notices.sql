-- Tell the proxy at once when a session, a membership or an organization may count no more.

-- migrate:up

-- The notice has no content: whoever hears it looks for itself, and a listener learns nothing of other orgs.
CREATE FUNCTION shapegate_auth.notice_sessions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('shapegate_sessions', '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION shapegate_auth.notice_sessions() FROM PUBLIC;

CREATE TRIGGER notice_sessions AFTER UPDATE OF revoked_at OR DELETE ON shapegate_auth.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION shapegate_auth.notice_sessions();
CREATE TRIGGER notice_sessions AFTER UPDATE OF status OR DELETE ON public.memberships
    FOR EACH STATEMENT EXECUTE FUNCTION shapegate_auth.notice_sessions();
CREATE TRIGGER notice_sessions AFTER UPDATE OF status OR DELETE ON public.organizations
    FOR EACH STATEMENT EXECUTE FUNCTION shapegate_auth.notice_sessions();

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
