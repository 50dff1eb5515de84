-- Maintenance windows: with a ticket, an end, and a list of what is relaxed. Every relaxation asks writable time
-- (clock_timestamp() before expires_at) whenever it is used, so that the end of a window needs nobody to remember it.
-- Event triggers alone must be dropped and made again (major upgrades of managed services ask for it):
-- violations() reports them as missing until `region maintenance end`.
--
--   ddl        DDL that the assertion would refuse passes, and is written down
--   read       members of domicile_maintenance read all organizations' rows (dumps)
--   write      and write them (backfills, restores)
--
-- Never relaxed: the CHECK that refuses rows of organizations that are not homed here, the delete and TRUNCATE
-- guards, and new tables being born closed.
DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'domicile_maintenance') THEN
    CREATE ROLE domicile_maintenance NOLOGIN;
  ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = 'domicile_maintenance'
                AND (r.rolsuper OR r.rolbypassrls OR r.rolreplication OR r.rolcreaterole OR r.rolcanlogin)) THEN
    RAISE EXCEPTION 'domicile: role domicile_maintenance exists with attributes that it must not have'
      USING HINT = 'ALTER ROLE domicile_maintenance NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE, or rename it';
  END IF;
END
$do$;

SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.maintenance (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ticket         text NOT NULL CHECK (pg_catalog.length(ticket) BETWEEN 1 AND 200),
  allow          text[] NOT NULL CHECK (allow OPERATOR(pg_catalog.<@) ARRAY['ddl', 'read', 'write', 'event_triggers_off']),
  roles          name[] NOT NULL DEFAULT '{}',       -- lent domicile_maintenance
  begun_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  begun_by       name NOT NULL DEFAULT session_user,
  expires_at     timestamptz NOT NULL,
  findings       text[] NOT NULL,                    -- what violations() said at the beginning
  ended_at       timestamptz,
  ended_by       name,
  armed          boolean,                            -- the proof at the end
  left_open      text[],                             -- what it found
  CHECK (expires_at OPERATOR(pg_catalog.-) begun_at BETWEEN interval '1 minute' AND interval '7 days')
);
-- One at a time.
CREATE UNIQUE INDEX maintenance_open ON domicile.maintenance ((ended_at IS NULL)) WHERE ended_at IS NULL;
-- What was done in a window: every DDL statement, and what would have been refused.
CREATE TABLE domicile.maintenance_act (
  window_id bigint NOT NULL REFERENCES domicile.maintenance (id),
  at        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  role      name NOT NULL DEFAULT session_user,
  command   text NOT NULL,
  let_pass  text                                     -- NULL: it would have passed anyway
);
GRANT SELECT ON domicile.maintenance, domicile.maintenance_act TO domicile_node;

-- The window that allows this now, or NULL. Its answer changes with time alone.
CREATE FUNCTION domicile_private.window_for(what text) RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.id FROM domicile.maintenance m
  WHERE m.ended_at IS NULL AND m.begun_at <= clock_timestamp() AND m.expires_at > clock_timestamp() AND what = ANY (m.allow) LIMIT 1
$$;

-- For the policies of guarded tables, which only members of domicile_maintenance meet.
CREATE FUNCTION domicile.maintenance_allows(what text) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN domicile_private.window_for(what) IS NOT NULL
      OR (what = 'read' AND domicile_private.window_for('write') IS NOT NULL);
END
$$;

-- A partition, or an inheriting table, of a guarded table is reached through its root. By its own name it would be empty,
-- silently, for its owner: pg_dump would leave its rows out, and a backfill change none.
CREATE FUNCTION domicile.part_open(who name, what text) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF what = 'read' AND who = 'domicile_owner' THEN RETURN true; END IF;  -- domicile dump
  IF pg_has_role(who, 'domicile_maintenance', 'usage') AND domicile.maintenance_allows(what) THEN RETURN true; END IF;
  RAISE EXCEPTION 'domicile: a part of a guarded table is reached through its root alone' USING ERRCODE = '42501',
    HINT = format('By its own name: domicile region maintenance begin --ticket TICKET --for 1h --allow %s --role %s',
                  CASE what WHEN 'read' THEN 'dump' ELSE 'backfill' END, quote_ident(who));
END
$$;

-- For a table that is partitioned by its key. PostgreSQL chooses partitions before it asks any policy, and asks who is
-- there to do so: nobody, for members of domicile_maintenance without a context. What they may see the policies say.
CREATE FUNCTION domicile.org_in_window() RETURNS {{key_type}} LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN domicile.current_org();
EXCEPTION WHEN insufficient_privilege THEN
  RETURN NULL;
END
$$;

CREATE FUNCTION domicile_private.open_findings() RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(array_agg(DISTINCT format('%s %s: %s', v.kind, v.object, v.detail)), '{}')
  FROM domicile.violations() v WHERE v.severity = 'refuse' AND NOT v.known
$$;

CREATE FUNCTION domicile_private.begin_maintenance(ticket text, lasts interval, allow text[], roles name[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  present domicile.maintenance;
  made bigint;
BEGIN
  LOCK TABLE domicile.maintenance IN SHARE ROW EXCLUSIVE MODE;
  SELECT * INTO present FROM domicile.maintenance m WHERE m.ended_at IS NULL;
  IF FOUND THEN
    RAISE EXCEPTION 'domicile: window % (ticket %) is not ended yet', present.id, present.ticket USING ERRCODE = '55000',
      HINT = 'domicile region maintenance end';
  END IF;
  INSERT INTO domicile.maintenance (ticket, allow, roles, expires_at, findings)
  VALUES (begin_maintenance.ticket, begin_maintenance.allow, begin_maintenance.roles, clock_timestamp() + lasts, domicile_private.open_findings())
  RETURNING id INTO made;
  RETURN made;
END
$$;

-- Closes the window, whatever the proof says: relaxing ends here.
CREATE FUNCTION domicile_private.end_maintenance() RETURNS TABLE (id bigint, armed boolean, left_open text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  present bigint;
  found text[];
BEGIN
  SELECT m.id INTO present FROM domicile.maintenance m WHERE m.ended_at IS NULL FOR UPDATE;
  IF present IS NULL THEN
    RAISE EXCEPTION 'domicile: there is no maintenance window to end' USING ERRCODE = '55000';
  END IF;
  UPDATE domicile.maintenance m SET ended_at = clock_timestamp(), ended_by = session_user WHERE m.id = present;
  found := domicile_private.open_findings();
  UPDATE domicile.maintenance m SET armed = cardinality(found) = 0, left_open = found WHERE m.id = present;
  RETURN QUERY SELECT present, cardinality(found) = 0, found;
END
$$;

-- Tables by their OID, so that a rename of one that is only observed, or off, is followed instead of refused.
CREATE TABLE domicile.catalog_relation (
  rel         oid PRIMARY KEY,
  schema_name text NOT NULL,
  table_name  text NOT NULL
);
CREATE FUNCTION domicile_private.know_relation(schema_name text, table_name text) RETURNS void LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM domicile.catalog_relation k WHERE (k.schema_name, k.table_name) = (know_relation.schema_name, know_relation.table_name)
    AND k.rel IS DISTINCT FROM to_regclass(format('%I.%I', know_relation.schema_name, know_relation.table_name))::oid;
  INSERT INTO domicile.catalog_relation SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = know_relation.schema_name AND c.relname = know_relation.table_name
  ON CONFLICT (rel) DO UPDATE SET schema_name = excluded.schema_name, table_name = excluded.table_name
$$;

-- Called by whoever renamed the table, so it believes the database alone.
CREATE FUNCTION domicile.follow_rename(renamed oid) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known domicile.catalog_relation;
  now_schema text;
  now_name text;
BEGIN
  SELECT * INTO known FROM domicile.catalog_relation k WHERE k.rel = renamed;
  SELECT n.nspname, c.relname INTO now_schema, now_name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = renamed;
  IF known.rel IS NULL OR now_schema IS NULL OR (known.schema_name, known.table_name) = (now_schema, now_name)
     OR now_schema ~ '^(pg_|domicile(_|$))'
     OR NOT EXISTS (SELECT FROM domicile.catalog_table t WHERE (t.schema_name, t.table_name) = (known.schema_name, known.table_name) AND t.mode <> 'enforce')
     OR EXISTS (SELECT FROM domicile.catalog_table t WHERE (t.schema_name, t.table_name) = (now_schema, now_name)) THEN
    RETURN NULL;
  END IF;
  UPDATE domicile.catalog_table t SET schema_name = now_schema, table_name = now_name WHERE (t.schema_name, t.table_name) = (known.schema_name, known.table_name);
  UPDATE domicile.observing t SET schema_name = now_schema, table_name = now_name WHERE (t.schema_name, t.table_name) = (known.schema_name, known.table_name);
  DELETE FROM domicile.former t WHERE (t.schema_name, t.table_name) = (now_schema, now_name);
  UPDATE domicile.former t SET schema_name = now_schema, table_name = now_name WHERE (t.schema_name, t.table_name) = (known.schema_name, known.table_name);
  UPDATE domicile.catalog_relation k SET schema_name = now_schema, table_name = now_name WHERE k.rel = renamed;
  RETURN format('%I.%I', known.schema_name, known.table_name);
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION domicile.maintenance_allows(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.maintenance_allows(text) TO domicile_maintenance;
RESET ROLE;
