"""Guarded regions for the tests of `domicile check`: real servers, made by the real `region init` and
opened by the real `region reconcile`, as an operator does it."""

import json
import pathlib
import shutil
import tempfile

import psycopg

from support.domicile import domicile
from support.postgres import Cluster

PASSWORD = "guarded"
SCHEMA = """
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;
CREATE TABLE app.course (org_id bigint NOT NULL, id bigint NOT NULL, title text NOT NULL, PRIMARY KEY (org_id, id));
CREATE TABLE app.enrolment (id bigint PRIMARY KEY, org_id bigint NOT NULL, person text NOT NULL);
CREATE INDEX ON app.enrolment (org_id);
CREATE TABLE app.answer (id bigint PRIMARY KEY, enrolment_id bigint NOT NULL REFERENCES app.enrolment (id), words text);
CREATE TABLE app.activity (org_id bigint NOT NULL, happened date NOT NULL, what text) PARTITION BY RANGE (happened);
CREATE TABLE app.activity_2025 PARTITION OF app.activity FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.activity_2026 PARTITION OF app.activity FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON app.activity (org_id);
CREATE TABLE app.draft (org_id bigint NOT NULL, id bigint NOT NULL, PRIMARY KEY (org_id, id));
CREATE TABLE app.note (org_id bigint, id bigint NOT NULL, UNIQUE (org_id, id));
CREATE TABLE app.question (id bigint PRIMARY KEY, org_id bigint, prompt text NOT NULL);
CREATE TABLE app.country (code text PRIMARY KEY, name text NOT NULL);
RESET ROLE;
"""
CATALOG = """
[catalog]
version = 1
key_type = "bigint"
schemas = ["app"]
default_mode = "enforce"
""" + "".join(f'[[table]]\nname = "app.{name}"\n{rest}\n' for name, rest in [
    ("activity", 'class = "organization"\nkey = "org_id"'),
    ("activity_2025", 'class = "organization"\nkey = "org_id"'),
    ("activity_2026", 'class = "organization"\nkey = "org_id"'),
    ("answer", 'class = "organization"\npath = ["enrolment_id -> app.enrolment"]'),
    ("country", 'class = "reference"'),
    ("course", 'class = "organization"\nkey = "org_id"'),
    ("draft", 'class = "organization"\nkey = "org_id"'),
    ("enrolment", 'class = "organization"\nkey = "org_id"'),
    ("note", 'class = "organization"\nkey = "org_id"'),
    ("question", 'class = "mixed"\nkey = "org_id"'),
])
LOGINS = {"installer": "CREATEROLE CREATEDB", "app_pool": "", "node_login": "", "checker": ""}


class GuardedRegion:
    def __init__(self, name: str, organizations: list[str], event_triggers: bool = False, with_rows: bool = True):
        self.name = name
        self.organizations = organizations
        self.cluster = Cluster({"wal_level": "logical", "log_min_error_statement": "fatal"})
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="domicile-check-"))
        try:
            self._build(event_triggers)
            if with_rows:
                self._fill()
        except BaseException:
            self.drop()
            raise

    def drop(self):
        self.cluster.drop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _build(self, event_triggers: bool):
        with self.cluster.connect() as c:
            c.execute("CREATE ROLE app_owner NOLOGIN")
            for login, attributes in LOGINS.items():
                c.execute(f"CREATE ROLE {login} LOGIN {attributes} PASSWORD '{PASSWORD}'")
            c.execute("GRANT app_owner TO installer")
            c.execute("CREATE DATABASE region OWNER installer")
        with self.superuser() as c:
            c.execute(SCHEMA)
        catalog = self.file("catalog.toml", CATALOG)
        extra = ["--superuser-dsn-file", self.file("superuser.dsn", self.cluster.dsn("region"), 0o600)] if event_triggers else []
        domicile("region", "init", "--dsn", self.dsn("installer"), "--region", self.name, "--master", "--catalog", catalog,
                 "--app-role", "app_pool", "--node-role", "node_login", *extra)
        self.reconcile()
        with self.superuser() as c:
            c.execute("GRANT domicile_checker TO checker")
        self.dsn_file = self.file("checker.dsn", self.dsn("checker"), 0o600)
        status = self.one("SELECT database_id, system_identifier FROM domicile.region_status()")
        self.database_id, self.system_identifier = status

    def _fill(self):
        with self.superuser() as c:
            for number, key in enumerate(self.organizations):
                c.execute(f"INSERT INTO app.course VALUES ({key}, 1, 'one')")
                c.execute(f"INSERT INTO app.enrolment VALUES ({number}, {key}, 'p')")
                c.execute(f"INSERT INTO app.answer VALUES ({number}, {number}, 'w')")
                c.execute(f"INSERT INTO app.activity VALUES ({key}, '2025-05-05', 'a'), ({key}, '2026-05-05', 'b')")
                c.execute(f"INSERT INTO app.question VALUES ({number}, {key}, 'q')")
            c.execute("INSERT INTO app.question VALUES (1000, NULL, 'shared')")
            c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")

    def placements(self) -> pathlib.Path:
        return self.file("placements.json", json.dumps({"region": self.name, "revision": 1, "organizations": [
            {"key": key, "epoch": 1, "state": "active"} for key in self.organizations]}))

    def reconcile(self):
        domicile("region", "reconcile", "--dsn", self.dsn("node_login"), "--placements", self.placements(), timeout=900)

    def dsn(self, user: str) -> str:
        return f"host=127.0.0.1 port={self.cluster.port} dbname=region user={user} password={PASSWORD}"

    def superuser(self) -> psycopg.Connection:
        return self.cluster.connect("region")

    def connect(self, user: str) -> psycopg.Connection:
        return psycopg.connect(self.dsn(user), autocommit=True)

    def execute(self, sql: str):
        with self.superuser() as c:
            c.execute(sql)

    def one(self, sql: str):
        with self.superuser() as c:
            return c.execute(sql).fetchone()

    def file(self, name: str, text: str, mode: int = 0o644) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def toml(self, **overrides) -> str:
        """Its [[region]] in a checks.toml."""
        values = {"name": self.name, "dsn_file": str(self.dsn_file), "system_identifier": self.system_identifier,
                  "database_id": self.database_id, "placements": str(self.folder / "placements.json"),
                  "roles": ["installer"], **overrides}
        tables = values.pop("tables", "")
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
        return "[[region]]\n" + "\n".join(lines) + "\n" + tables
