"""domicile dump and restore: what the installer takes without superuser comes back whole on another server,
which stays closed until it is reconciled."""

import json
import os
import pathlib
import stat

import psycopg
import pytest
from psycopg import errors
from support.domicile import domicile, domicile_json
from support.postgres import Cluster
from support.region import Region

LOGINS = (("installer", "CREATEROLE CREATEDB"), ("pool", ""), ("node", ""))


def fill(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, E'Ada\\tLovelace\\n\\\\.'), (2, NULL)")
        for org in (7, 8):
            for number in range(org):
                c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, %s)", (org, f"title {number}"))
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (%s, %s, %s)", (org, org, org - 6))
            c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'words')", (org,))
            c.execute("INSERT INTO app.question (org_id, prompt) VALUES (%s, 'own')", (org,))
            c.execute("INSERT INTO app.event VALUES (%s, '2026-05-05', 'x')", (org,))
            c.execute("INSERT INTO domicile_directory.user_account (id, organization, login, password_hash) "
                      "VALUES (%s, %s, 'ada', '$argon2id$x')", ("u_" + f"{org:022d}", org))
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")
        c.execute("INSERT INTO app.version VALUES (1)")
        c.execute("SET ROLE app_owner")
        c.execute("CREATE VIEW app.titles WITH (security_invoker = true) AS SELECT title FROM app.course")
        c.execute("CREATE INDEX course_title ON app.course (org_id, title)")
        c.execute("CREATE FUNCTION app.words(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.answer; SELECT 1::bigint;'")


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    one.home("7", 4)
    one.home("8", 5)
    fill(one)
    assert one.run("validate").returncode == 0  # so that the guard's CHECKs stand in CREATE TABLE
    yield one
    one.drop()


@pytest.fixture(scope="module")
def dump(region, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump") / "today"
    domicile("-q", "dump", folder, "--dsn", region.dsn())
    return folder


@pytest.fixture
def elsewhere(tmp_path):
    """Another server, with the application's roles and an empty database."""
    cluster = Cluster()
    try:
        with cluster.connect() as c:
            c.execute("CREATE ROLE app_owner NOLOGIN")
            for login, attributes in LOGINS:
                c.execute(f"CREATE ROLE {login} LOGIN {attributes} PASSWORD 'secret'")
            c.execute("GRANT app_owner TO installer")
        cluster.create_database("app", owner="installer")
        yield cluster
    finally:
        cluster.drop()


def dsn(cluster, user="installer"):
    return f"host=127.0.0.1 port={cluster.port} dbname=app user={user} password=secret"


def rows(connect) -> dict:
    found = {}
    with connect() as c:
        for table in ("course", "enrolment", "answer", "question", "country", "person", "event", "event_2026", "version"):
            found[table] = c.execute(f"SELECT t::text FROM app.{table} t ORDER BY 1").fetchall()
        found["users"] = c.execute("SELECT id, organization, login FROM domicile_directory.user_account ORDER BY 1").fetchall()
        found["next"] = c.execute("SELECT last_value, is_called FROM app.course_id_seq").fetchall()
    return found


def test_the_manifest_counts_every_table_and_organization(region, dump):
    manifest = json.loads((dump / "manifest.json").read_text())
    tables = {f"{t['schema']}.{t['name']}": t for t in manifest["tables"]}
    assert tables["app.course"]["rows"] == 15 and tables["app.course"]["organizations"] == {"7": 7, "8": 8}
    assert tables["app.event"]["rows"] == 2 and "app.event_2026" not in tables
    assert tables["app.question"]["organizations"] == {"7": 1, "8": 1, "": 1}
    assert tables["app.answer"]["rows"] == 2 and tables["app.country"]["rows"] == 1
    assert tables["domicile_directory.user_account"]["organizations"] == {"7": 1, "8": 1}
    assert manifest["roles"] == ["app_owner"]
    assert stat.S_IMODE(os.stat(dump).st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(p).st_mode) for p in dump.rglob("*") if p.is_file()} == {0o600}


def test_a_dump_holds_no_keys_unless_asked_and_no_guard(region, dump, tmp_path):
    with region.connect() as c:
        secret = c.execute("SELECT encode(key, 'hex') FROM domicile_private.context_key LIMIT 1").fetchone()
    everything = "".join(p.read_text() for p in dump.rglob("*") if p.is_file())
    assert "signing_key.copy" not in everything and "context_key.copy" not in everything
    assert "domicile_home" not in everything and "ROW LEVEL SECURITY" not in everything
    with_secrets = domicile_json("-q", "dump", tmp_path / "whole", "--dsn", region.dsn(), "--with-secrets")
    names = {t["table"] for t in with_secrets["tables"]}
    assert {"domicile_private.context_key", "domicile_directory.signing_key", "domicile_directory.refresh_token"} <= names
    if secret:
        assert secret[0] not in everything
        assert secret[0] in (tmp_path / "whole" / "data" / "domicile_private.context_key.copy").read_text()


def test_dumping_changes_nothing_in_the_region(region, tmp_path):
    before = region.shape()
    domicile("-q", "dump", tmp_path / "again", "--dsn", region.dsn())
    assert region.shape() == before
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM domicile.violations() v WHERE v.severity = 'refuse'").fetchone()[0] == 0


def test_dump_restore_reconcile_check(region, dump, elsewhere):
    before = rows(region.connect)
    done = domicile("-q", "restore", dump, "--dsn", dsn(elsewhere), "--master")
    assert "The region is closed" in done.stdout
    init = lambda: domicile("-q", "region", "init", "--dsn", dsn(elsewhere), "--region", "ca", "--master", "--catalog",
                            region.catalog_file, "--app-role", "pool", "--node-role", "node")
    status = domicile("region", "status", "--dsn", dsn(elsewhere), check=False)
    assert status.returncode == 1 and "restored from a dump" in status.stdout
    init()
    with elsewhere.connect("app") as c:  # a superuser
        with pytest.raises(errors.CheckViolation, match="region is closed"):
            c.execute("INSERT INTO app.course VALUES (7, 99, 'x')")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="closed"):
            c.execute("SELECT domicile.home_organization('7', 9)")
    # The epochs came along: a list from before the dump is refused.
    old = region.placements(("7", 1, "active"), ("8", 1, "active"))
    refused = domicile("-q", "region", "reconcile", "--dsn", dsn(elsewhere), "--placements", old, check=False)
    assert refused.returncode == 1 and "older" in refused.stderr
    # Organization 8 moved away meanwhile.
    domicile("-q", "region", "reconcile", "--dsn", dsn(elsewhere), "--placements", region.placements(("7", 4, "active"), ("8", 5, "active")))
    assert domicile("region", "validate", "--dsn", dsn(elsewhere)).returncode == 0
    verified = domicile("restore", "--verify", dump, "--dsn", dsn(elsewhere))
    assert "0 differences" in verified.stdout
    assert rows(lambda: elsewhere.connect("app")) == before
    with elsewhere.connect("app") as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
        assert c.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'course_title'").fetchone()[0] == 1
        assert not c.execute("SELECT 1 FROM pg_constraint WHERE contype = 'c' AND NOT convalidated").fetchall()
        bad = c.execute("SELECT kind, object, detail FROM domicile.violations() v WHERE v.severity = 'refuse'").fetchall()
        assert bad == []
    with psycopg.connect(dsn(elsewhere, "pool")) as c:
        with pytest.raises(errors.InsufficientPrivilege):
            c.execute("SELECT * FROM app.course")
    again = domicile("restore", "--verify", dump, "--dsn", dsn(elsewhere), check=False)
    assert again.returncode == 1 and "app.course of organization 7: 8 rows, the manifest says 7" in again.stdout


@pytest.mark.parametrize("name, change", [
    ("app.course.copy", lambda text: text.replace("title 3", "title 4", 1)),
    ("app.course.copy", lambda text: text[:-9]),
])
def test_a_changed_dump_is_refused_and_changes_nothing(region, dump, elsewhere, name, change):
    file = dump / "data" / name
    text = file.read_text()
    try:
        file.write_text(change(text))
        done = domicile("-q", "restore", dump, "--dsn", dsn(elsewhere), check=False)
    finally:
        file.write_text(text)
    assert done.returncode == 1 and "not as the manifest says" in done.stderr
    with elsewhere.connect("app") as c:
        assert c.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(app|domicile)'").fetchone()[0] == 0


def test_restore_refuses_a_database_in_use_and_missing_roles(region, dump, elsewhere):
    full = domicile("-q", "restore", dump, "--dsn", region.dsn(), check=False)
    assert full.returncode == 2 and "not empty" in full.stderr
    with elsewhere.connect() as c:
        c.execute("DROP ROLE app_owner")
    missing = domicile("-q", "restore", dump, "--dsn", dsn(elsewhere), check=False)
    assert missing.returncode == 2 and "roles that the schema names are missing: app_owner" in missing.stderr


def test_a_table_that_row_security_hides_is_said_and_not_passed_over(region, tmp_path):
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner")
        c.execute("CREATE TABLE app.fresh (id int)")
    try:
        done = domicile("-q", "dump", tmp_path / "out", "--dsn", region.dsn(), check=False)
        assert done.returncode == 1 and "app.fresh" in done.stderr and not (tmp_path / "out").exists()
        part = domicile_json("-q", "dump", tmp_path / "out", "--dsn", region.dsn(), "--table", "app.course")
        assert [t["table"] for t in part["tables"]] == ["app.course"]
        wrong = domicile("-q", "dump", tmp_path / "no", "--dsn", region.dsn(), "--table", "app.nowhere", check=False)
        assert wrong.returncode == 2 and "no such table" in wrong.stderr
    finally:
        with region.connect() as c:
            c.execute("DROP TABLE app.fresh")


def test_a_folder_in_use_is_left_alone(region, dump):
    before = sorted(p.name for p in pathlib.Path(dump).rglob("*"))
    done = domicile("-q", "dump", dump, "--dsn", region.dsn(), check=False)
    assert done.returncode == 2 and "not empty" in done.stderr
    assert sorted(p.name for p in pathlib.Path(dump).rglob("*")) == before
