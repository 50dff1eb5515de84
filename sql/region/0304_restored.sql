-- Every restore that made this database (or the one it was dumped from) what it is: evidence, and how a restore that was
-- interrupted after its commit knows that it is done.
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.restored (
  restored_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  restored_by       name NOT NULL DEFAULT session_user,
  into_database     text NOT NULL,              -- region.database_id of the restored database
  manifest_sha256   text NOT NULL,
  made_at           text NOT NULL,              -- when the dump was taken, and from what:
  region            text NOT NULL,
  database_id       text NOT NULL,
  system_identifier text NOT NULL
);
GRANT SELECT ON domicile.restored TO domicile_node;

-- A dump that was taken within a maintenance window brings the window: it was the other database's, and relaxes
-- nothing here.
CREATE FUNCTION domicile_private.end_foreign_windows(made_at text) RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  UPDATE domicile.maintenance SET ended_at = clock_timestamp(), ended_by = session_user,
    left_open = ARRAY[format('it was open in the database of the dump of %s; in the restored one it never was', end_foreign_windows.made_at)]
  WHERE ended_at IS NULL
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_private FROM PUBLIC;
RESET ROLE;
