"""domicile region enforce, table by table: what stands in the way is named, nothing else is touched, and an
interruption anywhere leaves a state from which the same command goes on."""

import signal
import subprocess
import time

import pytest
from psycopg import errors
from support.adoption import ALL, Adoption
from support.domicile import binary, domicile_json


@pytest.fixture
def region(tmp_path):
    one = Adoption(tmp_path)
    one.init("--superuser-dsn-file", one.superuser_file())
    for key in ("7", "8"):
        one.home(key)
    yield one
    one.drop()


def enforced(region, table):
    return region.one("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", table)


def test_rows_that_would_be_strangers_are_named_with_the_remedy_and_block(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.course (org_id, title) SELECT 91 + i % 2, 'x' FROM generate_series(1, 5) i")
        c.execute("INSERT INTO app.person VALUES (1, 'p')")
        c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (1, 93, 1), (2, 7, 1)")
        c.execute("INSERT INTO app.answer (enrolment_id) VALUES (1), (2), (2)")
    before, text = region.shape(), region.catalog_file.read_text()
    done = region.mode("enforce", "--table", "app.course", "--table", "app.answer", check=False)
    assert done.returncode == 1
    for words in ("app.course: 3 rows of organization 92", "app.course: 2 rows of organization 91", "app.answer: 1 rows of organization 93", "domicile org create"):
        assert words in done.stdout
    assert region.shape() == before and region.catalog_file.read_text() == text
    done = region.mode("enforce", "--table", "app.course", "--anyway")
    assert "not valid app.course" in done.stdout and enforced(region, "app.course")
    region.home("91")
    region.home("92")
    assert "validated app.course" in region.mode("enforce", "--table", "app.course").stdout
    # Also where the table and the path's parents are guarded already, and hide their rows.
    region.mode("enforce", "--table", "app.enrolment", "--anyway")
    done = region.mode("enforce", "--table", "app.answer", check=False)
    assert done.returncode == 1 and "app.answer: 1 rows of organization 93" in done.stdout


def test_only_the_named_tables_change_and_the_file_keeps_its_comments(region):
    text = region.catalog_file.read_text().replace('name = "app.course"\n', 'name = "app.course"   # reviewed by the team\n')
    region.catalog_file.write_text(text)
    done = region.mode("enforce", "--table", "app.course")
    assert "GRANT" not in done.stdout or "TEMPORARY" in done.stdout
    assert region.catalog_file.read_text() == text.replace('name = "app.course"   # reviewed by the team\nclass = "organization"\n',
                                                           'name = "app.course"   # reviewed by the team\nclass = "organization"\nmode = "enforce"\n')
    assert enforced(region, "app.course") and not enforced(region, "app.enrolment")
    assert region.run("init", "--region", "ca", "--catalog", region.catalog_file).stdout.startswith("nothing to do")
    # The file says more than the database: an unnamed table does not follow.
    region.catalog_file.write_text(region.catalog_file.read_text().replace('name = "app.question"\n', 'name = "app.question"\nmode = "enforce"\n'))
    region.mode("observe", "--table", "app.enrolment")
    assert not enforced(region, "app.question")


def test_no_edit_refuses_where_file_and_command_differ(region):
    before = region.shape()
    done = region.mode("enforce", "--table", "app.course", "--no-edit", check=False)
    assert done.returncode == 2 and "the file says another mode" in done.stderr and region.shape() == before


def test_a_dry_run_shows_the_sql_and_changes_neither_file_nor_database(region):
    before, text = region.shape(), region.catalog_file.read_text()
    out = region.mode("enforce", "--table", "app.course", "--dry-run").stdout
    assert 'ADD CONSTRAINT domicile_home CHECK (domicile.homed("org_id")) NOT VALID' in out and "would be edited" in out
    assert region.shape() == before and region.catalog_file.read_text() == text


@pytest.mark.parametrize("arguments, words", [
    (["--table", "app.nowhere"], "it is not in"),
    (["--table", "nonsense"], "schema"),
    (["--table", "app.version"], "nothing to guard"),
    ([], "no table is named"),
])
def test_bad_input_changes_nothing(region, arguments, words):
    before = region.shape()
    done = region.mode("enforce", *arguments, check=False)
    assert done.returncode == 2 and words in done.stderr and region.shape() == before


def test_statements_seen_by_observation_block_until_they_are_dealt_with(region):
    region.mode("observe", "--table", "app.course")
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
    done = region.mode("enforce", "--table", "app.course", check=False)
    assert done.returncode == 1 and "1 statements of the last 24 hours would have been refused" in done.stdout
    assert not enforced(region, "app.course")
    region.mode("observe", "--table", "app.course", "--anew")
    region.mode("enforce", "--table", "app.course")
    assert enforced(region, "app.course")


def test_a_single_application_role_keeps_its_grants_and_works_with_a_context(region):
    region.run("init", "--region", "ca", "--catalog", region.catalog_file, "--app-role", "pool")
    region.mode("enforce", "--all", check=False)
    done = region.mode("enforce", "--table", "app.course", "--table", "app.enrolment")
    assert "kept, and known from now on: grant on app.course: DELETE, INSERT, SELECT, UPDATE to pool" in done.stdout
    with region.connect("pool", autocommit=False) as c:
        c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'mine')")
        assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 1
        c.commit()
        with pytest.raises(errors.InsufficientPrivilege, match="no organization context"):
            c.execute("SELECT count(*) FROM app.course")
    # The grants that were there do not make the next migration fail.
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; ALTER TABLE app.course ADD COLUMN extra int")
    region.mode("observe", "--table", "app.course")
    with region.connect("pool") as c:
        assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 1


def test_temporary_tables_are_taken_with_the_first_enforced_table_and_given_back_with_the_last(region):
    def may():
        return region.one("SELECT has_database_privilege('reporting', 'app', 'TEMPORARY')")
    region.mode("observe", "--all")
    assert may()
    region.mode("enforce", "--table", "app.course", "--anyway")
    assert not may()
    region.mode("observe", "--table", "app.course")
    assert may()


def test_a_killed_run_goes_on(region):
    """Killed while it waits for a lock: the file is edited, the tables before are done, the next run ends it."""
    with region.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE app.question IN ACCESS SHARE MODE")
        process = subprocess.Popen([binary(), "region", "enforce", "--dsn", region.dsn(), "--catalog", region.catalog_file, "--table", "app.course",
                                    "--table", "app.enrolment", "--table", "app.question", "--lock-timeout-ms", "60000", "--anyway"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not region.one("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE NOT l.granted AND c.relname = 'question'"):
            assert time.monotonic() < deadline and process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        blocker.rollback()
    assert enforced(region, "app.course") and not enforced(region, "app.question")
    assert region.catalog_file.read_text().count('mode = "enforce"') == 3
    region.mode("enforce", "--table", "app.course", "--table", "app.enrolment", "--table", "app.question")
    assert enforced(region, "app.question")
    assert region.one("SELECT count(*) FROM pg_constraint WHERE conname = 'domicile_home' AND NOT convalidated AND coninhcount = 0 AND conrelid::regclass::text IN ('app.course', 'app.enrolment', 'app.question')") == 0


def test_json_says_the_same(region):
    found = domicile_json("region", "enforce", "--dsn", region.dsn(), "--catalog", region.catalog_file, "--table", "app.course")
    assert found["mode"] == "enforce" and found["file_edited"] and {t["table"]: t["state"] for t in found["tables"]}["app.course"] == "changed"
    assert found["validated"] == [{"table": "app.course", "valid": True, "problem": ""}]
    assert len(ALL) > 8
