-- The roles of a guarded region and the schemas they own. Roles belong to the whole server, so they may
-- be there from an earlier attempt: their attributes are set again, never assumed.
--
--   domicile_owner      owns schema domicile and its definer functions; nobody logs in as it
--   domicile_keeper     owns the few functions that create organization roles and change who is homed
--   domicile_tenant     what every organization's role may do with the application's tables
--   domicile_app        what the application's own pool may do: the same, and enter()
--   domicile_node       what a running node may call
--   domicile_reference  may write reference data outside the master region (its applier)
--
-- and for every organization its own role (org_<key>) and one more: domicile_home_org_<key> says by its name
-- alone that the organization is served here, domicile_away_org_<key> that it is not. It owns nothing, has no
-- rights and no members: an organization that could become it could keep it from being renamed.
DO $do$
DECLARE
  wanted text;
  existing pg_catalog.pg_roles;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['domicile_owner', 'domicile_keeper', 'domicile_tenant',
                                'domicile_app', 'domicile_node', 'domicile_reference'] LOOP
    SELECT * INTO existing FROM pg_catalog.pg_roles WHERE rolname = wanted;
    IF NOT FOUND THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    ELSIF existing.rolsuper OR existing.rolbypassrls OR existing.rolreplication OR existing.rolcanlogin THEN
      RAISE EXCEPTION 'domicile: role % exists with LOGIN, SUPERUSER, BYPASSRLS or REPLICATION', wanted
        USING HINT = format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION, or rename it', wanted);
    END IF;
  END LOOP;
  EXECUTE 'ALTER ROLE domicile_keeper CREATEROLE';

  -- The installer works as a member of the owners; this is all it needs besides CREATEROLE.
  FOREACH wanted IN ARRAY ARRAY['domicile_owner', 'domicile_keeper'] LOOP
    IF NOT pg_catalog.pg_has_role(current_user, wanted, 'usage') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
    END IF;
  END LOOP;

  -- From PostgreSQL 16 on, CREATEROLE alone no longer lets the keeper grant this: it needs ADMIN.
  IF pg_catalog.current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT domicile_tenant TO domicile_keeper WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
  END IF;
END
$do$;

ALTER SCHEMA domicile OWNER TO domicile_owner;
ALTER TABLE domicile.migration OWNER TO domicile_owner;
CREATE SCHEMA domicile_private AUTHORIZATION domicile_owner;

-- Clients name functions of this schema and read nothing in it.
GRANT USAGE ON SCHEMA domicile TO PUBLIC;
GRANT CREATE ON SCHEMA domicile TO domicile_keeper;
GRANT SELECT ON domicile.migration TO domicile_node;
