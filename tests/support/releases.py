"""A master region with reference tables of several shapes, three editors, and the verbs of `domicile reference release`."""

import json
import subprocess

import pytest

from support.domicile import binary
from support.postgres import Cluster
from support.region import Region

PEOPLE = ("ann", "bob", "eve")
SCHEMA = """
SET ROLE app_owner;
CREATE TABLE app.city (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, country text NOT NULL REFERENCES app.country ON DELETE CASCADE,
  name text NOT NULL UNIQUE, twice int GENERATED ALWAYS AS (length(name) * 2) STORED);
CREATE TABLE app.harbour (id int PRIMARY KEY, city text REFERENCES app.city (name) ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE app.fact (
  id bigserial PRIMARY KEY, t text, n numeric(30,10), f float8, b bytea, at timestamptz, d date, i interval, j json, jb jsonb, a int[], u uuid, m money, c "char");
CREATE TABLE app.part (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
CREATE TABLE app.part_low (name text, id int NOT NULL);
ALTER TABLE app.part ATTACH PARTITION app.part_low FOR VALUES FROM (0) TO (100);
CREATE TABLE app.part_high PARTITION OF app.part FOR VALUES FROM (100) TO (200);
CREATE TABLE app.node (id int PRIMARY KEY, parent int REFERENCES app.node);
"""
TABLES = {name: 'class = "reference"' for name in ("city", "harbour", "fact", "part", "node")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    region = Region(tmp_path_factory.mktemp("release"), cluster=Cluster({"wal_level": "logical"}))
    try:
        with region.connect() as c:
            c.execute(SCHEMA)
        region.write_catalog(**TABLES)
        region.init("--master", "--superuser-dsn-file", region.superuser_file())
        region.home("7")
        with region.connect() as c:
            for person in PEOPLE:
                c.execute(f"CREATE ROLE {person} LOGIN PASSWORD 'secret'")
                c.execute(f"GRANT domicile_editor TO {person}")
            c.execute("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
        yield region
    finally:
        region.drop()


@pytest.fixture
def region(built):
    """Each test begins with the same rows and no release."""
    with built.connect() as c:
        c.execute("SET session_replication_role = replica; SELECT domicile_private.require_releases(false)")
        c.execute("ALTER TABLE domicile.published_release DISABLE TRIGGER ALL")
        c.execute("TRUNCATE domicile.release, domicile.release_part, domicile.release_table, domicile.release_change")
        c.execute("DELETE FROM domicile.published_release")
        c.execute("ALTER TABLE domicile.published_release ENABLE ALWAYS TRIGGER domicile_write")
        c.execute("ALTER TABLE domicile.published_release ENABLE ALWAYS TRIGGER domicile_truncate")
        c.execute("DELETE FROM domicile_directory.outbox")
        for table in ("harbour", "city", "country", "fact", "part", "node"):
            c.execute(f"DELETE FROM app.{table}")
    with built.connect() as c:
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada'), ('US', 'U.S.')")
        c.execute("INSERT INTO app.city (country, name) VALUES ('CA', 'Toronto'), ('US', 'Boston')")
    return built


def release(region, person: str, *arguments, code: int = 0):
    done = subprocess.run([str(binary()), "-q", "--output", "json", "reference", "release", arguments[0], "--dsn", region.dsn(person),
                           *map(str, arguments[1:])], text=True, capture_output=True, timeout=120)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if code == 0 or done.stdout else done.stderr


def rows(region, table: str):
    with region.connect() as c:
        return sorted(r[0] for r in c.execute(f"SELECT (t.*)::text FROM app.{table} t").fetchall())


def everything(region):
    return {table: rows(region, table) for table in ("harbour", "city", "country", "fact", "part", "node")}


def state_of(region, name: str) -> str:
    return {r["release"]: r for r in release(region, "ann", "list")["releases"]}[name]["state"]


def holds(region, who: str = "stranger"):
    with region.connect(who) as c:
        return c.execute("SELECT name, number FROM domicile.reference_release()").fetchone()


def approved(region, name: str, *statements: str):
    release(region, "ann", "create", name)
    for statement in statements:
        release(region, "ann", "add", name, "--sql", statement)
    release(region, "ann", "submit", name)
    release(region, "bob", "approve", name)


RENAME = "UPDATE app.country SET name = 'United States' WHERE code = 'US'"
