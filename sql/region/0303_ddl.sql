-- The DDL assertion. The event trigger itself needs a superuser (or a managed service's administrator) and
-- is made apart; without it a scheduled scan of violations() takes its place.
--
-- A statement that weakens a guarded table is refused at once, and so is one that takes it out of the catalog by another
-- name. A new table cannot be right before it is classified, so it is born closed, and what it lacks is looked at when the
-- transaction commits. In a maintenance window that allows DDL (0302) both write down what they would have refused
-- and let it pass.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.refusals() RETURNS TABLE (kind text, object text, detail text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT v.kind, v.object, v.detail
  FROM (SELECT * FROM domicile_private.table_violations() UNION ALL SELECT * FROM domicile_private.database_violations()) v
  WHERE v.severity = 'refuse' AND NOT EXISTS (SELECT FROM domicile.known_violation k WHERE k.kind = v.kind AND k.object = v.object)
$$;

CREATE FUNCTION domicile_private.commit_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  reasons text;
  open_window bigint := domicile_private.window_for('ddl');
BEGIN
  -- The first row of a transaction checks for all of them.
  IF NOT EXISTS (SELECT FROM domicile_private.ddl_check c WHERE c.transaction = NEW.transaction) THEN RETURN NULL; END IF;
  DELETE FROM domicile_private.ddl_check c WHERE c.transaction = NEW.transaction;
  SELECT string_agg(format('%s %s: %s', r.kind, r.object, r.detail), '; ') INTO reasons FROM domicile_private.refusals() r;
  IF reasons IS NOT NULL THEN
    IF open_window IS NULL THEN
      RAISE EXCEPTION 'domicile: this transaction is refused: %', reasons USING ERRCODE = '42501',
        HINT = 'Planned work that needs it: domicile region maintenance begin --ticket TICKET --for 1h --allow ddl.';
    END IF;
    INSERT INTO domicile.maintenance_act (window_id, command, let_pass) VALUES (open_window, 'COMMIT', reasons);
  END IF;
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER domicile_commit AFTER INSERT ON domicile_private.ddl_check DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION domicile_private.commit_check();
ALTER TABLE domicile_private.ddl_check ENABLE ALWAYS TRIGGER domicile_commit;

-- Did this transaction make the relation? Its row type depends on it by an entry that CREATE writes and nothing changes:
-- ours, if it is visible and its transaction is in progress.
CREATE FUNCTION domicile_private.is_new(label text) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text[] := parse_ident(label);  -- not to_regclass(): domicile_owner may lack USAGE on the application's schema
  present bigint := pg_current_xact_id_if_assigned()::text::bigint;
  made bigint;
BEGIN
  SELECT d.xmin::text::bigint INTO made
  FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid JOIN pg_depend d ON d.objid = c.reltype AND d.refobjid = c.oid
  WHERE n.nspname = name[1] AND c.relname = name[2] AND d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.deptype = 'i' AND d.xmin::text::bigint >= 3;
  -- 64 bits again, from the nearest 32: a subtransaction's id is above the transaction's.
  made := present + ((made - present) & 4294967295) - CASE WHEN ((made - present) & 4294967295) >= 2147483648 THEN 4294967296 ELSE 0 END;
  RETURN coalesce(made >= present AND pg_xact_status(made::text::xid8) = 'in progress', false);
EXCEPTION WHEN invalid_parameter_value THEN
  RETURN false;
END
$$;

CREATE FUNCTION domicile.check_ddl(command text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  at_once text;
  later boolean;
  open_window bigint;
BEGIN
  -- Our own installer, step by step: region init looks at the whole at its end.
  IF EXISTS (SELECT FROM domicile_private.upgrade u WHERE u.transaction = pg_current_xact_id_if_assigned()) THEN RETURN; END IF;
  -- What a new table lacks is looked at when the transaction commits: it holds nobody else's rows. What was there before
  -- must not open even within a transaction, because its rows could be read and the transaction be rolled back.
  SELECT string_agg(format('%s %s: %s', r.kind, r.object, r.detail), '; ') FILTER (WHERE NOT r.young), coalesce(bool_or(r.young), false)
  INTO at_once, later
  FROM (SELECT v.*, v.kind IN ('unclassified', 'row_security_off', 'grant') AND domicile_private.is_new(v.object) AS young
        FROM domicile_private.refusals() v) r;
  open_window := domicile_private.window_for('ddl');
  IF open_window IS NOT NULL THEN
    INSERT INTO domicile.maintenance_act (window_id, command, let_pass) VALUES (open_window, left(check_ddl.command, 200), at_once);
  ELSIF at_once IS NOT NULL THEN
    RAISE EXCEPTION 'domicile: % is refused: %', command, at_once USING ERRCODE = '42501',
      HINT = 'Planned work that needs it: domicile region maintenance begin --ticket TICKET --for 1h --allow ddl.';
  END IF;
  IF later AND NOT EXISTS (SELECT FROM domicile_private.ddl_check c WHERE c.transaction = pg_current_xact_id_if_assigned()) THEN
    INSERT INTO domicile_private.ddl_check (command) VALUES (check_ddl.command);
  END IF;
END
$$;

-- Is this relation in the catalog by its own name and armed? (A partition never is: it is closed, and served
-- through its root.)
CREATE FUNCTION domicile.is_classified(rel oid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM domicile.catalog_table k JOIN pg_class c ON c.oid = rel JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE k.schema_name = n.nspname AND k.table_name = c.relname AND k.class IN ('system', 'ignored'))
      OR EXISTS (SELECT FROM domicile_private.members() m WHERE m.rel = is_classified.rel AND m.rel <> m.root AND m.mode <> 'enforce')
$$;

CREATE FUNCTION domicile.is_part(rel oid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM domicile_private.members() m WHERE m.rel = is_part.rel AND m.rel <> m.root AND m.mode = 'enforce'
                 AND m.class IN ('organization', 'mixed', 'person'))
$$;

-- Closes a part of a guarded table under its own name (see part_open). Runs as its owner.
CREATE FUNCTION domicile.close_part(rel regclass) RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', rel);
  IF EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = rel AND p.polname = 'domicile_part') THEN
    EXECUTE format('DROP POLICY domicile_part ON %s', rel);
  END IF;
  IF EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = rel AND p.polname = 'domicile_part_read') THEN
    EXECUTE format('DROP POLICY domicile_part_read ON %s', rel);
  END IF;
  EXECUTE format('CREATE POLICY domicile_part ON %s USING ((SELECT domicile.part_open(current_user, ''write'')))', rel);
  -- Asked before the other one, by its name: see guard_sql.cpp.
  EXECUTE format('CREATE POLICY domicile_part_read ON %s FOR SELECT USING ((SELECT domicile.part_open(current_user, ''read'')))', rel);
END
$$;

-- Runs as whoever ran the DDL, because only the owner may close the new table. What the table was before is remembered
-- (0301); renames of tables that are not enforced are followed (0302).
CREATE FUNCTION domicile.on_ddl() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made record;
  grantee text;
  former text;
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands())
     AND NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() d WHERE d.schema_name IS DISTINCT FROM 'pg_temp') THEN
    RETURN;
  END IF;
  -- From close_part() below: no need to look at the whole database once more.
  IF tg_tag = 'CREATE POLICY' AND NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() d
                                              WHERE d.classid <> 'pg_policy'::regclass OR NOT domicile.part_policy(d.objid)) THEN
    RETURN;
  END IF;
  IF tg_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE MATERIALIZED VIEW', 'CREATE SCHEMA') THEN
    FOR made IN SELECT DISTINCT d.objid, c.relkind, c.oid::regclass AS name, c.relacl IS NOT NULL AS granted, c.relowner
                FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND NOT d.in_extension
                  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
                  AND n.nspname !~ '^(pg_|domicile(_|$))' LOOP
      CONTINUE WHEN domicile.is_classified(made.objid);
      PERFORM domicile.remember_new(made.objid);
      IF domicile.is_part(made.objid) THEN
        PERFORM domicile.close_part(made.objid);
      ELSIF made.relkind <> 'm' THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', made.name);
      END IF;
      IF made.granted THEN
        FOR grantee IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
                       FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = made.objid AND a.grantee <> c.relowner LOOP
          EXECUTE format('REVOKE ALL ON %s FROM %s', made.name, grantee);
        END LOOP;
      END IF;
      CONTINUE WHEN domicile.is_part(made.objid);
      RAISE NOTICE 'domicile: table % is not classified and stays closed until it stands in the catalog and region init has run', made.name;
    END LOOP;
  ELSIF tg_tag = 'ALTER TABLE' THEN
    FOR made IN SELECT DISTINCT d.objid FROM pg_event_trigger_ddl_commands() d WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 LOOP
      former := domicile.follow_rename(made.objid);
      IF former IS NOT NULL THEN
        RAISE NOTICE 'domicile: table % is now %: change its name in the catalog', former, made.objid::regclass;
      END IF;
    END LOOP;
  END IF;
  PERFORM domicile.check_ddl(tg_tag);
END
$$;

-- Dropping schema domicile would take the event trigger above with it, so a second one, whose function lives
-- in the other schema and calls nothing, refuses that.
CREATE FUNCTION domicile_private.on_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone text;
BEGIN
  SELECT d.object_identity INTO gone FROM pg_event_trigger_dropped_objects() d
  WHERE d.schema_name ~ '^domicile(_|$)' OR (d.object_type = 'schema' AND d.object_name ~ '^domicile(_|$)') LIMIT 1;
  IF gone IS NULL THEN RETURN; END IF;
  IF NOT EXISTS (SELECT FROM domicile_private.upgrade u WHERE u.transaction = pg_current_xact_id_if_assigned()) THEN
    RAISE EXCEPTION 'domicile: % is refused: it would drop %', tg_tag, gone USING ERRCODE = '42501';
  END IF;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
