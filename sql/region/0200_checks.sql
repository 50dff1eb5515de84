-- What `domicile check` may ask. domicile_checker can call these functions and read nothing else: they answer
-- with counts and organization keys, never with rows. They run as domicile_owner because row security would
-- hide from the checker exactly what it looks for; sees_all() proves that nothing is hidden from the owner
-- either, so that an empty answer is never a blind one.
DO $do$
DECLARE
  existing pg_catalog.pg_roles;
BEGIN
  SELECT * INTO existing FROM pg_catalog.pg_roles WHERE rolname = 'domicile_checker';
  IF NOT FOUND THEN
    CREATE ROLE domicile_checker NOLOGIN;
  ELSIF existing.rolsuper OR existing.rolbypassrls OR existing.rolreplication OR existing.rolcreaterole OR existing.rolcanlogin THEN
    RAISE EXCEPTION 'domicile: role domicile_checker exists with attributes that it must not have'
      USING HINT = 'ALTER ROLE domicile_checker NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE, or rename it';
  END IF;
END
$do$;

SET LOCAL ROLE domicile_owner;
SELECT domicile_private.begin_upgrade();

-- A policy's roles: 0 is PUBLIC.
CREATE FUNCTION domicile_private.applies_to_owner(roles oid[]) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM unnest(roles) r WHERE r = 0 OR pg_has_role('domicile_owner', r, 'usage'))
$$;

-- Does domicile_owner see this column in every row: neither kept from it by a missing grant nor by row security?
CREATE FUNCTION domicile_private.sees_all(rel oid, col int2) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT has_schema_privilege('domicile_owner', c.relnamespace, 'USAGE') AND has_column_privilege('domicile_owner', rel, col, 'SELECT')
     AND (NOT c.relrowsecurity
          OR (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = 'domicile_owner')
          OR (pg_has_role('domicile_owner', c.relowner, 'usage') AND NOT c.relforcerowsecurity)
          OR (EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = rel AND p.polpermissive AND p.polcmd IN ('r', '*')
                        AND pg_get_expr(p.polqual, p.polrelid) IN ('true', '(CURRENT_USER = ''domicile_owner''::name)') AND domicile_private.applies_to_owner(p.polroles))
              AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = rel AND NOT p.polpermissive AND p.polcmd IN ('r', '*')
                                AND domicile_private.applies_to_owner(p.polroles))))
  FROM pg_class c WHERE c.oid = rel
$$;

-- The catalogued tables as the database has them, and how their organizations can be told: `key` by their own
-- column, `parent` by a validated foreign key to a table that is checked itself, `root` by the table that they
-- are a partition of, `none` otherwise.
CREATE FUNCTION domicile.check_tables() RETURNS TABLE (schema_name text, table_name text, class text, mode text, key_column text,
  present boolean, planned boolean, told_by text, parent text, visible boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.schema_name, k.table_name, k.class, k.mode, k.key_column, c.oid IS NOT NULL, k.applied_at IS NULL,
         CASE WHEN k.class NOT IN ('organization', 'mixed') THEN 'none' WHEN c.relispartition THEN 'root' WHEN k.key_column IS NOT NULL THEN 'key'
              WHEN up.parent IS NOT NULL THEN 'parent' ELSE 'none' END,
         up.parent, coalesce(domicile_private.sees_all(c.oid, a.attnum), false)
  FROM domicile.catalog_table k
  LEFT JOIN pg_namespace n ON n.nspname = k.schema_name
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name AND c.relkind IN ('r', 'p', 'm', 'f')
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.key_column AND NOT a.attisdropped
  LEFT JOIN LATERAL (
    SELECT format('%I.%I', pn.nspname, pc.relname) AS parent
    FROM pg_constraint x JOIN pg_class pc ON pc.oid = x.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
    JOIN domicile.catalog_table pk ON pk.schema_name = pn.nspname AND pk.table_name = pc.relname AND pk.class = 'organization'
    WHERE x.conrelid = c.oid AND x.contype = 'f' AND x.convalidated AND x.confrelid <> c.oid
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (x.conkey) AND NOT a.attnotnull)
    ORDER BY 1 LIMIT 1) up ON k.key_column IS NULL
  ORDER BY 1, 2
$$;

-- Every distinct organization of a table against the homes that there are. With an index that the key
-- leads this is a loose index scan: one descent for each organization, however many rows there are. Without
-- one it reads the table (method: full scan).
CREATE FUNCTION domicile.check_residency(schema_name text, table_name text) RETURNS TABLE (method text, organizations bigint,
  strangers bigint, examples text[], keyless boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_nestloop = off SET enable_mergejoin = off
SET jit = off AS $fn$
DECLARE
  spec record;
  source text;
  led boolean;
BEGIN
  SELECT c.oid AS rel, format('%I.%I', k.schema_name, k.table_name) AS label, format('%I', k.key_column) AS key, a.attnum
  INTO spec FROM domicile.catalog_table k
  JOIN pg_namespace n ON n.nspname = k.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.key_column AND NOT a.attisdropped
  WHERE k.schema_name = check_residency.schema_name AND k.table_name = check_residency.table_name AND k.class IN ('organization', 'mixed');
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: %.% is no table with an organization key', schema_name, table_name USING ERRCODE = '22023';
  END IF;
  IF NOT domicile_private.sees_all(spec.rel, spec.attnum) THEN
    RAISE EXCEPTION 'domicile: row security or a missing grant hides rows of % from the check', spec.label USING ERRCODE = '42501',
      HINT = 'Run domicile region init again: it grants domicile_owner what the check needs.';
  END IF;
  led := EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                 WHERE i.indrelid = spec.rel AND i.indkey[0] = spec.attnum AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree');
  IF led THEN
    method := 'loose index scan';
    source := format('WITH RECURSIVE walk (k) AS (
        (SELECT t.%1$s FROM %2$s t WHERE t.%1$s IS NOT NULL ORDER BY t.%1$s LIMIT 1)
        UNION ALL
        SELECT (SELECT t.%1$s FROM %2$s t WHERE t.%1$s > w.k ORDER BY t.%1$s LIMIT 1) FROM walk w WHERE w.k IS NOT NULL)
      SELECT k FROM walk WHERE k IS NOT NULL', spec.key, spec.label);
  ELSE
    method := 'full scan';
    source := format('SELECT DISTINCT t.%1$s AS k FROM %2$s t WHERE t.%1$s IS NOT NULL', spec.key, spec.label);
  END IF;
  EXECUTE format($sql$
    SELECT count(*), count(*) FILTER (WHERE NOT s.here), (array_agg(s.k::text ORDER BY s.k) FILTER (WHERE NOT s.here))[1:20]
    FROM (SELECT o AS k, {{home_of}} IS NOT NULL AS here FROM (%s) seen (o)) s
  $sql$, source) INTO organizations, strangers, examples;
  EXECUTE format('SELECT EXISTS (SELECT FROM %2$s t WHERE t.%1$s IS NULL)', spec.key, spec.label) INTO keyless;
  RETURN NEXT;
END
$fn$;

-- Which of these organizations have rows in the table: one look-up a key.
CREATE FUNCTION domicile.check_keys(schema_name text, table_name text, keys text[]) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  spec record;
BEGIN
  SELECT c.oid AS rel, format('%I.%I', k.schema_name, k.table_name) AS label, format('%I', k.key_column) AS key, a.attnum
  INTO spec FROM domicile.catalog_table k
  JOIN pg_namespace n ON n.nspname = k.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.key_column AND NOT a.attisdropped
  WHERE k.schema_name = check_keys.schema_name AND k.table_name = check_keys.table_name AND k.key_column IS NOT NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: %.% is no table with an organization key', schema_name, table_name USING ERRCODE = '22023';
  END IF;
  IF NOT domicile_private.sees_all(spec.rel, spec.attnum) THEN
    RAISE EXCEPTION 'domicile: row security or a missing grant hides rows of % from the check', spec.label USING ERRCODE = '42501';
  END IF;
  RETURN QUERY EXECUTE format('SELECT k::text FROM unnest($1::{{key_type}}[]) k WHERE EXISTS (SELECT FROM %2$s t WHERE t.%1$s = k)',
                              spec.key, spec.label) USING keys;
END
$fn$;

-- Is this canary in that column? Only canaries can be asked for, so that the checker cannot guess at values.
CREATE FUNCTION domicile.check_canary(schema_name text, table_name text, column_name text, canary text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  spec record;
  found boolean;
BEGIN
  IF canary !~ '^domicile-canary-[A-Za-z0-9-]{8,64}$' THEN
    RAISE EXCEPTION 'domicile: a canary is domicile-canary- and 8 to 64 letters, digits or dashes' USING ERRCODE = '22023';
  END IF;
  SELECT c.oid AS rel, format('%I.%I', n.nspname, c.relname) AS label, format('%I', a.attname) AS col, a.attnum
  INTO spec FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = check_canary.column_name AND a.attnum > 0 AND NOT a.attisdropped
  WHERE n.nspname = check_canary.schema_name AND c.relname = check_canary.table_name AND c.relkind IN ('r', 'p', 'm')
    AND n.nspname !~ '^(pg_|domicile(_|$))';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: there is no column %.%.%', schema_name, table_name, column_name USING ERRCODE = '42703';
  END IF;
  IF NOT domicile_private.sees_all(spec.rel, spec.attnum) THEN
    RAISE EXCEPTION 'domicile: row security or a missing grant hides rows of % from the check', spec.label USING ERRCODE = '42501';
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM %2$s t WHERE t.%1$s::text = $1)', spec.col, spec.label) INTO found USING canary;
  RETURN found;
END
$fn$;

-- Who is homed here, as the roles say, with the placement that was recorded for it.
CREATE FUNCTION domicile.check_homed() RETURNS TABLE (key text, role text, epoch bigint, state text, homed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT * FROM domicile.organizations() $$;

-- The guard's own answer for an organization: true, or the refusal's SQLSTATE.
CREATE FUNCTION domicile.check_guard(key text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN domicile.homed(key::{{key_type}})::text;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END
$$;

-- What this server and this very connection are, beyond region_status().
CREATE FUNCTION domicile.check_server() RETURNS TABLE (name text, value text) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'tls', coalesce((SELECT s.ssl::text FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), 'false')
  UNION ALL SELECT 'client_address', coalesce(host(inet_client_addr()), 'socket')
  UNION ALL SELECT 'walsender', format('%s from %s', coalesce(r.usename::text, 'unknown'), coalesce(host(r.client_addr), 'unknown address'))
            FROM pg_stat_replication r  -- whoever reads by a logical slot is no replica: the slot is looked at
            WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
  UNION ALL SELECT 'physical_slot', s.slot_name::text FROM pg_replication_slots s WHERE s.slot_type = 'physical'
  UNION ALL SELECT n, current_setting(n) FROM unnest(ARRAY['archive_mode', 'log_min_error_statement', 'log_parameter_max_length_on_error',
            'max_prepared_transactions', 'server_version_num']) n
  UNION ALL SELECT 'prepared', format('%s since %s', p.gid, p.prepared) FROM pg_prepared_xacts p WHERE p.database = current_database()
  UNION ALL SELECT 'role_setting', coalesce(r.rolname, 'all roles') || coalesce(' in ' || d.datname, '') || ': ' || array_to_string(s.setconfig, ', ')
            FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
            WHERE s.setdatabase = 0 OR d.datname = current_database()
  UNION ALL SELECT 'createrole', r.rolname FROM pg_roles r
            WHERE r.rolcreaterole AND r.oid >= 16384 AND r.rolname <> 'domicile_keeper' AND NOT r.rolsuper AND r.rolname !~ '^rds'
  UNION ALL SELECT 'member', g.rolname || ' <- ' || u.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
            WHERE g.rolname IN ('domicile_owner', 'domicile_keeper', 'domicile_reference')
  UNION ALL SELECT 'event_trigger', e.evtname::text FROM pg_event_trigger e JOIN pg_proc f ON f.oid = e.evtfoid
            JOIN pg_namespace n ON n.oid = f.pronamespace WHERE n.nspname !~ '^domicile(_|$)' AND e.evtenabled <> 'D'
  UNION ALL SELECT 'user_mapping', format('%s for %s', m.srvname, m.usename) FROM pg_user_mappings m
  UNION ALL SELECT 'foreign_table', c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'f'
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
DO $do$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY['check_tables()', 'check_residency(text, text)', 'check_keys(text, text, text[])',
      'check_canary(text, text, text, text)', 'check_homed()', 'check_guard(text)', 'check_server()'] LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION domicile.%s FROM PUBLIC', signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION domicile.%s TO domicile_checker', signature);
  END LOOP;
  GRANT EXECUTE ON FUNCTION domicile.violations(), domicile.region_status() TO domicile_checker;
END
$do$;
SELECT domicile_private.pin();
