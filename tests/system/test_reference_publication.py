"""What the master region publishes: the catalog's reference tables and nothing else, made and corrected by `region init`;
and what is refused before anything changes."""

import json

import psycopg
import pytest

from support.domicile import domicile
from support.postgres import Cluster
from support.region import TABLES, Region

PUBLISHED = """
    SELECT n.nspname || '.' || c.relname, (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs))
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = 'domicile_reference' AND n.nspname = 'app' ORDER BY 1"""
OPTIONS = "SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot FROM pg_publication WHERE pubname = 'domicile_reference'"


@pytest.fixture
def region(tmp_path):
    found = Region(tmp_path, cluster=Cluster({"wal_level": "logical"}))
    yield found
    found.drop()


def published(region):
    with region.connect() as c:
        return dict(c.execute(PUBLISHED).fetchall())


def sql(region, statements: str, user: str = "postgres"):
    with region.connect(user) as c:
        c.execute(statements)


def violations(region, kind: str | None = None):
    with region.connect() as c:
        found = c.execute("SELECT kind, object, detail, severity FROM domicile.violations() WHERE kind IN ('publication', 'not_published')").fetchall()
    return [f for f in found if kind is None or f[0] == kind]


def test_the_master_publishes_its_reference_tables_and_nothing_else(region):
    sql(region, "SET ROLE app_owner; CREATE TABLE app.planet (id int PRIMARY KEY, day int) PARTITION BY RANGE (id);"
                "CREATE TABLE app.planet_inner PARTITION OF app.planet FOR VALUES FROM (0) TO (5)")
    region.write_catalog(planet='class = "reference"')
    dry = region.init("--master", "--dry-run").stdout
    assert "CREATE PUBLICATION domicile_reference" in dry and published(region) == {}
    region.init("--master")
    assert published(region) == {"app.country": None, "app.planet": None}
    with region.connect() as c:
        assert c.execute(OPTIONS).fetchone() == (False, True, True)
    assert violations(region) == []
    before = region.shape()
    assert "nothing to do" in region.init("--master").stdout
    assert "-- nothing to do" in region.init("--master", "--dry-run").stdout
    assert region.shape() == before


def test_a_region_that_is_not_the_master_publishes_nothing(region):
    region.init()
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)
    region.init("--master")
    assert published(region) == {"app.country": None}
    region.init()
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


def test_it_follows_the_catalog(region):
    region.init("--master")
    sql(region, "SET ROLE app_owner; CREATE TABLE app.unit (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, made_by bigint, seen_by bigint)")
    region.write_catalog(unit='class = "reference"\nlinks = { made_by = "drop", seen_by = "refuse" }')
    region.init("--master")
    assert published(region) == {"app.country": None, "app.unit": ["id", "seen_by"]}
    with region.connect() as c:
        assert c.execute("SELECT table_name, column_name, rule FROM domicile.reference_link ORDER BY 2").fetchall() == [
            ("unit", "made_by", "drop"), ("unit", "seen_by", "refuse")]
    assert violations(region) == []
    # A column that comes later does not travel before the list has it: that is reported.
    sql(region, "ALTER TABLE app.unit ADD COLUMN later int")
    assert [(v[1], v[3]) for v in violations(region) if "later" in v[2]] == [("app.unit", "report")]
    region.init("--master")
    assert published(region)["app.unit"] == ["id", "seen_by", "later"] and violations(region) == []
    sql(region, "ALTER TABLE app.unit DROP COLUMN later CASCADE")  # takes the table out of the publication
    assert {v[0] for v in violations(region)} == {"not_published"}
    region.init("--master")
    # A mode that is changed alone takes its table out, and in again.
    region.run("observe", "--catalog", region.catalog_file, "--table", "app.unit")
    assert published(region) == {"app.country": None} and violations(region) == []
    region.run("enforce", "--catalog", region.catalog_file, "--table", "app.unit")
    assert published(region) == {"app.country": None, "app.unit": ["id", "seen_by"]}
    region.write_catalog(unit='class = "reference"')
    region.init("--master")
    assert published(region) == {"app.country": None, "app.unit": None}
    # Another class: it leaves the publication in the run that gives it.
    region.write_catalog(unit='class = "system"', country='class = "ignored"\nreason = "a test"')
    region.init("--master")
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


@pytest.mark.parametrize("change,words", [
    ("ALTER PUBLICATION domicile_reference ADD TABLE app.course", "app.course, which is no reference table"),
    ("ALTER PUBLICATION domicile_reference SET TABLES IN SCHEMA app", "whole schemas"),
    ("ALTER PUBLICATION domicile_reference SET (publish_via_partition_root = false)", "partitions by their own names"),
    ("ALTER PUBLICATION domicile_reference SET TABLE app.country, app.unit", "made_by of app.unit"),
    ("CREATE PUBLICATION other FOR TABLE app.country", "leaves by logical replication"),
    ("DROP PUBLICATION domicile_reference; CREATE PUBLICATION domicile_reference FOR ALL TABLES", "whole schemas"),
])
def test_what_is_changed_by_hand_is_refused_found_and_corrected(region, change, words):
    sql(region, "SET ROLE app_owner; CREATE TABLE app.unit (id int PRIMARY KEY, made_by bigint)")
    region.write_catalog(unit='class = "reference"\nlinks = { made_by = "drop" }')
    region.init("--master", "--superuser-dsn-file", region.superuser_file())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
        sql(region, change)
    with region.connect() as c:
        c.execute("ALTER EVENT TRIGGER domicile_ddl DISABLE")
    sql(region, change)
    assert [v for v in violations(region, "publication") if words in v[2] and v[3] == "refuse"], violations(region)
    with region.connect() as c:
        c.execute("DROP PUBLICATION IF EXISTS other")
        c.execute("ALTER PUBLICATION domicile_reference OWNER TO installer" if "FOR ALL" not in change else "SELECT 1")
        c.execute("ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS")
    if "FOR ALL" in change:  # made by a superuser: only its owner may correct it
        refused = region.init("--master", check=False)
        assert refused.returncode == 1 and "publication domicile_reference belongs to postgres" in refused.stderr
        region.init("--master", dsn=f"host=127.0.0.1 port={region.cluster.port} dbname=app user=postgres password={Cluster.password}")
    else:
        region.init("--master")
    assert violations(region) == [] and published(region) == {"app.country": None, "app.unit": ["id"]}


@pytest.mark.parametrize("change", [
    "DROP PUBLICATION domicile_reference",
    "ALTER PUBLICATION domicile_reference DROP TABLE app.country",
    "ALTER PUBLICATION domicile_reference SET TABLE app.country WHERE (code <> 'CA')",
    "ALTER PUBLICATION domicile_reference SET (publish = 'insert')",
])
def test_what_does_not_travel_is_reported(region, change):
    region.init("--master")
    sql(region, change)
    assert {(v[0], v[3]) for v in violations(region)} == {("not_published", "report")}
    region.init("--master")
    assert violations(region) == [] and published(region) == {"app.country": None}


KEYED = "CREATE TABLE app.bad (id int PRIMARY KEY, other int NOT NULL)"
REFUSED = [
    ("CREATE TABLE app.bad (id int)", "", "no primary key", "ADD PRIMARY KEY"),
    ("CREATE UNLOGGED TABLE app.bad (id int PRIMARY KEY)", "", "unlogged", "SET LOGGED"),
    ("CREATE TABLE app.bad (id int PRIMARY KEY DEFERRABLE)", "", "deferrable", "NOT DEFERRABLE"),
    (KEYED + "; ALTER TABLE app.bad REPLICA IDENTITY NOTHING", "", "NOTHING", "REPLICA IDENTITY DEFAULT"),
    (KEYED + "; CREATE UNIQUE INDEX bad_other ON app.bad (other); ALTER TABLE app.bad REPLICA IDENTITY USING INDEX bad_other", "",
     "an index other than the primary key", "REPLICA IDENTITY DEFAULT"),
    (KEYED + "; ALTER TABLE app.bad REPLICA IDENTITY FULL", 'links = { other = "drop" }', "FULL", "REPLICA IDENTITY DEFAULT"),
    (KEYED, 'links = { id = "drop" }', "primary key", "refuse"),
    (KEYED + "; CREATE TABLE app.bad_child () INHERITS (app.bad)", "", "inherits from it", "partitions"),
]


@pytest.mark.parametrize("table,links,reason,remedy", REFUSED, ids=[r[2] for r in REFUSED])
def test_a_table_that_cannot_travel_is_refused_before_anything_changes(region, table, links, reason, remedy):
    sql(region, "SET ROLE app_owner; " + table)
    region.write_catalog(bad='class = "reference"\n' + links)
    before = region.shape()
    refused = region.init("--master", check=False)
    assert refused.returncode == 2, refused.stdout
    assert "app.bad" in refused.stderr and reason in refused.stderr and remedy in refused.stderr and "nothing was changed" in refused.stderr
    assert region.shape() == before
    region.init()  # where nothing is published such a table is guarded like any other


def test_a_replica_identity_of_the_whole_row_and_of_the_key_s_index_work(region):
    sql(region, f"SET ROLE app_owner; {KEYED}; ALTER TABLE app.bad REPLICA IDENTITY FULL; ALTER TABLE app.country REPLICA IDENTITY USING INDEX country_pkey")
    region.write_catalog(bad='class = "reference"')
    region.init("--master")
    assert published(region) == {"app.bad": None, "app.country": None}
    sql(region, "INSERT INTO app.bad VALUES (1, 1); UPDATE app.bad SET other = 2; DELETE FROM app.bad")


def test_a_catalog_without_reference_tables_publishes_nothing(region):
    tables = {name: body for name, body in TABLES.items() if name != "country"}
    region.write_catalog(tables=tables, country='class = "ignored"\nreason = "a test"')
    region.init("--master")
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


def test_without_logical_wal_it_is_made_and_said(tmp_path):
    region = Region(tmp_path)
    try:
        assert "wal_level = logical" in region.init("--master").stdout
        assert published(region) == {"app.country": None}
    finally:
        region.drop()


def test_a_table_that_is_dropped_and_made_anew_comes_back_with_its_guard(region):
    region.init("--master", "--superuser-dsn-file", region.superuser_file())
    sql(region, "DROP TABLE app.country")
    assert published(region) == {}
    sql(region, "SET ROLE app_owner; CREATE TABLE app.country (code text PRIMARY KEY, name text NOT NULL)")
    region.init("--master")
    assert published(region) == {"app.country": None} and violations(region) == []


def test_detach_takes_the_publication_away_and_names_slots_that_stay(region):
    region.init("--master")
    with region.connect() as c:
        c.execute("SELECT pg_create_logical_replication_slot('domicile_us_east_1', 'pgoutput')")
        c.execute("INSERT INTO domicile.reference_peer (region, slot, state, contact_at) VALUES ('us-east-1', 'domicile_us_east_1', 'streaming', now())")
        assert not [v for v in c.execute("SELECT kind FROM domicile.violations()").fetchall() if v[0] == "logical_slot"]
        c.execute("SELECT pg_create_logical_replication_slot('domicile_stranger', 'pgoutput')")
        assert [v for v in c.execute("SELECT kind, object FROM domicile.violations()").fetchall() if v == ("logical_slot", "domicile_stranger")]
        c.execute("SELECT pg_drop_replication_slot('domicile_stranger')")
    done = domicile("-q", "--output", "json", "region", "detach", "--dsn", region.dsn(), "--all", "--confirm", "ca")
    assert "pg_drop_replication_slot('domicile_us_east_1')" in json.dumps(json.loads(done.stdout))
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


def test_changes_travel_as_the_catalog_says(region):
    """Read by the server's own decoder."""
    sql(region, "SET ROLE app_owner; CREATE TABLE app.unit (id int PRIMARY KEY, made_by bigint, name text)")
    region.write_catalog(unit='class = "reference"\nlinks = { made_by = "drop" }')
    region.init("--master")
    region.home("7")
    with region.connect() as c:
        c.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")
        c.execute("INSERT INTO app.unit VALUES (1, 4711, 'metre')")
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'a secret of one organization')")
        raw = b"".join(bytes(m) for (m,) in c.execute(
            "SELECT data FROM pg_logical_slot_get_binary_changes('reader', NULL, NULL, 'proto_version', '1', 'publication_names', 'domicile_reference')"))
    assert b"Canada" in raw and b"metre" in raw
    assert b"4711" not in raw and b"secret" not in raw
