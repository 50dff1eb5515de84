"""A database that Domicile did not make: its own row security, policies, triggers, grants, partitions,
inheritance, and one application role, with `domicile region` on it."""

import os
import re
import subprocess

from support.domicile import domicile_json
from support.postgres import BIN, Cluster
from support.region import TABLES, Region

OWN = """
CREATE ROLE reporting; CREATE ROLE auditor;
SET ROLE app_owner;
GRANT USAGE ON SCHEMA app TO pool, reporting;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO pool;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA app TO pool;
GRANT SELECT ON app.course, app.event TO reporting WITH GRANT OPTION;
GRANT SELECT (id, org_id) ON app.enrolment TO reporting;
ALTER TABLE app.version ENABLE ROW LEVEL SECURITY;
CREATE TABLE app.secret (org_id bigint NOT NULL, v text);
ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON app.secret TO pool USING (v IS NOT NULL) WITH CHECK (true);
GRANT SELECT ON app.secret TO pool;
CREATE TABLE app.locked (org_id bigint NOT NULL, v text);
ALTER TABLE app.locked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE app.base (org_id bigint NOT NULL, v text);
CREATE TABLE app.child (w text) INHERITS (app.base);
CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := upper(NEW.title); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON app.course FOR EACH ROW EXECUTE FUNCTION app.stamp();
ALTER TABLE app.course ENABLE REPLICA TRIGGER stamp;
CREATE VIEW app.titles AS SELECT org_id, title FROM app.course;
GRANT SELECT ON app.titles TO reporting;
CREATE INDEX ON app.course (title);
COMMENT ON TABLE app.course IS 'theirs';
ALTER TABLE app.course ADD CONSTRAINT titled CHECK (title <> '') NOT VALID;
CREATE TABLE app.event_2027 PARTITION OF app.event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') PARTITION BY LIST (what);
CREATE TABLE app.event_2027_x PARTITION OF app.event_2027 DEFAULT;
GRANT SELECT ON app.event_2027_x TO auditor;
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT INSERT ON TABLES TO pool;
"""
MORE = {
    "secret": 'class = "organization"\nkey = "org_id"',
    "locked": 'class = "organization"\nkey = "org_id"',
    "base": 'class = "organization"\nkey = "org_id"',
}
ALL = {**TABLES, **MORE}


class Adoption(Region):
    """default_mode is off: `region init` touches no table."""

    def __init__(self, folder, cluster: Cluster | None = None):
        super().__init__(folder, cluster=cluster)
        with self.connect() as c:
            c.execute(OWN)
        self.write_catalog(mode="off", tables=ALL)

    def dump(self, *options) -> str:
        """pg_dump --schema-only with privileges, without what differs between two dumps of one database."""
        done = subprocess.run(
            [BIN / "pg_dump", "--schema-only", *options, "-h", "127.0.0.1", "-p", str(self.cluster.port),
             "-U", "postgres", "app"], env={**os.environ, "PGPASSWORD": Cluster.password}, check=True, capture_output=True, text=True)
        return re.sub(r"(?m)^\\(un)?restrict .*\n", "", done.stdout)

    def mode(self, verb: str, *arguments, check: bool = True, **kwargs):
        return self.run(verb, "--catalog", self.catalog_file, *arguments, check=check, **kwargs)

    def report(self) -> dict:
        """table -> its part of `observe --report`"""
        found = domicile_json("region", "observe", "--report", "--dsn", self.dsn())
        return {table["table"]: table for table in found["tables"]}

    def refusals(self, table: str) -> dict:
        """(reason, command) -> statements"""
        found: dict = {}
        for refusal in self.report()[table]["refusals"]:
            key = refusal["reason"], refusal["command"]
            found[key] = found.get(key, 0) + refusal["statements"]
        return found

    def one(self, sql: str, *parameters):
        with self.connect() as c:
            return c.execute(sql, parameters).fetchone()[0]

    def execute(self, sql: str):
        with self.connect() as c:
            c.execute(sql)

    def token(self, key: str) -> str:
        """A context as the HTTP door signs it."""
        import hashlib
        import hmac
        import secrets
        import time
        with self.connect() as c:
            kid, secret, database = c.execute("SELECT * FROM domicile.context_signing_key()").fetchone()
        head = "~".join(["dc1", kid, key, "1", database, str(int(time.time()) + 50), secrets.token_hex(8)])
        return head + "~" + hmac.new(secret, head.encode(), hashlib.sha256).hexdigest()
