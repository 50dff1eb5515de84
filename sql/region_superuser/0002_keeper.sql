-- Up to PostgreSQL 15 a role with CREATEROLE manages every role; from 16 on only those it holds ADMIN on, which
-- its own creations bring along. Roles that came through pg_upgrade lack that, and only a superuser can give it.
DO $do$
DECLARE
  wanted name;
BEGIN
  IF pg_catalog.current_setting('server_version_num')::int < 160000 THEN RETURN; END IF;
  FOR wanted IN
    SELECT r.rolname FROM pg_catalog.pg_roles r
    WHERE (r.rolname IN (SELECT o.role FROM domicile.organization o) OR r.rolname ~ '^domicile_((home|away)_|tenant$)')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option
                      AND m.member = 'domicile_keeper'::regrole)
  LOOP
    EXECUTE format('GRANT %I TO domicile_keeper WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', wanted);
  END LOOP;
END
$do$;
