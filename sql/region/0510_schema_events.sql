-- What changes the schema or the classification of tables is recorded in the region's event log: from the event triggers,
-- in the transaction of the change, through the outbox. Installation steps of Domicile itself and temporary tables are
-- left out. That the guard closes a new table at once (0303) is a change like another, and stands before the CREATE.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.note_schema(command text, activity text, object text) RETURNS void LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO domicile_directory.outbox (operation, activity, organization, resource, by_operator)
  VALUES ('schema.' || lower(replace(left(command, 100), ' ', '_')), activity, '', left(object, 500), session_user)
$$;

-- As in 0303, and the note.
CREATE OR REPLACE FUNCTION domicile.check_ddl(command text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  at_once text;
  later boolean;
  open_window bigint;
BEGIN
  IF EXISTS (SELECT FROM domicile_private.upgrade u WHERE u.transaction = pg_current_xact_id_if_assigned()) THEN RETURN; END IF;
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
  -- DROP has no commands here: on_drop() below knows what went.
  PERFORM domicile_private.note_schema(check_ddl.command, CASE WHEN check_ddl.command LIKE 'CREATE %' THEN 'create' ELSE 'update' END, d.what)
  FROM (SELECT DISTINCT d.object_type || ':' || coalesce(d.object_identity, '?') AS what FROM pg_event_trigger_ddl_commands() d
        WHERE d.schema_name IS DISTINCT FROM 'pg_temp' AND NOT d.in_extension
          AND NOT (d.object_type = 'index' AND check_ddl.command <> 'CREATE INDEX')) d;
END
$$;

CREATE OR REPLACE FUNCTION domicile_private.on_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone text;
BEGIN
  IF EXISTS (SELECT FROM domicile_private.upgrade u WHERE u.transaction = pg_current_xact_id_if_assigned()) THEN RETURN; END IF;
  SELECT d.object_identity INTO gone FROM pg_event_trigger_dropped_objects() d
  WHERE d.schema_name ~ '^domicile(_|$)' OR (d.object_type = 'schema' AND d.object_name ~ '^domicile(_|$)') LIMIT 1;
  IF gone IS NOT NULL THEN
    RAISE EXCEPTION 'domicile: % is refused: it would drop %', tg_tag, gone USING ERRCODE = '42501';
  END IF;
  PERFORM domicile_private.note_schema(tg_tag, 'remove', d.object_type || ':' || d.object_identity)
  FROM pg_event_trigger_dropped_objects() d
  WHERE d.original AND NOT d.is_temporary
    AND NOT (d.object_type = 'policy' AND d.address_names[array_upper(d.address_names, 1)] LIKE 'domicile\_part%');
END
$$;

-- A table's class says which data may leave the region. The first catalog of a region is no change of one.
CREATE FUNCTION domicile_private.note_class() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT FROM domicile.catalog_table k
                                      WHERE k.xmin::text <> (pg_current_xact_id()::text::bigint & 4294967295)::text) THEN
    RETURN NULL;
  END IF;
  INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, by_operator)
  VALUES ('catalog.classify', CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE 'update' END, '',
          CASE TG_OP WHEN 'INSERT' THEN NEW.class ELSE OLD.class || ' to ' || NEW.class END,
          format('table:%I.%I', NEW.schema_name, NEW.table_name), session_user);
  RETURN NULL;
END
$$;
CREATE TRIGGER domicile_note_class AFTER INSERT ON domicile.catalog_table FOR EACH ROW EXECUTE FUNCTION domicile_private.note_class();
CREATE TRIGGER domicile_note_reclass AFTER UPDATE OF class ON domicile.catalog_table FOR EACH ROW
  WHEN (OLD.class OPERATOR(pg_catalog.<>) NEW.class) EXECUTE FUNCTION domicile_private.note_class();

REVOKE EXECUTE ON FUNCTION domicile_private.note_schema(text, text, text), domicile_private.note_class() FROM PUBLIC;
