"""A major upgrade of a region: by dump and restore, and by pg_upgrade. Either way it is closed until it is
reconciled, and then whole."""

import os
import shutil
import subprocess

import psycopg
import pytest
from psycopg import errors
from support.domicile import domicile
from support.other_postgres import NPM, npm_server, pypi_server, upgradable_server
from support.postgres import Cluster, _as_server_user, scratch_folder
from support.region import Region

TABLES = ("course", "enrolment", "answer", "question", "country", "person", "event", "version")


NEWER = [major for major in sorted(NPM) if major > 15]


def build(folder, cluster=None):
    region = Region(folder, cluster=cluster)
    region.init("--superuser-dsn-file", region.superuser_file(), "--master")
    region.home("7", 2)
    region.home("8", 2)
    with region.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, 'Ada'), (2, 'Bob')")
        for org in (7, 8):
            c.execute("INSERT INTO app.course (org_id, title) SELECT %s, 'title ' || n FROM generate_series(1, 50) n", (org,))
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (%s, %s, %s)", (org, org, org - 6))
            c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'words')", (org,))
            c.execute("INSERT INTO app.event VALUES (%s, '2026-05-05', 'x')", (org,))
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")
        role = c.execute("SELECT role FROM domicile.organization WHERE key = 7").fetchone()[0]
        c.execute(f"ALTER ROLE {role} PASSWORD 'secret'")
    region.run("validate")
    return region


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = build(tmp_path_factory.mktemp("region"))
    yield one
    one.drop()


def digest(connection) -> dict:
    return {table: connection.execute(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM app.{table} t").fetchone()
            for table in TABLES}


def closed_then_open(region, dsn, connect, own_role: bool):
    """What every upgrade must show: closed for everybody, open after reconcile, confined as before."""
    with connect() as c, pytest.raises(errors.CheckViolation, match="region is closed"):
        c.execute("INSERT INTO app.course VALUES (7, 1000, 'x')")
    with connect() as c, pytest.raises(errors.CheckViolation, match="region is closed"):
        c.execute("DELETE FROM app.course WHERE org_id = 7")
    status = domicile("region", "status", "--dsn", dsn, check=False)
    assert status.returncode == 1 and "closed" in status.stdout
    domicile("-q", "region", "reconcile", "--dsn", dsn, "--placements", region.placements(("7", 2, "active"), ("8", 3, "suspended")))
    assert domicile("region", "status", "--dsn", dsn).returncode == 0
    with connect() as c:
        c.execute("INSERT INTO app.course VALUES (7, 1000, 'x')")
        c.execute("DELETE FROM app.course WHERE id = 1000")
        with pytest.raises(errors.CheckViolation, match="organization 8 is not writable"):
            c.execute("INSERT INTO app.course VALUES (8, 1000, 'x')")
        bad = c.execute("SELECT kind, object, detail FROM domicile.violations() v WHERE v.severity = 'refuse'").fetchall()
        assert bad == []
        role = c.execute("SELECT role FROM domicile.organization WHERE key = 7").fetchone()[0]
        c.execute(f"ALTER ROLE {role} PASSWORD 'secret'")
    with psycopg.connect(dsn.replace("user=installer", f"user={role}")) as c:
        assert c.execute("SELECT DISTINCT org_id FROM app.course").fetchall() == [(7,)]


@pytest.mark.parametrize("major", NEWER)
def test_dump_and_restore_into_a_newer_server(region, major, tmp_path):
    newer = Cluster(bin=npm_server(major))
    try:
        with newer.connect() as c:
            c.execute("CREATE ROLE app_owner NOLOGIN")
            for login, attributes in (("installer", "CREATEROLE CREATEDB"), ("pool", ""), ("node", "")):
                c.execute(f"CREATE ROLE {login} LOGIN {attributes} PASSWORD 'secret'")
            c.execute("GRANT app_owner TO installer")
        newer.create_database("app", owner="installer")
        dsn = f"host=127.0.0.1 port={newer.port} dbname=app user=installer password=secret"
        domicile("-q", "dump", tmp_path / "dump", "--dsn", region.dsn())
        domicile("-q", "restore", tmp_path / "dump", "--dsn", dsn, "--master")
        domicile("-q", "region", "init", "--dsn", dsn, "--region", "ca", "--master", "--catalog", region.catalog_file,
                 "--app-role", "pool", "--node-role", "node")
        with region.connect() as before, newer.connect("app") as after:
            assert after.info.server_version // 10_000 == major
            assert digest(after) == digest(before)
        closed_then_open(region, dsn, lambda: newer.connect("app"), True)
        with newer.connect("app") as c:
            c.execute("UPDATE app.country SET name = name")
        verified = domicile("restore", "--verify", tmp_path / "dump", "--dsn", dsn)
        assert "0 differences" in verified.stdout
    finally:
        newer.drop()


def test_pg_upgrade(tmp_path):
    bin = pypi_server()
    programs = scratch_folder()
    old_bin = upgradable_server(programs)
    old = build(tmp_path, Cluster(bin=old_bin))
    newer = Cluster(bin=bin)
    try:
        with old.connect() as c:
            before = digest(c)
        old.cluster.stop()
        newer.stop()
        done = subprocess.run([*_as_server_user(), str(bin / "pg_upgrade"), "-b", str(old_bin), "-B", str(bin), "-d", str(old.cluster.data),
                               "-D", str(newer.data), "-U", "postgres", "-s", str(newer.folder), "-p", str(old.cluster.port),
                               "-P", str(newer.port)], cwd=newer.folder, capture_output=True, text=True, timeout=180,
                              env={**os.environ, "PGPASSWORD": Cluster.password})
        logs = "".join(log.read_text()[-1500:] for log in newer.data.glob("pg_upgrade_output.d/*/log/pg_upgrade_dump_*.log"))
        assert done.returncode == 0, done.stdout[-300:] + done.stderr + logs
        newer.start()
        dsn = f"host=127.0.0.1 port={newer.port} dbname=app user=installer password=secret"
        with newer.connect("app") as c:
            assert c.info.server_version // 10_000 == 16
            assert digest(c) == before
            assert c.execute("SELECT count(*) FROM pg_event_trigger WHERE evtenabled = 'A'").fetchone()[0] == 2
        # Roles that PostgreSQL 15 made are nobody's from 16 on: region init says so, and gives them to the keeper.
        init = ("region", "init", "--dsn", dsn, "--region", "ca", "--master", "--catalog", old.catalog_file, "--app-role", "pool",
                "--node-role", "node", "--allow-old-server")
        told = domicile(*init, check=False)
        assert told.returncode == 1 and "--superuser-dsn-file" in told.stderr
        superuser = tmp_path / "superuser.dsn"
        superuser.write_text(newer.dsn("app"))
        superuser.chmod(0o600)
        domicile(*init, "--superuser-dsn-file", superuser)
        closed_then_open(old, dsn, lambda: newer.connect("app"), True)
        again = domicile(*init)
        assert again.stdout.startswith("nothing to do")
    finally:
        newer.drop()
        old.drop()
        shutil.rmtree(programs)
