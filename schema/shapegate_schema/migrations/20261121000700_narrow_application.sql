-- Leave the application's role what it needs of organizations, users and memberships: to read them, and to rename
-- its own org. An insert that meets users_email_key, organizations_slug_key or a primary key tells that a row of
-- another org exists; who may not write these columns cannot ask. The policies stay as they are, behind the rights.

-- migrate:up
REVOKE INSERT, UPDATE, DELETE ON public.organizations, public.users, public.memberships FROM app_rw;
GRANT UPDATE (name) ON public.organizations TO app_rw;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
