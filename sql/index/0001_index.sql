-- The derived index of a region's event logs. Nothing in it is evidence: a row names its log and its
-- sequence, and the log proves it. It can be dropped and built again at any time.
--
-- The loader owns everything and is the only one that writes. Readers see all rows; the login of an
-- organization sees its own, by row security on who logged in, which no SQL can change.

CREATE TABLE domicile_index.log (
  id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  origin text NOT NULL UNIQUE,
  first_sequence bigint NOT NULL DEFAULT 1,  -- older ones were dropped by retention
  next_sequence bigint NOT NULL DEFAULT 1,   -- moves in the transaction that stores the rows
  loaded_at timestamptz
);

CREATE TABLE domicile_index.event (
  sequence bigint NOT NULL,
  "time" timestamptz NOT NULL,
  log smallint NOT NULL,
  class_uid integer,
  activity_id integer,
  severity_id smallint,
  event_code text,
  outcome text,
  region text,
  organization text,
  acting_organization text,
  actor text,         -- null: nobody is named, or erased
  actor_role text,
  subject text,       -- whom a grant or an administrative act is about
  source_ip inet,
  operation text,
  resource text,
  reason text,
  request_id text,
  details jsonb
) PARTITION BY RANGE ("time");

-- For times that no partition is made for: a clock that is far off, or a source that invents them.
CREATE TABLE domicile_index.event_other PARTITION OF domicile_index.event DEFAULT;

-- A log is appended in order of time, so block ranges find a time or a sequence; whose rows they are,
-- and who asked, lie scattered. Most rows are requests, and every other kind is rare.
CREATE INDEX event_sequence ON domicile_index.event USING brin (sequence) WITH (pages_per_range = 32);
CREATE INDEX event_time ON domicile_index.event USING brin ("time") WITH (pages_per_range = 32);
CREATE INDEX event_organization ON domicile_index.event (organization, "time");
CREATE INDEX event_actor ON domicile_index.event (actor, "time") WHERE actor IS NOT NULL;
CREATE INDEX event_kind ON domicile_index.event (event_code, "time") WHERE event_code <> 'request';

-- EXPLAIN shows the planner's estimates to whoever may ask at all, and the estimate for another organization's key
-- would say how many rows it has: of what names somebody no statistics are kept. The indexes are taken without.
CREATE FUNCTION domicile_index.keep_no_statistics(of regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['organization', 'acting_organization', 'actor', 'subject', 'source_ip', 'details'] LOOP
    EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', of, name);
  END LOOP;
END $$;
SELECT domicile_index.keep_no_statistics('domicile_index.event');
SELECT domicile_index.keep_no_statistics('domicile_index.event_other');

-- The partition of a UTC day. Rows of that day which came earlier and lie in event_other move into it.
CREATE FUNCTION domicile_index.ensure_day(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text := 'event_' || pg_catalog.to_char(wanted, 'YYYYMMDD');
  first timestamptz := wanted::timestamp AT TIME ZONE 'UTC';
  past timestamptz := (wanted + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
  IF pg_catalog.to_regclass('domicile_index.' || name) IS NOT NULL THEN RETURN; END IF;
  EXECUTE pg_catalog.format('CREATE TABLE domicile_index.%I (LIKE domicile_index.event INCLUDING ALL)', name);
  PERFORM domicile_index.keep_no_statistics(('domicile_index.' || name)::pg_catalog.regclass);
  EXECUTE pg_catalog.format('WITH early AS (DELETE FROM domicile_index.event_other WHERE "time" >= %L AND "time" < %L RETURNING *)
    INSERT INTO domicile_index.%I SELECT * FROM early', first, past, name);
  EXECUTE pg_catalog.format('ALTER TABLE domicile_index.event ATTACH PARTITION domicile_index.%I FOR VALUES FROM (%L) TO (%L)', name, first, past);
END $$;

-- Drops the partitions of days before `first`; says how many.
CREATE FUNCTION domicile_index.drop_before(first date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  part record;
  dropped integer := 0;
BEGIN
  FOR part IN SELECT c.oid::pg_catalog.regclass AS name FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'domicile_index.event'::pg_catalog.regclass AND c.relname ~ '^event_[0-9]{8}$'
      AND pg_catalog.to_date(pg_catalog.substr(c.relname, 7), 'YYYYMMDD') < first
  LOOP
    EXECUTE 'DROP TABLE ' || part.name;
    dropped := dropped + 1;
  END LOOP;
  DELETE FROM domicile_index.event_other WHERE "time" < first::timestamp AT TIME ZONE 'UTC';
  IF dropped > 0 THEN
    UPDATE domicile_index.log l SET first_sequence = coalesce(
      (SELECT min(e.sequence) FROM domicile_index.event e WHERE e.log = l.id), l.next_sequence);
  END IF;
  RETURN dropped;
END $$;

-- Which organization a login may see.
CREATE TABLE domicile_index.member (
  login name PRIMARY KEY,
  organization text NOT NULL
);

-- SECURITY DEFINER changes current_user, never session_user: it says who logged in, whatever was SET since.
CREATE FUNCTION domicile_index.own_organization() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  RETURN (SELECT m.organization FROM domicile_index.member m WHERE m.login = session_user);

-- Who asked what. The node records each as an event of the log and removes it here. A login whose questions wait in
-- great number gets no further answers: nobody floods the log, and no index is asked that no node follows.
CREATE TABLE domicile_index.asked (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  login name NOT NULL,
  person text NOT NULL,
  question text NOT NULL,
  organization text NOT NULL,
  fingerprint text NOT NULL,
  found bigint NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL
);

CREATE FUNCTION domicile_index.note_question(person text, question text, organization text, fingerprint text, found bigint,
  first_sequence bigint, last_sequence bigint) RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO domicile_index.asked (login, person, question, organization, fingerprint, found, first_sequence, last_sequence)
  SELECT session_user, pg_catalog.left(note_question.person, 200), pg_catalog.left(note_question.question, 200),
    pg_catalog.left(note_question.organization, 200), pg_catalog.left(note_question.fingerprint, 64), note_question.found,
    note_question.first_sequence, note_question.last_sequence
  WHERE (SELECT count(*) FROM domicile_index.asked a WHERE a.login = session_user) < 1000
  RETURNING id;
END;

ALTER TABLE domicile_index.event ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON domicile_index.event FOR SELECT TO {{reader}} USING (true);
CREATE POLICY own_rows ON domicile_index.event FOR SELECT TO {{organization}}
  USING (organization = (SELECT domicile_index.own_organization()));

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA domicile_index FROM PUBLIC;
GRANT USAGE ON SCHEMA domicile_index TO {{reader}}, {{organization}};
GRANT SELECT ON domicile_index.event TO {{reader}}, {{organization}};
GRANT SELECT ON domicile_index.log TO {{reader}};
GRANT EXECUTE ON FUNCTION domicile_index.note_question TO {{reader}}, {{organization}};
GRANT EXECUTE ON FUNCTION domicile_index.own_organization TO {{organization}};
