"""domicile region init: idempotent, resumable, careful; every class and key type ends up guarded."""

import psycopg
import pytest
from psycopg import errors
from support.region import KEYS, Region

REFUSED = (errors.CheckViolation, errors.InsufficientPrivilege)


@pytest.fixture
def region(tmp_path):
    one = Region(tmp_path)
    yield one
    one.drop()


@pytest.fixture(scope="module", params=sorted(KEYS))
def guarded(request, tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"), request.param)
    one.init("--superuser-dsn-file", one.superuser_file())
    one.home(one.own)
    yield one
    one.drop()


def test_a_second_run_has_nothing_to_do_and_changes_nothing(region):
    region.init()
    before = region.shape()
    done = region.init()
    assert done.stdout.startswith("nothing to do")
    assert region.shape() == before


def test_a_dry_run_prints_the_sql_and_changes_nothing(region):
    before = region.shape()
    done = region.init("--dry-run")
    assert "CREATE FUNCTION domicile.current_org()" in done.stdout
    assert 'ALTER TABLE "app"."course" ADD CONSTRAINT domicile_home CHECK (domicile.homed("org_id")) NOT VALID' in done.stdout
    assert region.shape() == before
    region.init()
    before = region.shape()
    region.write_catalog(version='class = "ignored"\nreason = "of the framework"')
    region.init("--dry-run")
    assert region.shape() == before


def test_an_interrupted_run_goes_on(region):
    # The second half fails: course is locked by somebody else for longer than the installer waits.
    with region.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE app.course IN ACCESS SHARE MODE")
        done = region.init("--lock-timeout-ms", 50, "--attempts", 2, check=False)
        assert done.returncode == 3 and "blocked app.course" in done.stdout and "run the same command again" in done.stdout
        blocker.rollback()
    with region.connect() as c:
        assert c.execute("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.question'::regclass").fetchone()[0]
        assert not c.execute("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.course'::regclass").fetchone()[0]
    done = region.init()
    assert "1 changed" in done.stdout
    with region.connect() as c:
        assert c.execute("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.course'::regclass").fetchone()[0]


def test_two_runs_at_once_do_not_collide(region):
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = [f.result() for f in [pool.submit(region.init, check=False) for _ in range(2)]]
    assert any(d.returncode == 0 for d in done), [d.stderr for d in done]
    assert region.init().stdout.startswith("nothing to do")


@pytest.mark.parametrize("dsn, code, words", [
    ("host=127.0.0.1 port=1 dbname=app user=installer password=secret", 3, "cannot connect"),
    ("nonsense", 2, "not a connection string"),
])
def test_an_unreachable_database_is_told(region, dsn, code, words):
    done = region.init(dsn=dsn, check=False)
    assert done.returncode == code and words in done.stderr and "secret" not in done.stderr


def test_a_wrong_password_changes_nothing(region):
    before = region.shape()
    done = region.init(dsn=region.dsn(password="wrong"), check=False)
    assert done.returncode == 1 and "authentication failed" in done.stderr and "wrong" not in done.stderr.replace("wrong password", "")
    assert region.shape() == before


@pytest.mark.parametrize("table, body, words", [
    ("course", 'class = "organization"\nkey = "tenant"', "has no column tenant"),
    ("course", 'class = "organization"\nkey = "title"', "is text, the organization key is bigint"),
    ("nowhere", 'class = "organization"\nkey = "org_id"', "not in the database"),
])
def test_a_catalog_that_does_not_fit_changes_nothing(region, table, body, words):
    before = region.shape()
    region.write_catalog(**{table: body})
    done = region.init(check=False)
    assert done.returncode == 2 and words in done.stderr and "nothing was changed" in done.stderr
    assert region.shape() == before


def test_policies_of_its_own_refuse_a_table(region):
    with region.connect() as c:
        c.execute("CREATE POLICY theirs ON app.course USING (true)")
    done = region.init(check=False)
    assert done.returncode == 2 and "policies of its own (theirs)" in done.stderr


def test_another_region_on_the_same_server_is_refused(region):
    region.init()
    region.cluster.create_database("second", owner="installer")
    done = region.run("init", "--region", "us", "--catalog", region.catalog_file, check=False,
                      dsn=region.dsn().replace("dbname=app", "dbname=second"))
    assert done.returncode in (1, 2)


def test_a_changed_catalog_is_followed(region):
    region.write_catalog(mode="off")
    region.init()
    with region.connect() as c:
        c.execute("INSERT INTO app.course VALUES (99, 1, 'anything goes')")
        c.execute("DELETE FROM app.course")
    region.write_catalog()
    region.init()
    with region.connect() as c:
        with pytest.raises(errors.CheckViolation):
            c.execute("INSERT INTO app.course VALUES (99, 1, 'no more')")
    region.write_catalog(mode="off")
    region.init()
    with region.connect() as c:
        c.execute("INSERT INTO app.course VALUES (99, 1, 'anything goes')")
        assert c.execute("SELECT count(*) FROM pg_policy").fetchone()[0] == 0
        assert not c.execute("SELECT bool_or(relrowsecurity) FROM pg_class WHERE relnamespace = 'app'::regnamespace").fetchone()[0]


def test_rows_from_before_are_validated_later(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.course VALUES (7, 1, 'old'), (8, 1, 'old')")
    region.init()
    region.home("7")
    done = region.run("validate", check=False)
    assert done.returncode == 1 and "invalid app.course" in done.stdout and "organization 8" in done.stdout
    region.home("8")
    assert region.run("validate").returncode == 0
    assert "validated" in region.run("validate").stdout


def test_observe_records_and_changes_no_result(region):
    region.write_catalog(mode="observe")
    region.init()
    region.home("7")
    with region.connect() as c:
        for org in (7, 99, 99):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, 'x')", (org,))
        c.execute("INSERT INTO app.person VALUES (1, 'p')")
        c.execute("INSERT INTO app.enrolment (org_id, person) VALUES (98, 1)")
        c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (1, 'x')")
        c.execute("DELETE FROM app.answer")
        c.execute("SELECT domicile.fold_observations()")
        seen = c.execute("SELECT DISTINCT table_name, organization FROM domicile.observation ORDER BY 1, 2").fetchall()
    assert seen == [('"app"."answer"', "98"), ('"app"."course"', "99"), ('"app"."enrolment"', "98")]
    with region.connect() as c:
        assert not c.execute("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.course'::regclass").fetchone()[0]


def test_writes_work_where_default_privileges_keep_functions_from_the_public(region):
    with region.connect("installer") as c:
        c.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    region.init()
    region.home("7")
    with region.connect() as c:
        role = c.execute("SELECT role FROM domicile.organization").fetchone()[0]
        c.execute(f"ALTER ROLE \"{role}\" PASSWORD 'secret'")
        c.execute("INSERT INTO app.person VALUES (1, 'p')")
    with region.connect(role) as c:
        enrolment = c.execute("INSERT INTO app.enrolment (org_id, person) VALUES (7, 1) RETURNING id").fetchone()[0]
        c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'mine')", (enrolment,))  # by path
        assert c.execute("SELECT count(*) FROM app.answer").fetchone()[0] == 1


def test_without_a_superuser_init_says_what_is_missing(region):
    done = region.init()
    assert "event triggers: not installed" in done.stdout and "--superuser-dsn-file" in done.stdout


# Every key type.

def refused(guarded, statement, *parameters, user="postgres"):
    with guarded.connect(user) as c:
        with pytest.raises(REFUSED):
            c.execute(statement, parameters)


def test_foreign_rows_are_refused_in_every_class(guarded):
    other = guarded.other
    refused(guarded, "INSERT INTO app.course (org_id, title) VALUES (%s, 'x')", other)
    refused(guarded, "INSERT INTO app.question (org_id, prompt) VALUES (%s, 'x')", other)
    refused(guarded, "INSERT INTO app.event VALUES (%s, '2026-05-05', 'x')", other)
    refused(guarded, "INSERT INTO app.event_2026 VALUES (%s, '2026-05-05', 'x')", other)
    refused(guarded, "SET session_replication_role = replica; INSERT INTO app.answer (enrolment_id) VALUES (12345)")
    refused(guarded, "SET ROLE app_owner; INSERT INTO app.country VALUES ('XX', 'x')", user="installer")
    # Outside the master region even a superuser changes no reference data, nor a shared row.
    refused(guarded, "INSERT INTO app.country VALUES ('XX', 'x')")
    refused(guarded, "INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")


def test_an_organization_sees_its_own_rows(guarded):
    own = guarded.own
    with guarded.connect() as c:
        role = c.execute("SELECT role FROM domicile.organization WHERE key::text = %s", (own,)).fetchone()[0]
        c.execute(f"ALTER ROLE \"{role}\" PASSWORD 'secret'")
        c.execute("INSERT INTO app.person VALUES (1, 'member'), (2, 'stranger')")
        c.execute("SELECT domicile_private.configure(region, true) FROM domicile.region")
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")
        c.execute("SELECT domicile_private.configure(region, false) FROM domicile.region")
    with guarded.connect(role) as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, 'mine')", (own,))
        enrolment = c.execute("INSERT INTO app.enrolment (org_id, person) VALUES (%s, 1) RETURNING id", (own,)).fetchone()[0]
        c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'mine')", (enrolment,))
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (%s, 'mine')", (own,))
        assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 1
        assert c.execute("SELECT count(*) FROM app.answer").fetchone()[0] == 1
        assert c.execute("SELECT count(*) FROM app.question").fetchone()[0] == 2
        assert c.execute("SELECT name FROM app.person").fetchall() == [("member",)]
        assert c.execute("UPDATE app.question SET prompt = 'stolen' WHERE org_id IS NULL").rowcount == 0
        assert c.execute("DELETE FROM app.question WHERE org_id IS NULL").rowcount == 0
        with pytest.raises(errors.InsufficientPrivilege):
            c.execute("SELECT * FROM app.version")


def test_a_new_table_is_born_closed(guarded):
    with guarded.connect("installer") as c:
        c.execute("SET ROLE app_owner")
        c.execute("CREATE TABLE app.fresh (org_id int)")
        with pytest.raises(errors.InsufficientPrivilege):
            c.execute("GRANT SELECT ON app.fresh TO domicile_tenant")
        c.execute("CREATE TABLE app.event_2027 PARTITION OF app.event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')")
        state = c.execute("SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname IN ('fresh', 'event_2027') ORDER BY 1").fetchall()
        assert state == [("event_2027", True), ("fresh", True)]
        c.execute("DROP TABLE app.fresh")
    refused(guarded, "INSERT INTO app.event VALUES (%s, '2027-05-05', 'x')", guarded.other)


def test_a_path_table_gets_a_proposal(guarded):
    done = guarded.init("--dry-run", "--master")
    assert "nothing" not in done.stderr
    with guarded.connect() as c:
        assert c.execute("SELECT count(*) FROM domicile.violations() v WHERE v.severity = 'refuse' AND NOT v.known").fetchone()[0] == 0


def test_psycopg_is_not_told_secrets(guarded):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        with guarded.connect("pool") as c:
            c.execute("SELECT * FROM domicile_private.context_key")
