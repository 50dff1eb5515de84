-- Jobs that a verb asks of the region's node, and what comparisons found. A verb puts a row here and reads its
-- progress; the node takes rows one at a time (reference/compare_worker.h). What a node left behind as running is
-- taken up again from its start, by whichever node of the region then holds the worker's lock.
SET LOCAL ROLE domicile_owner;

CREATE TABLE domicile.reference_job (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL CHECK (kind IN ('compare')),
  options      jsonb NOT NULL DEFAULT '{}',
  state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'cancelling', 'done', 'failed', 'cancelled')),
  progress     jsonb NOT NULL DEFAULT '{}',
  result       jsonb,
  scheduled    date UNIQUE,                             -- the daily one of that day; NULL: somebody asked
  requested_by text NOT NULL DEFAULT session_user,
  requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  started_at   timestamptz,
  ended_at     timestamptz,
  CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX ON domicile.reference_job (id) WHERE ended_at IS NULL;

-- One line for each table and run: what `reference status` shows as the last comparison, and how a table that
-- drifts again and again is known.
CREATE TABLE domicile.reference_compare (
  job          bigint NOT NULL REFERENCES domicile.reference_job (id) ON DELETE CASCADE,
  table_name   text NOT NULL,                           -- schema.name
  at           timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  outcome      text NOT NULL CHECK (outcome IN ('equal', 'different', 'repaired', 'failed')),
  reason       text NOT NULL DEFAULT '',                -- of failed
  master_rows  bigint NOT NULL,
  replica_rows bigint NOT NULL,
  missing      bigint NOT NULL,                         -- the master has them, this region does not
  extra        bigint NOT NULL,                         -- this region has them, the master does not
  changed      bigint NOT NULL,
  repaired     bigint NOT NULL,
  blocked      bigint NOT NULL,                         -- could not be repaired
  seconds      double precision NOT NULL,
  bytes        bigint NOT NULL,                         -- across the border, both ways
  PRIMARY KEY (job, table_name)
);
CREATE INDEX ON domicile.reference_compare (table_name, at DESC);

GRANT SELECT, INSERT ON domicile.reference_job TO domicile_node, domicile_reference;
GRANT UPDATE (state, ended_at) ON domicile.reference_job TO domicile_node;
GRANT UPDATE ON domicile.reference_job TO domicile_reference;
GRANT SELECT ON domicile.reference_compare TO domicile_node;
GRANT SELECT, INSERT ON domicile.reference_compare TO domicile_reference;
GRANT USAGE ON SCHEMA domicile TO domicile_reference;
