-- Mode observe: how a refusal that enforcement would have made is recorded, and read.
--
-- Sessions append rows to a table without any index, and look at nothing that others write: no row lock, no unique key,
-- nothing that SERIALIZABLE could see a conflict in. A rolled back transaction takes its rows with it (a report says how many
-- there were); a crash of the server takes nothing. Growth is bounded twice: a session records each of its first 64
-- statements per table and reason, then one for several, 16 for each doubling, with how many there were since; and every
-- statement of a kind that it has not recorded yet. Past 64 MB nothing is appended until a report folds what is there.
-- So a count is never too high, and what is missing from it is what sessions have not recorded yet: under 10 % of each.
SET LOCAL ROLE domicile_owner;
-- Logged, and deleted from also where a publication FOR ALL TABLES asks for a replica identity.
ALTER TABLE domicile_private.observed SET LOGGED, REPLICA IDENTITY FULL;
ALTER TABLE domicile.observation REPLICA IDENTITY FULL;

-- A statement without its values. What comes out holds keywords, names and punctuation; strings of all kinds, numbers and
-- parameters become ?, comments go. Whatever cannot be told apart with certainty (dollar quotes, nested comments,
-- plain strings with backslashes, an unfinished token) ends the fingerprint there: reading from the left, what was
-- read so far is certain whatever follows. Statements that take bare words as values (SET, ...) leave their first word.
-- PL/pgSQL, because it keeps the plan.
CREATE FUNCTION domicile_private.fingerprint(query text) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  words text[] := ARRAY(SELECT m[1] FROM regexp_matches(left(query, 6000),
    '[ \t\n\r\f\v]+|--[^\n\r]*|/\*(?:[^*]|\*+[^*/])*\*+/|[eE]''(?:[^''\\]|\\.|'''')*''|''(?:[^''\\]|'''')*''|"(?:[^"]|"")*"'
    '|\$[0-9]+|[0-9][0-9A-Za-z_.]*|(?:[A-Za-z_]|[^\u0001-\u007f])(?:[A-Za-z0-9_$]|[^\u0001-\u007f])*|.', 'g') m);
  word text;
  line text := '';     -- of the present statement
  whole text := '';
  cut boolean := length(query) > 6000;
  over boolean := false;
BEGIN
  IF cut THEN words := words[:cardinality(words) - 1]; END IF;
  FOREACH word IN ARRAY words || ';'::text LOOP
    CASE left(word, 1)
      WHEN ' ', E'\n', E'\t', E'\r', E'\f', E'\013' THEN line := line || ' ';
      WHEN '''', '"', '\', '$', '-', '/', 'e', 'E', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ';' THEN
        IF word IN ('''', '"', '\', '$', ';') OR (starts_with(word, '/*') AND position('/*' IN substr(word, 3)) > 0) THEN
          over := word <> ';';
          line := btrim(line);
          IF line <> '' AND line !~* '^\(*(select|insert|update|delete|merge|copy|with|call|execute|truncate|values)\y' THEN
            line := split_part(line, ' ', 1);
          END IF;
          whole := whole || CASE WHEN whole <> '' AND line <> '' THEN '; ' ELSE '' END || line;
          line := '';
          EXIT WHEN over;
        ELSIF word ~ '^(--|/[*])' THEN line := line || ' ';
        ELSIF word ~ '^([eE]?''|\$?[0-9])' THEN line := line || '?';
        ELSIF starts_with(word, '"') AND word !~ '^"[A-Za-z0-9_]+"$' THEN line := line || '"?"';
        ELSE line := line || word;
        END IF;
      ELSE line := line || word;
    END CASE;
  END LOOP;
  RETURN left(regexp_replace(regexp_replace(regexp_replace(whole, ' +', ' ', 'g'), '\?( ?, ?\?)+', '?', 'g'),
                             '(\( ?\? ?\))( ?, ?\( ?\? ?\))+', '\1', 'g'), 300)
         || CASE WHEN cut OR over THEN '…' ELSE '' END;
END
$$;

-- Do row security's policies not bind this role? PL/pgSQL, because it keeps the plan.
CREATE FUNCTION domicile_private.past_policies(who name) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) who), false);
END
$$;

-- The client's statement is COPY: row security refuses COPY FROM, whatever the context.
CREATE FUNCTION domicile_private.copies(spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN pg_catalog.substr(spec, 2, 1) OPERATOR(pg_catalog.=) 'I'
     AND pg_catalog.left(pg_catalog.current_query(), 1000) OPERATOR(pg_catalog.~*) E'^(\\s|--[^\\n]*\\n|/[*]([^*]|[*]+[^*/])*[*]+/)*copy\\s';
END
$$;

-- Stands for the client's statement. Every function that a client's statement runs through has the same.
CREATE FUNCTION domicile_private.statement_stamp() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT pg_catalog.to_hex((pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8)
$$;

-- One statement, once for each table, operation and reason however many rows it has; always true. A session keeps its
-- place in settings of its own. domicile.<reason><spec> is 13 hex digits, the last statement that was counted; a dot for each
-- statement that may still pass without being recorded; and the hashes of the statements that were recorded already.
-- A client that forges it spoils its own observations.
CREATE FUNCTION domicile_private.observe(why text, spec text, organization text, bound boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  slot pg_catalog.text := pg_catalog.concat('domicile.', why, spec);
  state pg_catalog.text := pg_catalog.current_setting(slot, true);
  stamp pg_catalog.text := domicile_private.statement_stamp();
BEGIN
  IF pg_catalog.starts_with(state, stamp) THEN RETURN true; END IF;
  IF state OPERATOR(pg_catalog.~~) '_____________.%'
     AND pg_catalog.strpos(state, pg_catalog.to_hex(pg_catalog.hashtext(pg_catalog.current_query()))) OPERATOR(pg_catalog.>) 0 THEN
    state := pg_catalog.set_config(slot, stamp OPERATOR(pg_catalog.||) pg_catalog.substr(state, 15), false);
    RETURN true;
  END IF;
  RETURN domicile_private.observe_next(why, spec, organization, bound, slot, coalesce(state, ''), stamp);
END
$$;

-- A statement that this session has not recorded yet, or one that does not just pass. domicile.n<reason><spec> says how many
-- statements there were, how many of them passed since the last record, how many are to pass until the next, and
-- how many dots were given: at most 64 at a time, because every statement copies them.
CREATE FUNCTION domicile_private.observe_next(why text, spec text, organization text, bound boolean, slot text, state text, stamp text)
RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  tally text := concat('domicile.n', why, spec);
  place text := current_setting(tally, true);
  mark text := to_hex(hashtext(current_query()));
  dots text := substring(state FROM '^.{13}([.]*)');
  marks text := substr(state, 14 + length(dots));
  n bigint := coalesce(nullif(split_part(place, '|', 1), '')::bigint, 0);
  passed bigint := coalesce(nullif(split_part(place, '|', 2), '')::bigint, 0);
  quota bigint := coalesce(nullif(split_part(place, '|', 3), '')::bigint, 0);
  given int := coalesce(nullif(split_part(place, '|', 4), '')::int, 0);
  step bigint := 1;
  weight bigint := 1;
BEGIN
  IF bound AND domicile_private.past_policies(coalesce(nullif(current_setting('role'), 'none')::name, session_user)) THEN
    RETURN true;
  END IF;
  n := n + 1;
  IF coalesce(strpos(marks, mark), 0) = 0 AND coalesce(length(marks), 0) < 1800 THEN
    marks := concat(marks, ' ', mark);  -- a statement of a new kind is recorded at once, for itself
  ELSE
    IF dots <> '' THEN
      -- Past 200 kinds, those of a client that writes its values into its statements: they pass like the others.
      state := set_config(slot, stamp || substr(state, 15), false);
      RETURN true;
    END IF;
    n := n + given;
    passed := passed + given;
    given := least(quota - passed, 64);
    IF given > 0 THEN
      passed := passed + 1;
      given := given - 1;
      weight := 0;
    ELSE
      weight := passed + 1;
      passed := 0;
      WHILE n >= greatest(32 * step, 64) AND step < 4096 LOOP step := step * 2; END LOOP;
      -- Not always as many, because applications repeat themselves.
      quota := CASE WHEN step = 1 THEN 0 ELSE step / 2 + abs(hashint8(n)::bigint) % step END;
      given := least(quota, 64);
    END IF;
    dots := repeat('.', given);
  END IF;
  PERFORM set_config(slot, concat(stamp, dots, marks), false),
          set_config(tally, concat_ws('|', n, passed, quota, given), false);
  IF weight > 0 THEN PERFORM domicile_private.append_observation(why, spec, organization, weight); END IF;
  RETURN true;
EXCEPTION WHEN OTHERS THEN
  RETURN true;
END
$$;

-- entered() without an error; only where enter() is known to have given the slots values in this session.
CREATE FUNCTION domicile_private.entered_now() RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT pg_catalog.currval('domicile_private.slot_transaction'::pg_catalog.regclass)
         OPERATOR(pg_catalog.=) pg_catalog.txid_current_if_assigned()
     AND pg_catalog.currval('domicile_private.slot_expiry'::pg_catalog.regclass)::pg_catalog.float8
         OPERATOR(pg_catalog.>) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
$$;

-- The transaction says that it entered: is it true, and still?
CREATE FUNCTION domicile_private.observe_entered(spec text, organization text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF organization OPERATOR(pg_catalog.<>) pg_catalog.current_setting('domicile.entered', true) THEN
    RETURN domicile_private.observe('other_organization', spec, organization, true);
  END IF;
  BEGIN
    IF domicile_private.entered() THEN
      spec := pg_catalog.left(pg_catalog.set_config('domicile.o_slots', '1', false), 0) OPERATOR(pg_catalog.||) spec;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RETURN domicile_private.observe('no_context', spec, organization, true);
  END;
  RETURN NOT domicile_private.copies(spec) OR domicile_private.observe('copy', spec, organization, true);
END
$$;

-- Only for tables that are observed: the functions that lead here are open to everybody. The last fingerprint is kept in the
-- session with the hash of its statement, because making one costs as much as all the rest.
CREATE FUNCTION domicile_private.append_observation(why text, spec text, organization text, weight bigint)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  label text;
  slot text := concat('domicile.f', why, spec);
  mark text := to_hex(hashtextextended(current_query(), 0)) || ' ';
  print text := current_setting(slot, true);
BEGIN
  SELECT '"' || replace(c.schema_name, '"', '""') || '"."' || replace(c.table_name, '"', '""') || '"' INTO label
  FROM domicile.observing o JOIN domicile.catalog_table c ON (c.schema_name, c.table_name) = (o.schema_name, o.table_name)
  WHERE c.mode = 'observe' AND o.digits = substr(append_observation.spec, 3);
  IF label IS NULL OR pg_relation_size('domicile_private.observed') > 67108864 THEN RETURN; END IF;
  IF starts_with(print, mark) THEN
    print := substr(print, length(mark) + 1);
  ELSE
    print := domicile_private.fingerprint(current_query());
    PERFORM set_config(slot, mark || print, false);
  END IF;
  INSERT INTO domicile_private.observed VALUES
    (clock_timestamp(), label, CASE WHEN why = 'no_context' AND domicile_private.copies(append_observation.spec) THEN 'copy' ELSE why END,
     CASE substr(append_observation.spec, 2, 1) WHEN 'I' THEN 'INSERT' WHEN 'U' THEN 'UPDATE' WHEN 'D' THEN 'DELETE' ELSE 'TRUNCATE' END
       || CASE WHEN pg_trigger_depth() > 0 AND why <> 'truncate' THEN ' by a trigger' ELSE '' END,
     left(append_observation.organization, 255),
     CASE WHEN session_user::text ~ '{{role_pattern}}' THEN 'an organization''s role' ELSE session_user::text END,
     regexp_replace(left(current_setting('application_name'), 64), '[0-9]+|\S*@\S*', '#', 'g'), print, append_observation.weight);
END
$$;

-- Since when a table is observed, and its statistics at that time.
CREATE TABLE domicile.observing (
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  digits      text NOT NULL,       -- stand for it in the specs of its triggers, also after a rename
  since       timestamptz NOT NULL,
  writes      bigint NOT NULL,
  scans       bigint NOT NULL,
  rollbacks   bigint NOT NULL,     -- of the whole database
  PRIMARY KEY (schema_name, table_name)
);
GRANT SELECT ON domicile.observing TO domicile_node;

CREATE FUNCTION domicile_private.traffic(rel oid, OUT writes bigint, OUT scans bigint) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(sum(pg_stat_get_tuples_inserted(t.relid) + pg_stat_get_tuples_updated(t.relid) + pg_stat_get_tuples_deleted(t.relid)), 0)::bigint,
         coalesce(sum(pg_stat_get_numscans(t.relid)
                      + (SELECT coalesce(sum(pg_stat_get_numscans(i.indexrelid)), 0) FROM pg_index i WHERE i.indrelid = t.relid)), 0)::bigint
  FROM (SELECT rel AS relid UNION SELECT p.relid FROM pg_partition_tree(rel) p) t
$$;

-- `anew`: what was recorded is forgotten.
CREATE FUNCTION domicile_private.start_observing(schema_name text, table_name text, anew boolean) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  label text := '"' || replace(start_observing.schema_name, '"', '""') || '"."' || replace(start_observing.table_name, '"', '""') || '"';
BEGIN
  IF anew THEN
    DELETE FROM domicile_private.observed o WHERE o.table_name = label;
    DELETE FROM domicile.observation o WHERE o.table_name = label;
    DELETE FROM domicile.observing o WHERE (o.schema_name, o.table_name) = (start_observing.schema_name, start_observing.table_name);
  END IF;
  INSERT INTO domicile.observing (schema_name, table_name, digits, since, writes, scans, rollbacks)
  SELECT start_observing.schema_name, start_observing.table_name, left(encode(sha256(convert_to(label, 'UTF8')), 'hex'), 8),
         clock_timestamp(), t.writes, t.scans, pg_stat_get_db_xact_rollback((SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
  FROM domicile_private.traffic(to_regclass(label)) t
  ON CONFLICT (schema_name, table_name) DO UPDATE SET digits = excluded.digits;
END
$$;

-- What sessions appended becomes sums by day; 30 days and the 20,000 largest sums are kept.
CREATE FUNCTION domicile.fold_observations() RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  folded bigint;
BEGIN
  LOCK TABLE domicile.observation IN SHARE ROW EXCLUSIVE MODE;
  WITH gone AS (DELETE FROM domicile_private.observed RETURNING *)
  INSERT INTO domicile.observation
  SELECT (at AT TIME ZONE 'UTC')::date, table_name, reason, command, organization, role, application, statement, sum(weight), min(at), max(at)
  FROM gone GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
  GET DIAGNOSTICS folded = ROW_COUNT;
  IF folded > 0 THEN
    WITH gone AS (DELETE FROM domicile.observation RETURNING *),
    sums AS (SELECT day, table_name, reason, command, organization, role, application, statement, sum(statements) AS statements,
                    min(first_at) AS first_at, max(last_at) AS last_at
             FROM gone WHERE day > (now() AT TIME ZONE 'UTC')::date - 30 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
    ranked AS (SELECT s.*, row_number() OVER (ORDER BY s.statements DESC, s.first_at) AS place FROM sums s)
    INSERT INTO domicile.observation
    SELECT r.day, r.table_name, r.reason, r.command, r.organization, r.role, r.application, r.statement, r.statements, r.first_at, r.last_at
    FROM ranked r WHERE r.place <= 20000
    UNION ALL
    SELECT r.day, r.table_name, r.reason, '?', NULL, '(others)', '(others)', '(others)', sum(r.statements), min(r.first_at), max(r.last_at)
    FROM ranked r WHERE r.place > 20000 GROUP BY r.day, r.table_name, r.reason;
  END IF;
  RETURN folded;
END
$$;

-- The catalogued tables as a report needs them.
CREATE FUNCTION domicile.observed_tables() RETURNS TABLE (schema_name text, table_name text, class text, mode text, since timestamptz,
  writes bigint, scans bigint, rollbacks bigint, statistics_reset boolean, full_store boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.schema_name, k.table_name, k.class, k.mode, o.since, greatest(t.writes - o.writes, 0), greatest(t.scans - o.scans, 0),
         greatest(d.rollbacks - o.rollbacks, 0), t.writes < o.writes OR t.scans < o.scans OR d.rollbacks < o.rollbacks,
         pg_relation_size('domicile_private.observed') > 67108864
  FROM domicile.catalog_table k
  LEFT JOIN domicile.observing o ON (o.schema_name, o.table_name) = (k.schema_name, k.table_name) AND k.mode = 'observe'
  LEFT JOIN LATERAL domicile_private.traffic(to_regclass(format('%I.%I', k.schema_name, k.table_name))) t ON true
  CROSS JOIN (SELECT pg_stat_get_db_xact_rollback(b.oid) AS rollbacks FROM pg_database b WHERE b.datname = current_database()) d
  ORDER BY 1, 2
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION domicile.fold_observations(), domicile.observed_tables() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.fold_observations(), domicile.observed_tables() TO domicile_node;
