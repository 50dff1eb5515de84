"""A guarded region with two organizations, built by the real `domicile region init`: the ground of the
attack, fence and pooler tests.

One PostgreSQL server, one key type, one template database. `fresh()` gives a copy of the database to a
case that changes definitions. Roles are shared by the whole server.
"""

import contextlib
import hashlib
import hmac
import json
import pathlib
import re
import secrets
import tempfile
import time

from support.domicile import domicile
from support.postgres import BIN, Cluster
from support.wire import Session

VICTIM = pathlib.Path(__file__).resolve().parents[1] / "attacks" / "victim"
PASSWORD = "arena"
KEYS = {
    "bigint": ("7", "8", "9"),
    "uuid": ("0f2c9a7e-52a4-4f0e-9d55-6a1f0c1d2e01", "0f2c9a7e-52a4-4f0e-9d55-6a1f0c1d2e02",
             "0f2c9a7e-52a4-4f0e-9d55-6a1f0c1d2e03"),
    "text": ("north:7", "south:8", "east:9"),
}
LOGINS = {  # role -> attributes
    "installer": "LOGIN CREATEROLE CREATEDB",
    "app_pool": "LOGIN",
    "node_login": "LOGIN",
    "creator": "LOGIN CREATEROLE",
    "etl_7": "LOGIN",
    "nobody_at_all": "LOGIN",
}


def role_of(key_type: str, key: str) -> str:
    if key_type == "text":
        return "org_t" + hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"org_{key}"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Arena:
    def __init__(self, key_type: str = "bigint", settings: dict | None = None, bin: pathlib.Path = BIN):
        self.key_type = key_type
        self.own, self.other, self.absent = KEYS[key_type]
        self.cluster = Cluster({"statement_timeout": "20s", "wal_level": "logical", **(settings or {})}, bin=bin)
        self.database = "arena"
        try:
            self._build()
        except BaseException:
            self.cluster.drop()
            raise

    def drop(self):
        self.cluster.drop()

    # -- building

    def _build(self):
        with self.superuser("postgres") as s:
            s.must("CREATE ROLE app_owner NOLOGIN")
            for name, attributes in LOGINS.items():
                s.must(f"CREATE ROLE {name} {attributes} PASSWORD '{PASSWORD}'")
            s.must("GRANT app_owner TO installer")
            s.must(f"CREATE DATABASE {self.database} OWNER installer")
        with self.superuser() as s:
            self.prepare_schema(s)
        self._install()
        with self.superuser() as s:
            s.must("GRANT domicile_tenant TO etl_7")
            for key in (self.own, self.other):
                s.must(f'ALTER ROLE "{role_of(self.key_type, key)}" PASSWORD \'{PASSWORD}\'')
            self.fill_rows(s)

    def _install(self):
        """As an operator does it: init as the installer, then reconcile with the registry's list as a node."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            catalog, superuser, placements = folder / "catalog.toml", folder / "superuser", folder / "placements.json"
            catalog.write_text(self.catalog_text())
            superuser.write_text(self.dsn("postgres", password=Cluster.password))
            superuser.chmod(0o600)
            placements.write_text(json.dumps({"region": "ca-central-1", "revision": 1, "organizations": [
                {"key": key, "epoch": 1, "state": "active"} for key in self.homed_keys()]}))
            domicile("region", "init", "--dsn", self.dsn("installer"), "--superuser-dsn-file", superuser, "--master",
                     "--region", "ca-central-1", "--catalog", catalog, "--app-role", "app_pool", "--node-role", "node_login")
            domicile("region", "reconcile", "--dsn", self.dsn("node_login"), "--placements", placements)

    def homed_keys(self) -> list[str]:
        return [self.own, self.other]

    # What the benchmarks replace by a schema of their own.

    def prepare_schema(self, session: Session):
        session.must(self.fill((VICTIM / "schema.sql").read_text()))

    def catalog_text(self) -> str:
        return self.fill((VICTIM / "domicile.catalog.toml").read_text())

    def fill_rows(self, session: Session):
        session.must(self.fill((VICTIM / "rows.sql").read_text()))
        session.must("ANALYZE")

    def fill(self, text: str) -> str:
        words = {"key": self.key_type, "own": literal(self.own), "other": literal(self.other)}
        return re.sub(r"\{\{(\w+)\}\}", lambda m: words[m.group(1)], text)

    # -- sessions

    def dsn(self, user: str, database: str = "", password: str = PASSWORD) -> str:
        return (f"host=127.0.0.1 port={self.cluster.port} dbname={database or self.database} "
                f"user={user} password={password}")

    def login(self, user: str, database: str = "", options: str = "") -> Session:
        password = Cluster.password if user == "postgres" else PASSWORD
        extra = f" options='{options}'" if options else ""
        return Session(self.dsn(user, database, password) + extra)

    def superuser(self, database: str = "") -> Session:
        return self.login("postgres", database)

    def role(self, key: str) -> str:
        return role_of(self.key_type, key)

    def actor(self, name: str, database: str = "") -> Session:
        """A session of one of the corpus's actors, ready to attack."""
        users = {"org": self.role(self.own), "other_org": self.role(self.other), "app": "app_pool",
                 "app_bare": "app_pool", "superuser": "postgres", "replica": "postgres", "installer": "installer",
                 "owner": "installer", "creator": "creator", "node": "node_login", "stranger": "etl_7",
                 "nobody": "nobody_at_all"}
        session = self.login(users[name], database)
        if name == "replica":
            session.must("SET session_replication_role = replica")
        if name == "owner":
            session.must("SET ROLE app_owner")
        if name == "app":
            session.must("BEGIN")
            session.must("SELECT domicile.enter($1)", self.token(self.own))
        return session

    # -- contexts of the application door

    def signing_key(self) -> tuple[str, bytes, str]:
        if not hasattr(self, "_signing_key"):
            with self.superuser() as s:
                kid, key = s.must("SELECT kid, encode(key, 'hex') FROM domicile_private.context_key "
                                  "WHERE retired_at IS NULL ORDER BY created_at DESC LIMIT 1").rows[0]
                database_id = s.value("SELECT database_id FROM domicile.region")
            self._signing_key = kid, bytes.fromhex(key), database_id
        return self._signing_key

    def token(self, key: str, epoch: int = 1, seconds: int = 50, database_id: str | None = None, kid: str | None = None,
              secret: bytes | None = None, expires: str | None = None) -> str:
        real_kid, real_secret, real_database = self.signing_key()
        head = "~".join(["dc1", kid or real_kid, key, str(epoch), database_id or real_database,
                         expires or str(int(time.time()) + seconds), secrets.token_hex(8)])
        return head + "~" + hmac.new(secret or real_secret, head.encode(), hashlib.sha256).hexdigest()

    # -- what the guard is made of

    def slots(self, session: Session) -> list[str]:
        """The sequences that hold a transaction's context."""
        return [row[0] for row in session.must(
            "SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = ANY "
            "(ARRAY['domicile', 'domicile_private']::regnamespace[]) ORDER BY 1").rows]

    def hints(self, session: Session) -> list[str]:
        """The custom settings named in the guard's own functions."""
        return [row[0] for row in session.must(
            "SELECT DISTINCT m[1] FROM pg_proc p, regexp_matches(p.prosrc, '''(domicile[a-z_]*[.][a-z_]+)''', 'g') m "
            "WHERE p.pronamespace::regnamespace::text LIKE 'domicile%'").rows]

    def fence(self, session: Session, key: str, epoch: int):
        session.must("SELECT domicile.fence_organization($1, $2)", key, epoch)

    # -- copies of the database

    @contextlib.contextmanager
    def fresh(self):
        """A copy of the database with its privileges and settings, dropped afterwards."""
        name = "copy_" + secrets.token_hex(4)
        with self.superuser("postgres") as s:
            s.must(f"CREATE DATABASE {name} TEMPLATE {self.database} STRATEGY file_copy")
            s.must("UPDATE pg_database d SET datacl = t.datacl, datdba = t.datdba FROM pg_database t "
                   f"WHERE d.datname = '{name}' AND t.datname = '{self.database}'")
            s.must("INSERT INTO pg_db_role_setting SELECT d.oid, r.setrole, r.setconfig "
                   "FROM pg_db_role_setting r JOIN pg_database t ON t.oid = r.setdatabase "
                   f"JOIN pg_database d ON d.datname = '{name}' WHERE t.datname = '{self.database}'")
            try:
                yield name
            finally:
                s.simple(f"DROP DATABASE {name} WITH (FORCE)")

    # -- what must hold after every attack

    TABLES = ("course", "lesson", "enrolment", "activity", "question", "member")

    def fingerprint(self, session: Session) -> dict[str, str]:
        """The victim's rows, the shared rows and the reference rows, as digests."""
        found = {}
        other = f"t.org_id = {literal(self.other)}"
        parts = {"course": ("course", "id, title, code", other), "lesson": ("lesson", "id, course_id, body", other),
                 "enrolment": ("enrolment", "id, person", other), "activity": ("activity", "happened, what", other),
                 "question": ("question", "id, prompt", other), "member": ("member", "user_id", other),
                 "shared": ("question", "id, prompt", "t.org_id IS NULL"), "answer": ("answer", "enrolment_id, words", "t.id > 1000"),
                 "account": ("account", "display", "t.user_id = 'u-2'"), "country": ("country", "code, name", "true")}
        for name, (table, columns, where) in parts.items():
            if session.value(f"SELECT to_regclass('app.{table}') IS NULL") == "t":
                continue  # a case about DROP TABLE
            found[name] = session.value(f"SELECT coalesce(md5(string_agg(ROW({columns})::text, chr(10) ORDER BY ROW({columns})::text)), '-') "
                                        f"FROM app.{table} t WHERE {where}")
        return found

    def foreign_rows(self, session: Session) -> dict[str, int]:
        """Rows of organizations that are not homed here, by table."""
        found = {}
        for table in self.TABLES:
            if session.value(f"SELECT to_regclass('app.{table}') IS NULL") == "t":
                continue
            count = int(session.value(f"SELECT count(*) FROM app.{table} t WHERE t.org_id NOT IN "
                                      f"({literal(self.own)}, {literal(self.other)})"))
            if count:
                found[table] = count
        return found
