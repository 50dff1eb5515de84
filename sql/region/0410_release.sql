-- Releases of reference data: changes that are made together, looked at by a second person, published in one
-- transaction and taken back in one. A release holds rows and no statements: what an author's SQL did to reference
-- tables is captured row by row, as it was and as it became, and then undone.
--
--   domicile_editor     its members make, review and publish releases, by the functions of 0411; no rights on tables
--   domicile_releaser   owns the few functions that touch reference tables for a release. An author's SQL runs with its
--                       rights: it reads and writes reference tables, and nothing else of the application
--
-- Row images are PostgreSQL's own text of the whole row, under fixed settings, so that every type comes back as it was.
DO $do$
DECLARE
  wanted text;
  existing pg_catalog.pg_roles;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['domicile_editor', 'domicile_releaser'] LOOP
    SELECT * INTO existing FROM pg_catalog.pg_roles WHERE rolname = wanted;
    IF NOT FOUND THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    ELSIF existing.rolsuper OR existing.rolbypassrls OR existing.rolreplication OR existing.rolcreaterole OR existing.rolcanlogin THEN
      RAISE EXCEPTION 'domicile: role % exists with attributes that it must not have', wanted
        USING HINT = format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE, or rename it', wanted);
    END IF;
  END LOOP;
END
$do$;
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.release (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name           text NOT NULL UNIQUE CHECK (name OPERATOR(pg_catalog.~) '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
  note           text NOT NULL DEFAULT '',
  state          text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'submitted', 'approved', 'rejected', 'published', 'rolled_back', 'discarded')),
  authors        text[] NOT NULL,                       -- whoever made it or added to it: none of them may approve it
  hash           text NOT NULL DEFAULT '',              -- of what it holds, taken when it was submitted
  created_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  submitted_by   text,
  submitted_at   timestamptz,
  decided_by     text,                                  -- who approved or rejected it
  decided_at     timestamptz,
  decision_reason text NOT NULL DEFAULT '',
  published_by   text,
  published_at   timestamptz,
  rolled_back_by text,
  rolled_back_at timestamptz
);

-- One line for each time that something was added: the same SQL added twice in a row is a run that was repeated.
CREATE TABLE domicile.release_part (
  release  bigint NOT NULL REFERENCES domicile.release (id),
  part     int NOT NULL,
  sha256   text NOT NULL,
  changes  bigint NOT NULL,
  added_by text NOT NULL DEFAULT session_user,
  added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (release, part)
);

-- The tables of a release with their columns as they were: row images mean nothing to other columns.
CREATE TABLE domicile.release_table (
  release     bigint NOT NULL REFERENCES domicile.release (id),
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  columns     text NOT NULL,
  PRIMARY KEY (release, schema_name, table_name)
);

CREATE TABLE domicile.release_change (
  release     bigint NOT NULL REFERENCES domicile.release (id),
  n           bigint NOT NULL,
  part        int NOT NULL,
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  operation   "char" NOT NULL CHECK (operation IN ('I', 'U', 'D')),
  old_row     text,
  new_row     text,
  old_key     text,                                     -- of the row before; of an insert: of the row that it made
  new_key     text,                                     -- of the row after; of a delete: of the row that it took
  PRIMARY KEY (release, n)
);

-- What readers see. It travels with the rows of the release, in the same transaction.
CREATE TABLE domicile.published_release (
  number       bigint PRIMARY KEY,
  name         text NOT NULL,                           -- the release that holds from here on; '': none
  action       text NOT NULL CHECK (action IN ('publish', 'rollback')),
  about        text NOT NULL,                           -- the release that was published or rolled back
  hash         text NOT NULL,
  published_at timestamptz NOT NULL
);

-- Filled by the capturing trigger and emptied by the roll-back that ends every capture.
CREATE UNLOGGED TABLE domicile_private.captured (
  n         bigint GENERATED ALWAYS AS IDENTITY,
  rel       oid NOT NULL,
  operation "char" NOT NULL,
  old_row   text,
  new_row   text
);
-- The transactions that capture, and those that publish. Their rows are gone when the transaction ends.
CREATE TABLE domicile_private.releasing (transaction xid8 PRIMARY KEY, doing text NOT NULL);

CREATE FUNCTION domicile_private.is_releasing(what text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM domicile_private.releasing r WHERE r.transaction = pg_current_xact_id_if_assigned() AND r.doing = what)
$$;

-- For an application's own triggers on reference tables: what they set is in the release already.
CREATE FUNCTION domicile.in_release() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT domicile_private.is_releasing('publish') $$;

-- Must direct changes of reference tables wait for a release? Baked like region_master().
CREATE FUNCTION domicile.release_required() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT false $$;

-- The condition of the trigger domicile_release on each reference table. Anybody may make it true: the trigger
-- looks for itself. Outside of the master region PostgreSQL folds it to nothing.
CREATE FUNCTION domicile.release_asks() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT domicile.region_master() AND (domicile.release_required()
         OR pg_catalog.current_setting('domicile.release_capture', true) OPERATOR(pg_catalog.=) 'on')
$$;
CREATE FUNCTION domicile.capture_change() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $$
BEGIN
  IF domicile_private.is_releasing('capture') THEN
    INSERT INTO domicile_private.captured (rel, operation, old_row, new_row)
    VALUES (TG_RELID, left(TG_OP, 1)::"char", CASE WHEN TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_OP <> 'DELETE' THEN NEW::text END);
  ELSIF domicile.release_required() AND NOT domicile_private.is_releasing('publish') THEN
    RAISE EXCEPTION 'domicile: reference data changes by releases only in this region' USING ERRCODE = '42501', CONSTRAINT = 'domicile_release',
      HINT = 'domicile reference release create NAME, add, submit; a second person approves; publish.';
  END IF;
  RETURN NULL;
END
$$;

-- published_release is written by a publication in the master region, by the applier elsewhere, and by a restore.
CREATE FUNCTION domicile_private.published_release_writable() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM domicile_private.upgrade u WHERE u.transaction = pg_current_xact_id_if_assigned()) THEN
    RETURN NULL;
  ELSIF NOT domicile.region_master() THEN
    PERFORM domicile.reference_writable();
  ELSIF TG_OP <> 'INSERT' OR NOT domicile_private.is_releasing('publish') THEN
    RAISE EXCEPTION 'domicile: % on domicile.published_release is refused', TG_OP USING ERRCODE = '42501';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER domicile_write AFTER INSERT OR UPDATE OR DELETE ON domicile.published_release FOR EACH ROW
  EXECUTE FUNCTION domicile_private.published_release_writable();
ALTER TABLE domicile.published_release ENABLE ALWAYS TRIGGER domicile_write;
CREATE TRIGGER domicile_truncate BEFORE TRUNCATE ON domicile.published_release FOR EACH STATEMENT EXECUTE FUNCTION domicile.refuse_change();
ALTER TABLE domicile.published_release ENABLE ALWAYS TRIGGER domicile_truncate;
CREATE TRIGGER domicile_write AFTER INSERT OR UPDATE OR DELETE ON domicile.reference_beat FOR EACH ROW
  WHEN (NOT (domicile.reference_writer() OR domicile.reference_writable())) EXECUTE FUNCTION domicile.refuse_change();
ALTER TABLE domicile.reference_beat ENABLE ALWAYS TRIGGER domicile_write;

-- Which release holds in this region: name '' and number 0 before the first one.
CREATE FUNCTION domicile.reference_release(OUT name text, OUT number bigint, OUT published_at timestamptz) LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(max(p.name), ''), coalesce(max(p.number), 0), max(p.published_at)
  FROM (SELECT r.* FROM domicile.published_release r ORDER BY r.number DESC LIMIT 1) p
$$;

-- A table as releases need it. `columns` is its signature; `stored` are the columns an INSERT names, `settable` those
-- an UPDATE may.
CREATE FUNCTION domicile_private.release_shape(rel oid, OUT label text, OUT columns text, OUT stored text[], OUT settable text[], OUT keys text[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format('%I.%I', n.nspname, c.relname),
         string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END), ', ' ORDER BY a.attnum),
         array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = ''),
         array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '' AND a.attidentity <> 'a'),
         array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (i.indkey))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  WHERE c.oid = rel GROUP BY n.nspname, c.relname
$$;

-- Rows written by this transaction so far, outside of Domicile's own tables: reference tables do not count.
CREATE FUNCTION domicile_private.written_elsewhere() RETURNS TABLE (label text, rows bigint) LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid::regclass::text, pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)
  FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relnamespace::regnamespace::text !~ '^"?domicile(_|$)'
    AND pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid) > 0
    AND NOT EXISTS (SELECT FROM domicile_private.members() m WHERE m.rel = c.oid AND m.class = 'reference' AND m.mode = 'enforce' AND m.applied)
$$;

GRANT USAGE ON SCHEMA domicile TO domicile_editor, domicile_releaser;
GRANT USAGE ON SCHEMA domicile_private TO domicile_releaser;
GRANT SELECT ON domicile.release_change, domicile.release_table TO domicile_releaser;
GRANT EXECUTE ON FUNCTION domicile_private.release_shape(oid) TO domicile_releaser;
GRANT SELECT, INSERT, UPDATE, DELETE ON domicile.published_release TO domicile_reference;
GRANT SELECT, INSERT, UPDATE, DELETE ON domicile.reference_beat TO domicile_reference;
GRANT SELECT ON domicile.published_release, domicile.release, domicile.release_part TO domicile_node;
GRANT SELECT ON domicile.published_release TO domicile_publisher;
REVOKE EXECUTE ON FUNCTION domicile_private.is_releasing(text), domicile_private.published_release_writable(),
  domicile_private.release_shape(oid), domicile_private.written_elsewhere() FROM PUBLIC;
