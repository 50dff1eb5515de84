"""Reference tables in a region that is not the master: nobody but the applier writes them, whoever it is and whichever way
it takes."""

import time

import psycopg
import pytest
from support.postgres import Cluster
from support.region import Region

SCHEMA = """
SET ROLE app_owner;
CREATE TABLE app.city (id int PRIMARY KEY, country text REFERENCES app.country ON DELETE CASCADE ON UPDATE CASCADE, name text);
CREATE TABLE app.part (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
CREATE TABLE app.part_low PARTITION OF app.part FOR VALUES FROM (0) TO (100);
CREATE TABLE app.stock (id serial PRIMARY KEY, name text);
CREATE TABLE app.staging (code text, name text);
CREATE FUNCTION app.sneak() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE app.country SET name = name || ''?''';
GRANT EXECUTE ON FUNCTION app.sneak() TO PUBLIC;
RESET ROLE;
"""
TABLES = {"city": 'class = "reference"', "part": 'class = "reference"', "stock": 'class = "reference"', "staging": 'class = "system"'}


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    made = Region(tmp_path_factory.mktemp("guard"), cluster=Cluster({"wal_level": "logical"}))
    try:
        with made.connect() as c:
            c.execute(SCHEMA)
            c.execute("INSERT INTO app.country VALUES ('CA', 'Canada'), ('US', 'U.S.')")
            c.execute("INSERT INTO app.city VALUES (1, 'CA', 'Toronto')")
            c.execute("INSERT INTO app.part VALUES (1, 'one')")
            c.execute("INSERT INTO app.staging VALUES ('XX', 'x')")
            c.execute("CREATE ROLE applier LOGIN PASSWORD 'secret'; CREATE ROLE other LOGIN PASSWORD 'secret'")
        made.write_catalog(**TABLES)
        made.init("--superuser-dsn-file", made.superuser_file())
        with made.connect() as c:
            c.execute("GRANT domicile_reference TO applier")
        yield made
    finally:
        made.drop()


def rows(region):
    with region.connect() as c:
        return [c.execute(f"SELECT (t.*)::text FROM app.{table} t ORDER BY 1").fetchall() for table in ("country", "city", "part")]


ATTACKS = [
    "INSERT INTO app.country VALUES ('XX', 'x')",
    "INSERT INTO app.country SELECT code, name FROM app.staging",
    "INSERT INTO app.country VALUES ('CA', 'x') ON CONFLICT (code) DO UPDATE SET name = 'x'",
    "UPDATE app.country SET name = 'x' WHERE code = 'CA'",
    "UPDATE app.country SET code = 'XX' WHERE code = 'CA'",  # and its city by the foreign key
    "DELETE FROM app.country WHERE code = 'CA'",
    "DELETE FROM app.city",
    "MERGE INTO app.country c USING app.staging s ON c.code = s.code WHEN NOT MATCHED THEN INSERT VALUES (s.code, s.name)",
    "MERGE INTO app.country c USING app.staging s ON true WHEN MATCHED AND c.code = 'CA' THEN UPDATE SET name = s.name",
    "WITH gone AS (DELETE FROM app.country WHERE code = 'CA' RETURNING *) SELECT count(*) FROM gone",
    "COPY app.country FROM PROGRAM 'echo XX,x' (FORMAT csv)",
    "INSERT INTO app.part VALUES (2, 'two')",
    "INSERT INTO app.part_low VALUES (2, 'two')",
    "UPDATE app.part_low SET name = 'x'",
    "DELETE FROM ONLY app.part_low",
    "TRUNCATE app.city",
    "TRUNCATE app.country CASCADE",
    "TRUNCATE app.part_low",
    "SELECT app.sneak()",
    "DO $$ BEGIN UPDATE app.country SET name = 'x'; END $$",
    "DO $$ BEGIN BEGIN UPDATE app.country SET name = 'x'; EXCEPTION WHEN check_violation THEN NULL; END; UPDATE app.country SET name = 'y'; END $$",
    "PREPARE w AS UPDATE app.country SET name = 'x'; EXECUTE w",
    "INSERT INTO domicile.published_release VALUES (9, 'x', 'publish', 'x', '', now())",
    "UPDATE domicile.reference_beat SET at = now() + interval '1 year'",
    "SET ROLE domicile_reference; UPDATE app.country SET name = 'x'",
    "SET ROLE domicile_releaser; UPDATE app.country SET name = 'x'",
]
WEAKENED = [
    "ALTER TABLE app.country DISABLE TRIGGER domicile_write",
    "ALTER TABLE app.country DISABLE TRIGGER ALL",
    "ALTER TABLE app.country ENABLE REPLICA TRIGGER domicile_write",
    "ALTER TABLE app.part_low DISABLE TRIGGER domicile_write",
    "DROP TRIGGER domicile_write ON app.country",
    "ALTER TABLE app.country RENAME TO country_old",
    "ALTER TABLE app.country SET SCHEMA public",
    "ALTER TRIGGER domicile_write ON app.country RENAME TO harmless",
    "CREATE OR REPLACE FUNCTION domicile.reference_writer() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'",
    "CREATE OR REPLACE RULE r AS ON INSERT TO app.staging DO ALSO INSERT INTO app.country VALUES (NEW.code, NEW.name); INSERT INTO app.staging VALUES ('YY', 'y')",
    "GRANT INSERT ON app.country TO other",
    "CREATE PUBLICATION p FOR TABLE app.country",
    "CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)",
]


def run_as(region, actor: str, statement: str):
    user = {"superuser": "postgres", "replica": "postgres", "owner": "installer"}.get(actor, actor)
    with region.connect(user) as c:
        if actor == "replica":
            c.execute("SET session_replication_role = replica")
        if actor == "owner":
            c.execute("SET ROLE app_owner")
        for part in statement.split("; ") if not statement.startswith("DO ") else [statement]:
            c.execute(part)


@pytest.mark.parametrize("actor", ["superuser", "replica", "owner", "installer", "pool", "node", "other"])
def test_nobody_but_the_applier_writes(region, actor):
    before = rows(region)
    passed = []
    for attack in ATTACKS:
        try:
            run_as(region, actor, attack)
            passed.append(attack)
        except (psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege):
            pass
    assert rows(region) == before and not passed, passed


@pytest.mark.parametrize("statement", WEAKENED)
def test_the_guard_is_not_weakened(region, statement):
    before = rows(region)
    for actor in ("superuser", "owner"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation, psycopg.errors.InvalidSchemaName,
                            psycopg.errors.WrongObjectType)):
            run_as(region, actor, statement)
    assert rows(region) == before
    with region.connect() as c:
        assert c.execute("SELECT kind, object FROM domicile.violations() WHERE severity = 'refuse' AND NOT known").fetchall() == []


def test_a_member_of_both_groups_is_no_applier(region):
    """Who may become domicile_owner could change the guard: that is not the applier's login."""
    with region.connect() as c:
        c.execute("GRANT domicile_owner TO other; GRANT domicile_reference TO other")
    try:
        with region.connect("other") as c, pytest.raises(psycopg.errors.CheckViolation):
            c.execute("UPDATE app.country SET name = 'x'")
    finally:
        with region.connect() as c:
            c.execute("REVOKE domicile_owner, domicile_reference FROM other")


def test_another_database_s_stream_is_refused_too(region):
    """A subscription's worker is a superuser with session_replication_role = replica."""
    source = Cluster({"wal_level": "logical"})
    try:
        source.create_database("app")
        with source.connect("app") as c:
            c.execute("CREATE SCHEMA app; CREATE TABLE app.country (code text PRIMARY KEY, name text NOT NULL); CREATE PUBLICATION p FOR TABLE app.country")
        with region.connect() as c:
            before = rows(region)
            c.execute("ALTER EVENT TRIGGER domicile_ddl DISABLE")
            try:
                c.execute(f"CREATE SUBSCRIPTION s CONNECTION '{source.dsn('app')}' PUBLICATION p WITH (copy_data = false)")
                assert [v for v in c.execute("SELECT kind, object FROM domicile.violations()").fetchall() if v == ("subscription", "s")]
                with source.connect("app") as there:
                    there.execute("INSERT INTO app.country VALUES ('ZZ', 'from elsewhere')")
                deadline = time.monotonic() + 30
                while not c.execute("SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = 's'").fetchone()[0]:
                    assert time.monotonic() < deadline, "the worker was to fail"
            finally:
                c.execute("ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s")
                c.execute("ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS")
        assert rows(region) == before
        assert "reference data changes only in the master region" in region.cluster.log.read_text()
    finally:
        source.drop()


def test_the_applier_writes_sets_sequences_and_copies_by_temporary_tables(region):
    before = rows(region)
    with region.connect("applier") as c:
        c.execute("INSERT INTO app.country VALUES ('MX', 'Mexico'); UPDATE app.country SET name = 'México' WHERE code = 'MX'")
        c.execute("CREATE TEMP TABLE incoming (LIKE app.country)")
        with c.cursor().copy("COPY incoming FROM STDIN") as copy:
            copy.write("BR\tBrazil\n")
        c.execute("INSERT INTO app.country SELECT * FROM incoming")
        c.execute("INSERT INTO app.part VALUES (3, 'three')")
        c.execute("SELECT setval('app.stock_id_seq', 1000)")
        c.execute("INSERT INTO app.stock (name) VALUES ('x')")
        assert c.execute("SELECT id FROM app.stock").fetchone() == (1001,)
        c.execute("DELETE FROM app.country WHERE code IN ('MX', 'BR'); DELETE FROM app.part WHERE id = 3; DELETE FROM app.stock")
        for table in ("course", "enrolment", "person", "staging"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(f"SELECT * FROM app.{table}")
    assert rows(region) == before


def test_tenants_read_and_do_not_write(region):
    region.home("7")
    with region.connect() as c:
        c.execute("SET ROLE org_7")
        assert c.execute("SELECT count(*) FROM app.country").fetchone() == (2,)
        for attack in ("INSERT INTO app.country VALUES ('XX', 'x')", "UPDATE app.city SET name = 'x'", "DELETE FROM app.part"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(attack)
