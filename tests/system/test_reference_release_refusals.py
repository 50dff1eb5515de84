"""What releases of reference data refuse, and what they leave behind when something fails in the middle: nothing."""

import subprocess
import threading

import psycopg
import pytest
from support.domicile import binary
from support.postgres import Cluster
from support.region import Region
from support.releases import TABLES, RENAME, approved, built, everything, holds, region, release, rows, state_of  # noqa: F401


@pytest.mark.parametrize("sql,said", [
    ("INSERT INTO app.course (org_id, title) VALUES (7, 'x')", "permission denied"),
    ("INSERT INTO app.country SELECT org_id::text, title FROM app.course", "permission denied"),
    ("UPDATE domicile.region SET master = false", "permission denied"),
    ("SELECT domicile.publish_release('spring')", "permission denied"),
    ("CREATE TEMP TABLE t (x int)", "permission denied|would also change|security-restricted"),
    ("CREATE TABLE app.t (x int)", "permission denied"),
    ("SET ROLE app_owner", "cannot set parameter"),
    ("SET SESSION AUTHORIZATION bob", "permission denied|cannot set"),
    ("SET session_replication_role = replica", "permission denied"),
    ("SELECT lo_create(0)", "would also change"),
    ("ALTER FUNCTION domicile_private.run_release_sql(text, text) COST 7", "refused|would also change"),
    ("TRUNCATE app.city", "permission denied"),
    ("COMMIT", "transaction commands|invalid transaction"),
    ("DO $$ BEGIN COMMIT; END $$", "invalid transaction termination"),
    ("DELETE FROM app.country WHERE code = 'CA'; SELECT 1/0", "division by zero"),
    ("INSERT INTO app.city (country, name) VALUES ('XX', 'Nowhere')", "foreign key"),
    ("RAISE", "syntax error"),
    ("DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'DMC00'; END $$", "mine"),
])
def test_an_author_s_sql_does_nothing_else(region, sql, said):
    release(region, "ann", "create", "spring")
    release(region, "ann", "add", "spring", "--sql", RENAME)
    with region.connect() as c:
        before = c.execute("SELECT md5(string_agg(c::text, '' ORDER BY n)) FROM domicile.release_change c").fetchone()
    done = subprocess.run([str(binary()), "reference", "release", "add", "spring", "--dsn", region.dsn("ann"), "--sql", sql], text=True, capture_output=True)
    assert done.returncode != 0
    assert any(word in done.stderr for word in said.split("|")), done.stderr
    with region.connect() as c:
        assert c.execute("SELECT md5(string_agg(c::text, '' ORDER BY n)) FROM domicile.release_change c").fetchone() == before
        assert c.execute("SELECT count(*) FROM domicile_private.releasing").fetchone() == (0,)
    assert "(US,U.S.)" in rows(region, "country")


def test_rows_of_organizations_are_never_taken_along(region):
    """A foreign key of an organization's table that cascades, and a trigger of the application."""
    with region.connect() as c:
        c.execute("CREATE TABLE app.visit (org_id bigint NOT NULL, id int NOT NULL, country text REFERENCES app.country ON DELETE CASCADE, PRIMARY KEY (org_id, id))")
        c.execute("ALTER TABLE app.visit OWNER TO app_owner")
    region.write_catalog(visit='class = "organization"\nkey = "org_id"', **TABLES)
    region.init("--master")
    try:
        with region.connect() as c:
            c.execute("INSERT INTO app.visit VALUES (7, 1, 'CA')")
        release(region, "ann", "create", "spring")
        assert "would also change app.visit" in release(region, "ann", "add", "spring", "--sql", "DELETE FROM app.country WHERE code = 'CA'", code=1)
        with region.connect() as c:  # the row comes after the release was approved
            c.execute("DELETE FROM app.visit")
        release(region, "ann", "add", "spring", "--sql", "DELETE FROM app.country WHERE code = 'CA'")
        release(region, "ann", "submit", "spring")
        release(region, "bob", "approve", "spring")
        with region.connect() as c:
            c.execute("INSERT INTO app.visit VALUES (7, 1, 'CA')")
        assert "would also change app.visit" in release(region, "ann", "publish", "spring", code=1)
        assert "(CA,Canada)" in rows(region, "country")
    finally:
        with region.connect() as c:
            c.execute("DROP TABLE app.visit")
        region.write_catalog(**TABLES)
        region.init("--master")


def test_a_trigger_that_changes_what_was_approved_is_found(region):
    with region.connect() as c:
        c.execute("CREATE FUNCTION app.shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$")
        c.execute("CREATE TRIGGER shout BEFORE UPDATE ON app.country FOR EACH ROW EXECUTE FUNCTION app.shout()")
    try:
        approved(region, "spring", RENAME)
        said = release(region, "ann", "publish", "spring", code=1)
        assert "did not become what was approved" in said and "domicile.in_release()" in said
        assert "(US,U.S.)" in rows(region, "country")
        with region.connect() as c:
            c.execute("CREATE OR REPLACE TRIGGER shout BEFORE UPDATE ON app.country FOR EACH ROW WHEN (NOT domicile.in_release()) EXECUTE FUNCTION app.shout()")
        release(region, "ann", "publish", "spring")
        assert '(US,"United States!")' in rows(region, "country")
    finally:
        with region.connect() as c:
            c.execute("DROP TRIGGER shout ON app.country; DROP FUNCTION app.shout()")


def test_columns_that_changed_since_are_refused(region):
    approved(region, "spring", RENAME)
    with region.connect() as c:
        c.execute("ALTER TABLE app.country ADD COLUMN continent text")
    try:
        assert "the columns of app.country are not those" in release(region, "ann", "publish", "spring", code=1)
    finally:
        with region.connect() as c:
            c.execute("ALTER TABLE app.country DROP COLUMN continent")
    release(region, "ann", "publish", "spring")


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "ä", "x" * 64, "a;b", "a'b"])
def test_a_name_that_is_none_is_refused(region, name):
    done = subprocess.run([str(binary()), "reference", "release", "create", "--dsn", region.dsn("ann"), "--", name], text=True, capture_output=True)
    assert done.returncode == 2 and ("1 to 63 letters" in done.stderr or "required" in done.stderr), done.stderr


def test_only_editors_work_with_releases_and_nobody_forges_one(region):
    assert "domicile_editor" in release(region, "stranger", "create", "spring", code=1)
    assert "domicile_editor" in release(region, "pool", "list", code=1)
    approved(region, "spring", RENAME)
    for statement in ("UPDATE domicile.release SET state = 'published'", "INSERT INTO domicile.published_release VALUES (9, 'x', 'publish', 'x', '', now())",
                      "SELECT * FROM domicile.release_change", "UPDATE app.country SET name = 'x'", "SELECT domicile_private.replay_release(1, false)",
                      "SELECT domicile_private.run_release_sql('SELECT 1', 'app')", "SET ROLE domicile_releaser", "SET ROLE domicile_owner"):
        for person in ("ann", "stranger", "pool", "node"):
            if person == "node" and statement.startswith("SELECT * FROM"):
                continue
            with region.connect(person) as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(statement)
    # Not even the superuser announces a release that was not published.
    for statement in ("INSERT INTO domicile.published_release VALUES (9, 'x', 'publish', 'x', '', now())",
                      "SET session_replication_role = replica; INSERT INTO domicile.published_release VALUES (9, 'x', 'publish', 'x', '', now())"):
        with region.connect() as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute(statement)
    # A setting that anybody may set captures nothing and opens nothing.
    with region.connect() as c:
        c.execute("SET domicile.release_capture = 'on'; UPDATE app.country SET name = name || ' ' WHERE code = 'US'; UPDATE app.country SET name = 'U.S.' WHERE code = 'US'")
        assert c.execute("SELECT count(*) FROM domicile_private.captured").fetchone() == (0,)


def test_direct_changes_can_be_made_to_wait_for_a_release(region):
    subprocess.run([str(binary()), "-q", "reference", "release", "require", "on", "--dsn", region.dsn()], check=True, capture_output=True)
    with region.connect() as c:
        for prefix in ("", "SET session_replication_role = replica; "):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="by releases only"):
                c.execute(prefix + "UPDATE app.country SET name = 'x'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="TRUNCATE"):
            c.execute("TRUNCATE app.node")
    approved(region, "spring", RENAME, "DELETE FROM app.city WHERE name = 'Boston'")
    release(region, "ann", "publish", "spring")
    release(region, "ann", "rollback")
    with region.connect() as c:
        assert not c.execute("SELECT object FROM domicile.violations() WHERE kind = 'function_changed'").fetchall()
    subprocess.run([str(binary()), "-q", "reference", "release", "require", "off", "--dsn", region.dsn()], check=True, capture_output=True)
    with region.connect() as c:
        c.execute("UPDATE app.country SET name = 'USA' WHERE code = 'US'")


def test_readers_see_the_old_or_the_new_release_and_never_a_mixture(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.node SELECT g FROM generate_series(1, 2000) g")
        c.execute("INSERT INTO app.part VALUES (1, 'old')")
    approved(region, "spring", "UPDATE app.node SET parent = 1", "UPDATE app.part SET name = 'new'")
    seen, stop = set(), threading.Event()

    def read():
        with region.connect("pool") as c:
            c.execute("SELECT domicile.reference_release()")
            while not stop.is_set():
                seen.add(c.execute("SELECT (domicile.reference_release()).name, (SELECT string_agg(DISTINCT coalesce(parent, 0)::text, ' ') FROM app.node), "
                                   "(SELECT name FROM app.part)").fetchone())

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(5):
            release(region, "ann", "publish", "spring")
            release(region, "ann", "rollback")
            with region.connect() as c:  # once more, as approved as before
                c.execute("UPDATE domicile.release SET state = 'approved'")
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert seen <= {("", "0", "old"), ("spring", "1", "new")} and ("", "0", "old") in seen, seen


def test_a_writer_in_the_way_makes_it_wait_and_then_say_so(region):
    approved(region, "spring", RENAME)
    with region.connect(autocommit=False) as c:
        c.execute("INSERT INTO app.country VALUES ('XX', 'under way')")
        assert "run the same command again" in release(region, "ann", "publish", "spring", "--lock-timeout-ms", 100, code=1)
        c.rollback()
    release(region, "ann", "publish", "spring")


def test_a_hundred_thousand_rows(region):
    approved(region, "large", "INSERT INTO app.country SELECT 'x' || g, 'name ' || g FROM generate_series(1, 100000) g",
             "UPDATE app.country SET name = name || '!' WHERE code LIKE 'x%' AND right(code, 1) = '7'")
    shown = release(region, "bob", "show", "large", "--limit", 10)
    assert shown["of_rows"] == 100000 and len(shown["rows"]) == 10
    assert release(region, "ann", "publish", "large")["changes"] == 110000
    with region.connect() as c:
        assert c.execute("SELECT count(*), count(*) FILTER (WHERE name LIKE '%!') FROM app.country").fetchone() == (100002, 10000)
    release(region, "ann", "rollback")
    assert rows(region, "country") == ["(CA,Canada)", "(US,U.S.)"]


KILLED_AT = {
    "add": ("app.part", "domicile_private.captured", "domicile.release", "domicile.release_change", "domicile.release_part", "domicile_directory.outbox"),
    "publish": ("app.country", "app.part", "domicile.release", "domicile.release_change", "domicile.published_release", "domicile_directory.outbox"),
    "rollback": ("app.country", "app.part", "domicile.release", "domicile.release_change", "domicile.published_release", "domicile_directory.outbox"),
}


@pytest.mark.parametrize("verb,at", [(verb, at) for verb, tables in KILLED_AT.items() for at in tables])
def test_whoever_is_killed_in_the_middle_leaves_nothing_half_done(region, verb, at):
    """The backend dies while it waits for a table that the step comes to; the same command then does it whole."""
    approved(region, "spring", RENAME, "INSERT INTO app.part VALUES (1, 'one')")
    if verb == "rollback":
        release(region, "ann", "publish", "spring")
    before, state = everything(region), state_of(region, "spring")
    arguments = ("add", "spring", "--sql", "UPDATE app.part SET name = 'uno'") if verb == "add" else (verb, "spring")
    with region.connect() as blocker:
        blocker.execute(f"BEGIN; LOCK TABLE {at} IN ACCESS EXCLUSIVE MODE")
        step = subprocess.Popen([str(binary()), "reference", "release", *arguments, "--dsn", region.dsn("ann")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with region.connect() as watcher:
            while not watcher.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND wait_event_type = 'Lock'").fetchone()[0]:
                assert step.poll() is None, step.communicate()
            watcher.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
        assert step.wait(30) == 3, step.communicate()
        blocker.execute("ROLLBACK")
    assert everything(region) == before and state_of(region, "spring") == state
    release(region, "ann", *arguments)
    assert state_of(region, "spring") == {"add": "draft", "publish": "published", "rollback": "rolled_back"}[verb]


def test_a_region_that_is_not_the_master_makes_no_release(tmp_path):
    region = Region(tmp_path, cluster=Cluster({"wal_level": "logical"}))
    try:
        region.init()
        with region.connect() as c:
            c.execute("CREATE ROLE ann LOGIN PASSWORD 'secret'; GRANT domicile_editor TO ann")
            with pytest.raises(psycopg.errors.CheckViolation):
                c.execute("INSERT INTO domicile.published_release VALUES (9, 'x', 'publish', 'x', '', now())")
        assert "master region" in release(region, "ann", "create", "spring", code=1)
        assert release(region, "ann", "current")["release"] == ""
    finally:
        region.drop()


def at_once(region, *calls):
    """The same moment for all: they wait for one lock, which is let go when every one of them does."""
    with region.connect() as gate:
        gate.execute("BEGIN; LOCK TABLE domicile.published_release IN SHARE ROW EXCLUSIVE MODE")
        started = [subprocess.Popen([str(binary()), "-q", "--output", "json", "reference", "release", *arguments, "--dsn", region.dsn(person)],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for person, *arguments in calls]
        while gate.execute("SELECT count(*) FROM pg_locks WHERE relation = 'domicile.published_release'::regclass AND NOT granted").fetchone()[0] < len(calls):
            assert all(p.poll() is None for p in started), [p.communicate() for p in started if p.poll() is not None]
        gate.execute("COMMIT")
        return [(p.wait(60), *p.communicate()) for p in started]


def test_two_who_publish_at_once_publish_once(region):
    approved(region, "spring", RENAME)
    ended = at_once(region, ("ann", "publish", "spring"), ("eve", "publish", "spring"), ("bob", "publish", "spring"))
    assert [code for code, _, _ in ended] == [0, 0, 0], ended
    assert sorted('"repeated": true' in out for _, out, _ in ended) == [False, True, True]
    assert holds(region) == ("spring", 1)


def test_of_two_releases_of_one_row_one_is_published(region):
    approved(region, "spring", RENAME)
    approved(region, "summer", "UPDATE app.country SET name = 'America' WHERE code = 'US'")
    ended = at_once(region, ("ann", "publish", "spring"), ("eve", "publish", "summer"))
    assert sorted(code for code, _, _ in ended) == [0, 1], ended
    assert [err for code, _, err in ended if code == 1 and "another one now" in err]
    name, number = holds(region)
    assert number == 1 and state_of(region, name) == "published"
    assert rows(region, "country")[1] == {"spring": '(US,"United States")', "summer": "(US,America)"}[name]
