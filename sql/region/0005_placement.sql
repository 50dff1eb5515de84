-- Homing and fencing. These functions create and rename roles, so they belong
-- to domicile_keeper, the one owner with CREATEROLE; a node may call them and can do nothing else with roles.
--
-- fence_organization() is only the first half of a fence: transactions that were open when it committed may
-- still write. The caller waits for open_transactions() of that moment (see store/region_store.h).
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.refuse_epoch(organization text, have bigint, wanted bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'domicile: organization % is at epoch % here, epoch % is older', organization, have, wanted
    USING ERRCODE = '40001', HINT = 'The placement changed in the meantime: read the registry again.';
END
$$;
GRANT USAGE ON SCHEMA domicile_private TO domicile_keeper;

-- The role of an organization, made if it is not there; raises when somebody else's role has that name.
CREATE FUNCTION domicile_private.ensure_role(wanted name) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  existing pg_roles;
  stranger text;
BEGIN
  SELECT * INTO existing FROM pg_roles WHERE rolname = wanted;
  IF NOT FOUND THEN
    EXECUTE format('CREATE ROLE %I', wanted);
    EXECUTE format('GRANT domicile_tenant TO %I', wanted);
    RETURN;
  END IF;
  IF existing.rolsuper OR existing.rolbypassrls OR existing.rolcreaterole OR existing.rolcreatedb OR existing.rolreplication THEN
    RAISE EXCEPTION 'domicile: role % has attributes that no organization may have', wanted
      USING ERRCODE = '42710', HINT = 'Take SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB and REPLICATION from it, or drop it.';
  END IF;
  SELECT g.rolname INTO stranger FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
  WHERE m.member = existing.oid
    AND g.rolname <> 'domicile_tenant' LIMIT 1;
  IF stranger IS NOT NULL THEN
    RAISE EXCEPTION 'domicile: role % is a member of %', wanted, stranger
      USING ERRCODE = '42710', HINT = format('REVOKE %I FROM %I', stranger, wanted);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = 'domicile_tenant'::regrole AND m.member = existing.oid) THEN
    EXECUTE format('GRANT domicile_tenant TO %I', wanted);
  END IF;
END
$$;

-- The home role as it must be, proved after the fact. Does nothing where it is already so. It is renamed and
-- not dropped, because nothing that somebody hung on it can hinder that.
--
-- LOGIN is another matter: a session may change its own role (a password, say), and keeps its row locked until
-- its transaction ends. A fence does not wait for that: the role that may still log in is served nothing, and
-- the next reconcile takes its LOGIN.
CREATE FUNCTION domicile_private.set_homed(wanted name, homed boolean) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
  home text := 'domicile_home_' || wanted;
  away text := 'domicile_away_' || wanted;
  is_home boolean := to_regrole(quote_ident(home)) IS NOT NULL;
  is_away boolean := to_regrole(quote_ident(away)) IS NOT NULL;
BEGIN
  IF is_home AND is_away THEN
    EXECUTE format('DROP ROLE %I', away);  -- made by hand, and in the way
    is_away := false;
  END IF;
  IF homed AND is_away THEN
    EXECUTE format('ALTER ROLE %I RENAME TO %I', away, home);
  ELSIF homed AND NOT is_home THEN
    EXECUTE format('CREATE ROLE %I NOLOGIN', home);
  ELSIF NOT homed AND is_home THEN
    EXECUTE format('ALTER ROLE %I RENAME TO %I', home, away);
  END IF;
  IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = wanted AND r.rolcanlogin <> homed) THEN
    BEGIN
      EXECUTE format('ALTER ROLE %I %s', wanted, CASE WHEN homed THEN 'LOGIN' ELSE 'NOLOGIN' END);
    EXCEPTION WHEN lock_not_available OR internal_error THEN  -- the latter: tuple concurrently updated
      IF homed THEN RAISE; END IF;
      RAISE WARNING 'domicile: role % keeps LOGIN, because an open transaction changed it; it is served nothing', wanted
        USING HINT = 'domicile region reconcile takes it.';
    END;
  END IF;
  IF homed IS DISTINCT FROM (to_regrole(quote_ident(home)) IS NOT NULL) THEN
    RAISE EXCEPTION 'domicile: role % is still %', home, CASE WHEN homed THEN 'missing' ELSE 'there' END
      USING ERRCODE = '55000', HINT = 'Another session changed it: run domicile region reconcile.';
  END IF;
END
$$;

-- Homes an organization, or raises its epoch. The same call again does nothing.
CREATE FUNCTION domicile.home_organization(key text, epoch bigint) RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wanted {{key_type}} := key::{{key_type}};
  had domicile.organization;
BEGIN
  IF NOT domicile.region_open() THEN
    RAISE EXCEPTION 'domicile: this region is closed' USING ERRCODE = '55000', HINT = 'Run domicile region reconcile.';
  END IF;
  INSERT INTO domicile.organization AS o (key, role, epoch, state)
  VALUES (wanted, domicile.role_of(wanted), home_organization.epoch, 'fenced') ON CONFLICT DO NOTHING;
  SELECT * INTO STRICT had FROM domicile.organization o WHERE o.key = wanted FOR UPDATE;
  IF had.epoch > home_organization.epoch THEN
    PERFORM domicile_private.refuse_epoch(home_organization.key, had.epoch, home_organization.epoch);
  END IF;
  PERFORM domicile_private.ensure_role(had.role);
  PERFORM domicile_private.set_homed(had.role, true);
  UPDATE domicile.organization o
  SET epoch = home_organization.epoch, state = 'active', previous_epoch = NULL, previous_state = NULL, changed_at = clock_timestamp()
  WHERE o.key = wanted AND (o.epoch, o.state) IS DISTINCT FROM (home_organization.epoch, 'active');
END
$$;

-- Shared by fence and suspend: the organization's state becomes `state`, and nobody can write its rows in
-- a transaction that begins after this one commits.
CREATE FUNCTION domicile_private.withdraw(key text, epoch bigint, state text) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wanted {{key_type}} := key::{{key_type}};
  had domicile.organization;
BEGIN
  SELECT * INTO had FROM domicile.organization o WHERE o.key = wanted FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: organization % was never homed here', withdraw.key USING ERRCODE = '02000';
  END IF;
  IF had.epoch > withdraw.epoch THEN
    PERFORM domicile_private.refuse_epoch(withdraw.key, had.epoch, withdraw.epoch);
  END IF;
  PERFORM domicile_private.set_homed(had.role, false);
  UPDATE domicile.organization o
  SET epoch = withdraw.epoch, state = withdraw.state, changed_at = clock_timestamp(),
      previous_epoch = had.epoch, previous_state = had.state
  WHERE o.key = wanted AND (o.epoch, o.state) IS DISTINCT FROM (withdraw.epoch, withdraw.state);
END
$$;

CREATE FUNCTION domicile.fence_organization(key text, epoch bigint) RETURNS void LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT domicile_private.withdraw(key, epoch, 'fenced') $$;

CREATE FUNCTION domicile.suspend_organization(key text, epoch bigint) RETURNS void LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT domicile_private.withdraw(key, epoch, 'suspended') $$;

-- A fence that did not hold in time is taken back: the former epoch and state return. Only for the very
-- epoch of that fence.
CREATE FUNCTION domicile.undo_fence(key text, epoch bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  had domicile.organization;
BEGIN
  SELECT * INTO had FROM domicile.organization o WHERE o.key = undo_fence.key::{{key_type}} FOR UPDATE;
  IF NOT FOUND OR had.epoch <> undo_fence.epoch OR had.previous_state IS NULL THEN RETURN false; END IF;
  IF had.previous_state = 'active' THEN
    PERFORM domicile_private.set_homed(had.role, true);
  END IF;
  UPDATE domicile.organization o
  SET epoch = had.previous_epoch, state = had.previous_state, previous_epoch = NULL, previous_state = NULL,
      changed_at = clock_timestamp()
  WHERE o.key = had.key;
  RETURN true;
END
$$;

-- Which transactions of this database are open now, as names that can be looked for again: virtual
-- transactions of backends, and prepared transactions. A backend that has not finished logging in is not
-- in pg_stat_activity yet and counts. Left out: ourselves, backends of other databases, and autovacuum
-- workers, which write no organization's rows (they have no user; apply workers have one, and count).
CREATE FUNCTION domicile.open_transactions() RETURNS TABLE (name text, pid int) LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'virtual ' || l.virtualtransaction, l.pid
  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
    AND NOT (a.pid IS NOT NULL AND a.datid IS NOT NULL AND a.datid <> (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
    AND NOT (a.pid IS NOT NULL AND a.datid IS NOT NULL AND a.usesysid IS NULL
             AND coalesce(a.backend_type, 'autovacuum worker') = 'autovacuum worker')
  UNION ALL
  SELECT 'prepared ' || p.transaction::text, NULL FROM pg_prepared_xacts p WHERE p.database = current_database()
$$;

-- Ends a backend whose transaction keeps a fence waiting. False: it is gone, or it is beyond our rights.
CREATE FUNCTION domicile.terminate_backend(which int) RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_terminate_backend(which);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN false;
END
$$;

-- Gives an organization's role its password, as a SCRAM verifier: the password itself never comes here.
CREATE FUNCTION domicile.set_organization_login(key text, verifier text) RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wanted name;
BEGIN
  SELECT o.role INTO wanted FROM domicile.organization o WHERE o.key = set_organization_login.key::{{key_type}};
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: organization % was never homed here', key USING ERRCODE = '02000';
  END IF;
  IF verifier !~ '^SCRAM-SHA-256\$[0-9]{1,9}:[A-Za-z0-9+/=]{1,100}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$' THEN
    RAISE EXCEPTION 'domicile: this is not a SCRAM-SHA-256 verifier' USING ERRCODE = '22023';
  END IF;
  EXECUTE format('ALTER ROLE %I PASSWORD %L', wanted, verifier);
END
$$;

-- What reconcile compares and does, whole: the registry's placements for this region in, what changed out. Runs
-- while the region is closed, so that nobody writes meanwhile. Index scans only: the first time, the catalogs it
-- looks through grow from nothing while the plans stay.
CREATE FUNCTION domicile_private.apply_placements(keys text[], epochs bigint[], states text[])
RETURNS TABLE (change text, organization text) LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
  line record;
BEGIN
  FOR line IN
    SELECT w.key, w.epoch, w.state, domicile.role_of(w.key) AS role, o.epoch AS had_epoch, o.state AS had_state
    FROM (SELECT k::{{key_type}}, e, s FROM unnest(keys, epochs, states) AS u (k, e, s)) AS w (key, epoch, state)
    LEFT JOIN domicile.organization o ON o.key = w.key
  LOOP
    IF line.had_epoch > line.epoch THEN
      PERFORM domicile_private.refuse_epoch(line.key::text, line.had_epoch, line.epoch);
    END IF;
    CONTINUE WHEN line.had_epoch IS NULL AND line.state <> 'active';
    IF (line.had_epoch, line.had_state) IS DISTINCT FROM (line.epoch, line.state) THEN
      change := CASE WHEN line.had_state IS NULL THEN 'homed' WHEN line.had_state IS DISTINCT FROM line.state
                     THEN CASE line.state WHEN 'active' THEN 'homed' ELSE 'suspended' END ELSE 'epoch' END;
      organization := line.key::text;
      RETURN NEXT;
      INSERT INTO domicile.organization AS o (key, role, epoch, state) VALUES (line.key, line.role, line.epoch, line.state)
      ON CONFLICT (key) DO UPDATE SET epoch = excluded.epoch, state = excluded.state, previous_epoch = NULL,
                                      previous_state = NULL, changed_at = clock_timestamp();
    END IF;
    PERFORM domicile_private.ensure_role(line.role);
    PERFORM domicile_private.set_homed(line.role, line.state = 'active');
  END LOOP;
  FOR line IN
    SELECT o.key, o.role, o.state FROM domicile.organization o
    WHERE o.key NOT IN (SELECT k::{{key_type}} FROM unnest(keys) AS k) AND o.state <> 'fenced'
  LOOP
    PERFORM domicile_private.ensure_role(line.role);
    PERFORM domicile_private.set_homed(line.role, false);
    UPDATE domicile.organization o SET state = 'fenced', previous_epoch = NULL, previous_state = NULL,
           changed_at = clock_timestamp() WHERE o.key = line.key;
    change := 'fenced';
    organization := line.key::text;
    RETURN NEXT;
  END LOOP;
  -- Homes that no organization accounts for: made by hand, or revived by a restore of roles.
  FOR line IN
    SELECT substr(r.rolname, 15)::name AS role FROM pg_roles r WHERE starts_with(r.rolname, 'domicile_home_')
      AND NOT EXISTS (SELECT FROM domicile.organization o WHERE o.role = substr(r.rolname, 15)::name AND o.state = 'active')
  LOOP
    PERFORM domicile_private.set_homed(line.role, false);
    change := 'expelled';
    organization := line.role;
    RETURN NEXT;
  END LOOP;
END
$$;

CREATE FUNCTION domicile.organizations() RETURNS TABLE (key text, role text, epoch bigint, state text, homed boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.key::text, o.role::text, o.epoch, o.state,
         to_regrole(quote_ident('domicile_home_' || o.role)) IS NOT NULL
  FROM domicile.organization o ORDER BY o.key
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private TO domicile_keeper;
REVOKE EXECUTE ON FUNCTION domicile_private.bake() FROM domicile_keeper;

DO $do$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY['home_organization(text, bigint)', 'fence_organization(text, bigint)',
      'suspend_organization(text, bigint)', 'undo_fence(text, bigint)', 'terminate_backend(int)',
      'set_organization_login(text, text)'] LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION domicile.%s FROM PUBLIC', signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION domicile.%s TO domicile_node', signature);
  END LOOP;
END
$do$;
REVOKE EXECUTE ON FUNCTION domicile.open_transactions(), domicile.organizations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.open_transactions(), domicile.organizations() TO domicile_node;

RESET ROLE;
ALTER FUNCTION domicile.home_organization(text, bigint) OWNER TO domicile_keeper;
ALTER FUNCTION domicile.fence_organization(text, bigint) OWNER TO domicile_keeper;
ALTER FUNCTION domicile.suspend_organization(text, bigint) OWNER TO domicile_keeper;
ALTER FUNCTION domicile.undo_fence(text, bigint) OWNER TO domicile_keeper;
ALTER FUNCTION domicile.terminate_backend(int) OWNER TO domicile_keeper;
ALTER FUNCTION domicile.set_organization_login(text, text) OWNER TO domicile_keeper;
-- May fail where the installer cannot give it (PostgreSQL 16 and later without ADMIN on it): then a fence that
-- waits past its deadline is undone, never forced.
DO $do$
BEGIN
  GRANT pg_signal_backend TO domicile_keeper;
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$do$;
