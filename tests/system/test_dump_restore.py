"""domicile dump and restore: what the installer takes without superuser comes back whole on another server,
which stays closed until it is reconciled."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import stat

import psycopg
import pytest
from psycopg import errors
from support.domicile import domicile, domicile_json
from support.dumped import another_server, dsn, fill, rows
from support.region import Region


# What the dumped region has too: app.own is off, ids are unique across organizations; the test server's log.
KNOWN = {"DOM-CAT-004", "DOM-RLS-004", "DOM-SET-002"}
# Row security of the application's own, of which the guard knows nothing.
OWN = """
SET ROLE app_owner;
CREATE TABLE app.own (org_id bigint, v text);
ALTER TABLE app.own ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON app.own TO pool USING (v <> 'hidden');
GRANT SELECT ON app.own TO pool;
INSERT INTO app.own VALUES (7, 'shown'), (8, 'hidden');
CREATE TABLE app.shut (v text);
ALTER TABLE app.shut ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON app.shut TO pool;
INSERT INTO app.shut VALUES ('seen by nobody else');
CREATE TABLE app.base (org_id bigint NOT NULL, v text);
CREATE TABLE app.child (w text) INHERITS (app.base);
INSERT INTO app.child VALUES (7, 'v', 'w');
RESET ROLE;
"""
OFF = {"own": 'class = "organization"\nkey = "org_id"\nmode = "off"', "shut": 'class = "system"', "base": 'class = "organization"\nkey = "org_id"'}


@contextlib.contextmanager
def window(region, ticket):
    domicile("-q", "region", "maintenance", "begin", "--dsn", region.dsn(), "--ticket", ticket, "--for", "1h", "--allow", "ddl", "--allow", "dump")
    yield
    domicile("-q", "region", "maintenance", "end", "--dsn", region.dsn())


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    with one.connect() as c:
        c.execute(OWN)
    one.write_catalog(**OFF)
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    one.home("7", 4)
    one.home("8", 5)
    fill(one)
    with window(one, "OPS-1"), one.connect() as c:
        c.execute("COMMENT ON TABLE app.course IS 'in a window'")
    assert one.run("validate").returncode == 0  # so that the guard's CHECKs stand in CREATE TABLE
    yield one
    one.drop()


@pytest.fixture(scope="module")
def dump(region, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump") / "today"
    with window(region, "OPS-2"):
        domicile("-q", "dump", folder, "--dsn", region.dsn())
    return folder


@pytest.fixture
def elsewhere(tmp_path):
    """Another server, with the application's roles and an empty database."""
    cluster = another_server()
    cluster.create_database("app", owner="installer")
    yield cluster
    cluster.drop()


def test_the_manifest_counts_every_table_and_organization(region, dump):
    manifest = json.loads((dump / "manifest.json").read_text())
    tables = {f"{t['schema']}.{t['name']}": t for t in manifest["tables"]}
    assert tables["app.course"]["rows"] == 15 and tables["app.course"]["organizations"] == {"7": 7, "8": 8}
    assert tables["app.event"]["rows"] == 2 and "app.event_2026" not in tables
    assert tables["app.question"]["organizations"] == {"7": 1, "8": 1, "": 1}
    assert tables["app.answer"]["rows"] == 2 and tables["app.country"]["rows"] == 1
    assert tables["domicile_directory.user_account"]["organizations"] == {"7": 1, "8": 1}
    # Read past the application's own policies too, and whole.
    assert tables["app.own"]["rows"] == 2 and tables["app.shut"]["rows"] == 1 and tables["app.child"]["rows"] == 1 and tables["app.base"]["rows"] == 0
    assert manifest["roles"] == ["app_owner", "pool"]
    assert stat.S_IMODE(os.stat(dump).st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(p).st_mode) for p in dump.rglob("*") if p.is_file()} == {0o600}


def test_a_dump_holds_no_keys_unless_asked_and_no_guard(region, dump, tmp_path):
    with region.connect() as c:
        secret = c.execute("SELECT encode(key, 'hex') FROM domicile_private.context_key LIMIT 1").fetchone()
    everything = "".join(p.read_text() for p in dump.rglob("*") if p.is_file())
    assert "signing_key.copy" not in everything and "context_key.copy" not in everything
    assert "domicile_home" not in everything and "domicile.part_open" not in everything
    assert re.findall("ALTER TABLE (.*) (?:ENABLE|FORCE) ROW LEVEL SECURITY", everything) == ["app.own", "app.shut"]
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


def test_dump_restore_reconcile_check(region, dump, elsewhere, tmp_path):
    before = rows(region.connect)
    done = domicile("-q", "restore", dump, "--dsn", dsn(elsewhere), "--master")
    assert "The region is closed" in done.stdout
    superuser = tmp_path / "superuser.dsn"
    superuser.write_text(elsewhere.dsn("app"))
    superuser.chmod(0o600)
    init = lambda: domicile("-q", "region", "init", "--dsn", dsn(elsewhere), "--region", "ca", "--master", "--catalog",
                            region.catalog_file, "--app-role", "pool", "--node-role", "node", "--superuser-dsn-file", superuser)
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
    with psycopg.connect(dsn(elsewhere, "pool"), autocommit=True) as c:
        with pytest.raises(errors.InsufficientPrivilege):
            c.execute("SELECT * FROM app.course")
        assert c.execute("SELECT v FROM app.own").fetchall() == [("shown",)] and c.execute("SELECT * FROM app.shut").fetchall() == []
    proves_itself(elsewhere, tmp_path)
    brings_its_windows(dump, elsewhere)
    again = domicile("restore", "--verify", dump, "--dsn", dsn(elsewhere), check=False)
    assert again.returncode == 1 and "app.course of organization 7: 8 rows, the manifest says 7" in again.stdout


def proves_itself(elsewhere, folder):
    """domicile check, asked as an auditor would, finds nothing in the restored region."""
    with elsewhere.connect("app") as c:
        c.execute("CREATE ROLE auditor LOGIN PASSWORD 'secret'; GRANT domicile_checker TO auditor")
        database_id, system_identifier = c.execute("SELECT database_id, system_identifier FROM domicile.region_status()").fetchone()
    file = folder / "auditor.dsn"
    file.write_text(dsn(elsewhere, "auditor"))
    file.chmod(0o600)
    excluded = [word for check in ("DOM-CAN", "DOM-EP-003", "DOM-RTE", "DOM-ROL-005") for word in ("--exclude", check)]
    done = domicile("-q", "check", "--output", "json", "--region", "ca", "--dsn-file", file, "--system-identifier", system_identifier, "--database-id", database_id,
                    "--role", "installer", *excluded, check=False)
    results = json.loads(done.stdout)["results"]
    assert {r["check"] for r in results if r["status"] == "fail"} == KNOWN, [r for r in results if r["status"] == "fail"]
    assert {"DOM-GRD-001", "DOM-GRD-002", "DOM-GRD-005", "DOM-GRD-007", "DOM-RES-001", "DOM-RLS-001", "DOM-EP-004"} <= {
        r["check"] for r in results if r["status"] == "pass"}


def brings_its_windows(dump, elsewhere):
    """The past windows are evidence; the one that was open around the dump relaxes nothing here."""
    with elsewhere.connect("app") as c:
        windows = c.execute("SELECT id, ticket, ended_at IS NOT NULL, armed, left_open[1] FROM domicile.maintenance ORDER BY id").fetchall()
        assert [w[1:4] for w in windows] == [("OPS-1", True, True), ("OPS-2", True, None)] and "in the restored one it never was" in windows[1][4]
        acts = c.execute("SELECT command FROM domicile.maintenance_act WHERE window_id = %s", (windows[0][0],)).fetchall()
        assert acts == [("COMMENT",)]
        assert not c.execute("SELECT domicile.maintenance_allows('read')").fetchone()[0]
        restored = c.execute("SELECT manifest_sha256, region FROM domicile.restored").fetchall()
        assert restored == [(hashlib.sha256((dump / "manifest.json").read_bytes()).hexdigest(), "ca")]
    domicile("-q", "region", "maintenance", "begin", "--dsn", dsn(elsewhere), "--ticket", "OPS-3", "--for", "1h", "--allow", "ddl")
    domicile("-q", "region", "maintenance", "end", "--dsn", dsn(elsewhere))


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
