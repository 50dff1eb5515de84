-- Needs a superuser, or the administrator of a managed service that allows event triggers.
DROP EVENT TRIGGER IF EXISTS domicile_ddl;
CREATE EVENT TRIGGER domicile_ddl ON ddl_command_end EXECUTE FUNCTION domicile.on_ddl();
ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS;
