-- violations(): the database as it is, held against the catalog as it was applied. Every row is one finding:
--   severity refuse  the DDL assertion does not let it come into being (where event triggers are there)
--   severity report  to be looked at; no statement is refused for it
-- `known` findings were there when the region was adopted, or were accepted since: they refuse nothing.
--
-- A table that is *closed* (row security on and forced, no policy that opens it, nobody but the owner has a grant) is safe
-- whatever else it lacks: nobody reads it. That is how new tables are born, so it is reported only.
SET LOCAL ROLE domicile_owner;

-- The relation's protection as text, for fingerprints. Names are qualified because search_path is pinned.
CREATE FUNCTION domicile_private.guard_of(rel oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT md5(coalesce((SELECT string_agg(c.conname || ' ' || replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''), ';' ORDER BY c.conname)
                       FROM pg_constraint c WHERE c.conrelid = rel AND c.contype = 'c' AND c.conname ~ '^domicile_'), '')
          || '|' || coalesce((SELECT string_agg(t.tgname || ' ' || t.tgenabled::text || ' ' || regexp_replace(pg_get_triggerdef(t.oid), ' ON [^ ]+ ', ' ON . '), ';' ORDER BY t.tgname)
                              FROM pg_trigger t WHERE t.tgrelid = rel AND t.tgname ~ '^domicile_'), ''))
$$;
CREATE FUNCTION domicile_private.policy_of(rel oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT md5(coalesce((SELECT string_agg(p.polname || ' ' || p.polcmd::text || ' ' || p.polpermissive::text || ' '
                                         || (SELECT string_agg(pg_get_userbyid(u.role), ',' ORDER BY pg_get_userbyid(u.role)) FROM unnest(p.polroles) u (role))
                                         || ' ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '-') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-'),
                                         ';' ORDER BY p.polname)
                       FROM pg_policy p WHERE p.polrelid = rel), ''))
$$;

-- The two policies of a part (0303): they open nothing but a maintenance window, and raise.
CREATE FUNCTION domicile.part_policy(policy oid) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.polpermissive AND (p.polname, p.polcmd) IN (('domicile_part', '*'), ('domicile_part_read', 'r')) AND p.polwithcheck IS NULL
         AND pg_get_expr(p.polqual, p.polrelid) ~ format('^\( SELECT domicile\.part_open\(CURRENT_USER, ''%s''::text\) AS part_open\)$',
                                                         CASE p.polcmd WHEN 'r' THEN 'read' ELSE 'write' END)
  FROM pg_policy p WHERE p.oid = policy
$$;

-- Catalogued relations with what they inherit: a partition has the class of its root.
CREATE FUNCTION domicile_private.members() RETURNS TABLE (rel oid, root oid, label text, class text, mode text,
  key_column text, key_required boolean, applied boolean, guard text, policy text, owner name) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE listed AS (
    SELECT c.oid AS rel, k.* FROM domicile.catalog_table k
    JOIN pg_namespace n ON n.nspname = k.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND NOT (c.relispartition AND EXISTS (
      SELECT FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
      JOIN domicile.catalog_table pk ON pk.schema_name = pn.nspname AND pk.table_name = pc.relname WHERE i.inhrelid = c.oid))
  ), tree AS (
    SELECT l.rel, l.rel AS root FROM listed l
    UNION ALL
    SELECT i.inhrelid, t.root FROM tree t JOIN pg_inherits i ON i.inhparent = t.rel
    WHERE NOT EXISTS (SELECT FROM listed l WHERE l.rel = i.inhrelid)
  )
  SELECT DISTINCT ON (t.rel) t.rel, t.root, format('%I.%I', n.nspname, c.relname), l.class, l.mode, l.key_column, l.key_required,
         l.applied_at IS NOT NULL, l.guard, l.policy, l.owner
  FROM tree t JOIN listed l ON l.rel = t.root JOIN pg_class c ON c.oid = t.rel JOIN pg_namespace n ON n.oid = c.relnamespace
  ORDER BY t.rel
$$;

-- Grants on a relation or its columns to anybody but the owner.
CREATE FUNCTION domicile_private.grants() RETURNS TABLE (rel oid, grantee oid, privilege text, of_column boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid, a.grantee, a.privilege_type, false FROM pg_class c, aclexplode(c.relacl) a
  WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND a.grantee <> c.relowner AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
  UNION ALL
  SELECT c.oid, a.grantee, a.privilege_type, true FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid, aclexplode(t.attacl) a
  WHERE t.attacl IS NOT NULL AND a.grantee <> c.relowner AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
$$;

CREATE FUNCTION domicile_private.table_violations() RETURNS TABLE (kind text, object text, detail text, severity text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH m AS MATERIALIZED (SELECT * FROM domicile_private.members()),
  g AS MATERIALIZED (SELECT x.*, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE coalesce(r.rolname, x.grantee::text) END AS name
                     FROM domicile_private.grants() x LEFT JOIN pg_roles r ON r.oid = x.grantee
                     WHERE coalesce(r.rolname, '') <> 'domicile_owner'),
  rel AS MATERIALIZED (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS label, n.nspname, c.relrowsecurity, c.relforcerowsecurity,
           o.rolname AS owner,
           c.relrowsecurity AND c.relforcerowsecurity
             AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT domicile.part_policy(p.oid))
             AND NOT EXISTS (SELECT FROM g WHERE g.rel = c.oid) AS closed
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't'
      AND n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema'),
  armed AS MATERIALIZED (
    SELECT m.*, r.relkind, r.relrowsecurity, r.relforcerowsecurity, r.closed, r.owner AS owner_now, m.rel <> m.root AS part
    FROM m JOIN rel r ON r.oid = m.rel WHERE m.applied AND m.mode = 'enforce' AND m.class IN ('organization', 'mixed', 'person', 'reference'))
  SELECT 'unclassified', r.label, CASE WHEN r.closed THEN 'not in the catalog; it is closed' ELSE 'not in the catalog, and open' END,
         CASE WHEN r.closed THEN 'report' ELSE 'refuse' END
  FROM rel r WHERE NOT EXISTS (SELECT FROM m WHERE m.rel = r.oid)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'e')
  UNION ALL
  SELECT 'table_missing', format('%I.%I', k.schema_name, k.table_name), 'in the catalog, not in the database', 'report'
  FROM domicile.catalog_table k WHERE k.applied_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = k.schema_name AND c.relname = k.table_name)
  UNION ALL
  SELECT 'not_armed', m.label, 'in the catalog, but region init has not run since it appeared', 'report' FROM m WHERE NOT m.applied
  UNION ALL
  SELECT 'not_armed', a.label, 'made anew: closed, and without its guard', 'report' FROM armed a WHERE a.closed AND NOT a.part AND a.class <> 'reference'
  UNION ALL
  SELECT 'row_security_off', a.label, 'row security is not enabled and forced', 'refuse' FROM armed a
  WHERE a.class <> 'reference' AND a.relkind IN ('r', 'p') AND NOT (a.relrowsecurity AND a.relforcerowsecurity)
  UNION ALL
  SELECT 'policy_changed', a.label, 'its policies are not the ones that were applied', 'refuse' FROM armed a
  WHERE NOT a.part AND NOT a.closed AND domicile_private.policy_of(a.rel) IS DISTINCT FROM a.policy
  UNION ALL
  SELECT 'policy_changed', a.label, 'a partition has a policy of its own', 'refuse' FROM armed a
  WHERE a.part AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = a.rel AND NOT domicile.part_policy(p.oid))
  UNION ALL
  SELECT 'guard_changed', a.label, 'its CHECK or its triggers are not the ones that were applied', 'refuse' FROM armed a
  WHERE NOT a.part AND NOT a.closed AND domicile_private.guard_of(a.rel) IS DISTINCT FROM a.guard
  UNION ALL
  SELECT 'guard_changed', a.label, 'the partition lacks the CHECK or a trigger of its parent', 'refuse' FROM armed a
  WHERE a.part AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = a.rel AND t.tgname ~ '^domicile_' AND t.tgenabled = 'A' AND (t.tgtype::int & 1) = 1)
                 + (SELECT count(*) FROM pg_constraint c WHERE c.conrelid = a.rel AND c.contype = 'c' AND c.conname ~ '^domicile_')
                 < (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = a.root AND t.tgname ~ '^domicile_' AND (t.tgtype::int & 1) = 1)
                 + (SELECT count(*) FROM pg_constraint c WHERE c.conrelid = a.root AND c.contype = 'c' AND c.conname ~ '^domicile_')
  UNION ALL
  SELECT 'observe_changed', m.label, 'its observing CHECK or triggers are not the ones that were applied', 'report' FROM m
  WHERE m.applied AND m.mode = 'observe' AND m.rel = m.root AND domicile_private.guard_of(m.rel) IS DISTINCT FROM m.guard
  UNION ALL
  SELECT 'not_validated', a.label, 'rows stored before the guard have not been looked at: run domicile region validate', 'report' FROM armed a
  WHERE EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = a.rel AND c.contype = 'c' AND c.conname ~ '^domicile_' AND NOT c.convalidated)
  UNION ALL
  SELECT 'key_nullable', a.label, format('column %I may be NULL', a.key_column), 'refuse' FROM armed a
  JOIN pg_attribute k ON k.attrelid = a.rel AND k.attname = a.key_column WHERE a.key_required AND NOT k.attnotnull
  UNION ALL
  SELECT 'view_bypasses', r.label, format('a view with the rights of %s, open to %s', r.owner, g.name), 'refuse'
  FROM (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS label, o.rolname AS owner
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
        WHERE c.relkind = 'v' AND (o.rolsuper OR o.rolbypassrls) AND n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema'
          AND NOT coalesce(c.reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1']
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) r
  JOIN g ON g.rel = r.oid
  UNION ALL
  SELECT 'rule', a.label, 'rule ' || w.rulename || ' rewrites statements on a guarded table', 'refuse' FROM armed a JOIN pg_rewrite w ON w.ev_class = a.rel
  WHERE a.relkind IN ('r', 'p')
  UNION ALL
  SELECT 'owner_changed', a.label, format('owned by %s, not by %s', a.owner_now, a.owner), 'refuse' FROM armed a
  WHERE NOT a.part AND a.owner IS NOT NULL AND a.owner_now <> a.owner
  UNION ALL
  SELECT 'grant', a.label, format('%s to %s', string_agg(DISTINCT g.privilege, ', '), g.name), 'refuse'
  FROM armed a JOIN g ON g.rel = a.rel
  WHERE a.part OR NOT (g.name IN ('domicile_tenant', 'domicile_app', 'domicile_node') OR (g.name IN ('domicile_reference', 'domicile_releaser', 'domicile_publisher') AND a.class = 'reference'))
     OR g.privilege NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') OR (g.name IN ('domicile_node', 'domicile_publisher') AND g.privilege <> 'SELECT')
  GROUP BY a.label, g.name
  UNION ALL
  SELECT 'grant', m.label, format('%s to %s: a system table is not for tenants', string_agg(DISTINCT g.privilege, ', '), g.name), 'refuse'
  FROM m JOIN g ON g.rel = m.rel WHERE m.class = 'system' AND m.mode = 'enforce' AND g.name IN ('domicile_tenant', 'PUBLIC')
  GROUP BY m.label, g.name
  UNION ALL
  SELECT 'unique_without_organization', i.indexrelid::regclass::text, 'a unique index that the organization does not lead tells one tenant of another''s keys', 'report'
  FROM armed a JOIN pg_index i ON i.indrelid = a.rel AND i.indisunique JOIN pg_attribute k ON k.attrelid = a.rel AND k.attname = a.key_column
  WHERE a.class = 'organization' AND NOT a.part AND i.indkey[0] <> k.attnum
  UNION ALL
  SELECT 'foreign_key_without_organization', a.label, format('foreign key %I does not hold the organization: it may point into another tenant''s rows', x.conname), 'report'
  FROM armed a JOIN pg_constraint x ON x.conrelid = a.rel AND x.contype = 'f' AND x.conparentid = 0
  JOIN m p ON p.rel = x.confrelid AND p.class IN ('organization') AND p.key_column IS NOT NULL
  JOIN pg_attribute k ON k.attrelid = a.rel AND k.attname = a.key_column
  WHERE NOT a.part AND k.attnum <> ALL (x.conkey)
$$;

-- One publication may be there, the master region's own, and it holds reference tables alone (store/publication.h).
CREATE FUNCTION domicile_private.publication_violations() RETURNS TABLE (kind text, object text, detail text, severity text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH p AS MATERIALIZED (
    SELECT p.*, format('%I', p.pubname) AS label, p.pubname = 'domicile_reference' AND EXISTS (SELECT FROM domicile.region r WHERE r.master) AS ours
    FROM pg_publication p),
  m AS MATERIALIZED (SELECT * FROM domicile_private.members() m WHERE m.class = 'reference' AND m.mode = 'enforce' AND m.applied),
  r AS MATERIALIZED (
    SELECT p.label, x.prrelid AS rel, x.prqual, x.prattrs, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname) AS named
    FROM p JOIN pg_publication_rel x ON x.prpubid = p.oid JOIN pg_class c ON c.oid = x.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.ours)
  SELECT 'publication', p.label, 'data leaves by logical replication', 'refuse' FROM p WHERE NOT p.ours
  UNION ALL
  SELECT 'publication', p.label, 'it publishes whole schemas', 'refuse' FROM p
  WHERE p.ours AND (p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid))
  UNION ALL
  SELECT 'publication', p.label, 'it publishes partitions by their own names', 'refuse' FROM p WHERE p.ours AND NOT p.pubviaroot
  UNION ALL
  SELECT 'publication', r.label, format('it publishes %s, which is no reference table', r.named), 'refuse' FROM r
  WHERE NOT EXISTS (SELECT FROM m WHERE m.rel = r.rel) AND NOT (r.nspname = 'domicile' AND r.relname IN ('reference_beat', 'published_release'))
  UNION ALL
  SELECT 'publication', r.label, format('it publishes column %I of %s, which the catalog keeps at home', l.column_name, r.named), 'refuse'
  FROM r JOIN domicile.reference_link l ON l.schema_name = r.nspname AND l.table_name = r.relname AND l.rule = 'drop'
  JOIN pg_attribute a ON a.attrelid = r.rel AND a.attname = l.column_name AND NOT a.attisdropped
  WHERE r.prattrs IS NULL OR a.attnum = ANY (r.prattrs)
  UNION ALL
  SELECT 'not_published', r.named, 'the publication leaves some of its rows out', 'report' FROM r WHERE r.prqual IS NOT NULL
  UNION ALL
  SELECT 'not_published', r.named, format('the publication leaves its column %I out, which no link keeps at home', a.attname), 'report'
  FROM r JOIN pg_attribute a ON a.attrelid = r.rel AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  WHERE r.prattrs IS NOT NULL AND a.attnum <> ALL (r.prattrs) AND NOT EXISTS (
    SELECT FROM domicile.reference_link l WHERE l.schema_name = r.nspname AND l.table_name = r.relname AND l.column_name = a.attname AND l.rule = 'drop')
  UNION ALL
  SELECT 'not_published', p.label, 'the publication leaves some kinds of change out', 'report' FROM p
  WHERE p.ours AND NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)
  UNION ALL
  SELECT 'not_published', m.label, 'it is in no publication, so its changes reach no other region', 'report' FROM m
  WHERE m.rel = m.root AND EXISTS (SELECT FROM domicile.region g WHERE g.master)
    AND NOT EXISTS (SELECT FROM r WHERE r.rel = m.rel) AND NOT EXISTS (SELECT FROM p WHERE p.ours AND p.puballtables)
$$;

-- A slot that the publisher made for a region that follows (0400).
CREATE FUNCTION domicile_private.slot_of_peer(slot name) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regclass('domicile.reference_peer') IS NULL THEN RETURN false; END IF;
  RETURN EXISTS (SELECT FROM domicile.reference_peer p JOIN pg_replication_slots s ON s.slot_name = p.slot
                 WHERE p.slot = slot_of_peer.slot AND s.plugin = 'pgoutput') AND domicile.region_master();
END
$$;

CREATE FUNCTION domicile_private.database_violations() RETURNS TABLE (kind text, object text, detail text, severity text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'function_changed', coalesce(p.object, f.object),
         CASE WHEN f.object IS NULL THEN 'missing' WHEN p.object IS NULL THEN 'not one of ours' ELSE 'not as installed' END, 'refuse'
  FROM domicile_private.pinned p FULL JOIN domicile_private.functions_now() f ON f.object = p.object WHERE f.hash IS DISTINCT FROM p.hash
  UNION ALL
  SELECT 'own_schema', format('%I', n.nspname), format('owned by %s', r.rolname), 'refuse' FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
  WHERE n.nspname IN ('domicile', 'domicile_private') AND r.rolname <> 'domicile_owner'
  UNION ALL
  SELECT 'own_table', format('%I.%I', n.nspname, c.relname), format('owned by %s', r.rolname), 'refuse'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
  WHERE n.nspname IN ('domicile', 'domicile_private') AND r.rolname <> 'domicile_owner'
  UNION ALL
  SELECT 'own_table', format('%I.%I', n.nspname, c.relname), format('%s to %s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE r.rolname END), 'refuse'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE n.nspname IN ('domicile', 'domicile_private') AND a.grantee <> c.relowner AND coalesce(r.rolname, '') NOT IN ('domicile_keeper', 'domicile_node')
    AND NOT (n.nspname = 'domicile' AND c.relname ~ '^(reference_|published_release$)' AND coalesce(r.rolname, '') IN ('domicile_publisher', 'domicile_reference'))
    AND NOT (n.nspname = 'domicile' AND c.relname ~ '^release_(change|table)$' AND coalesce(r.rolname, '') = 'domicile_releaser')
  UNION ALL
  SELECT * FROM domicile_private.publication_violations()
  UNION ALL
  SELECT 'subscription', format('%I', subname), 'data comes in by logical replication', 'refuse' FROM pg_subscription
  WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL
  SELECT 'foreign_server', format('%I', srvname), 'a path to another database', 'refuse' FROM pg_foreign_server
  UNION ALL
  SELECT 'foreign_data_wrapper', format('%I', fdwname), 'a path to another database', 'refuse' FROM pg_foreign_data_wrapper
  UNION ALL
  SELECT 'extension', format('%I', extname), 'reaches outside the database or past row security', 'refuse' FROM pg_extension
  WHERE extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'pageinspect', 'pg_surgery', 'lo', 'aws_s3', 'aws_lambda', 'pg_cron', 'http')
     OR extname ~ '^(pl.*u|plpython.*|.*_fdw|oracle_fdw)$'
  UNION ALL
  SELECT 'extension', format('%I', extname), 'not looked at by Domicile', 'report' FROM pg_extension
  WHERE extname NOT IN ('plpgsql', 'pgcrypto', 'pg_trgm', 'btree_gin', 'btree_gist', 'citext', 'hstore', 'ltree', 'uuid-ossp', 'unaccent',
                        'pg_stat_statements', 'fuzzystrmatch', 'intarray', 'tablefunc', 'dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'pageinspect',
                        'pg_surgery', 'lo', 'aws_s3', 'aws_lambda', 'pg_cron', 'http')
    AND extname !~ '^(pl.*u|plpython.*|.*_fdw|oracle_fdw)$'
  UNION ALL
  SELECT 'default_privileges', coalesce(format('%I', n.nspname), 'database'), format('objects that %s makes are born with grants', r.rolname), 'refuse'
  FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
  WHERE EXISTS (SELECT FROM aclexplode(d.defaclacl) a WHERE a.grantee <> d.defaclrole)
  UNION ALL
  SELECT 'schema_create', format('%I', n.nspname), format('%s may create objects in it', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE r.rolname END), 'refuse'
  FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND n.nspname !~ '^pg_'
    AND (a.grantee = 0 OR r.rolname IN ('domicile_tenant', 'domicile_app', 'domicile_node')
         OR (n.nspname ~ '^domicile(_|$)' AND r.rolname NOT IN ('domicile_owner', 'domicile_keeper')))
  UNION ALL
  SELECT 'event_trigger', t.name, 'the DDL assertion is off, or not ALWAYS', 'refuse'
  FROM domicile.region r, (VALUES ('domicile_ddl', 'ddl_command_end', 'domicile.on_ddl()'),
                                  ('domicile_drop', 'sql_drop', 'domicile_private.on_drop()')) AS t (name, event, function)
  WHERE r.event_triggers AND NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtname = t.name AND e.evtenabled = 'A'
    AND e.evtevent = t.event AND e.evttags IS NULL AND e.evtfoid = to_regprocedure(t.function))
  UNION ALL
  SELECT 'commit_check', 'domicile_private.ddl_check', 'the check at commit is off, or not ALWAYS', 'refuse'
  WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'domicile_private.ddl_check'::regclass AND t.tgname = 'domicile_commit' AND t.tgenabled = 'A')
$$;

-- What no event trigger sees: roles, memberships, settings, slots. The planner expects few rows of the patterns
-- below and would look through all roles for each of them: hash joins keep 100,000 organizations to a second.
CREATE FUNCTION domicile_private.role_violations() RETURNS TABLE (kind text, object text, detail text, severity text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
  WITH org AS MATERIALIZED (
    SELECT r.* FROM pg_roles r WHERE r.rolname ~ '{{role_pattern}}'
  ), homed AS MATERIALIZED (
    SELECT r.oid, r.rolname, substr(r.rolname, 15)::name AS role FROM pg_roles r WHERE r.rolname ~ '^domicile_(home|away)_'
  )
  SELECT 'organization_role', format('%I', r.rolname), 'an organization''s role has SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION', 'report'
  FROM org r WHERE r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
  UNION ALL
  SELECT 'organization_membership', format('%I', r.rolname), format('member of %s', g.rolname), 'report'
  FROM org r JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
  WHERE g.rolname <> 'domicile_tenant'
  UNION ALL
  SELECT 'organization_membership', format('%I', u.rolname), format('may become organization role %s', r.rolname), 'report'
  FROM org r JOIN pg_auth_members m ON m.roleid = r.oid JOIN pg_roles u ON u.oid = m.member
  WHERE NOT (u.rolname = 'domicile_keeper' AND m.admin_option)
  UNION ALL
  SELECT 'organization_membership', format('%I', u.rolname), format('holds ADMIN on %s', g.rolname), 'report'
  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
  WHERE g.rolname IN ('domicile_tenant', 'domicile_keeper', 'domicile_owner') AND m.admin_option
    AND NOT (u.rolname = 'domicile_keeper') AND current_setting('server_version_num')::int < 160000
  UNION ALL
  SELECT 'organization_membership', format('%I', u.rolname), format('is a member of %s', h.rolname), 'report'
  FROM homed h JOIN pg_auth_members m ON m.roleid = h.oid JOIN pg_roles u ON u.oid = m.member
  WHERE NOT (u.rolname = 'domicile_keeper' AND m.admin_option)
  UNION ALL
  SELECT 'organization_membership', format('%I', h.rolname), format('is a member of %s', g.rolname), 'report'
  FROM homed h JOIN pg_auth_members m ON m.member = h.oid JOIN pg_roles g ON g.oid = m.roleid
  UNION ALL
  SELECT 'homed_unknown', format('%I', h.role), 'homed, but no organization of this region', 'report'
  FROM homed h LEFT JOIN domicile.organization o ON o.role = h.role AND o.state = 'active'
  WHERE starts_with(h.rolname, 'domicile_home_') AND o.role IS NULL
  UNION ALL
  SELECT 'homed_missing', o.key::text, format('active, but role %s is not there', CASE WHEN h.role IS NULL THEN 'domicile_home_' || o.role ELSE o.role END), 'report'
  FROM domicile.organization o LEFT JOIN homed h ON h.role = o.role AND starts_with(h.rolname, 'domicile_home_')
  LEFT JOIN org r ON r.rolname = o.role WHERE o.state = 'active' AND (h.role IS NULL OR r.rolname IS NULL)
  UNION ALL
  SELECT 'fenced_login', o.key::text, format('%s, but role %s may log in', o.state, o.role), 'report'
  FROM domicile.organization o JOIN org r ON r.rolname = o.role WHERE o.state <> 'active' AND r.rolcanlogin
  UNION ALL
  SELECT 'role_attribute', format('%I', r.rolname), concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
         CASE WHEN r.rolreplication THEN 'REPLICATION' END), 'report'
  FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls OR r.rolreplication) AND r.oid >= 16384 AND r.rolname !~ '^rds'
  UNION ALL
  SELECT 'own_role', r.rolname, 'a role of Domicile may log in, or has an attribute it must not have', 'report' FROM pg_roles r
  WHERE r.rolname ~ '^domicile_(owner|keeper|tenant|app|node|reference|publisher|editor|releaser|(home|away)_.*)$'
    AND (r.rolcanlogin OR r.rolsuper OR r.rolbypassrls OR r.rolreplication OR (r.rolcreaterole AND r.rolname <> 'domicile_keeper'))
  UNION ALL
  SELECT 'own_role', u.rolname, format('%s is a member of %s', u.rolname, g.rolname), 'report'
  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
  WHERE g.rolname IN ('domicile_owner', 'domicile_keeper') AND NOT u.rolcreaterole AND NOT u.rolsuper
  UNION ALL
  SELECT 'predefined_role', u.rolname, format('member of %s', g.rolname), 'report'
  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
  WHERE g.rolname ~ '^pg_' AND g.rolname NOT IN ('pg_monitor', 'pg_database_owner') AND u.oid >= 16384
    AND NOT (g.rolname = 'pg_signal_backend' AND u.rolname = 'domicile_keeper')
  UNION ALL
  SELECT 'database_create', current_database()::text, format('%s may %s', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE r.rolname END, a.privilege_type), 'report'
  FROM pg_database d CROSS JOIN aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE d.datname = current_database() AND a.privilege_type = 'CREATE' AND a.grantee <> d.datdba AND NOT coalesce(r.rolcreaterole, false)
  UNION ALL
  SELECT 'setting', coalesce(r.rolname, 'all roles') || coalesce(' in ' || d.datname, ''), array_to_string(s.setconfig, ', '), 'report'
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
  WHERE array_to_string(s.setconfig, ',') ~ '(session_replication_role|row_security|search_path|domicile\.|session_preload_libraries|local_preload_libraries)'
  UNION ALL
  SELECT 'setting', 'max_prepared_transactions', 'not 0: a prepared transaction can keep a fence waiting for ever', 'report'
  WHERE current_setting('max_prepared_transactions')::int <> 0
  UNION ALL
  SELECT 'logical_slot', slot_name::text, 'data can be read from the log', 'report' FROM pg_replication_slots
  WHERE slot_type = 'logical' AND database = current_database() AND NOT domicile_private.slot_of_peer(slot_name)
  UNION ALL
  SELECT 'large_object', r.rolname, count(*)::text || ' large objects, which row security does not cover', 'report'
  FROM pg_largeobject_metadata l JOIN pg_roles r ON r.oid = l.lomowner GROUP BY r.rolname
  UNION ALL
  SELECT 'definer_function', p.oid::regprocedure::text, 'runs with the rights of ' || r.rolname, 'report'
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
  WHERE p.prosecdef AND n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema' AND (r.rolsuper OR r.rolbypassrls)
$$;

-- Everything, once per (kind, object, detail).
CREATE FUNCTION domicile.violations() RETURNS TABLE (kind text, object text, detail text, severity text, known boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
  SELECT DISTINCT v.kind, v.object, v.detail, v.severity, k.kind IS NOT NULL
  FROM (SELECT * FROM domicile_private.table_violations() UNION ALL SELECT * FROM domicile_private.database_violations()
        UNION ALL SELECT * FROM domicile_private.role_violations()) v
  LEFT JOIN domicile.known_violation k ON k.kind = v.kind AND k.object = v.object
  ORDER BY v.kind, v.object, v.detail
$$;

-- What is there now is known from now on; returns how many findings that are.
CREATE FUNCTION domicile_private.accept_violations() RETURNS bigint LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  WITH added AS (
    INSERT INTO domicile.known_violation (kind, object) SELECT DISTINCT v.kind, v.object FROM domicile.violations() v WHERE v.severity = 'refuse'
    ON CONFLICT DO NOTHING RETURNING 1)
  SELECT count(*) FROM added
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION domicile.violations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.violations() TO domicile_node;
