-- Reference data that travels from the master region to the others: what the publisher and the appliers keep in
-- the database. The position of what was applied stands here and nowhere else, and is written in the
-- transaction that stores the rows.
--
--   domicile_publisher   the login that reads the master's log is a member; it needs REPLICATION of its own
--   domicile_reference   the login that writes reference data elsewhere is a member (0001_roles.sql)
DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'domicile_publisher') THEN
    CREATE ROLE domicile_publisher NOLOGIN;
  ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'domicile_publisher'
                AND (rolsuper OR rolbypassrls OR rolreplication OR rolcanlogin)) THEN
    RAISE EXCEPTION 'domicile: role domicile_publisher exists with LOGIN, SUPERUSER, BYPASSRLS or REPLICATION'
      USING HINT = 'ALTER ROLE domicile_publisher NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION, or rename it';
  END IF;
END
$do$;
SET LOCAL ROLE domicile_owner;

-- In the master region: a row that changes about once a second and travels like any other, so that every region can
-- tell how far behind it is.
CREATE TABLE domicile.reference_beat (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  at  timestamptz NOT NULL
);
INSERT INTO domicile.reference_beat (at) VALUES (pg_catalog.clock_timestamp());

-- In the master region: one line for each region that follows.
CREATE TABLE domicile.reference_peer (
  region       text PRIMARY KEY,
  slot         name NOT NULL,
  state        text NOT NULL CHECK (state IN ('copying', 'streaming', 'stopped')),
  reason       text NOT NULL DEFAULT '',
  detail       text NOT NULL DEFAULT '',
  confirmed    pg_lsn,                              -- stored for good over there
  rows         bigint NOT NULL DEFAULT 0,           -- sent since the line was made; a repeated batch counts again
  bytes        bigint NOT NULL DEFAULT 0,
  contact_at   timestamptz NOT NULL
);

-- Elsewhere: which master this region follows, and how far it has come.
CREATE TABLE domicile.reference_source (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  region            text NOT NULL DEFAULT '',         -- '': never connected
  system_identifier text NOT NULL DEFAULT '',
  timeline          bigint NOT NULL DEFAULT 0,
  database_id       text NOT NULL DEFAULT '',
  position          pg_lsn NOT NULL DEFAULT '0/0',    -- everything before it is stored here
  state             text NOT NULL DEFAULT 'starting' CHECK (state IN ('starting', 'copying', 'streaming', 'stopped', 'unreachable')),
  reason            text NOT NULL DEFAULT '',
  detail            text NOT NULL DEFAULT '',
  resync            boolean NOT NULL DEFAULT false,   -- an operator asks for a copy of everything
  accept_master     boolean NOT NULL DEFAULT false,   -- an operator accepts the next master, whichever it is
  lag_ms_last       bigint,
  lag_ms_p50        bigint,                           -- of the last 600 heartbeats
  lag_ms_p99        bigint,
  beat_at           timestamptz,                      -- the newest heartbeat, by the master's clock
  changed_at        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  contact_at        timestamptz                       -- when the master answered last
);
INSERT INTO domicile.reference_source DEFAULT VALUES;

CREATE TABLE domicile.reference_table (
  schema_name    text NOT NULL,
  table_name     text NOT NULL,
  copied_lsn     pg_lsn,                               -- holds the master's rows as of there; NULL: not yet
  copied_at      timestamptz,
  source_columns jsonb,                                -- the master's: name, type, not_null, default, generated
  inserts        bigint NOT NULL DEFAULT 0,            -- rows as they came, not as they were stored
  updates        bigint NOT NULL DEFAULT 0,
  deletes        bigint NOT NULL DEFAULT 0,
  conflicts      bigint NOT NULL DEFAULT 0,            -- the master's row won over what was not as expected here
  quarantined    bigint NOT NULL DEFAULT 0,
  last_change_at timestamptz,
  PRIMARY KEY (schema_name, table_name)
);

-- Changes that this region's own rules refused (a row that an organization still uses was deleted): the stream went
-- on without them, and the next repair tries again. `key` is a hash: rows of reference tables stay in their table.
CREATE TABLE domicile.reference_quarantine (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  operation   text NOT NULL CHECK (operation IN ('insert', 'update', 'delete')),
  key         text NOT NULL,
  position    pg_lsn NOT NULL,
  state       text NOT NULL,                           -- the SQLSTATE
  message     text NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  resolved_at timestamptz
);
CREATE INDEX reference_quarantine_open ON domicile.reference_quarantine (schema_name, table_name, key) WHERE resolved_at IS NULL;

-- What somebody must look at. A kind and object stand here once until they are resolved.
CREATE TABLE domicile.reference_finding (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text NOT NULL,
  object      text NOT NULL,
  detail      text NOT NULL,
  first_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  last_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  times       bigint NOT NULL DEFAULT 1,
  resolved_at timestamptz
);
CREATE UNIQUE INDEX reference_finding_open ON domicile.reference_finding (kind, object) WHERE resolved_at IS NULL;

-- The tables that may travel: what the catalog says at this moment, and Domicile's own two.
CREATE FUNCTION domicile.reference_tables() RETURNS TABLE (schema_name text, table_name text) LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.schema_name, k.table_name FROM domicile.catalog_table k
  WHERE k.class = 'reference' AND k.mode = 'enforce' AND k.applied_at IS NOT NULL
  UNION ALL SELECT 'domicile', t FROM unnest(ARRAY['reference_beat', 'published_release']) t
$$;

-- Their columns as this database has them, for telling whether both sides agree.
CREATE FUNCTION domicile.reference_columns() RETURNS TABLE (schema_name text, table_name text, columns jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT t.schema_name, t.table_name,
         (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                   'cast', format_type(a.atttypid, -1), 'oid', a.atttypid::bigint, 'modifier', a.atttypmod, 'not_null', a.attnotnull,
                   'default', CASE WHEN a.attgenerated = '' AND a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
                   'generated', a.attgenerated <> '', 'identity', a.attidentity::text,
                   'key', coalesce(a.attnum = ANY (i.indkey), false),
                   'refuse', EXISTS (SELECT FROM domicile.reference_link l WHERE (l.schema_name, l.table_name, l.column_name, l.rule) =
                                     (t.schema_name, t.table_name, a.attname::text, 'refuse'))) ORDER BY a.attnum)
          FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM domicile.reference_tables() t JOIN pg_namespace n ON n.nspname = t.schema_name
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name AND c.relkind IN ('r', 'p')
$$;

-- Foreign keys among them: the child stands in front.
CREATE FUNCTION domicile.reference_keys() RETURNS TABLE (child_schema text, child_table text, parent_schema text, parent_table text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT DISTINCT cn.nspname::text, cc.relname::text, pn.nspname::text, pc.relname::text
  FROM pg_constraint k JOIN pg_class cc ON cc.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = cc.relnamespace
  JOIN pg_class pc ON pc.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
  JOIN domicile.reference_tables() c ON (c.schema_name, c.table_name) = (cn.nspname, cc.relname)
  JOIN domicile.reference_tables() p ON (p.schema_name, p.table_name) = (pn.nspname, pc.relname)
  WHERE k.contype = 'f'
$$;

-- Sequences behind their columns, with the next value that is free.
CREATE FUNCTION domicile.reference_sequences() RETURNS TABLE (sequence text, value bigint) LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT DISTINCT format('%I.%I', sn.nspname, s.relname) AS name, s.oid FROM domicile.reference_tables() t
    JOIN pg_namespace n ON n.nspname = t.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
    WHERE t.schema_name <> 'domicile'
  LOOP
    BEGIN
      sequence := found.name;
      value := pg_sequence_last_value(found.oid);
      IF value IS NOT NULL THEN RETURN NEXT; END IF;
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;
    END;
  END LOOP;
END
$$;

-- Master: the next heartbeat.
CREATE FUNCTION domicile.beat_reference() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ UPDATE domicile.reference_beat SET at = clock_timestamp() $$;

-- Master: what is known of a region that follows.
CREATE FUNCTION domicile.note_reference_peer(region text, slot name, state text, reason text, detail text, confirmed pg_lsn, rows bigint, bytes bigint)
RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile.reference_peer AS p VALUES (region, slot, state, reason, detail, confirmed, rows, bytes, clock_timestamp())
  ON CONFLICT ON CONSTRAINT reference_peer_pkey DO UPDATE SET slot = excluded.slot, state = excluded.state, reason = excluded.reason,
    detail = excluded.detail, confirmed = coalesce(excluded.confirmed, p.confirmed), rows = p.rows + excluded.rows,
    bytes = p.bytes + excluded.bytes, contact_at = excluded.contact_at
$$;

-- Both: true when the finding was not there yet.
CREATE FUNCTION domicile.note_reference_finding(kind text, object text, detail text) RETURNS boolean LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile.reference_finding AS f (kind, object, detail) VALUES (kind, object, detail)
  ON CONFLICT (kind, object) WHERE resolved_at IS NULL DO UPDATE SET detail = excluded.detail, last_at = clock_timestamp(), times = f.times + 1
  RETURNING f.times = 1
$$;
CREATE FUNCTION domicile.resolve_reference_findings(kinds text[], object text) RETURNS bigint LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH done AS (UPDATE domicile.reference_finding f SET resolved_at = clock_timestamp()
                WHERE f.resolved_at IS NULL AND f.kind = ANY (kinds) AND (resolve_reference_findings.object IS NULL OR f.object = resolve_reference_findings.object) RETURNING 1)
  SELECT count(*) FROM done
$$;

-- Applier: refuses unless every one of these tables may travel at this moment. Their catalog lines stay as they are
-- until the transaction ends.
CREATE FUNCTION domicile.require_reference(schemas text[], tables text[]) RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bad text;
BEGIN
  IF domicile.region_master() THEN
    RAISE EXCEPTION 'domicile: this is the master region: reference data is not applied here' USING ERRCODE = '55000', CONSTRAINT = 'domicile_master';
  END IF;
  PERFORM FROM domicile.catalog_table k WHERE (k.schema_name, k.table_name) IN (SELECT * FROM unnest(schemas, tables)) FOR SHARE;
  SELECT format('%I.%I', w.s, w.t) INTO bad FROM unnest(schemas, tables) w(s, t)
  WHERE NOT EXISTS (SELECT FROM domicile.reference_tables() r WHERE (r.schema_name, r.table_name) = (w.s, w.t)) LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'domicile: % is no reference table of this region''s catalog', bad USING ERRCODE = '42501', CONSTRAINT = 'domicile_class',
      HINT = 'Only tables of class reference in mode enforce travel between regions.';
  END IF;
END
$$;

-- Applier: this position is reached with the transaction that calls it, from the one that it began at. So nobody stores
-- anything twice, whoever else is at work.
CREATE FUNCTION domicile.reach_reference(before pg_lsn, reached pg_lsn, schemas text[], tables text[], ins bigint[], upd bigint[], del bigint[], conflict bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE domicile.reference_source s SET position = reached WHERE s.position = before;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: the position of the reference data is no longer %', before USING ERRCODE = '40001',
      HINT = 'Another applier is at work on this database.';
  END IF;
  IF cardinality(schemas) > 0 THEN
    UPDATE domicile.reference_table t SET inserts = t.inserts + w.i, updates = t.updates + w.u, deletes = t.deletes + w.d,
      conflicts = t.conflicts + w.c, last_change_at = clock_timestamp()
    FROM unnest(schemas, tables, ins, upd, del, conflict) w(s, t, i, u, d, c) WHERE (t.schema_name, t.table_name) = (w.s, w.t);
  END IF;
END
$$;

-- Node: which of several nodes works. An advisory lock for as long as the connection lives; when somebody holds it who is no
-- applier (any session may), it counts for nothing.
CREATE FUNCTION domicile.take_reference_turn(turn bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_try_advisory_lock(turn) OR NOT EXISTS (
    SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_roles r ON r.oid = a.usesysid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = current_database() AND l.pid <> pg_backend_pid()
      AND (l.classid::bigint << 32 | l.objid::bigint) = turn AND NOT r.rolsuper AND pg_has_role(r.oid, 'domicile_reference', 'member'));
END
$$;

-- The health of the sync in this region, as people and metrics read it. In the master region one line for each region
-- that follows, elsewhere one line for this region.
CREATE VIEW domicile.reference_status AS
  SELECT 'replica' AS role, r.region AS region, s.region AS master, s.state, s.reason, s.detail, s.position,
         s.lag_ms_last, s.lag_ms_p50, s.lag_ms_p99, s.beat_at, s.contact_at,
         (SELECT count(*) FROM domicile.reference_table t JOIN domicile.reference_tables() k USING (schema_name, table_name)
          WHERE t.copied_lsn IS NOT NULL AND t.schema_name <> 'domicile') AS tables_copied,
         (SELECT count(*) FROM domicile.reference_tables() t WHERE t.schema_name <> 'domicile') AS tables,
         (SELECT count(*) FROM domicile.reference_quarantine q WHERE q.resolved_at IS NULL) AS quarantined,
         (SELECT count(*) FROM domicile.reference_finding f WHERE f.resolved_at IS NULL) AS findings,
         NULL::bigint AS retained_bytes, NULL::text AS wal_status, NULL::bigint AS rows, NULL::bigint AS bytes
  FROM domicile.region r, domicile.reference_source s WHERE NOT r.master
  UNION ALL
  SELECT 'master', p.region, r.region, p.state, p.reason, p.detail, p.confirmed, NULL, NULL, NULL,
         (SELECT b.at FROM domicile.reference_beat b), p.contact_at, NULL,
         (SELECT count(*) FROM domicile.reference_tables() t WHERE t.schema_name <> 'domicile'), NULL,
         (SELECT count(*) FROM domicile.reference_finding f WHERE f.resolved_at IS NULL),
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
              ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), k.restart_lsn)::bigint END,
         coalesce(k.wal_status, 'missing'), p.rows, p.bytes
  FROM domicile.region r, domicile.reference_peer p LEFT JOIN pg_catalog.pg_replication_slots k ON k.slot_name = p.slot
  WHERE r.master;

-- An operator's calls (members of domicile_node, or the installer).
CREATE FUNCTION domicile.resync_reference() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ UPDATE domicile.reference_source SET resync = true $$;
CREATE FUNCTION domicile.accept_reference_master() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ UPDATE domicile.reference_source SET accept_master = true $$;

DO $do$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY['reference_tables()', 'reference_columns()', 'reference_keys()', 'reference_sequences()', 'beat_reference()',
      'note_reference_peer(text, name, text, text, text, pg_lsn, bigint, bigint)', 'note_reference_finding(text, text, text)',
      'resolve_reference_findings(text[], text)', 'require_reference(text[], text[])',
      'reach_reference(pg_lsn, pg_lsn, text[], text[], bigint[], bigint[], bigint[], bigint[])', 'resync_reference()', 'accept_reference_master()', 'take_reference_turn(bigint)'] LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION domicile.%s FROM PUBLIC', signature);
  END LOOP;
END
$do$;
GRANT EXECUTE ON FUNCTION domicile.reference_tables(), domicile.reference_columns(), domicile.reference_keys(), domicile.reference_sequences(),
  domicile.beat_reference(), domicile.note_reference_peer(text, name, text, text, text, pg_lsn, bigint, bigint),
  domicile.note_reference_finding(text, text, text), domicile.resolve_reference_findings(text[], text), domicile.region_status() TO domicile_publisher;
GRANT EXECUTE ON FUNCTION domicile.reference_tables(), domicile.reference_columns(), domicile.reference_keys(), domicile.reference_sequences(),
  domicile.note_reference_finding(text, text, text), domicile.resolve_reference_findings(text[], text), domicile.require_reference(text[], text[]),
  domicile.reach_reference(pg_lsn, pg_lsn, text[], text[], bigint[], bigint[], bigint[], bigint[]), domicile.region_status(),
  domicile.take_reference_turn(bigint) TO domicile_reference;
GRANT EXECUTE ON FUNCTION domicile.resync_reference(), domicile.accept_reference_master(), domicile.reference_tables() TO domicile_node;
GRANT SELECT ON domicile.reference_status, domicile.reference_table, domicile.reference_quarantine, domicile.reference_finding,
  domicile.reference_peer, domicile.reference_source, domicile.reference_beat, domicile.reference_link TO domicile_node, domicile_publisher, domicile_reference;
GRANT INSERT, UPDATE ON domicile.reference_source, domicile.reference_table, domicile.reference_quarantine TO domicile_reference;
SELECT domicile_private.pin();
