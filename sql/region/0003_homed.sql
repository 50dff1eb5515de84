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

CREATE FUNCTION domicile.on_timeline(wanted text) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
         OPERATOR(pg_catalog.=) wanted;
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
                      ' OR domicile.on_timeline(%L))',
                      to_char(here.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00', here.timeline);
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

-- CHECK of reference tables, and of the shared rows of mixed ones: the applier of reference data passes. A
-- superuser does not: it counts as a member of every role, but the applier is no member of domicile_owner.
CREATE FUNCTION domicile.reference_writable() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF domicile.region_master() OR (pg_catalog.pg_has_role(session_user, 'domicile_reference', 'member')
                                  AND NOT pg_catalog.pg_has_role(session_user, 'domicile_owner', 'member')) THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION 'domicile: reference data changes only in the master region'
    USING ERRCODE = '23514', CONSTRAINT = 'domicile_reference',
          HINT = 'Change it there; it reaches this region by the reference sync.';
END
$$;

-- Mode observe. Records what homed() would have refused and lets the row pass; whatever goes wrong while
-- recording must not change the result either. Under SERIALIZABLE it does not look for an earlier
-- record, because that read could make the caller's transaction fail.
CREATE FUNCTION domicile.observed(o {{key_type}}, table_name text) RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER AS $$
BEGIN
  IF domicile.region_open() AND {{home_of}} IS NOT NULL THEN RETURN true; END IF;
  BEGIN
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable' OR NOT EXISTS (
         SELECT FROM domicile.observation seen
         WHERE seen.table_name OPERATOR(pg_catalog.=) observed.table_name
           AND seen.organization OPERATOR(pg_catalog.=) coalesce(o::pg_catalog.text, 'NULL')
           AND seen.day OPERATOR(pg_catalog.=) CURRENT_DATE
           AND seen.role OPERATOR(pg_catalog.=) session_user) THEN
      INSERT INTO domicile.observation (day, table_name, organization, role, first_at)
      VALUES (CURRENT_DATE, observed.table_name, coalesce(o::pg_catalog.text, 'NULL'), session_user,
              pg_catalog.clock_timestamp());
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RETURN true;
  END;
  RETURN true;
END
$$;

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
