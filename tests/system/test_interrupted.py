"""The program, its server process or the whole server is killed anywhere within dump, restore, detach, enforce and
maintenance windows: nothing is lost, nothing happens twice, the message says what to do, and the next run goes on."""

import json
import os
import re
import secrets
import shutil
import subprocess

import pytest
from support.domicile import domicile
from support.dumped import another_server, fill, rows
from support.interrupt import Point, Relay, come_back, points
from support.postgres import BIN, Cluster
from support.region import Region


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    one.write_catalog(mode="observe")
    one.before = schema_of(one.cluster, "app")
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    for key in ("7", "8"):
        one.home(key)
    fill(one)
    yield one
    one.drop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("guarded"))
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    one.home("7")
    one.home("8")
    fill(one)
    yield one
    one.drop()


def through(relay: Relay, database: str = "app", user: str = "installer", password: str = "secret") -> str:
    return f"host=127.0.0.1 port={relay.port} dbname={database} user={user} password={password} sslmode=disable gssencmode=disable"


def schema_of(cluster: Cluster, database: str) -> str:
    done = subprocess.run([BIN / "pg_dump", "--schema-only", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", database],
                          env={**os.environ, "PGPASSWORD": Cluster.password}, check=True, capture_output=True, text=True)
    return re.sub(r"(?m)^\\(un)?restrict .*\n", "", done.stdout)


def struck(relay: Relay, point, done):
    """The point was reached, and the program died or said what to do. A program that had nothing left to lose may end well."""
    come_back(relay.cluster, point)
    relay.close()
    assert relay.struck, point
    if point.kill == "program":
        assert done.returncode == -9
    elif done.returncode != 0:
        assert done.returncode == 3 and "run the same command again" in done.stderr, (str(point), done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


class Copy:
    """A copy of a region's database, and the command that is interrupted in it."""

    def __init__(self, region: Region, folder):
        self.region, self.name = region, "copy_" + secrets.token_hex(4)
        self.catalog = folder / "domicile.catalog.toml"
        shutil.copy(region.catalog_file, self.catalog)
        with region.cluster.connect() as c:
            c.execute(f"CREATE DATABASE {self.name} TEMPLATE app OWNER installer STRATEGY file_copy")
            c.execute("UPDATE pg_database d SET datacl = t.datacl FROM pg_database t WHERE d.datname = %s AND t.datname = 'app'", (self.name,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.region.cluster.connect() as c:
            c.execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def dsn(self):
        return self.region.dsn().replace("dbname=app", f"dbname={self.name}")

    def connect(self):
        return self.region.cluster.connect(self.name)


# -- dump


def taken(folder) -> list:
    return json.loads((folder / "manifest.json").read_text())["tables"]


def test_an_interrupted_dump_is_no_dump_and_the_next_one_takes_its_place(guarded, tmp_path):
    plain = Relay(guarded.cluster)
    assert plain.run("-q", "dump", tmp_path / "whole", "--dsn", through(plain)).returncode == 0
    expected, before = taken(tmp_path / "whole"), guarded.shape()
    for number, point in enumerate(points(plain.steps, 5, always=("COPY (SELECT \"id\", \"enrolment_id\"", "ROLLBACK"))):
        folder = tmp_path / str(number)
        relay = Relay(guarded.cluster, point)
        done = relay.run("-q", "dump", folder, "--dsn", through(relay))
        struck(relay, point, done)
        assert guarded.shape() == before, point
        if done.returncode == 0:
            assert taken(folder) == expected
            continue
        if point.kill != "program":
            assert not folder.exists(), point
        refused = domicile("restore", folder, "--dsn", guarded.dsn(), check=False)
        assert refused.returncode == 2 and ("unfinished dump" in refused.stderr or "name the folder of a whole dump" in refused.stderr), point
        domicile("-q", "dump", folder, "--dsn", guarded.dsn())
        assert taken(folder) == expected and not (folder / "unfinished").exists(), point
        assert domicile("restore", "--verify", folder, "--dsn", guarded.dsn()).returncode == 0


# -- restore


def test_an_interrupted_restore_goes_on_and_puts_nothing_there_twice(guarded, tmp_path):
    domicile("-q", "dump", tmp_path / "dump", "--dsn", guarded.dsn())
    before = rows(guarded.connect)
    target = another_server()

    def restore(relay=None, dsn=None):
        arguments = ("-q", "restore", tmp_path / "dump", "--dsn", dsn or through(relay))
        return relay.run(*arguments) if relay else domicile(*arguments, check=False)

    def fresh():
        with target.connect() as c:
            c.execute("DROP DATABASE IF EXISTS app WITH (FORCE)")
        target.create_database("app", owner="installer")

    try:
        fresh()
        plain = Relay(target)
        assert restore(plain).returncode == 0
        direct = f"host=127.0.0.1 port={target.port} dbname=app user=installer password=secret"
        last = max(at for at, step in enumerate(plain.steps) if step == "COMMIT")
        for point in points(plain.steps, 5, always=("domicile.close_region", "INSERT INTO domicile.restored")) + [Point(last, "answer", "backend")]:
            fresh()
            relay = Relay(target, point)
            done = restore(relay)
            struck(relay, point, done)
            assert point.kill == "program" or "whole, or not at all" in done.stderr
            with target.connect("app") as c:
                tables = c.execute("SELECT count(*) FROM pg_class c WHERE c.relnamespace = to_regnamespace('app') AND c.relkind = 'r'").fetchone()[0]
                assert tables in (0, 8), point
            again = restore(dsn=direct)
            assert again.returncode == 0, (str(point), again.stderr)
            assert ("nothing was done now" in again.stdout) == (tables == 8), point
            assert rows(lambda: target.connect("app")) == before, point
            with target.connect("app") as c:
                assert c.execute("SELECT count(*) FROM domicile.restored").fetchone()[0] == 1
                assert c.execute("SELECT state, reason ~ '^restored from a dump' FROM domicile.region").fetchone() == ("closed", True)
        once_more = restore(dsn=direct)
        assert once_more.returncode == 0 and "nothing was done now" in once_more.stdout and rows(lambda: target.connect("app")) == before
    finally:
        target.drop()


# -- detach


def test_an_interrupted_detach_goes_on_to_the_schema_from_before(region, guarded, tmp_path):
    def detach(copy, relay=None):
        arguments = ("-q", "region", "detach", "--all", "--confirm", "ca", "--discard-directory", "--dsn")
        return relay.run(*arguments, through(relay, copy.name)) if relay else domicile(*arguments, copy.dsn(), check=False)

    with Copy(guarded, tmp_path) as copy:
        plain = Relay(guarded.cluster)
        assert detach(copy, plain).returncode == 0
        expected = schema_of(guarded.cluster, copy.name)
        assert "domicile" not in expected
    for point in points(plain.steps, 4, always=("DROP SCHEMA IF EXISTS domicile CASCADE",)):
        with Copy(guarded, tmp_path) as copy:
            relay = Relay(guarded.cluster, point)
            struck(relay, point, detach(copy, relay))
            again = detach(copy)
            assert again.returncode == 0, (str(point), again.stderr)
            assert schema_of(guarded.cluster, copy.name) == expected, point
            with copy.connect() as c:
                assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 15


# -- enforce


def test_an_interrupted_enforce_goes_on_to_the_same_guard(region, tmp_path):
    def enforce(copy, relay=None):
        arguments = ["-q", "region", "enforce", "--catalog", copy.catalog, "--anyway", "--dsn", through(relay, copy.name) if relay else copy.dsn()]
        for table in ("course", "enrolment", "answer", "event", "question"):
            arguments += ["--table", f"app.{table}"]
        return relay.run(*arguments) if relay else domicile(*arguments, check=False)

    def state(copy):
        with copy.connect() as c:
            bad = c.execute("SELECT kind, object, detail FROM domicile.violations() WHERE severity = 'refuse' AND NOT known").fetchall()
            modes = c.execute("SELECT table_name, mode, applied_at IS NOT NULL FROM domicile.catalog_table ORDER BY 1").fetchall()
            former = c.execute("SELECT table_name, row_security, forced FROM domicile.former ORDER BY 1").fetchall()
        return schema_of(region.cluster, copy.name), copy.catalog.read_text(), bad, modes, former

    with Copy(region, tmp_path) as copy:
        plain = Relay(region.cluster)
        done = enforce(copy, plain)
        assert done.returncode == 0, done.stderr
        expected = state(copy)
        assert not expected[2] and ("course", "enforce", True) in expected[3]
    for point in points(plain.steps, 5, always=("accept_grants",)):
        with Copy(region, tmp_path) as copy:
            relay = Relay(region.cluster, point)
            struck(relay, point, enforce(copy, relay))
            again = enforce(copy)
            assert again.returncode == 0, (str(point), again.stderr)
            assert state(copy) == expected, point


# -- maintenance windows


def window_verb(region, verb, relay=None, *more):
    file = region.folder / "relayed.dsn"
    file.write_text(through(relay, user="postgres", password=Cluster.password) if relay else region.superuser_file().read_text())
    file.chmod(0o600)
    arguments = ("-q", "region", "maintenance", verb, "--superuser-dsn-file", file, *more, "--dsn", through(relay) if relay else region.dsn())
    return relay.run(*arguments) if relay else domicile(*arguments, check=False)


BEGIN = ("--ticket", "OPS-7", "--for", "1h", "--allow", "backfill", "--event-triggers-off", "--role", "app_owner")


def state(region):
    with region.connect() as c:
        return {"open": c.execute("SELECT count(*) FROM domicile.maintenance WHERE ended_at IS NULL").fetchone()[0],
                "lent": c.execute("SELECT pg_has_role('app_owner', 'domicile_maintenance', 'member')").fetchone()[0],
                "triggers": c.execute("SELECT count(*) FROM pg_event_trigger WHERE evtname ~ '^domicile'").fetchone()[0]}


CLOSED, OPEN = {"open": 0, "lent": False, "triggers": 2}, {"open": 1, "lent": True, "triggers": 0}


def test_an_interrupted_window_begins_once_and_ends_armed(guarded):
    begun, ended = Relay(guarded.cluster), Relay(guarded.cluster)
    assert window_verb(guarded, "begin", begun, *BEGIN).returncode == 0 and state(guarded) == OPEN
    assert window_verb(guarded, "end", ended).returncode == 0 and state(guarded) == CLOSED
    windows = 1
    for point in points(begun.steps, 4, always=("DROP EVENT TRIGGER IF EXISTS domicile_ddl",)):
        relay = Relay(guarded.cluster, point)
        struck(relay, point, window_verb(guarded, "begin", relay, *BEGIN))
        again = window_verb(guarded, "begin", None, *BEGIN)
        assert again.returncode == 0 and state(guarded) == OPEN, (str(point), again.stderr)
        closed = window_verb(guarded, "end")
        windows += 1
        assert closed.returncode == 0 and state(guarded) == CLOSED, (str(point), closed.stdout)
    for point in points(ended.steps, 4, always=("CREATE EVENT TRIGGER",)):
        assert window_verb(guarded, "begin", None, *BEGIN).returncode == 0
        windows += 1
        relay = Relay(guarded.cluster, point)
        struck(relay, point, window_verb(guarded, "end", relay))
        again = window_verb(guarded, "end")
        assert again.returncode == 0 or "of ticket OPS-7, was ended" in again.stderr and "everything was armed" in again.stderr, (str(point), again.stderr)
        assert state(guarded) == CLOSED, point
    with guarded.connect() as c:
        assert c.execute("SELECT count(*), bool_and(armed) FROM domicile.maintenance").fetchone() == (windows, True)
