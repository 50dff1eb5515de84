-- What people do with releases. Each call is one step in one transaction: done whole or not at all, and the same call
-- again does no harm. Who acts is session_user, which no SET ROLE changes.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.note_release(name text, verb text, activity text, scope text) RETURNS void LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, by_operator)
  VALUES ('reference.release_' || verb, activity, '', scope, 'release:' || name, session_user)
$$;

-- The release, locked: one step at a time.
CREATE FUNCTION domicile_private.take_release(wanted text) RETURNS domicile.release LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release;
BEGIN
  IF NOT domicile.region_master() THEN
    RAISE EXCEPTION 'domicile: releases are made and published in the master region' USING ERRCODE = '55000',
      HINT = 'Name the master region''s database; what is published there reaches this region by itself.';
  END IF;
  SELECT * INTO r FROM domicile.release x WHERE x.name = wanted FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: there is no release %', wanted USING ERRCODE = '42704', HINT = 'domicile reference release list';
  END IF;
  RETURN r;
END
$$;

CREATE FUNCTION domicile_private.release_hash(of bigint) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT encode(sha256(convert_to(
    coalesce((SELECT string_agg(format('%L.%L %L', t.schema_name, t.table_name, t.columns), ';' ORDER BY t.schema_name, t.table_name)
              FROM domicile.release_table t WHERE t.release = of), '') || '|' ||
    coalesce((SELECT string_agg(encode(sha256(convert_to(format('%s %L.%L %L %L', c.operation, c.schema_name, c.table_name, c.old_row, c.new_row), 'UTF8')), 'hex'), '' ORDER BY c.n)
              FROM domicile.release_change c WHERE c.release = of), ''), 'UTF8')), 'hex')
$$;

CREATE FUNCTION domicile.create_release(name text, note text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release;
BEGIN
  IF NOT domicile.region_master() THEN
    RAISE EXCEPTION 'domicile: releases are made and published in the master region' USING ERRCODE = '55000',
      HINT = 'Name the master region''s database.';
  ELSIF create_release.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' THEN
    RAISE EXCEPTION 'domicile: a release''s name is 1 to 63 letters, digits, dots, dashes and underscores, and begins with a letter or digit' USING ERRCODE = '22023';
  END IF;
  INSERT INTO domicile.release (name, note, authors) VALUES (create_release.name, create_release.note, ARRAY[session_user::text]) ON CONFLICT DO NOTHING;
  IF FOUND THEN
    PERFORM domicile_private.note_release(create_release.name, 'create', 'create', '');
    RETURN;
  END IF;
  SELECT * INTO r FROM domicile.release x WHERE x.name = create_release.name;
  IF r.state <> 'draft' OR r.authors <> ARRAY[session_user::text] OR r.note <> create_release.note THEN
    RAISE EXCEPTION 'domicile: release % is there already, % and made by %', r.name, r.state, r.authors[1] USING ERRCODE = '23505',
      HINT = 'Add to it, or choose another name: a name stands for one release for ever.';
  END IF;
END
$$;

-- A release's tables as they are now must be as they were when its rows were captured.
CREATE FUNCTION domicile_private.require_release_tables(of bigint) RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT r.*, s.columns AS now, m.rel IS NOT NULL AS may FROM domicile.release_table r
           LEFT JOIN pg_namespace n ON n.nspname = r.schema_name LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.table_name
           LEFT JOIN LATERAL domicile_private.release_shape(c.oid) s ON true
           LEFT JOIN domicile_private.members() m ON m.rel = c.oid AND m.class = 'reference' AND m.mode = 'enforce' AND m.applied
           WHERE r.release = of LOOP
    IF NOT t.may THEN
      RAISE EXCEPTION 'domicile: %.% is no enforced reference table any more', t.schema_name, t.table_name USING ERRCODE = '55000',
        HINT = 'A release is tied to its tables as they were: make a new one.';
    ELSIF t.now <> t.columns THEN
      RAISE EXCEPTION 'domicile: the columns of %.% are not those that the release was made with', t.schema_name, t.table_name USING ERRCODE = '55000',
        DETAIL = format('Then: %s. Now: %s.', t.columns, t.now),
        HINT = 'A release is tied to its tables as they were: make a new one.';
    END IF;
  END LOOP;
END
$$;

CREATE FUNCTION domicile_private.require_unchanged(of bigint, name text, moment text) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  differing bigint;
  listed text;
BEGIN
  SELECT count(*), string_agg(format('%s %s: %s', d.label, d.key, CASE WHEN d.there IS NULL THEN 'it is gone' WHEN d.wanted IS NULL THEN 'it is there already'
                                     ELSE 'it is another one now' END), E'\n') FILTER (WHERE d.place <= 20)
  INTO differing, listed
  FROM (SELECT x.*, row_number() OVER (ORDER BY x.label, x.key) AS place FROM domicile_private.release_differences(of, moment) x) d;
  IF differing > 0 THEN
    RAISE EXCEPTION 'domicile: % rows are not as release % left or saw them; nothing was changed', differing, name USING ERRCODE = '40001',
      DETAIL = listed, HINT = CASE moment WHEN 'before' THEN 'Somebody changed them since. Discard the release and make it anew from what is there now.'
                                          ELSE 'Somebody changed them since. Put them right by a new release.' END;
  END IF;
END
$$;

CREATE FUNCTION domicile_private.require_written_alone(before jsonb) RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  others text;
BEGIN
  SELECT string_agg(w.label, ', ' ORDER BY w.label) INTO others FROM domicile_private.written_elsewhere() w
  WHERE w.rows > coalesce((before ->> w.label)::bigint, 0);
  IF others IS NOT NULL THEN
    RAISE EXCEPTION 'domicile: a release changes reference tables alone, this one would also change %', others USING ERRCODE = '42501',
      HINT = 'Look for a foreign key that cascades, for a trigger, and for statements that define something.';
  END IF;
END
$$;

CREATE FUNCTION domicile_private.written_before() RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('track_counts') <> 'on' THEN
    RAISE EXCEPTION 'domicile: track_counts is off, so nobody can tell what else a release changes' USING ERRCODE = '55000', HINT = 'SET track_counts = on';
  END IF;
  RETURN coalesce((SELECT jsonb_object_agg(w.label, w.rows) FROM domicile_private.written_elsewhere() w), '{}');
END
$$;

-- Puts what was captured behind what the release holds already.
CREATE FUNCTION domicile_private.keep_changes(of bigint, added_part int, rels oid[], operations text[], olds text[], news text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  base bigint := (SELECT coalesce(max(c.n), 0) FROM domicile.release_change c WHERE c.release = of);
  kept bigint;
BEGIN
  INSERT INTO domicile.release_table (release, schema_name, table_name, columns)
  SELECT DISTINCT of, n.nspname, c.relname, s.columns FROM unnest(rels) r (rel) JOIN domicile_private.members() m ON m.rel = r.rel
  JOIN pg_class c ON c.oid = m.root JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL domicile_private.release_shape(c.oid) s
  ON CONFLICT DO NOTHING;
  WITH place AS MATERIALIZED (
    SELECT m.rel, m.root, n.nspname, c.relname,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = m.rel AND a.attnum > 0 AND NOT a.attisdropped)
           <> (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = m.root AND a.attnum > 0 AND NOT a.attisdropped) AS turned
    FROM domicile_private.members() m JOIN pg_class c ON c.oid = m.root JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE m.rel IN (SELECT DISTINCT r FROM unnest(rels) r))
  INSERT INTO domicile.release_change (release, n, part, schema_name, table_name, operation, old_row, new_row)
  SELECT of, base + x.n, added_part, p.nspname, p.relname, x.operation::"char",
         CASE WHEN p.turned THEN domicile_private.row_of_root(p.rel, p.root, x.old_row) ELSE x.old_row END,
         CASE WHEN p.turned THEN domicile_private.row_of_root(p.rel, p.root, x.new_row) ELSE x.new_row END
  FROM unnest(rels, operations, olds, news) WITH ORDINALITY x (rel, operation, old_row, new_row, n) JOIN place p ON p.rel = x.rel
  WHERE x.old_row IS DISTINCT FROM x.new_row;
  GET DIAGNOSTICS kept = ROW_COUNT;
  UPDATE domicile.release_change c SET old_key = k.old_key, new_key = k.new_key FROM domicile_private.release_keys(of) k
  WHERE c.release = of AND c.n = k.n;
  RETURN kept;
END
$$;

-- Runs the SQL as the database is with the release's earlier changes in it, keeps what it did to reference tables, and
-- undoes it all. `path` is the author's search_path. A release that had been submitted or approved is a draft again.
CREATE FUNCTION domicile.add_to_release(name text, sql text, path text, OUT changes bigint, OUT repeated boolean) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(add_to_release.name);
  digest text := encode(sha256(convert_to(sql, 'UTF8')), 'hex');
  last_part domicile.release_part;
  before jsonb;
  captured boolean := false;
  rels oid[];
  operations text[];
  olds text[];
  news text[];
BEGIN
  IF r.state NOT IN ('draft', 'submitted', 'approved', 'rejected') THEN
    RAISE EXCEPTION 'domicile: release % is %: nothing can be added', r.name, r.state USING ERRCODE = '55000', HINT = 'Make a new release.';
  END IF;
  SELECT * INTO last_part FROM domicile.release_part p WHERE p.release = r.id ORDER BY p.part DESC LIMIT 1;
  IF last_part.sha256 = digest AND last_part.added_by = session_user THEN
    changes := last_part.changes;
    repeated := true;
    RETURN;
  END IF;
  PERFORM domicile_private.require_release_tables(r.id);
  PERFORM domicile_private.require_unchanged(r.id, r.name, 'before');
  BEGIN
    INSERT INTO domicile_private.releasing VALUES (pg_current_xact_id(), 'publish');
    PERFORM domicile_private.replay_release(r.id, false);
    before := domicile_private.written_before();
    UPDATE domicile_private.releasing SET doing = 'capture' WHERE transaction = pg_current_xact_id();
    PERFORM set_config('domicile.release_capture', 'on', true);
    PERFORM domicile_private.run_release_sql(sql, path);
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM domicile_private.require_written_alone(before);
    SELECT array_agg(c.rel ORDER BY c.n), array_agg(c.operation::text ORDER BY c.n), array_agg(c.old_row ORDER BY c.n), array_agg(c.new_row ORDER BY c.n)
    INTO rels, operations, olds, news FROM domicile_private.captured c;
    captured := true;
    RAISE EXCEPTION 'domicile: captured' USING ERRCODE = 'DMC00';
  EXCEPTION WHEN SQLSTATE 'DMC00' THEN
    IF NOT captured THEN RAISE; END IF;
  END;
  changes := domicile_private.keep_changes(r.id, coalesce(last_part.part, 0) + 1, coalesce(rels, '{}'), coalesce(operations, '{}'), coalesce(olds, '{}'), coalesce(news, '{}'));
  repeated := false;
  IF changes = 0 THEN RETURN; END IF;
  INSERT INTO domicile.release_part (release, part, sha256, changes) VALUES (r.id, coalesce(last_part.part, 0) + 1, digest, changes);
  UPDATE domicile.release x SET state = 'draft', hash = '', submitted_by = NULL, submitted_at = NULL, decided_by = NULL, decided_at = NULL, decision_reason = '',
    authors = CASE WHEN session_user::text = ANY (x.authors) THEN x.authors ELSE x.authors || session_user::text END WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, 'add', 'update', format('%s changes', changes));
END
$$;

CREATE FUNCTION domicile.submit_release(name text) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(submit_release.name);
BEGIN
  IF r.state IN ('submitted', 'approved') THEN RETURN r.hash; END IF;
  IF r.state NOT IN ('draft', 'rejected') THEN
    RAISE EXCEPTION 'domicile: release % is % and cannot be submitted', r.name, r.state USING ERRCODE = '55000';
  END IF;
  IF NOT EXISTS (SELECT FROM domicile.release_change c WHERE c.release = r.id) THEN
    RAISE EXCEPTION 'domicile: release % holds no change', r.name USING ERRCODE = '55000', HINT = 'domicile reference release add NAME --file changes.sql';
  END IF;
  r.hash := domicile_private.release_hash(r.id);
  UPDATE domicile.release x SET state = 'submitted', hash = r.hash, submitted_by = session_user, submitted_at = clock_timestamp(),
    decided_by = NULL, decided_at = NULL, decision_reason = '' WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, 'submit', 'update', r.hash);
  RETURN r.hash;
END
$$;

-- `seen`: the hash of what the reviewer looked at, or NULL.
CREATE FUNCTION domicile.decide_release(name text, approve boolean, reason text, seen text) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(decide_release.name);
  wanted text := CASE WHEN approve THEN 'approved' ELSE 'rejected' END;
BEGIN
  IF r.state = wanted AND r.decided_by = session_user::text AND coalesce(seen, r.hash) = r.hash THEN RETURN r.hash; END IF;
  IF session_user::text = ANY (r.authors) THEN
    RAISE EXCEPTION 'domicile: % is an author of release %: a second person decides', session_user, r.name USING ERRCODE = '42501';
  END IF;
  IF r.state <> 'submitted' AND NOT (r.state = 'approved' AND NOT approve) THEN
    RAISE EXCEPTION 'domicile: release % is %, not submitted', r.name, r.state USING ERRCODE = '55000', HINT = 'domicile reference release submit NAME';
  END IF;
  IF r.hash <> domicile_private.release_hash(r.id) OR seen <> r.hash THEN
    RAISE EXCEPTION 'domicile: release % is not what was looked at', r.name USING ERRCODE = '40001', HINT = 'Look at it again: domicile reference release show NAME.';
  END IF;
  UPDATE domicile.release x SET state = wanted, decided_by = session_user, decided_at = clock_timestamp(), decision_reason = coalesce(reason, '') WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, CASE WHEN approve THEN 'approve' ELSE 'reject' END, 'update', concat_ws(' ', r.hash, nullif(reason, '')));
  RETURN r.hash;
END
$$;

CREATE FUNCTION domicile.discard_release(name text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(discard_release.name);
BEGIN
  IF r.state = 'discarded' THEN RETURN; END IF;
  IF r.state IN ('published', 'rolled_back') THEN
    RAISE EXCEPTION 'domicile: release % was published and is history', r.name USING ERRCODE = '55000', HINT = 'domicile reference release rollback NAME';
  END IF;
  UPDATE domicile.release x SET state = 'discarded' WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, 'discard', 'remove', '');
END
$$;

-- Both directions of a publication: locks, compares, replays, compares again. Raises, and so changes nothing, when any
-- row is not what it should be.
CREATE FUNCTION domicile_private.carry_out_release(r domicile.release, backwards boolean) RETURNS bigint LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before jsonb;
  done bigint;
BEGIN
  PERFORM domicile_private.lock_release_tables(r.id);
  PERFORM domicile_private.require_release_tables(r.id);
  PERFORM domicile_private.require_unchanged(r.id, r.name, CASE WHEN backwards THEN 'after' ELSE 'before' END);
  before := domicile_private.written_before();
  INSERT INTO domicile_private.releasing VALUES (pg_current_xact_id(), 'publish');
  done := domicile_private.replay_release(r.id, backwards);
  SET CONSTRAINTS ALL IMMEDIATE;
  PERFORM domicile_private.require_written_alone(before);
  IF EXISTS (SELECT FROM domicile_private.release_differences(r.id, CASE WHEN backwards THEN 'before' ELSE 'after' END)) THEN
    RAISE EXCEPTION 'domicile: rows of release % did not become what was approved', r.name USING ERRCODE = '55000',
      DETAIL = (SELECT string_agg(format('%s %s', d.label, d.key), E'\n') FROM (SELECT * FROM domicile_private.release_differences(
                  r.id, CASE WHEN backwards THEN 'before' ELSE 'after' END) LIMIT 20) d),
      HINT = 'A trigger of the table changes them: let it leave rows alone WHEN domicile.in_release().';
  END IF;
  RETURN done;
END
$$;

CREATE FUNCTION domicile_private.announce_release(release_name text, done text, concerning text, hash text) RETURNS bigint LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  given bigint := (SELECT coalesce(max(p.number), 0) + 1 FROM domicile.published_release p);
BEGIN
  INSERT INTO domicile.published_release VALUES (given, release_name, done, concerning, announce_release.hash, clock_timestamp());
  DELETE FROM domicile_private.releasing WHERE transaction = pg_current_xact_id();
  RETURN given;
END
$$;

CREATE FUNCTION domicile.publish_release(name text, OUT number bigint, OUT changes bigint, OUT repeated boolean) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release;
BEGIN
  LOCK TABLE domicile.published_release IN SHARE ROW EXCLUSIVE MODE;  -- one at a time, and no lock that others could hold
  r := domicile_private.take_release(publish_release.name);
  IF r.state = 'published' THEN
    SELECT max(p.number), true INTO number, repeated FROM domicile.published_release p WHERE p.about = r.name AND p.action = 'publish';
    SELECT count(*) INTO changes FROM domicile.release_change c WHERE c.release = r.id;
    RETURN;
  END IF;
  IF r.state <> 'approved' THEN
    RAISE EXCEPTION 'domicile: release % is %, not approved', r.name, r.state USING ERRCODE = '55000',
      HINT = 'domicile reference release submit NAME; a second person: domicile reference release approve NAME.';
  END IF;
  IF r.decided_by = ANY (r.authors) OR r.hash <> domicile_private.release_hash(r.id) THEN
    RAISE EXCEPTION 'domicile: release % is not what a second person approved', r.name USING ERRCODE = '42501';
  END IF;
  changes := domicile_private.carry_out_release(r, false);
  number := domicile_private.announce_release(r.name, 'publish', r.name, r.hash);
  repeated := false;
  UPDATE domicile.release x SET state = 'published', published_by = session_user, published_at = clock_timestamp() WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, 'publish', 'update', format('%s changes %s', changes, r.hash));
END
$$;

-- Takes the newest publication back; `name` NULL: whichever it is.
CREATE FUNCTION domicile.rollback_release(name text, OUT number bigint, OUT now text, OUT changes bigint, OUT repeated boolean) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release;
  last domicile.published_release;
BEGIN
  LOCK TABLE domicile.published_release IN SHARE ROW EXCLUSIVE MODE;  -- one at a time, and no lock that others could hold
  SELECT * INTO last FROM domicile.published_release p ORDER BY p.number DESC LIMIT 1;
  IF coalesce(last.name, '') = '' AND rollback_release.name IS NULL THEN
    RAISE EXCEPTION 'domicile: no release is published' USING ERRCODE = '55000';
  END IF;
  r := domicile_private.take_release(coalesce(rollback_release.name, last.name));
  IF r.state = 'rolled_back' AND last.action = 'rollback' AND last.about = r.name THEN
    number := last.number;
    now := last.name;
    changes := (SELECT count(*) FROM domicile.release_change c WHERE c.release = r.id);
    repeated := true;
    RETURN;
  END IF;
  IF r.state <> 'published' OR last.name <> r.name THEN
    RAISE EXCEPTION 'domicile: release % is not the one that holds now', r.name USING ERRCODE = '55000',
      HINT = CASE WHEN r.state = 'published' THEN format('%s was published after it: roll that back first.', last.name) ELSE format('It is %s.', r.state) END;
  END IF;
  changes := domicile_private.carry_out_release(r, true);
  now := coalesce((SELECT x.name FROM domicile.release x JOIN domicile.published_release p ON p.about = x.name AND p.action = 'publish'
                   WHERE x.state = 'published' AND x.id <> r.id ORDER BY p.number DESC LIMIT 1), '');
  number := domicile_private.announce_release(now, 'rollback', r.name, r.hash);
  repeated := false;
  UPDATE domicile.release x SET state = 'rolled_back', rolled_back_by = session_user, rolled_back_at = clock_timestamp() WHERE x.id = r.id;
  PERFORM domicile_private.note_release(r.name, 'rollback', 'update', format('%s changes', changes));
END
$$;

-- For those who look: the list, what a release makes of each row, and what stands in its way.
CREATE FUNCTION domicile.releases() RETURNS TABLE (name text, state text, note text, authors text[], hash text, changes bigint, created_at timestamptz,
  submitted_by text, submitted_at timestamptz, decided_by text, decided_at timestamptz, decision_reason text, published_by text, published_at timestamptz,
  rolled_back_by text, rolled_back_at timestamptz, current boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.name, r.state, r.note, r.authors, r.hash, (SELECT coalesce(sum(p.changes), 0)::bigint FROM domicile.release_part p WHERE p.release = r.id), r.created_at,
         r.submitted_by, r.submitted_at, r.decided_by, r.decided_at, r.decision_reason, r.published_by, r.published_at, r.rolled_back_by, r.rolled_back_at,
         r.state = 'published' AND r.name = (domicile.reference_release()).name
  FROM domicile.release r ORDER BY r.id DESC
$$;
CREATE FUNCTION domicile.release_diff(name text, most bigint) RETURNS TABLE (label text, key jsonb, was jsonb, becomes jsonb, of_rows bigint) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(release_diff.name);
BEGIN
  PERFORM domicile_private.require_release_tables(r.id);
  RETURN QUERY SELECT d.label, d.key, d.was, d.becomes, count(*) OVER () FROM domicile_private.release_net(r.id) d LIMIT most;
END
$$;
CREATE FUNCTION domicile.release_conflicts(name text) RETURNS TABLE (label text, key text, what text) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r domicile.release := domicile_private.take_release(release_conflicts.name);
BEGIN
  PERFORM domicile_private.require_release_tables(r.id);
  RETURN QUERY SELECT d.label, d.key, CASE WHEN d.there IS NULL THEN 'it is gone' WHEN d.wanted IS NULL THEN 'it is there already' ELSE 'it is another one now' END
    FROM domicile_private.release_differences(r.id, CASE r.state WHEN 'published' THEN 'after' ELSE 'before' END) d ORDER BY 1, 2;
END
$$;

-- The installer's switch: from now on direct changes of reference tables are refused in this region.
CREATE FUNCTION domicile_private.require_releases(required boolean) RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $do$
BEGIN
  PERFORM domicile_private.begin_upgrade();
  EXECUTE format('CREATE OR REPLACE FUNCTION domicile.release_required() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT %L::pg_catalog.bool $$', required);
  UPDATE domicile_private.pinned p SET hash = f.hash FROM domicile_private.functions_now() f
  WHERE p.object = f.object AND f.object = 'function domicile.release_required()';
  INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, by_operator)
  VALUES ('reference.release_require', 'update', '', CASE WHEN required THEN 'on' ELSE 'off' END, 'reference', session_user);
END
$do$;

DO $do$
DECLARE
  signature text;
BEGIN
  FOR signature IN SELECT p.oid::regprocedure::text FROM pg_proc p
                   WHERE p.pronamespace = 'domicile_private'::regnamespace AND p.proowner = 'domicile_owner'::regrole LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
  END LOOP;
  FOREACH signature IN ARRAY ARRAY['create_release(text, text)', 'add_to_release(text, text, text)', 'submit_release(text)', 'decide_release(text, boolean, text, text)',
      'discard_release(text)', 'publish_release(text)', 'rollback_release(text)', 'releases()', 'release_diff(text, bigint)', 'release_conflicts(text)'] LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION domicile.%s FROM PUBLIC', signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION domicile.%s TO domicile_editor', signature);
  END LOOP;
END
$do$;
