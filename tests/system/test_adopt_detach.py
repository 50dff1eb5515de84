"""domicile region detach: the schema from before, to the last privilege."""

import pytest
from support.adoption import Adoption


@pytest.fixture
def region(tmp_path):
    one = Adoption(tmp_path)
    yield one
    one.drop()


def detach(region, *arguments, **kwargs):
    return region.run("detach", "--all", "--confirm", "ca", *arguments, **kwargs)


ENFORCED = ["app.course", "app.enrolment", "app.answer", "app.question", "app.event", "app.person", "app.country", "app.locked", "app.base"]


def enforce(region, *tables):
    arguments = [word for table in tables for word in ("--table", table)]
    return region.mode("enforce", "--anyway", *arguments)


def test_init_with_everything_off_touches_no_table_of_the_application(region):
    before = region.dump()
    region.init("--superuser-dsn-file", region.superuser_file())
    after = region.dump()
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert not [line for line in added if " app." in line], added
    with region.connect("pool") as c:
        c.execute("CREATE TEMP TABLE scratch (a int)")
    detach(region, "--drop-roles")
    assert region.dump() == before


def test_detach_restores_the_schema_after_observe_and_enforce_of_everything(region):
    before, whole = region.dump(), region.dump("--create")
    region.init("--superuser-dsn-file", region.superuser_file())
    region.mode("observe", "--all")
    region.home("7")
    assert "policies of its own (theirs)" in region.mode("enforce", "--table", "app.secret", check=False).stderr
    enforce(region, *ENFORCED)
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM domicile.violations() WHERE severity = 'refuse' AND NOT known").fetchone()[0] == 0
    assert region.dump() != before
    done = detach(region, "--drop-roles")
    assert "Domicile is off this database (region ca)" in done.stdout
    assert region.dump() == before and region.dump("--create") == whole
    assert region.one("SELECT count(*) FROM pg_roles WHERE rolname ~ '^(domicile_|org_)'") == 0


def test_back_to_observe_and_off_restores_the_tables_at_once(region):
    region.init()
    off = region.dump("-n", "app")
    region.mode("observe", "--all")
    region.home("7")
    observed = region.dump("-n", "app")
    enforce(region, *ENFORCED)
    assert region.dump("-n", "app") != observed
    region.mode("observe", "--all")
    left = [line for line in region.dump("-n", "app").splitlines() if line not in observed.splitlines()]
    assert all(line.startswith("GRANT USAGE ON SCHEMA app TO domicile_") for line in left), left
    region.mode("off", "--all")
    usage = [line for line in region.dump("-n", "app").splitlines() if line not in off.splitlines()]
    assert all(line.startswith("GRANT USAGE ON SCHEMA app TO domicile_") for line in usage), usage


def test_a_table_alone_is_detached_and_the_others_stay_guarded(region):
    region.init()
    region.home("7")
    enforce(region, "app.enrolment", "app.answer", "app.course")
    region.run("detach", "--catalog", region.catalog_file, "--table", "app.enrolment")
    assert not region.one("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.enrolment'::regclass")
    with region.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, 'p')")
        c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (1, 8, 1), (2, 7, 1)")
        c.execute("INSERT INTO app.answer (enrolment_id) VALUES (2)")
        with pytest.raises(Exception, match="organization 8 is not writable"):
            c.execute("INSERT INTO app.answer (enrolment_id) VALUES (1)")


def test_detach_asks_for_the_regions_name_and_changes_nothing_without(region):
    region.init()
    before = region.shape()
    for arguments in ([], ["--confirm", "us"]):
        done = region.run("detach", "--all", *arguments, check=False)
        assert done.returncode == 2 and "--confirm ca" in done.stderr
    done = region.run("detach", "--all", "--dry-run")
    assert "DROP SCHEMA IF EXISTS domicile CASCADE" in done.stdout
    assert region.shape() == before


def test_detach_refuses_to_take_the_applications_objects_along(region):
    region.init()
    with region.connect() as c:
        c.execute("CREATE VIEW app.mine AS SELECT domicile.current_org() AS org")
        c.execute("CREATE TABLE app.copy (org_id bigint DEFAULT domicile.current_org())")
    before = region.shape()
    done = detach(region, check=False)
    assert done.returncode == 2 and "view app.mine" in done.stderr and "app.copy" in done.stderr
    assert region.shape() == before


def test_accounts_of_the_directory_are_not_dropped_by_accident(region):
    region.init()
    region.home("7")
    with region.connect() as c:
        c.execute("INSERT INTO domicile_directory.user_account (id, organization, login, password_hash) VALUES (%s, 7, 'ada', '$argon2id$')", ("u_" + "0" * 22,))
    done = detach(region, check=False)
    assert done.returncode == 2 and "1 user accounts" in done.stderr
    detach(region, "--discard-directory")


def test_an_interrupted_detach_goes_on(region):
    before = region.dump()
    region.init("--superuser-dsn-file", region.superuser_file())
    region.home("7")
    enforce(region, *ENFORCED)
    with region.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE app.question IN ACCESS SHARE MODE")
        done = detach(region, "--lock-timeout-ms", 30, "--attempts", 2, check=False)
        assert done.returncode == 3 and "blocked  app.question" in done.stdout
        blocker.rollback()
    # Half way: what is left is guarded as before.
    with region.connect() as c, pytest.raises(Exception, match="not writable"):
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (9, 'x')")
    detach(region)
    assert region.dump() == before
    assert region.one("SELECT count(*) FROM pg_roles WHERE rolname = 'domicile_owner'") == 1
    detach(region, "--drop-roles")
    assert region.one("SELECT count(*) FROM pg_roles WHERE rolname ~ '^(domicile_|org_)'") == 0
    done = detach(region, check=False)
    assert done.returncode == 2 and "nothing of Domicile" in done.stderr


def test_roles_of_another_guarded_database_are_kept(region):
    region.init()
    region.home("7")
    region.cluster.create_database("second", owner="installer")
    with region.cluster.connect("second") as c:
        c.execute("CREATE SCHEMA app")
    region.catalog_file.write_text('[catalog]\nversion = 1\nkey_type = "bigint"\nschemas = ["app"]\ndefault_mode = "off"\n')
    region.run("init", "--region", "ca", "--catalog", region.catalog_file, dsn=region.dsn().replace("dbname=app", "dbname=second"))
    done = detach(region, "--drop-roles")
    assert "kept: all roles: database second is guarded too" in done.stdout
    assert region.one("SELECT count(*) FROM pg_roles WHERE rolname = 'org_7'") == 1


def test_a_copied_constraint_does_not_keep_domicile_in_the_database(region):
    region.init()
    region.home("7")
    enforce(region, "app.course")
    with region.connect() as c:
        c.execute("CREATE TABLE app.course_copy (LIKE app.course INCLUDING ALL)")
    before = region.shape()
    done = detach(region, check=False)
    assert done.returncode == 1 and "app.course_copy (owner postgres)" in done.stderr and region.shape() == before
    region.execute("ALTER TABLE app.course_copy OWNER TO app_owner")
    detach(region)
    assert region.one("SELECT count(*) FROM pg_constraint WHERE conrelid = 'app.course_copy'::regclass AND contype = 'c'") == 1


def test_tables_born_closed_are_opened_again_with_their_grants(region):
    region.init("--superuser-dsn-file", region.superuser_file())
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner")
        c.execute("CREATE TABLE app.fresh (org_id bigint)")
        assert c.execute("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = 'app.fresh'::regclass").fetchone()[0]
    detach(region)
    flags, acl = region.one("SELECT relrowsecurity OR relforcerowsecurity FROM pg_class WHERE oid = 'app.fresh'::regclass"), region.one(
        "SELECT relacl::text FROM pg_class WHERE oid = 'app.fresh'::regclass")
    assert not flags and "reporting=r/app_owner" in acl and "pool=a/app_owner" in acl
