-- What the guard knows. Only domicile_owner writes here; the keeper's functions change `organization`.
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.region (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  region            text NOT NULL,
  master            boolean NOT NULL DEFAULT false,     -- may reference data change here?
  key_type          text NOT NULL DEFAULT '{{key_type}}' CHECK (key_type = '{{key_type}}'),
  database_id       text NOT NULL DEFAULT pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', ''),
  system_identifier text NOT NULL,
  timeline          text,                               -- approved by reconcile; NULL: this server does not tell
  started_at        timestamptz,                        -- of the server process that was seen on that timeline
  state             text NOT NULL DEFAULT 'closed' CHECK (state IN ('open', 'closed')),
  reason            text NOT NULL DEFAULT 'never reconciled',
  event_triggers    boolean NOT NULL DEFAULT false,
  installed_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  reconciled_at     timestamptz
);

-- Every organization that is or was homed here, with the placement epoch that said so last.
CREATE TABLE domicile.organization (
  key            {{key_type}} PRIMARY KEY,
  role           name NOT NULL UNIQUE,
  epoch          bigint NOT NULL CHECK (epoch >= 0),
  state          text NOT NULL CHECK (state IN ('active', 'fenced', 'suspended')),
  previous_epoch bigint,                                -- what an undone fence goes back to
  previous_state text,
  changed_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- The catalog as it was applied: what violations() holds the database against.
CREATE TABLE domicile.catalog_table (
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  class       text NOT NULL CHECK (class IN ('organization', 'mixed', 'reference', 'person', 'system', 'ignored')),
  mode        text NOT NULL CHECK (mode IN ('off', 'observe', 'enforce')),
  key_column  text,                                     -- NULL for a table with a path, and without organization
  key_required boolean NOT NULL DEFAULT false,          -- the key was NOT NULL when it was applied
  spec        text NOT NULL DEFAULT '',                 -- hash of what was applied; '' while planned
  guard       text,                                     -- fingerprints taken when it was applied
  policy      text,
  owner       name,
  applied_at  timestamptz,
  PRIMARY KEY (schema_name, table_name)
);

-- Columns of reference tables that point into organizations' rows, and what becomes of them when the row is carried to
-- another region: drop: it travels without them; refuse: a row where they are set does not travel.
CREATE TABLE domicile.reference_link (
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  column_name text NOT NULL,
  rule        text NOT NULL CHECK (rule IN ('drop', 'refuse')),
  PRIMARY KEY (schema_name, table_name, column_name)
);

-- Mode observe: what enforcement would have refused. Sessions only append to `observed`, which has no key and no
-- index: nothing to wait for, nothing to conflict with. `observation` is what fold_observations() makes of it.
-- No value of any statement is in either: see domicile_private.fingerprint().
CREATE UNLOGGED TABLE domicile_private.observed (
  at           timestamptz NOT NULL,
  table_name   text NOT NULL,      -- quoted: "app"."course"
  reason       text NOT NULL,
  command      text NOT NULL,
  organization text,               -- the row's, where a row was looked at
  role         text NOT NULL,
  application  text NOT NULL,
  statement    text NOT NULL,
  weight       bigint NOT NULL     -- how many statements this one stands for
);
CREATE TABLE domicile.observation (
  day          date NOT NULL,
  table_name   text NOT NULL,
  reason       text NOT NULL,
  command      text NOT NULL,
  organization text,
  role         text NOT NULL,
  application  text NOT NULL,
  statement    text NOT NULL,
  statements   bigint NOT NULL,
  first_at     timestamptz NOT NULL,
  last_at      timestamptz NOT NULL
);

-- Findings that were there when the region was adopted, or were accepted later: reported, not refused.
CREATE TABLE domicile.known_violation (
  kind        text NOT NULL,
  object      text NOT NULL,
  accepted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (kind, object)
);

-- Our own functions as they were installed.
CREATE TABLE domicile_private.pinned (
  object text PRIMARY KEY,
  hash   text NOT NULL
);

-- Keys of the application door. ipad and opad are HMAC's two padded forms (RFC 2104), computed once.
CREATE TABLE domicile_private.context_key (
  kid        text PRIMARY KEY CHECK (kid OPERATOR(pg_catalog.~) '^[a-z0-9]{1,16}$'),
  ipad       bytea NOT NULL,
  opad       bytea NOT NULL,
  key        bytea NOT NULL CHECK (pg_catalog.length(key) = 32),
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  retired_at timestamptz                                -- tokens of this key are refused from then on
);

-- The context of a transaction, in sequences: currval() is a session's own and a client cannot set it
-- without privileges on the sequence. UNLOGGED: no WAL, and so no flush at the end of a reading transaction.
CREATE UNLOGGED SEQUENCE domicile_private.slot_high AS bigint
  MINVALUE -9223372036854775808 MAXVALUE 9223372036854775807 START 1;
CREATE UNLOGGED SEQUENCE domicile_private.slot_low AS bigint
  MINVALUE -9223372036854775808 MAXVALUE 9223372036854775807 START 1;
CREATE UNLOGGED SEQUENCE domicile_private.slot_expiry AS bigint START 1;
CREATE UNLOGGED SEQUENCE domicile_private.slot_transaction AS bigint START 1;

-- DDL statements that wait for the check at commit, and the transactions that change the guard itself.
CREATE TABLE domicile_private.ddl_check (
  transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  command     text NOT NULL
);
CREATE TABLE domicile_private.upgrade (transaction xid8 PRIMARY KEY);

GRANT SELECT, INSERT, UPDATE ON domicile.organization TO domicile_keeper;
GRANT SELECT ON domicile.region TO domicile_keeper;
GRANT SELECT ON domicile.region, domicile.organization, domicile.catalog_table, domicile.reference_link, domicile.observation,
  domicile.known_violation TO domicile_node;
