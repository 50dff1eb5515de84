-- What `domicile check` may ask about reference data (see 0200).
SET LOCAL ROLE domicile_owner;

-- Every reference table, and what keeps other writers out of it.
CREATE FUNCTION domicile.check_reference_tables() RETURNS TABLE (label text, mode text, present boolean, guarded boolean, published boolean,
  compared_at timestamptz, compared_s bigint, compared_outcome text, differences bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.schema_name || '.' || k.table_name, k.mode, c.oid IS NOT NULL,
         -- Itself and all that its rows lie in.
         c.oid IS NOT NULL AND NOT EXISTS (
           SELECT FROM domicile_private.tree(c.oid) t WHERE NOT EXISTS (
             SELECT FROM pg_trigger g WHERE g.tgrelid = t AND g.tgname = 'domicile_write' AND g.tgenabled = 'A'
               AND g.tgtype::int & 1 = 1 AND g.tgtype::int & 28 = 28)),
         EXISTS (SELECT FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = 'domicile_reference' AND r.prrelid = c.oid),
         d.at, extract(epoch FROM clock_timestamp() - d.at)::bigint, d.outcome, d.missing + d.extra + d.changed - d.repaired
  FROM domicile.catalog_table k LEFT JOIN pg_namespace n ON n.nspname = k.schema_name
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name AND c.relkind IN ('r', 'p')
  LEFT JOIN LATERAL (SELECT x.* FROM domicile.reference_compare x
                     WHERE x.table_name IN (k.schema_name || '.' || k.table_name, format('%I.%I', k.schema_name, k.table_name)) ORDER BY x.at DESC LIMIT 1) d ON true
  WHERE k.class = 'reference' AND k.applied_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
                    JOIN domicile.catalog_table pk ON pk.schema_name = pn.nspname AND pk.table_name = pc.relname WHERE i.inhrelid = c.oid AND c.relispartition)
  ORDER BY 1
$$;

-- The sync as this region sees it: one row elsewhere, one for each region that follows in the master region.
CREATE FUNCTION domicile.check_reference_sync() RETURNS TABLE (role text, region text, state text, detail text, silent_s bigint, lag_ms_p99 bigint,
  retained_bytes bigint, wal_status text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.role, s.region, s.state, concat_ws(': ', nullif(s.reason, ''), nullif(s.detail, '')),
         extract(epoch FROM clock_timestamp() - s.contact_at)::bigint, s.lag_ms_p99, s.retained_bytes, s.wal_status
  FROM domicile.reference_status s
$$;

CREATE FUNCTION domicile.check_reference_findings() RETURNS TABLE (object text, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT f.object, format('%s since %s: %s', f.kind, to_char(f.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), f.detail)
  FROM domicile.reference_finding f WHERE f.resolved_at IS NULL
  UNION ALL
  SELECT q.schema_name || '.' || q.table_name, format('%s changes wait in quarantine, the first one since %s', count(*), to_char(min(q.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))
  FROM domicile.reference_quarantine q WHERE q.resolved_at IS NULL GROUP BY 1
$$;

REVOKE EXECUTE ON FUNCTION domicile.check_reference_tables(), domicile.check_reference_sync(), domicile.check_reference_findings() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.check_reference_tables(), domicile.check_reference_sync(), domicile.check_reference_findings() TO domicile_checker, domicile_node;
