-- A user's home may move to another org that the user belongs to: an org that is deleted leaves its people to the
-- others. Everywhere else a row stays in its org, and the application's role may not write users at all.

-- migrate:up
CREATE FUNCTION public.keep_home() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.organization_id IS NULL THEN
            NEW.organization_id := public.current_org_id();
        END IF;
    ELSIF NEW.organization_id IS DISTINCT FROM OLD.organization_id AND NOT EXISTS (
        SELECT FROM public.memberships AS m WHERE m.user_id = NEW.id AND m.organization_id = NEW.organization_id
    ) THEN
        RAISE EXCEPTION 'a user has a home among the organizations of its memberships'
            USING ERRCODE = 'check_violation', HINT = 'Insert the membership first.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION public.keep_home() FROM PUBLIC;

DROP TRIGGER keep_organization ON public.users;
CREATE TRIGGER keep_home BEFORE INSERT OR UPDATE ON public.users
    FOR EACH ROW EXECUTE FUNCTION public.keep_home();

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
