-- The rows of a release: run an author's SQL, replay what was captured, compare with what is there. These functions are
-- domicile_releaser's, which may touch reference tables, and are called by domicile_owner's alone (0412).
SET LOCAL ROLE domicile_owner;

-- The author's words, with the author's search_path. SECURITY DEFINER: no SET ROLE leads out of it.
CREATE FUNCTION domicile_private.run_release_sql(sql text, path text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('search_path', path, true);
  EXECUTE sql;
END
$$;

-- A partition may have its columns in another order than its root: `image` as the root would write it.
CREATE FUNCTION domicile_private.row_of_root(part regclass, root regclass, image text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $fn$
DECLARE
  fields text;
  result text;
BEGIN
  IF image IS NULL THEN RETURN NULL; END IF;
  SELECT string_agg(format('(x.r).%I', a.attname), ', ' ORDER BY a.attnum) INTO fields
  FROM pg_attribute a WHERE a.attrelid = root AND a.attnum > 0 AND NOT a.attisdropped;
  EXECUTE format('SELECT ROW(%s)::text FROM (SELECT $1::%s AS r OFFSET 0) x', fields, part) INTO result USING image;
  RETURN result;
END
$fn$;

-- The keys of changes that have none yet.
CREATE FUNCTION domicile_private.release_keys(of bigint) RETURNS TABLE (n bigint, old_key text, new_key text) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $fn$
DECLARE
  t record;
  shape record;
  old_fields text;
  new_fields text;
BEGIN
  FOR t IN SELECT r.* FROM domicile.release_table r WHERE r.release = of LOOP
    SELECT * INTO shape FROM domicile_private.release_shape(to_regclass(format('%I.%I', t.schema_name, t.table_name)));
    SELECT string_agg(format('(x.o).%I', k), ', '), string_agg(format('(x.w).%I', k), ', ') INTO old_fields, new_fields FROM unnest(shape.keys) k;
    RETURN QUERY EXECUTE format(
      'SELECT x.n, ROW(%s)::text, ROW(%s)::text FROM (SELECT c.n, coalesce(c.old_row, c.new_row)::%3$s AS o, coalesce(c.new_row, c.old_row)::%3$s AS w
         FROM domicile.release_change c WHERE c.release = $1 AND c.schema_name = $2 AND c.table_name = $3 AND c.old_key IS NULL OFFSET 0) x',
      old_fields, new_fields, shape.label) USING of, t.schema_name, t.table_name;
  END LOOP;
END
$fn$;

-- Changes first..last of one table and one kind, in one statement. `backwards` undoes them.
CREATE FUNCTION domicile_private.replay_run(of bigint, shape record, kind "char", first bigint, last bigint, backwards boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $fn$
DECLARE
  from_row text := CASE WHEN backwards THEN 'new_row' ELSE 'old_row' END;
  to_row text := CASE WHEN backwards THEN 'old_row' ELSE 'new_row' END;
  rows text := format('(SELECT c.n, c.%1$s::%3$s AS f, c.%2$s::%3$s AS t FROM domicile.release_change c WHERE c.release = $1 AND c.n BETWEEN $2 AND $3 ORDER BY c.n%4$s) x',
                      from_row, to_row, shape.label, CASE WHEN backwards THEN ' DESC' ELSE '' END);
  by_key text := (SELECT string_agg(format('d.%1$I = (x.f).%1$I', k), ' AND ') FROM unnest(shape.keys) k);
  changed text[];
  statement text;
  done bigint;
BEGIN
  CASE kind
    WHEN 'I' THEN
      statement := format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s', shape.label,
                          (SELECT string_agg(quote_ident(s), ', ') FROM unnest(shape.stored) s),
                          (SELECT string_agg(format('(x.t).%I', s), ', ') FROM unnest(shape.stored) s), rows);
    WHEN 'D' THEN
      statement := format('DELETE FROM %s d USING %s WHERE %s', shape.label, rows, by_key);
    ELSE
      -- Only columns that differ are set: the others, large ones too, stay as they are stored and do not travel.
      EXECUTE format('SELECT array_remove(ARRAY[%s], NULL) FROM %s',
                     (SELECT string_agg(format('CASE WHEN bool_or((x.f).%1$I::text IS DISTINCT FROM (x.t).%1$I::text) THEN %1$L END', s), ', ') FROM unnest(shape.settable) s),
                     rows) INTO changed USING of, first, last;
      IF cardinality(changed) = 0 THEN RETURN 0; END IF;
      statement := format('UPDATE %s d SET %s FROM %s WHERE %s', shape.label,
                          (SELECT string_agg(format('%1$I = (x.t).%1$I', s), ', ') FROM unnest(changed) s), rows, by_key);
  END CASE;
  EXECUTE statement USING of, first, last;
  GET DIAGNOSTICS done = ROW_COUNT;
  RETURN done;
END
$fn$;

-- One run whole, or where the order of rows within a statement matters after all, row by row. False, and nothing done, when a
-- foreign key wants another run first.
CREATE FUNCTION domicile_private.replay_some(of bigint, run jsonb, backwards boolean, at_last boolean) RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  kind "char" := run ->> 'kind';
  first bigint := run ->> 'first';
  last bigint := run ->> 'last';
  shape record;
  one bigint;
BEGIN
  SELECT * INTO shape FROM domicile_private.release_shape(to_regclass(run ->> 'label'));
  BEGIN
    PERFORM domicile_private.replay_run(of, shape, kind, first, last, backwards);
    RETURN true;
  EXCEPTION WHEN integrity_constraint_violation THEN
    NULL;
  END;
  BEGIN
    FOR one IN SELECT c.n FROM domicile.release_change c WHERE c.release = of AND c.n BETWEEN first AND last
               ORDER BY CASE WHEN backwards THEN -c.n ELSE c.n END LOOP
      PERFORM domicile_private.replay_run(of, shape, kind, one, one, backwards);
    END LOOP;
    RETURN true;
  EXCEPTION WHEN foreign_key_violation THEN
    IF at_last THEN RAISE; END IF;
    RETURN false;
  END;
END
$fn$;

-- Those that had to wait, as far as they can go now. What one table went through keeps its order.
CREATE FUNCTION domicile_private.replay_waiting(of bigint, waiting jsonb[], backwards boolean) RETURNS jsonb[] LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  run jsonb;
  still jsonb[] := waiting;
  blocked text[];
BEGIN
  LOOP
    waiting := still;
    still := '{}';
    blocked := '{}';
    FOREACH run IN ARRAY waiting LOOP
      IF run ->> 'label' = ANY (blocked) OR NOT domicile_private.replay_some(of, run, backwards, false) THEN
        still := still || run;
        blocked := blocked || (run ->> 'label');
      END IF;
    END LOOP;
    IF cardinality(still) IN (0, cardinality(waiting)) THEN RETURN still; END IF;
  END LOOP;
END
$fn$;

-- A release's changes in runs: neighbours of one table and one kind go together, since what one statement did to parents and
-- children may not be done one by one, as long as no row is met twice.
CREATE FUNCTION domicile_private.release_runs(of bigint) RETURNS SETOF jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  c record;
  label text := '';
  kind "char";
  first bigint;
  last bigint;
BEGIN
  FOR c IN
    WITH touched AS (
      SELECT r.n, r.schema_name, r.table_name, r.old_key AS key FROM domicile.release_change r WHERE r.release = of
      UNION SELECT r.n, r.schema_name, r.table_name, r.new_key FROM domicile.release_change r WHERE r.release = of AND r.new_key <> r.old_key),
    before AS (
      SELECT t.n, max(t.before) AS n_before
      FROM (SELECT t.n, lag(t.n) OVER (PARTITION BY t.schema_name, t.table_name, t.key ORDER BY t.n) AS before FROM touched t) t GROUP BY t.n)
    SELECT r.n, format('%I.%I', r.schema_name, r.table_name) AS label, r.operation, coalesce(b.n_before, 0) AS n_before
    FROM domicile.release_change r JOIN before b ON b.n = r.n WHERE r.release = of ORDER BY r.n
  LOOP
    IF c.label <> label OR c.operation <> kind OR c.n_before >= first THEN
      IF first IS NOT NULL THEN
        RETURN NEXT jsonb_build_object('label', label, 'kind', kind, 'first', first, 'last', last);
      END IF;
      label := c.label;
      kind := c.operation;
      first := c.n;
    END IF;
    last := c.n;
  END LOOP;
  IF first IS NOT NULL THEN
    RETURN NEXT jsonb_build_object('label', label, 'kind', kind, 'first', first, 'last', last);
  END IF;
END
$fn$;

-- All of a release's changes, in their order or backwards. What a foreign key's action did was captured after its cause, so
-- that backwards it may come too early: then its table waits until another one has gone on. Whoever calls this
-- compares the outcome.
CREATE FUNCTION domicile_private.replay_release(of bigint, backwards boolean) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  run jsonb;
  waiting jsonb[] := '{}';
BEGIN
  FOR run IN
    SELECT CASE WHEN backwards AND r ->> 'kind' <> 'U' THEN r || jsonb_build_object('kind', CASE r ->> 'kind' WHEN 'I' THEN 'D' ELSE 'I' END) ELSE r END
    FROM domicile_private.release_runs(of) WITH ORDINALITY x (r, place) ORDER BY CASE WHEN backwards THEN -x.place ELSE x.place END
  LOOP
    IF EXISTS (SELECT FROM unnest(waiting) w WHERE w ->> 'label' = run ->> 'label')
       OR NOT domicile_private.replay_some(of, run, backwards, false) THEN
      waiting := waiting || run;
    ELSIF cardinality(waiting) > 0 THEN
      waiting := domicile_private.replay_waiting(of, waiting, backwards);
    END IF;
  END LOOP;
  IF cardinality(waiting) > 0 THEN  -- in vain: this raises
    PERFORM domicile_private.replay_some(of, waiting[1], backwards, true);
  END IF;
  RETURN (SELECT count(*) FROM domicile.release_change c WHERE c.release = of);
END
$fn$;

-- Rows that are not as the release has them: `before` it (as its author saw them) or `after` it. A key that a row moved to
-- was free before; one that it left is free afterwards. `there` is the row's text now, NULL when it is gone.
CREATE FUNCTION domicile_private.release_differences(of bigint, moment text) RETURNS TABLE (label text, key text, wanted text, there text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $fn$
DECLARE
  t record;
  shape record;
BEGIN
  FOR t IN SELECT r.* FROM domicile.release_table r WHERE r.release = of LOOP
    SELECT * INTO shape FROM domicile_private.release_shape(to_regclass(format('%I.%I', t.schema_name, t.table_name)));
    RETURN QUERY EXECUTE format($sql$
      SELECT %1$L::text, x.key, x.wanted, (d.*)::text
      FROM (SELECT e.key, e.wanted, coalesce(e.wanted, e.image)::%1$s AS r
            FROM (SELECT DISTINCT ON (k.key) k.key, k.wanted, k.image FROM domicile.release_change c
                  CROSS JOIN LATERAL (SELECT c.%2$s_key, c.%2$s_row, coalesce(c.%2$s_row, c.%3$s_row)
                                      UNION ALL SELECT c.%3$s_key, NULL, c.%3$s_row WHERE c.old_key <> c.new_key) k (key, wanted, image)
                  WHERE c.release = $1 AND c.schema_name = $2 AND c.table_name = $3
                  ORDER BY k.key, c.n %4$s) e OFFSET 0) x
      LEFT JOIN %1$s d ON %5$s
      WHERE (d.*)::text IS DISTINCT FROM x.wanted$sql$,
      shape.label, CASE moment WHEN 'before' THEN 'old' ELSE 'new' END, CASE moment WHEN 'before' THEN 'new' ELSE 'old' END,
      CASE moment WHEN 'before' THEN 'ASC' ELSE 'DESC' END,
      (SELECT string_agg(format('d.%1$I = (x.r).%1$I', k), ' AND ') FROM unnest(shape.keys) k))
    USING of, t.schema_name, t.table_name;
  END LOOP;
END
$fn$;

-- What a release makes of each row, all its changes taken together, for whoever looks at it.
CREATE FUNCTION domicile_private.release_net(of bigint) RETURNS TABLE (label text, key jsonb, was jsonb, becomes jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content' SET lc_monetary = 'C' AS $fn$
DECLARE
  t record;
  shape record;
BEGIN
  FOR t IN SELECT r.* FROM domicile.release_table r WHERE r.release = of ORDER BY 2, 3 LOOP
    SELECT * INTO shape FROM domicile_private.release_shape(to_regclass(format('%I.%I', t.schema_name, t.table_name)));
    RETURN QUERY EXECUTE format($sql$
      SELECT %1$L::text, jsonb_build_object(%2$s), to_jsonb(x.f), to_jsonb(x.w)
      FROM (SELECT e.first, e.was::%1$s AS f, e.becomes::%1$s AS w, coalesce(e.was, e.becomes)::%1$s AS r
            FROM (SELECT min(c.n) AS first, (array_agg(c.old_row ORDER BY c.n))[1] AS was, (array_agg(c.new_row ORDER BY c.n DESC))[1] AS becomes
                  FROM domicile.release_change c WHERE c.release = $1 AND c.schema_name = $2 AND c.table_name = $3
                  GROUP BY CASE WHEN c.old_key = c.new_key THEN c.old_key ELSE c.n::text END) e
            WHERE e.was IS DISTINCT FROM e.becomes OFFSET 0) x
      ORDER BY x.first$sql$, shape.label, (SELECT string_agg(format('%1$L, (x.r).%1$I', k), ', ') FROM unnest(shape.keys) k))
    USING of, t.schema_name, t.table_name;
  END LOOP;
END
$fn$;

-- Nobody else writes the release's tables until the transaction ends; they are read as before.
CREATE FUNCTION domicile_private.lock_release_tables(of bigint) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT r.* FROM domicile.release_table r WHERE r.release = of ORDER BY 2, 3 LOOP
    EXECUTE format('LOCK TABLE %I.%I IN SHARE ROW EXCLUSIVE MODE', t.schema_name, t.table_name);
  END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION domicile_private.run_release_sql(text, text), domicile_private.row_of_root(regclass, regclass, text),
  domicile_private.release_keys(bigint), domicile_private.release_runs(bigint), domicile_private.replay_run(bigint, record, "char", bigint, bigint, boolean),
  domicile_private.replay_some(bigint, jsonb, boolean, boolean), domicile_private.replay_waiting(bigint, jsonb[], boolean),
  domicile_private.replay_release(bigint, boolean),
  domicile_private.release_differences(bigint, text), domicile_private.release_net(bigint), domicile_private.lock_release_tables(bigint) FROM PUBLIC;

-- They change hands by rights that end with this step.
GRANT CREATE ON SCHEMA domicile_private TO domicile_releaser;
RESET ROLE;
GRANT domicile_releaser TO CURRENT_USER;
DO $do$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY['run_release_sql(text, text)', 'row_of_root(regclass, regclass, text)', 'release_keys(bigint)', 'release_runs(bigint)',
      'replay_run(bigint, record, "char", bigint, bigint, boolean)', 'replay_some(bigint, jsonb, boolean, boolean)',
      'replay_waiting(bigint, jsonb[], boolean)', 'replay_release(bigint, boolean)', 'release_differences(bigint, text)',
      'release_net(bigint)', 'lock_release_tables(bigint)'] LOOP
    EXECUTE format('ALTER FUNCTION domicile_private.%s OWNER TO domicile_releaser', signature);
  END LOOP;
END
$do$;
SET LOCAL ROLE domicile_releaser;
GRANT EXECUTE ON FUNCTION domicile_private.run_release_sql(text, text), domicile_private.row_of_root(regclass, regclass, text),
  domicile_private.release_keys(bigint), domicile_private.replay_release(bigint, boolean), domicile_private.release_differences(bigint, text),
  domicile_private.release_net(bigint), domicile_private.lock_release_tables(bigint) TO domicile_owner;
RESET ROLE;
REVOKE domicile_releaser FROM CURRENT_USER;
SET LOCAL ROLE domicile_owner;
REVOKE CREATE ON SCHEMA domicile_private FROM domicile_releaser;
