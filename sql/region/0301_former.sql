-- What a table was before Domicile changed it, and the statements that make it so again. Everything Domicile puts on
-- a table bears its name (domicile_...) or goes to one of its roles; what it overwrites instead (row security's two
-- flags, grants taken from a table that was born closed) is remembered here first.
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.former (
  schema_name  text NOT NULL,
  table_name   text NOT NULL,
  row_security boolean NOT NULL,
  forced       boolean NOT NULL,
  grants       text[] NOT NULL DEFAULT '{}',   -- of a table that was born closed: "SELECT TO reader WITH GRANT OPTION"
  remembered_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (schema_name, table_name)
);
-- The database's own privileges before REVOKE TEMPORARY; one row at most.
CREATE TABLE domicile.former_database (one boolean PRIMARY KEY DEFAULT true CHECK (one), statements text[] NOT NULL);
GRANT SELECT ON domicile.former, domicile.former_database TO domicile_node;

-- A relation that goes with its parent: a partition, or an inheriting table that the catalog does not name.
CREATE FUNCTION domicile_private.goes_with_parent(rel oid) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.relispartition OR NOT EXISTS (SELECT FROM domicile.catalog_table k WHERE k.schema_name = n.nspname AND k.table_name = c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel
$$;

-- The relation and everything that goes with it.
CREATE FUNCTION domicile_private.tree(rel oid) RETURNS SETOF oid LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE t (r) AS (
    SELECT rel UNION SELECT i.inhrelid FROM t JOIN pg_inherits i ON i.inhparent = t.r WHERE domicile_private.goes_with_parent(i.inhrelid))
  SELECT t.r FROM t JOIN pg_class c ON c.oid = t.r WHERE c.relkind IN ('r', 'p', 'm', 'f')
$$;

CREATE FUNCTION domicile_private.remember(rel oid) RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile.former (schema_name, table_name, row_security, forced)
  SELECT n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity
  FROM domicile_private.tree(rel) t JOIN pg_class c ON c.oid = t JOIN pg_namespace n ON n.oid = c.relnamespace
  ON CONFLICT DO NOTHING
$$;

-- For the event trigger, which runs as whoever made the table: only its owner's doing is remembered, and only once.
CREATE FUNCTION domicile.remember_new(rel oid) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO domicile.former (schema_name, table_name, row_security, forced, grants)
  SELECT n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity,
         ARRAY(SELECT format('%s TO %s%s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                             CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
               FROM aclexplode(c.relacl) WITH ORDINALITY a (grantor, grantee, privilege_type, is_grantable, place)
               WHERE a.grantee <> c.relowner ORDER BY a.place)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = rel AND c.relkind IN ('r', 'p', 'm') AND pg_has_role(session_user, c.relowner, 'member') AND n.nspname !~ '^(pg_|domicile(_|$))'
  ON CONFLICT DO NOTHING;
END
$$;

-- The statements that take everything of Domicile's off a relation and what is below it. `whole`: also what was
-- remembered is put back; without it the relation is about to be guarded anew.
CREATE FUNCTION domicile_private.undo(rel oid, whole boolean) RETURNS SETOF text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  member oid;
  found record;
  grantees text;
BEGIN
  FOR member IN SELECT t FROM domicile_private.tree(rel) t LOOP
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS label, f.row_security, f.forced, f.grants INTO found
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN domicile.former f ON f.schema_name = n.nspname AND f.table_name = c.relname WHERE c.oid = member;
    RETURN QUERY SELECT format('DROP TRIGGER %I ON %s', t.tgname, found.label) FROM pg_trigger t
      WHERE t.tgrelid = member AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname ~ '^domicile_' ORDER BY t.tgname;
    -- By what they call and not by name: CREATE TABLE ... (LIKE ... INCLUDING ALL) copies constraints.
    RETURN QUERY SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', found.label, x.conname) FROM pg_constraint x
      WHERE x.conrelid = member AND x.contype = 'c' AND x.coninhcount = 0 AND EXISTS (
        SELECT FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid WHERE d.classid = 'pg_constraint'::regclass AND d.objid = x.oid
          AND d.refclassid = 'pg_proc'::regclass AND p.pronamespace::regnamespace::text ~ '^domicile(_|$)') ORDER BY x.conname;
    RETURN QUERY SELECT format('DROP POLICY %I ON %s', p.polname, found.label) FROM pg_policy p
      WHERE p.polrelid = member AND p.polname ~ '^domicile_' ORDER BY p.polname;
    IF whole AND found.row_security IS NOT NULL AND found.relkind IN ('r', 'p') THEN
      IF found.row_security <> found.relrowsecurity THEN
        RETURN NEXT format('ALTER TABLE %s %s ROW LEVEL SECURITY', found.label, CASE WHEN found.row_security THEN 'ENABLE' ELSE 'DISABLE' END);
      END IF;
      IF found.forced <> found.relforcerowsecurity THEN
        RETURN NEXT format('ALTER TABLE %s %s ROW LEVEL SECURITY', found.label, CASE WHEN found.forced THEN 'FORCE' ELSE 'NO FORCE' END);
      END IF;
    END IF;
    SELECT string_agg(DISTINCT quote_ident(r.rolname), ', ') INTO grantees
    FROM (SELECT a.grantee FROM aclexplode(found.relacl) a
          UNION SELECT a.grantee FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = member AND t.attacl IS NOT NULL) g
    JOIN pg_roles r ON r.oid = g.grantee WHERE r.rolname ~ '^domicile_';
    IF grantees IS NOT NULL THEN RETURN NEXT format('REVOKE ALL ON %s FROM %s', found.label, grantees); END IF;
    RETURN QUERY SELECT format('REVOKE ALL ON SEQUENCE %I.%I FROM %s', n.nspname, s.relname, string_agg(DISTINCT quote_ident(r.rolname), ', '))
      FROM (SELECT d.objid AS seq FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
              AND d.refobjid = member AND d.deptype IN ('a', 'i')
            UNION SELECT d.refobjid FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
            WHERE f.adrelid = member AND d.refclassid = 'pg_class'::regclass) q
      JOIN pg_class s ON s.oid = q.seq AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
      CROSS JOIN aclexplode(s.relacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname ~ '^domicile_'
      GROUP BY n.nspname, s.relname ORDER BY 1;
    IF whole AND found.grants IS NOT NULL THEN
      RETURN QUERY SELECT format('GRANT %s', regexp_replace(g, '^(\S+) TO', '\1 ON ' || replace(found.label, '\', '\\') || ' TO')) FROM unnest(found.grants) g
        WHERE NOT EXISTS (SELECT FROM aclexplode(found.relacl) a WHERE format('%s TO %s%s', a.privilege_type,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) = g);
    END IF;
  END LOOP;
END
$$;

-- Every relation outside of Domicile's own schemas that bears something of Domicile's, or was changed by it; the roots
-- of their trees only.
CREATE FUNCTION domicile_private.touched() RETURNS TABLE (rel oid, label text, schema_name text, table_name text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid, format('%I.%I', n.nspname, c.relname), n.nspname::text, c.relname::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema'
    AND EXISTS (SELECT FROM domicile_private.undo(c.oid, true))
    AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND domicile_private.goes_with_parent(c.oid)
                      AND EXISTS (SELECT FROM domicile_private.undo(i.inhparent, true)))
  ORDER BY 2
$$;

-- A table that comes under enforcement keeps the grants and rules that it has; they are known from then on. The same
-- findings as table_violations() has, looked for on this table alone.
CREATE FUNCTION domicile_private.kept_grants(rel oid) RETURNS TABLE (kind text, object text, detail text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'grant', format('%I.%I', n.nspname, c.relname),
         format('%s to %s', string_agg(DISTINCT a.privilege_type, ', '), CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE coalesce(r.rolname, a.grantee::text) END)
  FROM domicile_private.tree(rel) t JOIN pg_class c ON c.oid = t JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT e.grantee, e.privilege_type FROM aclexplode(c.relacl) e
                      UNION ALL SELECT e.grantee, e.privilege_type FROM pg_attribute k, aclexplode(k.attacl) e WHERE k.attrelid = c.oid AND k.attacl IS NOT NULL) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE a.grantee <> c.relowner AND coalesce(r.rolname, '') !~ '^domicile_(owner|tenant|app|node|reference|releaser|publisher)$'
  GROUP BY n.nspname, c.relname, a.grantee, r.rolname
  UNION ALL
  SELECT 'rule', format('%I.%I', n.nspname, c.relname), w.rulename::text
  FROM domicile_private.tree(rel) t JOIN pg_class c ON c.oid = t JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_rewrite w ON w.ev_class = c.oid
  WHERE c.relkind IN ('r', 'p')
  ORDER BY 2, 1, 3
$$;
CREATE FUNCTION domicile_private.accept_grants(rel oid) RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile.known_violation (kind, object) SELECT DISTINCT k.kind, k.object FROM domicile_private.kept_grants(rel) k
  ON CONFLICT DO NOTHING
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
