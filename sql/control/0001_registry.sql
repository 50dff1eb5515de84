-- The organization registry: which organization lives where. It holds no name of a person or of an
-- organization: keys and slugs that the operator chose, and verified e-mail domains as keyed hashes.
--
-- Every change takes the next revision under the lock of the one row of `registry`, and that lock is held
-- until commit: so revisions become visible in their order, and a reader who has seen revision n has seen
-- every one before it. `chain` is a running hash of the history: a registry restored from a backup has
-- another chain at some revision that its followers know, and they notice.
--
-- Errors carry a SQLSTATE of class DR (see src/store/registry_rows.h).
--
--   domicile_registry_reader  may read: the node of the master region, which feeds the other regions
--   domicile_registry_writer  may also call the functions that change something: `domicile org ...`
DO $do$
DECLARE
  wanted text;
  existing pg_catalog.pg_roles;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['domicile_registry_reader', 'domicile_registry_writer'] LOOP
    SELECT * INTO existing FROM pg_catalog.pg_roles WHERE rolname = wanted;
    IF NOT FOUND THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    ELSIF existing.rolsuper OR existing.rolbypassrls OR existing.rolreplication OR existing.rolcanlogin THEN
      RAISE EXCEPTION 'domicile: role % exists with LOGIN, SUPERUSER, BYPASSRLS or REPLICATION', wanted
        USING HINT = format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION, or rename it', wanted);
    END IF;
  END LOOP;
END
$do$;
REVOKE ALL ON SCHEMA domicile_registry FROM PUBLIC;
GRANT USAGE ON SCHEMA domicile_registry TO domicile_registry_reader, domicile_registry_writer;

CREATE TABLE domicile_registry.registry (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  registry_id text NOT NULL CHECK (registry_id ~ '^[0-9a-f]{32}$'),
  revision bigint NOT NULL DEFAULT 0,
  chain bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(chain) = 32),
  pepper_check bytea,  -- tells a wrong pepper from the right one; says nothing about it
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO domicile_registry.registry (registry_id) VALUES (replace(gen_random_uuid()::text, '-', ''));

CREATE TABLE domicile_registry.jurisdiction (
  id text PRIMARY KEY CHECK (id ~ '^[A-Z][A-Z0-9-]{1,15}$')
);

CREATE TABLE domicile_registry.location (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  jurisdiction text NOT NULL REFERENCES domicile_registry.jurisdiction
);

CREATE TABLE domicile_registry.region (
  id text PRIMARY KEY REFERENCES domicile_registry.location,  -- named after its primary location
  jurisdiction text NOT NULL REFERENCES domicile_registry.jurisdiction,
  locations text[] NOT NULL,  -- the primary one first
  url text NOT NULL CHECK (url ~ '^https?://[^/?#[:space:]]+$'),
  master boolean NOT NULL,
  revision bigint NOT NULL,
  CHECK (locations[1] = id)
);
CREATE UNIQUE INDEX one_master ON domicile_registry.region (master) WHERE master;

CREATE TABLE domicile_registry.organization (
  key text PRIMARY KEY CHECK (key ~ '^[A-Za-z0-9_.:@-]{1,63}$'),
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  region text NOT NULL REFERENCES domicile_registry.region,
  epoch bigint NOT NULL CHECK (epoch > 0),
  state text NOT NULL CHECK (state IN ('active', 'suspended', 'moving', 'closed')),
  revision bigint NOT NULL UNIQUE,  -- of its last change
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX organization_by_region ON domicile_registry.organization (region, key);

CREATE TABLE domicile_registry.organization_domain (
  domain bytea PRIMARY KEY CHECK (length(domain) = 32),  -- HMAC-SHA256 under the registry's pepper
  organization text NOT NULL REFERENCES domicile_registry.organization
);
CREATE INDEX organization_domain_by_organization ON domicile_registry.organization_domain (organization);

CREATE TABLE domicile_registry.change (
  revision bigint PRIMARY KEY,
  kind text NOT NULL,      -- organization.create, organization.suspend, region.put, ...
  subject text NOT NULL,   -- key of the organization, or id
  state text NOT NULL,     -- what it came to, in canonical text: hashed into the chain
  chain bytea NOT NULL,
  operation_id text UNIQUE CHECK (operation_id ~ '^[A-Za-z0-9_.:-]{8,64}$'),
  request text,            -- the operation's arguments: the same id with others is refused
  epoch bigint,            -- the organization's epoch after the change
  by_role text NOT NULL DEFAULT session_user,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- History and tombstones are not for deleting, whoever asks.
CREATE FUNCTION domicile_registry.refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'domicile: rows of % are never removed or rewritten', TG_TABLE_NAME
    USING ERRCODE = 'DR008', HINT = 'Close an organization instead: domicile org close.';
END
$$;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON domicile_registry.organization
  FOR EACH STATEMENT EXECUTE FUNCTION domicile_registry.refuse_removal();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON domicile_registry.change
  FOR EACH STATEMENT EXECUTE FUNCTION domicile_registry.refuse_removal();
CREATE FUNCTION domicile_registry.keep_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (new.key, new.slug) IS DISTINCT FROM (old.key, old.slug) OR new.epoch < old.epoch
     OR old.state = 'closed' OR new.revision <= old.revision THEN
    RAISE EXCEPTION 'domicile: organization % keeps its key and slug for life, its epoch and revision only grow, and closed is final', old.key
      USING ERRCODE = 'DR008';
  END IF;
  RETURN new;
END
$$;
CREATE TRIGGER identity BEFORE UPDATE ON domicile_registry.organization
  FOR EACH ROW EXECUTE FUNCTION domicile_registry.keep_identity();

GRANT SELECT ON ALL TABLES IN SCHEMA domicile_registry TO domicile_registry_reader, domicile_registry_writer;
