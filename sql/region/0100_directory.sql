-- The directory of people and clients of the organizations homed here. It never leaves the region: no
-- other region has a list of them, and this schema is in no publication.
--
-- Reachable by a node (domicile_node) only, never by an organization's role or the application's pool. The
-- guard stands here too: a person, client or grant of an organization that is not homed here is refused by
-- the database itself, so a grant cannot reach across regions whatever the node believes.
CREATE SCHEMA domicile_directory AUTHORIZATION domicile_owner;
SET LOCAL ROLE domicile_owner;

-- Roles that an organization defines for itself; all others follow the region's roles file.
CREATE TABLE domicile_directory.role_permission (
  organization {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  role         text NOT NULL CHECK (role OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_-]{0,62}$'),
  permission   text NOT NULL CHECK (permission OPERATOR(pg_catalog.~) '^[a-z0-9_.-]+:[a-z0-9_.-]+$'),
  PRIMARY KEY (organization, role, permission)
);

CREATE TABLE domicile_directory.user_account (
  id                  text PRIMARY KEY CHECK (id OPERATOR(pg_catalog.~) '^u_[A-Za-z0-9_-]{22}$'),
  organization        {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  login               text NOT NULL CHECK (pg_catalog.length(login) BETWEEN 1 AND 254),
  password_hash       text NOT NULL CHECK (password_hash OPERATOR(pg_catalog.~) '^\$argon2id\$'),
  roles               text[] NOT NULL DEFAULT '{}',
  state               text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
  created_at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  password_changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  UNIQUE (organization, login)
);

-- A service has an organization and signs in as itself; a first-party application has none and signs
-- people in. `secret_hash` is SHA-256 of 32 random bytes, NULL for an application that cannot keep one.
CREATE TABLE domicile_directory.client (
  id           text PRIMARY KEY CHECK (id OPERATOR(pg_catalog.~) '^[A-Za-z0-9_.-]{1,64}$'),
  organization {{key_type}} CHECK (organization IS NULL OR domicile.homed(organization)),
  secret_hash  bytea CHECK (pg_catalog.length(secret_hash) = 32),
  grant_types  text[] NOT NULL CHECK (grant_types OPERATOR(pg_catalog.<@)
                                      ARRAY['client_credentials', 'password', 'refresh_token',
                                            'authorization_code', 'token_exchange']),
  permissions  text[] NOT NULL DEFAULT '{}',
  roles        text[] NOT NULL DEFAULT '{}',
  state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
  created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  CHECK (organization IS NOT NULL OR NOT 'client_credentials' OPERATOR(pg_catalog.=) ANY (grant_types)),
  CHECK (secret_hash IS NOT NULL OR NOT 'client_credentials' OPERATOR(pg_catalog.=) ANY (grant_types))
);

-- One sign-in, and the chain of refresh tokens that follows from it. Times are the node's.
CREATE TABLE domicile_directory.refresh_family (
  id           text PRIMARY KEY,
  user_id      text NOT NULL REFERENCES domicile_directory.user_account ON DELETE CASCADE,
  client_id    text NOT NULL REFERENCES domicile_directory.client ON DELETE CASCADE,
  organization {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  scope        text[] NOT NULL,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  revoked_at   timestamptz,
  reason       text
);
CREATE INDEX refresh_family_user ON domicile_directory.refresh_family (user_id);
CREATE INDEX refresh_family_expiry ON domicile_directory.refresh_family (expires_at);

CREATE TABLE domicile_directory.refresh_token (
  hash       bytea PRIMARY KEY CHECK (pg_catalog.length(hash) = 32),
  family     text NOT NULL REFERENCES domicile_directory.refresh_family ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);
CREATE INDEX refresh_token_family ON domicile_directory.refresh_token (family);

-- Private keys of the regional issuer, sealed under the node's key file. A key is published from its
-- creation, signs from activates_at to retires_at, and is forgotten at expires_at.
CREATE TABLE domicile_directory.signing_key (
  kid          text PRIMARY KEY,
  algorithm    text NOT NULL CHECK (algorithm IN ('EdDSA', 'ES256')),
  sealed       bytea NOT NULL,
  created_at   timestamptz NOT NULL,
  activates_at timestamptz NOT NULL,
  retires_at   timestamptz NOT NULL CHECK (retires_at > activates_at),
  expires_at   timestamptz NOT NULL CHECK (expires_at > retires_at)
);

-- A person of one organization may act in another one of this region: named permissions, until a date, for
-- a ticket. Both organizations are checked by the guard.
CREATE TABLE domicile_directory.access_grant (
  id           text PRIMARY KEY CHECK (id OPERATOR(pg_catalog.~) '^g_[A-Za-z0-9_-]{22}$'),
  user_id      text NOT NULL REFERENCES domicile_directory.user_account ON DELETE CASCADE,
  organization {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  target       {{key_type}} NOT NULL CHECK (domicile.homed(target)),
  permissions  text[] NOT NULL CHECK (pg_catalog.cardinality(permissions) BETWEEN 1 AND 64),
  ticket       text NOT NULL CHECK (pg_catalog.length(ticket) BETWEEN 1 AND 128),
  granted_by   text NOT NULL CHECK (pg_catalog.length(granted_by) BETWEEN 1 AND 128),
  created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  expires_at   timestamptz NOT NULL,
  revoked_at   timestamptz,
  revoked_by   text,
  CHECK (organization OPERATOR(pg_catalog.<>) target),
  CHECK (expires_at > created_at)
);
CREATE INDEX access_grant_user ON domicile_directory.access_grant (user_id);
CREATE INDEX access_grant_target ON domicile_directory.access_grant (target);

-- What administrators changed, in the transaction that changed it. A node takes it into the region's event log and
-- deletes it when it is durable there; by_role is whom the database knew them as.
CREATE TABLE domicile_directory.outbox (
  id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at                  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  operation           text NOT NULL,
  activity            text NOT NULL CHECK (activity IN ('create', 'update', 'remove')),
  organization        text NOT NULL,
  acting_organization text NOT NULL DEFAULT '',
  subject             text NOT NULL DEFAULT '',
  permissions         text NOT NULL DEFAULT '',
  resource            text NOT NULL DEFAULT '',
  ticket              text NOT NULL DEFAULT '',
  by_operator         text NOT NULL,
  by_role             text NOT NULL DEFAULT session_user
);

REVOKE ALL ON SCHEMA domicile_directory FROM PUBLIC;
GRANT USAGE ON SCHEMA domicile_directory TO domicile_node;
GRANT SELECT, INSERT, DELETE ON domicile_directory.role_permission TO domicile_node;
GRANT SELECT, INSERT ON domicile_directory.user_account TO domicile_node;
GRANT UPDATE (password_hash, password_changed_at, roles, state) ON domicile_directory.user_account TO domicile_node;
GRANT SELECT, INSERT ON domicile_directory.client TO domicile_node;
GRANT UPDATE (secret_hash, permissions, roles, state) ON domicile_directory.client TO domicile_node;
GRANT SELECT, INSERT, DELETE ON domicile_directory.refresh_family, domicile_directory.refresh_token TO domicile_node;
GRANT UPDATE (revoked_at, reason) ON domicile_directory.refresh_family TO domicile_node;
GRANT UPDATE (used_at) ON domicile_directory.refresh_token TO domicile_node;
GRANT SELECT, INSERT, DELETE ON domicile_directory.signing_key TO domicile_node;
GRANT SELECT, INSERT ON domicile_directory.access_grant TO domicile_node;
GRANT UPDATE (revoked_at, revoked_by) ON domicile_directory.access_grant TO domicile_node;
-- Written whole or not at all, and changed by nobody.
GRANT SELECT, DELETE ON domicile_directory.outbox TO domicile_node;
GRANT INSERT (operation, activity, organization, acting_organization, subject, permissions, resource, ticket,
              by_operator) ON domicile_directory.outbox TO domicile_node;
-- A row lock for taking needs one column's UPDATE; nothing reads the number again.
GRANT UPDATE (id) ON domicile_directory.outbox TO domicile_node;
