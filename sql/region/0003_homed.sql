-- The guard: a row of an organization that is not homed here cannot be stored. homed() stands in a CHECK
-- on every guarded table, so it runs for every writer: superusers, the replica role, logical apply, rows
-- changed by late triggers. It asks whether a role of a certain name exists (from the catalog's cache, past
-- any snapshot), takes no lock and reads no table. A name and not a membership: it is one look-up for however
-- many organizations, and neither superusers nor chains of memberships pass for homed.
--
-- A region that wakes on another timeline (promotion, point-in-time restore) is closed: bake() writes the
-- approved timeline into the body of homed(). Asking the server for its timeline costs as much as the rest
-- of the check, so the start time of the server process in which that timeline was seen stands first: the
-- same process cannot change timelines, because only a standby can be promoted, and that is another process.
--
-- Everything here is written with qualified names and operators instead of SET search_path, which would
-- cost more than the check itself.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile.role_of(o {{key_type}}) RETURNS name LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT {{role_of}} $$;

-- The system identifier tells a dump restored into another cluster, or a cluster after pg_upgrade: those begin
-- on timeline 1 again.
CREATE FUNCTION domicile.on_timeline(wanted text, server text) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) OPERATOR(pg_catalog.=) wanted
         AND (SELECT c.system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system() c) OPERATOR(pg_catalog.=) server;
END
$$;

-- Why a write was refused; always raises.
CREATE FUNCTION domicile.refuse(o text, open boolean) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF open IS TRUE THEN
    RAISE EXCEPTION 'domicile: organization % is not writable in this region', coalesce(o, 'NULL')
      USING ERRCODE = '23514', CONSTRAINT = 'domicile_home',
            HINT = 'It is homed elsewhere, suspended, or not created yet.';
  END IF;
  RAISE EXCEPTION 'domicile: this region is closed'
    USING ERRCODE = '23514', CONSTRAINT = 'domicile_home',
          HINT = 'It was never opened, or the server was promoted or restored: run domicile region reconcile.';
END
$$;

-- Writes homed() and region_open() anew from domicile.region.
CREATE FUNCTION domicile_private.bake() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $bake$
DECLARE
  here domicile.region;
  is_open text;
BEGIN
  SELECT * INTO STRICT here FROM domicile.region;
  IF here.state <> 'open' THEN
    is_open := 'false';
  ELSIF here.timeline IS NULL THEN
    is_open := 'true';
  ELSE
    is_open := format('(pg_catalog.pg_postmaster_start_time() OPERATOR(pg_catalog.=) %L::pg_catalog.timestamptz'
                      ' OR domicile.on_timeline(%L, %L))',
                      to_char(here.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00', here.timeline,
                      here.system_identifier);
  END IF;
  EXECUTE format($sql$
    CREATE OR REPLACE FUNCTION domicile.homed(o {{key_type}}) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
    BEGIN
      IF %1$s AND {{home_of}} IS NOT NULL THEN RETURN true; END IF;
      RETURN domicile.refuse(o::pg_catalog.text, %1$s);
    END
    $$ $sql$, is_open);
  EXECUTE format($sql$
    CREATE OR REPLACE FUNCTION domicile.region_open() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
    BEGIN
      RETURN %s;
    END
    $$ $sql$, is_open);
  EXECUTE format($sql$
    CREATE OR REPLACE FUNCTION domicile.region_master() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT %L::pg_catalog.bool $$ $sql$, here.master);
END
$bake$;

-- Closed until reconcile says otherwise.
CREATE FUNCTION domicile.homed(o {{key_type}}) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN domicile.refuse(o::pg_catalog.text, false);
END
$$;
CREATE FUNCTION domicile.region_open() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN false; END $$;
CREATE FUNCTION domicile.region_master() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT false $$;

-- CHECK of tables whose rows belong to a person: nothing is stored while the region is closed.
CREATE FUNCTION domicile.person_writable() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF domicile.region_open() THEN RETURN true; END IF;
  RETURN domicile.refuse(NULL, false);
END
$$;

-- May this session write reference data? In the master region everybody whom the grants let, elsewhere the applier. A
-- superuser may not: it counts as a member of every role, but the applier is no member of domicile_owner. The
-- triggers ask it for each row: PostgreSQL inlines it, and in the master region nothing of it is left.
CREATE FUNCTION domicile.reference_writer() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT domicile.region_master() OR (pg_catalog.pg_has_role(session_user, 'domicile_reference', 'member')
                                      AND NOT pg_catalog.pg_has_role(session_user, 'domicile_owner', 'member'))
$$;

-- The same, for who is refused: it raises. Of the shared rows of mixed tables, too.
CREATE FUNCTION domicile.reference_writable() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF domicile.reference_writer() THEN RETURN true; END IF;
  RAISE EXCEPTION 'domicile: reference data changes only in the master region'
    USING ERRCODE = '23514', CONSTRAINT = 'domicile_reference',
          HINT = 'Change it there; it reaches this region by the reference sync.';
END
$$;

-- Mode observe: AFTER ROW triggers whose WHEN clause asks a function that records what enforcement would have refused
-- and is never true, so that the trigger never runs and nothing is queued (see domicile_private.observe, which lets
-- nothing that goes wrong change a result). PostgreSQL reads a WHEN clause anew in each statement, and PL/pgSQL prepares
-- an expression anew in each transaction: both cost by the number of calls that stand in them. So a table with a key has a
-- function of its own for each operation (store/guard_observe.cpp), which answers the two usual cases itself and leads
-- to observe_other() for the rest; other tables ask observed().
--
-- `spec` is two letters and eight hex digits. First k: the row has a key; m: a mixed table, where NULL is a shared row;
-- p: by path, where NULL says that the parent is not there; s: a person's row. Then I, U or D, the operation; the
-- digits stand for the table.
CREATE FUNCTION domicile.observed(o {{key_type}}, spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
  IF coalesce(pg_catalog.current_setting('domicile.o_slots', true), '') OPERATOR(pg_catalog.=) '1'
     AND coalesce(pg_catalog.current_setting('domicile.entered', true) OPERATOR(pg_catalog.=) o::pg_catalog.text, pg_catalog.left(spec, 1) OPERATOR(pg_catalog.=) 's')
     AND domicile_private.entered_now() AND NOT domicile_private.copies(spec) THEN
    RETURN true;
  END IF;
  RETURN domicile_private.observe_other(o, spec);
END
$$;

-- The reasons are looked for in this order. A CHECK refuses everybody, a policy only those whom it binds: observe()'s
-- last argument.
CREATE FUNCTION domicile_private.observe_other(o {{key_type}}, spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN CASE
    WHEN ({{home_of}} IS NOT NULL AND domicile.region_open()) OR pg_catalog.left(spec, 1) OPERATOR(pg_catalog.=) 's' THEN
      CASE WHEN pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN true
           WHEN pg_catalog.starts_with(session_user::pg_catalog.text, 'org_')
             THEN coalesce(domicile.role_of(o) OPERATOR(pg_catalog.=) session_user, true)
               OR domicile_private.observe('other_organization', spec, o::pg_catalog.text, true)
           WHEN coalesce(pg_catalog.current_setting('domicile.entered', true), '') OPERATOR(pg_catalog.=) ''
             THEN domicile_private.observe('no_context', spec, o::pg_catalog.text, true)
           ELSE domicile_private.observe_entered(spec, o::pg_catalog.text) END
    WHEN o IS NOT NULL THEN
      domicile_private.observe(CASE WHEN domicile.region_open() THEN 'foreign_row' ELSE 'region_closed' END, spec, o::pg_catalog.text, false)
    WHEN pg_catalog.starts_with(spec, 'm') THEN domicile_private.observe('shared_row', spec, NULL, domicile.region_master())
    WHEN pg_catalog.substr(spec, 2, 1) OPERATOR(pg_catalog.=) 'D' THEN true
    ELSE domicile_private.observe(CASE WHEN pg_catalog.starts_with(spec, 'p') THEN 'missing_parent' ELSE 'null_key' END, spec, NULL, false) END;
END
$$;

-- Rows of reference tables, which change in the master region only.
CREATE FUNCTION domicile.observed_reference(spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
  RETURN domicile.reference_writer() OR domicile_private.observe('reference_data', spec, NULL, false);
END
$$;

CREATE FUNCTION domicile.observed_truncate() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
  PERFORM domicile_private.observe('truncate', TG_ARGV[0], NULL, false);
  RETURN NULL;
END
$$;

-- The function of the observing triggers; their WHEN clause is never true, so it never runs.
CREATE FUNCTION domicile.observed_nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

-- The triggers' WHEN clause calls homed(OLD.key), which raises; this function runs only for what is
-- refused whole.
CREATE FUNCTION domicile.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
    RAISE EXCEPTION 'domicile: TRUNCATE of guarded table %.% is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = '42501', HINT = 'Delete the rows of one organization at a time.';
  END IF;
  RAISE EXCEPTION 'domicile: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = '42501';
END
$$;

GRANT SELECT ON domicile.region TO domicile_node;
REVOKE EXECUTE ON FUNCTION domicile_private.bake() FROM PUBLIC;
