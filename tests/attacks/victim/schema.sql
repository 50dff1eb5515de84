-- The victim of the attack corpus: one table of each class, owned by app_owner, in schema app.
-- {{key}} is the organization key's type. Rows of the other organization carry the word "bravo" in
-- every text column, so that the checker recognizes them wherever they surface.
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;

CREATE TABLE app.organization (          -- the application's own table of organizations
  id {{key}} PRIMARY KEY,
  name text NOT NULL
);

CREATE TABLE app.course (
  org_id {{key}} NOT NULL,
  id bigint NOT NULL,
  title text NOT NULL,
  code int NOT NULL DEFAULT 0,
  PRIMARY KEY (org_id, id)
);
CREATE INDEX course_title ON app.course (org_id, title);

CREATE TABLE app.lesson (                -- a child with the key of its own, and a composite key
  org_id {{key}} NOT NULL,
  id bigint NOT NULL,
  course_id bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (org_id, id),
  FOREIGN KEY (org_id, course_id) REFERENCES app.course (org_id, id) ON DELETE CASCADE
);

CREATE TABLE app.enrolment (             -- a parent with a plain key, as most applications have
  id bigint PRIMARY KEY,
  org_id {{key}} NOT NULL,
  person text NOT NULL UNIQUE
);

CREATE TABLE app.answer (                -- a child that reaches its organization by a path only
  id bigint PRIMARY KEY,
  enrolment_id bigint NOT NULL REFERENCES app.enrolment (id),
  words text NOT NULL
);

CREATE TABLE app.activity (              -- partitioned
  org_id {{key}} NOT NULL,
  happened date NOT NULL,
  what text NOT NULL
) PARTITION BY RANGE (happened);
CREATE TABLE app.activity_2025 PARTITION OF app.activity FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.activity_2026 PARTITION OF app.activity FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE app.question (              -- mixed: a NULL key is a shared row
  id bigint PRIMARY KEY,
  org_id {{key}},
  prompt text NOT NULL
);

CREATE TABLE app.draft (                 -- of an organization, and empty
  org_id {{key}} NOT NULL,
  id bigint NOT NULL,
  PRIMARY KEY (org_id, id)
);

CREATE TABLE app.country (               -- reference
  code text PRIMARY KEY,
  name text NOT NULL
);

CREATE TABLE app.account (               -- person
  user_id text PRIMARY KEY,
  display text NOT NULL
);

RESET ROLE;
CREATE TABLE public.report (             -- many applications live in schema public
  org_id {{key}} NOT NULL,
  id bigint NOT NULL,
  words text NOT NULL,
  PRIMARY KEY (org_id, id)
);
ALTER TABLE public.report OWNER TO app_owner;
SET ROLE app_owner;

CREATE TABLE app.member (                -- which organization a person belongs to
  org_id {{key}} NOT NULL,
  user_id text NOT NULL REFERENCES app.account (user_id),
  PRIMARY KEY (org_id, user_id)
);

CREATE VIEW app.course_titles AS SELECT org_id, title FROM app.course;
CREATE VIEW app.course_titles_invoker WITH (security_invoker = true) AS SELECT org_id, title FROM app.course;
CREATE VIEW app.course_titles_barrier WITH (security_barrier = true) AS SELECT org_id, title FROM app.course;
CREATE FUNCTION app.all_titles() RETURNS TABLE (org_id {{key}}, title text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'SELECT c.org_id, c.title FROM app.course c';
CREATE FUNCTION app.add_course(o {{key}}, i bigint, t text) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'INSERT INTO app.course (org_id, id, title) VALUES (o, i, t)';
CREATE SEQUENCE app.course_number;
RESET ROLE;
