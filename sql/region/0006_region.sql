-- The region's own state: closed until reconciled, and closed again on another timeline.
SET LOCAL ROLE domicile_owner;

-- `lsn` is how far the log is flushed, not how far it is written: what a crash may lose must not look like a
-- restored, older database afterwards.
CREATE FUNCTION domicile_private.here(OUT system_identifier text, OUT timeline text, OUT lsn pg_lsn)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT s.system_identifier::text INTO system_identifier FROM pg_control_system() s;
  IF pg_is_in_recovery() THEN
    lsn := pg_last_wal_replay_lsn();
  ELSE
    BEGIN
      lsn := pg_current_wal_flush_lsn();
      timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
    EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state OR insufficient_privilege OR undefined_function THEN
      NULL;  -- some managed services keep their WAL to themselves: no timeline to watch
    END;
  END IF;
END
$$;

-- One transaction may change the guard itself: the DDL assertion lets it.
CREATE FUNCTION domicile_private.begin_upgrade() RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM domicile_private.upgrade WHERE transaction <> pg_current_xact_id();
  INSERT INTO domicile_private.upgrade VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
END
$$;

-- Our functions as they are now become the truth that violations() compares with. Names, not oids: pg_upgrade
-- gives roles and languages new ones. Privileges as they count: what is granted as the default grants it anyway comes
-- out of a dump as nothing.
CREATE FUNCTION domicile_private.functions_now() RETURNS TABLE (object text, hash text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'function ' || p.oid::regprocedure::text,
         md5(p.prosrc || p.prosecdef::text || p.provolatile::text || l.lanname || coalesce(p.proconfig::text, '')
             || o.rolname || coalesce((SELECT string_agg(pg_get_userbyid(a.grantee) || a.privilege_type, ',' ORDER BY pg_get_userbyid(a.grantee), a.privilege_type)
                                       FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a), 'nobody'))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner JOIN pg_language l ON l.oid = p.prolang
  WHERE n.nspname ~ '^domicile(_|$)'
$$;
CREATE FUNCTION domicile_private.pin() RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM domicile_private.pinned;
  INSERT INTO domicile_private.pinned SELECT * FROM domicile_private.functions_now();
END
$$;
CREATE FUNCTION domicile_private.rebake() RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM domicile_private.begin_upgrade();
  PERFORM domicile_private.bake();
  UPDATE domicile_private.pinned p SET hash = f.hash FROM domicile_private.functions_now() f
  WHERE p.object = f.object AND f.object ~ '^function domicile\.(homed|region_open|region_master)\(';
END
$$;

-- Opens the region for exactly these placements (see domicile_private.apply_placements) on the timeline the
-- server is on now. Everything in one transaction: either open and right, or still closed.
CREATE FUNCTION domicile.reconcile(keys text[], epochs bigint[], states text[], open boolean)
RETURNS TABLE (change text, organization text) LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE domicile.region IN SHARE ROW EXCLUSIVE MODE;
  IF cardinality(keys) <> cardinality(epochs) OR cardinality(keys) <> cardinality(states) THEN
    RAISE EXCEPTION 'domicile: reconcile needs as many epochs and states as organizations' USING ERRCODE = '22023';
  END IF;
  RETURN QUERY SELECT * FROM domicile.place(keys, epochs, states);
  IF open THEN
    UPDATE domicile.region r SET state = 'open', reason = '', reconciled_at = clock_timestamp(),
      started_at = pg_postmaster_start_time(), (system_identifier, timeline) = (SELECT h.system_identifier, h.timeline FROM domicile_private.here() h);
    PERFORM domicile_private.rebake();
  END IF;
END
$$;

-- The keeper's part of reconcile; callable by domicile_owner alone.
CREATE FUNCTION domicile.place(keys text[], epochs bigint[], states text[])
RETURNS TABLE (change text, organization text) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT * FROM domicile_private.apply_placements(keys, epochs, states) $$;

CREATE FUNCTION domicile.close_region(why text) RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE domicile.region IN SHARE ROW EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM domicile.region r WHERE r.state = 'open') THEN
    UPDATE domicile.region SET state = 'closed', reason = why;
    PERFORM domicile_private.rebake();
  END IF;
END
$$;

-- After a plain restart: the timeline is the same, so the quick test of the server process may be renewed.
-- False: the timeline changed, or the region is closed.
CREATE FUNCTION domicile.refresh_region() RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.region;
BEGIN
  SELECT * INTO STRICT r FROM domicile.region;
  IF r.state <> 'open' OR NOT domicile.region_open() THEN RETURN false; END IF;
  IF r.timeline IS NULL OR r.started_at = pg_postmaster_start_time() THEN RETURN true; END IF;
  LOCK TABLE domicile.region IN SHARE ROW EXCLUSIVE MODE;
  UPDATE domicile.region SET started_at = pg_postmaster_start_time();
  PERFORM domicile_private.rebake();
  RETURN true;
END
$$;

-- What a node keeps watch on: lineage, timeline and how far the database has come.
CREATE FUNCTION domicile.region_status() RETURNS TABLE (region text, master boolean, key_type text, database_id text,
  state text, reason text, open boolean, system_identifier text, timeline text, approved_timeline text, lsn pg_lsn,
  in_recovery boolean, event_triggers boolean, organizations bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.region, r.master, r.key_type, r.database_id, r.state, r.reason,
         CASE WHEN pg_is_in_recovery() THEN false ELSE domicile.region_open() END,
         h.system_identifier, h.timeline, r.timeline, h.lsn, pg_is_in_recovery(), r.event_triggers,
         (SELECT count(*) FROM domicile.organization o WHERE o.state = 'active')
  FROM domicile.region r, domicile_private.here() h
$$;

-- The installer's own call: says what this region is. The first call makes the region and opens it: nobody is
-- homed yet, so there is nothing that could have been revived.
CREATE FUNCTION domicile_private.configure(region text, master boolean) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  had domicile.region;
BEGIN
  SELECT * INTO had FROM domicile.region;
  IF NOT FOUND THEN
    INSERT INTO domicile.region (region, master, system_identifier, timeline, started_at, state, reason)
    SELECT configure.region, configure.master, h.system_identifier, h.timeline, pg_postmaster_start_time(), 'open', ''
    FROM domicile_private.here() h;
  ELSIF had.region <> configure.region THEN
    RAISE EXCEPTION 'domicile: this database is region %, not %', had.region, configure.region USING ERRCODE = '55000',
      HINT = 'A database is one region for life.';
  ELSIF had.master <> configure.master THEN
    UPDATE domicile.region SET master = configure.master;
  END IF;
  PERFORM domicile_private.rebake();
END
$$;

CREATE FUNCTION domicile_private.sequences_behind(rel regclass) RETURNS SETOF regclass LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.objid::regclass FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = rel AND d.deptype IN ('a', 'i')
  UNION
  SELECT d.refobjid::regclass FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S' WHERE f.adrelid = rel AND d.refclassid = 'pg_class'::regclass
$$;

-- Who may insert into a table must reach the sequences behind its columns. Runs as the installer, who has
-- the rights of the table's owner.
CREATE FUNCTION domicile_private.grant_sequences(rel regclass) RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  behind regclass;
BEGIN
  FOR behind IN SELECT s.seq FROM domicile_private.sequences_behind(rel) s (seq) LOOP
    EXECUTE format('GRANT USAGE ON SEQUENCE %s TO domicile_tenant, domicile_app', behind);
  END LOOP;
END
$$;

-- Only the applier of reference data and releases insert into reference tables; the applier also sets their sequences to
-- the master's, as domicile.reference_sequences() reads them there.
CREATE FUNCTION domicile_private.grant_reference_sequences(rel regclass) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  behind regclass;
BEGIN
  FOR behind IN SELECT s.seq FROM domicile_private.sequences_behind(rel) s (seq) LOOP
    EXECUTE format('GRANT USAGE, UPDATE ON SEQUENCE %s TO domicile_reference', behind);
    EXECUTE format('GRANT SELECT ON SEQUENCE %s TO domicile_owner', behind);
    IF to_regrole('domicile_releaser') IS NOT NULL THEN
      EXECUTE format('GRANT USAGE ON SEQUENCE %s TO domicile_releaser', behind);
    END IF;
  END LOOP;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION domicile.reconcile(text[], bigint[], text[], boolean), domicile.place(text[], bigint[], text[]),
  domicile.close_region(text), domicile.refresh_region(), domicile.region_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.reconcile(text[], bigint[], text[], boolean), domicile.close_region(text),
  domicile.refresh_region(), domicile.region_status() TO domicile_node;

RESET ROLE;
ALTER FUNCTION domicile.place(text[], bigint[], text[]) OWNER TO domicile_keeper;
SET LOCAL ROLE domicile_keeper;
GRANT EXECUTE ON FUNCTION domicile.place(text[], bigint[], text[]) TO domicile_owner;
RESET ROLE;
