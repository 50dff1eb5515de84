"""domicile region maintenance: a window with ticket and end, that relaxes what it says and nothing else."""

import os
import subprocess

import psycopg
import pytest
from psycopg import errors
from support.adoption import Adoption
from support.domicile import domicile, domicile_json
from support.postgres import BIN

MAJOR_DDL = "ALTER TABLE app.course DISABLE ROW LEVEL SECURITY"


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Adoption(tmp_path_factory.mktemp("maintenance"))
    one.init("--superuser-dsn-file", one.superuser_file())
    for key in ("7", "8"):
        one.home(key)
    with one.connect() as c:
        c.execute("INSERT INTO app.course (org_id, title) SELECT 7 + i % 2, 't' || i FROM generate_series(1, 10) i")
    one.mode("enforce", "--table", "app.course", "--table", "app.question")
    yield one
    one.drop()


def _run(region, verb, *arguments, check=True):
    return domicile("-q", "region", "maintenance", verb, "--dsn", region.dsn(), *arguments, check=check)


def begin(region, *arguments, **kwargs):
    return _run(region, "begin", "--ticket", "OPS-12", "--for", "2h", *arguments, **kwargs)


def status(region):
    return domicile_json("region", "maintenance", "status", "--dsn", region.dsn())


def as_owner(region, sql):
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner")
        return c.execute(sql)


def expire(region):
    """As if the hours had passed: the table's own CHECK allows no window below a minute."""
    region.execute("UPDATE domicile.maintenance SET begun_at = begun_at - interval '3 hours', expires_at = expires_at - interval '3 hours' WHERE ended_at IS NULL")


def test_ddl_is_refused_before_passes_within_and_is_refused_after_the_window(region):
    with pytest.raises(errors.InsufficientPrivilege, match="row_security_off"):
        as_owner(region, MAJOR_DDL)
    begin(region, "--allow", "ddl")
    as_owner(region, MAJOR_DDL)
    acts = region.one("SELECT array_agg(command || ': ' || coalesce(let_pass, '')) FROM domicile.maintenance_act")
    assert len(acts) == 1 and "ALTER TABLE: row_security_off app.course" in acts[0]
    done = _run(region, "end", check=False)
    assert done.returncode == 1 and "NOT armed" in done.stdout and "row_security_off app.course" in done.stdout
    region.run("init", "--region", "ca", "--catalog", region.catalog_file)
    with pytest.raises(errors.InsufficientPrivilege):
        as_owner(region, MAJOR_DDL)
    begin(region, "--allow", "ddl")
    done = _run(region, "end")
    assert "armed: violations() finds nothing" in done.stdout
    windows = status(region)["windows"]
    assert [w["armed"] for w in windows[:2]] == [True, False] and windows[1]["let_pass"] == 1 and windows[1]["ticket"] == "OPS-12"


def test_an_expired_window_relaxes_nothing_although_nobody_ended_it(region):
    begin(region, "--allow", "ddl", "--allow", "backfill")
    as_owner(region, "ALTER TABLE app.question DISABLE ROW LEVEL SECURITY; ALTER TABLE app.question ENABLE ROW LEVEL SECURITY")
    with region.connect("installer") as c:
        assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 10
        expire(region)
        with pytest.raises(errors.InsufficientPrivilege, match="no organization context"):
            c.execute("SELECT count(*) FROM app.course")
    with pytest.raises(errors.InsufficientPrivilege):
        as_owner(region, "ALTER TABLE app.question DISABLE ROW LEVEL SECURITY")
    found = status(region)
    assert not found["open"] and found["to_end"] and found["windows"][0]["expired"]
    _run(region, "end")


def test_a_window_without_a_kind_of_relaxation_does_not_grant_it(region):
    begin(region, "--allow", "ddl")
    with region.connect("installer") as c, pytest.raises(errors.InsufficientPrivilege):
        c.execute("SELECT count(*) FROM app.course")
    _run(region, "end")
    begin(region, "--allow", "dump")
    with region.connect("installer") as c:
        assert c.execute("SELECT count(*) FROM app.course").fetchone()[0] == 10
        with pytest.raises(errors.InsufficientPrivilege):
            c.execute("UPDATE app.course SET title = 'x' RETURNING 1")
    with pytest.raises(errors.InsufficientPrivilege):
        as_owner(region, MAJOR_DDL)
    _run(region, "end")


def test_a_backfill_reaches_every_row_but_stores_no_foreign_one(region):
    begin(region, "--allow", "backfill", "--role", "app_owner")
    assert as_owner(region, "UPDATE app.course SET title = title || '!'").rowcount == 10
    with pytest.raises(errors.CheckViolation, match="organization 99 is not writable"):
        as_owner(region, "UPDATE app.course SET org_id = 99 WHERE id = 1")
    with pytest.raises(errors.CheckViolation, match="organization 99 is not writable"):
        as_owner(region, "INSERT INTO app.course (org_id, title) VALUES (99, 'x')")
    with region.connect("pool") as c, pytest.raises(errors.InsufficientPrivilege):
        c.execute("UPDATE app.course SET title = 'x'")
    _run(region, "end")
    assert not region.one("SELECT pg_has_role('app_owner', 'domicile_maintenance', 'member')")
    with pytest.raises(errors.InsufficientPrivilege):
        as_owner(region, "UPDATE app.course SET title = 'x'")


def test_a_dump_within_the_window_has_every_row(region):
    begin(region, "--allow", "dump")
    dump = subprocess.run([BIN / "pg_dump", "--data-only", "--enable-row-security", "-t", "app.course", "-t", "app.question", "-h", "127.0.0.1", "-p",
                           str(region.cluster.port), "-U", "installer", "app"], env={**os.environ, "PGPASSWORD": "secret"},
                          check=True, capture_output=True, text=True).stdout
    _run(region, "end")
    body = dump.split("COPY app.course")[1].split("\\.")[0]
    assert len(body.strip().splitlines()) == 1 + 10


def test_event_triggers_go_and_come_back_and_the_end_says_when_they_do_not(region):
    superuser = ("--superuser-dsn-file", region.superuser_file())
    done = begin(region, "--event-triggers-off", check=False)
    assert done.returncode == 1 and "the window is ended again" in done.stderr
    assert not status(region)["to_end"]
    begin(region, "--event-triggers-off", *superuser)
    assert region.one("SELECT count(*) FROM pg_event_trigger WHERE evtname ~ '^domicile'") == 0
    done = _run(region, "end", check=False)
    assert done.returncode == 1 and "event_trigger domicile_ddl" in done.stdout
    region.run("init", "--region", "ca", "--catalog", region.catalog_file, *superuser)
    begin(region, "--event-triggers-off", *superuser)
    done = _run(region, "end", *superuser)
    assert done.returncode == 0 and region.one("SELECT count(*) FROM pg_event_trigger WHERE evtname ~ '^domicile'") == 2


def test_a_new_table_is_born_closed_within_a_window_too(region):
    begin(region, "--allow", "ddl")
    as_owner(region, "CREATE TABLE app.within (org_id bigint)")
    assert region.one("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = 'app.within'::regclass")
    as_owner(region, "DROP TABLE app.within")
    _run(region, "end")


def test_one_window_at_a_time(region):
    begin(region, "--allow", "ddl")
    done = begin(region, "--allow", "dump", check=False)
    assert done.returncode != 0 and "is not ended yet" in done.stderr and "maintenance end" in done.stderr
    _run(region, "end")
    done = _run(region, "end", check=False)
    assert done.returncode != 0 and "no maintenance window to end" in done.stderr


@pytest.mark.parametrize("arguments, words", [
    (["--ticket", "T", "--for", "2 hours", "--allow", "ddl"], "--for 2 hours"),
    (["--ticket", "T", "--for", "30d", "--allow", "ddl"], "seven days"),
    (["--ticket", "T", "--for", "9223372036854775807h", "--allow", "ddl"], "seven days"),
    (["--ticket", "T", "--for", "1h", "--allow", "everything"], "--allow everything"),
    (["--ticket", "T", "--for", "1h"], "nothing would be relaxed"),
    (["--ticket", "", "--for", "1h", "--allow", "ddl"], "--ticket"),
    (["--ticket", "T", "--for", "1h", "--allow", "dump", "--role", "nobody_there"], "no such role"),
])
def test_bad_input_opens_no_window(region, arguments, words):
    done = _run(region, "begin", *arguments, check=False)
    assert done.returncode == 2 and words in done.stderr
    assert not status(region)["to_end"]


@pytest.mark.parametrize("user", ["pool", "node", "org_7"])
def test_nobody_but_the_installer_opens_or_extends_a_window(region, user):
    region.execute("ALTER ROLE org_7 LOGIN PASSWORD 'secret'")
    with region.connect(user) as c:
        for sql in ("SELECT domicile_private.begin_maintenance('T', '1 hour', '{write}', '{}')",
                    "INSERT INTO domicile.maintenance (ticket, allow, expires_at, findings) VALUES ('T', '{write}', now() + interval '1 hour', '{}')",
                    "UPDATE domicile.maintenance SET expires_at = expires_at + interval '1 day'", "GRANT domicile_maintenance TO CURRENT_USER"):
            with pytest.raises(psycopg.Error) as refused:
                c.execute(sql)
            assert refused.value.sqlstate in ("42501", "42883")
