-- Needs a superuser, or the administrator of a managed service that allows event triggers.
DROP EVENT TRIGGER IF EXISTS domicile_ddl;
CREATE EVENT TRIGGER domicile_ddl ON ddl_command_end EXECUTE FUNCTION domicile.on_ddl();
ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS;
DROP EVENT TRIGGER IF EXISTS domicile_drop;
CREATE EVENT TRIGGER domicile_drop ON sql_drop EXECUTE FUNCTION domicile_private.on_drop();
ALTER EVENT TRIGGER domicile_drop ENABLE ALWAYS;
