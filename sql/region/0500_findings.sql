-- Findings as objects that people work on: what a check, a detection or the reference data found is open until somebody
-- has fixed it, or accepted it for a while with a reason. One line for each check and object, however often it is seen;
-- its history is only ever added to, and every step of a person is an event of the log (by the outbox).
--
--   open -> acknowledged -> fixed | accepted        seen again: fixed -> open
--   accepted -> open when its time is over, or by hand
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.finding (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  check_id       text NOT NULL CHECK (pg_catalog.length(check_id) BETWEEN 1 AND 200),
  object         text NOT NULL CHECK (pg_catalog.length(object) <= 1000),
  source         text NOT NULL CHECK (source IN ('check', 'detection', 'reference')),
  title          text NOT NULL,
  severity       text NOT NULL CHECK (severity IN ('informational', 'low', 'medium', 'high', 'critical', 'fatal')),
  state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'fixed', 'accepted')),
  owner          text NOT NULL DEFAULT '',
  reason         text NOT NULL DEFAULT '',           -- of the acceptance
  approver       text NOT NULL DEFAULT '',
  accepted_until timestamptz,
  first_seen     timestamptz NOT NULL,
  last_seen      timestamptz NOT NULL,
  times          bigint NOT NULL DEFAULT 1,
  last_sequence  bigint NOT NULL,                    -- the log's record that says so
  CHECK ((state = 'accepted') = (accepted_until IS NOT NULL)),
  UNIQUE (check_id, object)
);
CREATE TABLE domicile.finding_history (
  finding_id bigint NOT NULL REFERENCES domicile.finding (id),
  at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  step       text NOT NULL,                          -- opened, reopened, acknowledged, assigned, fixed, accepted, expired
  by_operator text NOT NULL,
  by_role    name NOT NULL DEFAULT session_user,
  note       text NOT NULL DEFAULT ''
);
CREATE INDEX finding_history_of ON domicile.finding_history (finding_id, at);
-- When a check last said anything about a region: a check that is no longer run proves nothing.
CREATE TABLE domicile.finding_evidence (
  check_id      text NOT NULL,
  object        text NOT NULL,                       -- the region
  last_evidence timestamptz,                         -- it passed or failed
  last_attempt  timestamptz NOT NULL,                -- or could not be made
  outcome       text NOT NULL CHECK (outcome IN ('pass', 'fail', 'no_evidence')),
  PRIMARY KEY (check_id, object)
);
-- How far each node's log has been read: kept with what came of it.
CREATE TABLE domicile.finding_position (
  log      text PRIMARY KEY,
  sequence bigint NOT NULL
);

CREATE FUNCTION domicile_private.only_added() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'domicile: the history of findings is only ever added to' USING ERRCODE = '42501';
END
$$;
CREATE TRIGGER domicile_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON domicile.finding_history
  FOR EACH STATEMENT EXECUTE FUNCTION domicile_private.only_added();

-- Something was seen. 'opened', 'reopened', 'seen', or 'accepted' when a person has accepted it.
CREATE FUNCTION domicile.note_finding(check_id text, object text, source text, title text, severity text, at timestamptz, sequence bigint)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known domicile.finding;
  step text;
BEGIN
  SELECT * INTO known FROM domicile.finding f WHERE f.check_id = note_finding.check_id AND f.object = note_finding.object FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO domicile.finding (check_id, object, source, title, severity, first_seen, last_seen, last_sequence)
    VALUES (check_id, object, source, title, severity, at, at, sequence) RETURNING * INTO known;
    step := 'opened';
  ELSE
    step := CASE known.state WHEN 'fixed' THEN 'reopened' WHEN 'accepted' THEN 'accepted' ELSE 'seen' END;
    UPDATE domicile.finding f SET last_seen = greatest(f.last_seen, at), times = f.times + 1, last_sequence = sequence, title = note_finding.title,
      severity = note_finding.severity, state = CASE f.state WHEN 'fixed' THEN 'open' ELSE f.state END WHERE f.id = known.id;
  END IF;
  IF step IN ('opened', 'reopened') THEN
    INSERT INTO domicile.finding_history (finding_id, step, by_operator, note)
    VALUES (known.id, step, 'domicile', format('record %s of the log', sequence));
  END IF;
  RETURN step;
END
$$;

-- A check passed: whatever of it was open in that region is fixed. How many.
CREATE FUNCTION domicile.pass_finding(check_id text, region text, at timestamptz, sequence bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH fixed AS (
    UPDATE domicile.finding f SET state = 'fixed', reason = '', approver = '', accepted_until = NULL
    WHERE f.check_id = pass_finding.check_id AND (f.object = region OR starts_with(f.object, region || '/'))
      AND f.state <> 'fixed' AND f.last_seen <= at RETURNING f.id),
  told AS (
    INSERT INTO domicile.finding_history (finding_id, step, by_operator, note)
    SELECT id, 'fixed', 'domicile', format('the check passed: record %s of the log', sequence) FROM fixed RETURNING 1)
  SELECT count(*) FROM told
$$;

CREATE FUNCTION domicile.note_evidence(check_id text, object text, outcome text, at timestamptz) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile.finding_evidence AS e (check_id, object, last_evidence, last_attempt, outcome)
  VALUES (check_id, object, CASE outcome WHEN 'no_evidence' THEN NULL ELSE at END, at, outcome)
  ON CONFLICT (check_id, object) DO UPDATE SET last_attempt = greatest(e.last_attempt, excluded.last_attempt), outcome = excluded.outcome,
    last_evidence = greatest(e.last_evidence, excluded.last_evidence)
$$;

-- The log was read from one sequence to the next; false: another reader has been here.
CREATE FUNCTION domicile.reach_findings(log text, before bigint, reached bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO domicile.finding_position AS p (log, sequence) VALUES (log, 0) ON CONFLICT DO NOTHING;
  UPDATE domicile.finding_position p SET sequence = reached WHERE p.log = reach_findings.log AND p.sequence = before;
  RETURN FOUND;
END
$$;

-- Acceptances whose time is over. How many.
CREATE FUNCTION domicile.expire_findings() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH over AS (
    UPDATE domicile.finding f SET state = 'open', reason = '', approver = '', accepted_until = NULL
    WHERE f.state = 'accepted' AND f.accepted_until <= clock_timestamp() RETURNING f.id, f.check_id, f.object),
  told AS (
    INSERT INTO domicile.finding_history (finding_id, step, by_operator, note) SELECT id, 'expired', 'domicile', 'the acceptance is over' FROM over),
  events AS (
    INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, by_operator)
    SELECT 'finding.expire', 'update', '', check_id, 'finding:' || id, 'domicile' FROM over RETURNING 1)
  SELECT count(*) FROM events
$$;

-- A person's step. `approver` and `until` are of an acceptance alone; somebody else than who accepts has approved it.
CREATE FUNCTION domicile.step_finding(id bigint, step text, by_operator text, note text, approver text, until timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known domicile.finding;
  next text := CASE step WHEN 'acknowledge' THEN 'acknowledged' WHEN 'fix' THEN 'fixed' WHEN 'accept' THEN 'accepted' WHEN 'reopen' THEN 'open' END;
BEGIN
  SELECT * INTO known FROM domicile.finding f WHERE f.id = step_finding.id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'domicile: there is no finding %', id USING ERRCODE = '22023';
  END IF;
  IF length(by_operator) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'domicile: who does this is not said' USING ERRCODE = '22023';
  END IF;
  IF step = 'assign' THEN
    UPDATE domicile.finding f SET owner = step_finding.note WHERE f.id = step_finding.id;
  ELSIF next IS NULL OR NOT (known.state, next) IN (('open', 'acknowledged'), ('open', 'fixed'), ('open', 'accepted'), ('acknowledged', 'fixed'),
      ('acknowledged', 'accepted'), ('accepted', 'open'), ('accepted', 'fixed'), ('fixed', 'open'), ('acknowledged', 'open')) THEN
    RAISE EXCEPTION 'domicile: finding % is %, from which there is no way by %', id, known.state, step USING ERRCODE = '23514';
  ELSE
    IF next = 'accepted' AND (length(note) < 1 OR length(approver) < 1 OR approver = by_operator) THEN
      RAISE EXCEPTION 'domicile: an acceptance has a reason, and an approver who is not who accepts' USING ERRCODE = '22023';
    END IF;
    IF next = 'accepted' AND (until IS NULL OR until <= clock_timestamp() OR until > clock_timestamp() + interval '400 days') THEN
      RAISE EXCEPTION 'domicile: an acceptance ends in the future, within 400 days' USING ERRCODE = '22023';
    END IF;
    UPDATE domicile.finding f SET state = next, reason = CASE next WHEN 'accepted' THEN note ELSE '' END,
      approver = CASE next WHEN 'accepted' THEN step_finding.approver ELSE '' END, accepted_until = CASE next WHEN 'accepted' THEN until END
    WHERE f.id = step_finding.id;
  END IF;
  INSERT INTO domicile.finding_history (finding_id, step, by_operator, note)
  VALUES (id, CASE step WHEN 'assign' THEN 'assigned' WHEN 'reopen' THEN 'reopened' ELSE next END, by_operator,
          CASE WHEN next = 'accepted' THEN format('%s (approved by %s, until %s)', note, approver, until) ELSE note END);
  INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, by_operator, by_role)
  VALUES ('finding.' || step, 'update', '', known.check_id, 'finding:' || id, by_operator, session_user);
END
$$;

DO $do$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY['note_finding(text, text, text, text, text, timestamptz, bigint)', 'pass_finding(text, text, timestamptz, bigint)',
      'note_evidence(text, text, text, timestamptz)', 'reach_findings(text, bigint, bigint)', 'expire_findings()',
      'step_finding(bigint, text, text, text, text, timestamptz)'] LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION domicile.%s FROM PUBLIC', signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION domicile.%s TO domicile_node', signature);
  END LOOP;
END
$do$;
REVOKE EXECUTE ON FUNCTION domicile_private.only_added() FROM PUBLIC;
GRANT SELECT ON domicile.finding, domicile.finding_history, domicile.finding_evidence, domicile.finding_position TO domicile_node;
SELECT domicile_private.pin();
