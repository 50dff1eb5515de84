-- Mode observe: how a refusal that enforcement would have made is recorded, and read.
--
-- Sessions append rows to an UNLOGGED table without any index, and look at nothing that others write: no row lock, no
-- unique key, nothing that SERIALIZABLE could see a conflict in. A rolled back transaction takes its rows with
-- it. Growth is bounded twice: each session records its first 31 statements per table and reason, then one of two,
-- of four, of eight (16 for each doubling), with the weight that makes up for it, and every statement of a kind that
-- it has not recorded yet; past 64 MB nothing is appended until a report folds what is there.
SET LOCAL ROLE domicile_owner;

-- A statement without its values. What comes out holds keywords, names and punctuation; strings of all kinds, numbers and
-- parameters become ?, comments go. Whatever cannot be told apart with certainty (dollar quotes, nested comments,
-- plain strings with backslashes, an unfinished token) ends the fingerprint there: reading from the left, what was
-- read so far is certain whatever follows. Statements that take bare words as values (SET, ...) leave their first word.
-- PL/pgSQL, because it keeps the plan.
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

-- Do row security's policies not bind this role?
CREATE FUNCTION domicile_private.past_policies(who name) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = who), false)
$$;

-- The client's statement is COPY: row security refuses COPY FROM, whatever the context.
CREATE FUNCTION domicile_private.copies(spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN pg_catalog.substr(spec, 2, 1) OPERATOR(pg_catalog.=) 'I'
     AND pg_catalog.left(pg_catalog.current_query(), 1000) OPERATOR(pg_catalog.~*) E'^(\\s|--[^\\n]*\\n|/[*]([^*]|[*]+[^*/])*[*]+/)*copy\\s';
END
$$;

-- One statement, once for each table, operation and reason however many rows it has; always true. The session keeps its
-- place in settings of its own, domicile.<reason><spec>: the statement's time, how many there were, and which of them
-- is the next to be recorded. A client that forges them spoils its own observations. What happens in every
-- statement is kept to few calls, names qualified; the rest is append_observation().
CREATE FUNCTION domicile_private.observe(why text, spec text, organization text, bound boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  state pg_catalog.text := pg_catalog.current_setting(pg_catalog.concat('domicile.', why, spec), true);
BEGIN
  IF pg_catalog.starts_with(state, pg_catalog.concat(pg_catalog.statement_timestamp())) THEN RETURN true; END IF;
  RETURN domicile_private.observe_next(why, spec, organization, bound, state);
END
$$;

-- A statement that this session has not counted yet.
CREATE FUNCTION domicile_private.observe_next(why text, spec text, organization text, bound boolean, state text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  state := pg_catalog.set_config(pg_catalog.concat('domicile.', why, spec), pg_catalog.concat(pg_catalog.statement_timestamp(), '|',
             coalesce(nullif(pg_catalog.split_part(state, '|', 2), '')::pg_catalog.int8, 0) OPERATOR(pg_catalog.+) 1, '|',
             coalesce(nullif(pg_catalog.split_part(state, '|', 3), ''), '1')), false);
  IF pg_catalog.split_part(state, '|', 2) OPERATOR(pg_catalog.=) pg_catalog.split_part(state, '|', 3)
     OR pg_catalog.strpos(pg_catalog.current_setting('domicile.o_seen', true),
                          pg_catalog.to_hex(pg_catalog.hashtext(pg_catalog.concat(why, spec, pg_catalog.current_query())))) OPERATOR(pg_catalog.=) 0 THEN
    state := domicile_private.append_observation(why, spec, organization, bound, state);
  END IF;
  RETURN true;
EXCEPTION WHEN OTHERS THEN
  RETURN true;
END
$$;

-- The transaction says that it entered: is it true, and still? Asked once a statement, and again for a row of another
-- organization.
CREATE FUNCTION domicile_private.observe_entered(spec text, organization text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF organization OPERATOR(pg_catalog.<>) pg_catalog.current_setting('domicile.entered', true) THEN
    RETURN domicile_private.observe('other_organization', spec, organization, true);
  END IF;
  IF coalesce(pg_catalog.current_setting('domicile.o_entered', true), '') OPERATOR(pg_catalog.=)
     pg_catalog.concat(pg_catalog.statement_timestamp()) THEN
    RETURN true;
  END IF;
  BEGIN
    spec := CASE WHEN domicile_private.entered()
                 THEN pg_catalog.left(pg_catalog.set_config('domicile.o_entered', pg_catalog.concat(pg_catalog.statement_timestamp()), true), 0) END
            OPERATOR(pg_catalog.||) spec;
  EXCEPTION WHEN OTHERS THEN
    RETURN domicile_private.observe('no_context', spec, organization, true);
  END;
  RETURN NOT domicile_private.copies(spec) OR domicile_private.observe('copy', spec, organization, true);
END
$$;

-- Only for tables that are observed: the functions that lead here are open to everybody. The state's n-th statement stands
-- for `step` of them: 1 up to the 31st, then 16 of each doubling are drawn with the weight 2, 4, 8 ..., at a place
-- within that step that differs from one to the next, because applications repeat themselves.
CREATE FUNCTION domicile_private.append_observation(why text, spec text, organization text, bound boolean, state text)
RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  slot text := concat('domicile.', why, spec);
  mark text := to_hex(hashtext(concat(why, spec, current_query())));
  seen text := coalesce(current_setting('domicile.o_seen', true), '');
  n bigint := split_part(state, '|', 2)::bigint;
  drawn boolean := split_part(state, '|', 2) = split_part(state, '|', 3);
  step bigint := 1;
  following bigint;
BEGIN
  IF strpos(seen, mark) = 0 THEN
    -- Past 200 statements of a kind it begins anew, and each costs a look here: a client that writes its values into
    -- its statements is told by what is drawn.
    IF length(seen) >= 2000 AND NOT drawn THEN RETURN NULL; END IF;
    PERFORM set_config('domicile.o_seen', left(concat(seen, ' ', mark), 2000), false);
  END IF;
  WHILE n >= 32 * step LOOP step := step * 2; END LOOP;
  IF drawn THEN
    following := (n / step + 1) * step;
    following := following + abs(hashint8(following)::bigint) % (CASE WHEN following >= 32 * step THEN 2 ELSE 1 END * step);
    PERFORM set_config(slot, split_part(state, '|', 1) || '|' || n || '|' || following, false);
  END IF;
  IF pg_relation_size('domicile_private.observed') > 67108864
     OR (bound AND domicile_private.past_policies(coalesce(nullif(current_setting('role'), 'none')::name, session_user))) THEN
    RETURN NULL;
  END IF;
  INSERT INTO domicile_private.observed
  SELECT clock_timestamp(), k.label, CASE WHEN why = 'no_context' AND domicile_private.copies(append_observation.spec) THEN 'copy' ELSE why END,
         CASE substr(append_observation.spec, 2, 1) WHEN 'I' THEN 'INSERT' WHEN 'U' THEN 'UPDATE' WHEN 'D' THEN 'DELETE' ELSE 'TRUNCATE' END
           || CASE WHEN pg_trigger_depth() > 0 AND why <> 'truncate' THEN ' by a trigger' ELSE '' END,
         left(organization, 255),
         CASE WHEN session_user::text ~ '{{role_pattern}}' THEN 'an organization''s role' ELSE session_user::text END,
         regexp_replace(left(current_setting('application_name'), 64), '[0-9]+|\S*@\S*', '#', 'g'),
         domicile_private.fingerprint(current_query()), CASE WHEN drawn THEN step ELSE 1 END
  FROM (SELECT '"' || replace(c.schema_name, '"', '""') || '"."' || replace(c.table_name, '"', '""') || '"' AS label
        FROM domicile.observing o JOIN domicile.catalog_table c ON (c.schema_name, c.table_name) = (o.schema_name, o.table_name)
        WHERE c.mode = 'observe' AND o.digits = substr(append_observation.spec, 3)) k;
  RETURN NULL;
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
  INSERT INTO domicile.observing (schema_name, table_name, digits, since, writes, scans)
  SELECT start_observing.schema_name, start_observing.table_name, left(encode(sha256(convert_to(label, 'UTF8')), 'hex'), 8),
         clock_timestamp(), t.writes, t.scans
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
  writes bigint, scans bigint, statistics_reset boolean, full_store boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.schema_name, k.table_name, k.class, k.mode, o.since, greatest(t.writes - o.writes, 0), greatest(t.scans - o.scans, 0),
         t.writes < o.writes OR t.scans < o.scans, pg_relation_size('domicile_private.observed') > 67108864
  FROM domicile.catalog_table k
  LEFT JOIN domicile.observing o ON (o.schema_name, o.table_name) = (k.schema_name, k.table_name) AND k.mode = 'observe'
  LEFT JOIN LATERAL domicile_private.traffic(to_regclass(format('%I.%I', k.schema_name, k.table_name))) t ON true
  ORDER BY 1, 2
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION domicile.fold_observations(), domicile.observed_tables() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.fold_observations(), domicile.observed_tables() TO domicile_node;
