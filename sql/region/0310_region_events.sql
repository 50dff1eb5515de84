-- A table's change of mode and a maintenance window are acts that the region's event log must hold. Whoever does them
-- is at the database and not at a node, so the event waits in the outbox, in the transaction of the act, until a
-- node takes it into the log (store/directory_admin.cpp). Triggers, so that no way leads past them. The tables that
-- `region init` guards at once are no change of mode.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.note_mode() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO domicile_directory.outbox (operation, activity, organization, resource, by_operator)
  VALUES ('region.' || CASE TG_OP WHEN 'DELETE' THEN 'detach' ELSE NEW.mode END, 'update', '',
          format('table:%I.%I', OLD.schema_name, OLD.table_name), session_user);
  RETURN NULL;
END
$$;
CREATE TRIGGER domicile_note_mode AFTER UPDATE OF mode ON domicile.catalog_table FOR EACH ROW
  WHEN (OLD.mode OPERATOR(pg_catalog.<>) NEW.mode) EXECUTE FUNCTION domicile_private.note_mode();
CREATE TRIGGER domicile_note_detach AFTER DELETE ON domicile.catalog_table FOR EACH ROW
  WHEN (OLD.mode OPERATOR(pg_catalog.<>) 'off') EXECUTE FUNCTION domicile_private.note_mode();

CREATE FUNCTION domicile_private.note_window() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO domicile_directory.outbox (operation, activity, organization, permissions, resource, ticket, by_operator)
  VALUES (CASE TG_OP WHEN 'INSERT' THEN 'maintenance.begin' ELSE 'maintenance.end' END, 'update', '',
          CASE WHEN TG_OP = 'INSERT' THEN array_to_string(NEW.allow, ' ') WHEN NEW.armed THEN 'armed' ELSE 'not armed' END,
          'maintenance:' || NEW.id, NEW.ticket, session_user);
  RETURN NULL;
END
$$;
CREATE TRIGGER domicile_note_begin AFTER INSERT ON domicile.maintenance FOR EACH ROW EXECUTE FUNCTION domicile_private.note_window();
CREATE TRIGGER domicile_note_end AFTER UPDATE OF armed ON domicile.maintenance FOR EACH ROW
  WHEN (OLD.armed IS NULL AND NEW.armed IS NOT NULL) EXECUTE FUNCTION domicile_private.note_window();

REVOKE EXECUTE ON FUNCTION domicile_private.note_mode(), domicile_private.note_window() FROM PUBLIC;
