-- What the token issuer needs beside logins: further claims of a domain, and the sessions of one user.

-- migrate:up

-- Claims beside user, org and role that the tokens of a user in an org carry: an object of texts. Here there are
-- none; a domain whose scopes name some replaces the function in a migration of its own (CREATE OR REPLACE keeps the
-- rights). It runs as shapegate_issuer, so that role must be able to read what it reads.
CREATE FUNCTION shapegate_auth.claims_of(user_id uuid, organization_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN '{}'::pg_catalog.jsonb;
REVOKE ALL ON FUNCTION shapegate_auth.claims_of(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shapegate_auth.claims_of(uuid, uuid) TO shapegate_issuer;

CREATE INDEX sessions_user_id_index ON shapegate_auth.sessions (user_id);
CREATE INDEX refresh_tokens_user_id_index ON shapegate_auth.refresh_tokens (user_id);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
