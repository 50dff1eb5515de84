-- Signing in with a browser (authorization code, RFC 6749 section 4.1 with PKCE), and calling tokens back. Secrets
-- are random and stand here as their SHA-256 only. Times are the node's.
SET LOCAL ROLE domicile_owner;

-- Where an application's browser may be sent: with a code, and after signing out. Compared as a whole.
CREATE TABLE domicile_directory.client_uri (
  client_id text NOT NULL REFERENCES domicile_directory.client ON DELETE CASCADE,
  purpose   text NOT NULL CHECK (purpose IN ('redirect', 'signed_out')),
  uri       text NOT NULL CHECK (uri OPERATOR(pg_catalog.~) '^[!-~]+$' AND pg_catalog.length(uri) <= 2048),
  PRIMARY KEY (client_id, purpose, uri)
);

-- One person's sign-in in one browser.
CREATE TABLE domicile_directory.browser_session (
  hash         bytea PRIMARY KEY CHECK (pg_catalog.length(hash) = 32),
  user_id      text NOT NULL REFERENCES domicile_directory.user_account ON DELETE CASCADE,
  organization {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  signed_in_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  ended_at     timestamptz
);
CREATE INDEX browser_session_user ON domicile_directory.browser_session (user_id);
CREATE INDEX browser_session_expiry ON domicile_directory.browser_session (expires_at);

ALTER TABLE domicile_directory.refresh_family
  ADD COLUMN session bytea REFERENCES domicile_directory.browser_session ON DELETE SET NULL;
CREATE INDEX refresh_family_session ON domicile_directory.refresh_family (session);

-- A code is redeemed once, within a minute. What it was redeemed for is kept until it expires: a second try ends that.
CREATE TABLE domicile_directory.authorization_code (
  hash         bytea PRIMARY KEY CHECK (pg_catalog.length(hash) = 32),
  client_id    text NOT NULL REFERENCES domicile_directory.client ON DELETE CASCADE,
  redirect_uri text NOT NULL,
  challenge    text NOT NULL,
  user_id      text NOT NULL REFERENCES domicile_directory.user_account ON DELETE CASCADE,
  organization {{key_type}} NOT NULL CHECK (domicile.homed(organization)),
  scope        text[] NOT NULL,
  openid       boolean NOT NULL,
  nonce        text NOT NULL,
  session      bytea NOT NULL REFERENCES domicile_directory.browser_session ON DELETE CASCADE,
  signed_in_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  used_at      timestamptz,
  family       text REFERENCES domicile_directory.refresh_family ON DELETE SET NULL,
  token_id     text
);
CREATE INDEX authorization_code_expiry ON domicile_directory.authorization_code (expires_at);

-- Access tokens that no longer count: one of them, or all that a user or an organization was given up to a moment.
-- Every node of the region reads this twice a second; a row is of no use once the tokens it speaks of have expired.
CREATE TABLE domicile_directory.revocation (
  kind          text NOT NULL CHECK (kind IN ('token', 'user', 'organization')),
  subject       text NOT NULL CHECK (pg_catalog.length(subject) BETWEEN 1 AND 255),
  issued_before timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (kind, subject)
);

GRANT SELECT, INSERT ON domicile_directory.client_uri TO domicile_node;
GRANT SELECT, INSERT, DELETE ON domicile_directory.browser_session, domicile_directory.authorization_code,
  domicile_directory.revocation TO domicile_node;
GRANT UPDATE (ended_at) ON domicile_directory.browser_session TO domicile_node;
GRANT UPDATE (issued_before, expires_at) ON domicile_directory.revocation TO domicile_node;
GRANT UPDATE (used_at, family, token_id) ON domicile_directory.authorization_code TO domicile_node;
