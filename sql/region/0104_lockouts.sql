-- Failed sign-ins of an account name, for all nodes of the region and across restarts. `subject` is a hash of
-- organization and login under a key of the nodes: no names here, and names that nobody has are counted like those that
-- somebody has. A row is written after a failure only, which has cost an argon2id, and is of no use after forget_at.
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile_directory.failed_sign_in (
  subject      bytea PRIMARY KEY CHECK (pg_catalog.length(subject) = 32),
  tries        double precision NOT NULL CHECK (tries >= 0),
  lockouts     integer NOT NULL CHECK (lockouts >= 0),
  seen_at      timestamptz NOT NULL,
  locked_until timestamptz NOT NULL,
  forget_at    timestamptz NOT NULL
);
CREATE INDEX failed_sign_in_forget ON domicile_directory.failed_sign_in (forget_at);

GRANT SELECT, INSERT, DELETE ON domicile_directory.failed_sign_in TO domicile_node;
GRANT UPDATE (tries, lockouts, seen_at, locked_until, forget_at) ON domicile_directory.failed_sign_in TO domicile_node;
