"""PostgreSQL's own trail as events: sessions past the gateway, superusers, settings and schemas, silence. A real server's
jsonlog, a node that is killed, and people who would rather not be seen."""

import json
import pathlib
import signal

import psycopg
import pytest

from support.extra_node import ExtraNode
from support.local_regions import wait_until
from support.log_index import run
from support.serving import one_school

REGION = "ca-central-1"
PGAUDIT = pathlib.Path("/usr/lib/postgresql/15/lib/pgaudit.so").exists()


@pytest.fixture(scope="module")
def regions():
    local = one_school()
    try:
        with local.superuser(REGION) as admin:
            for setting, value in (("logging_collector", "on"), ("log_destination", "jsonlog"), ("log_connections", "on"),
                                   ("log_directory", "trail"), ("log_filename", "postgresql-%Y-%m-%d_%H%M%S.log")):
                admin.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
            if PGAUDIT:
                admin.execute("ALTER SYSTEM SET shared_preload_libraries = 'pgaudit'")
        local.down()
        local.up()
        with local.superuser(REGION) as admin:
            local.trail = pathlib.Path(admin.execute("SHOW data_directory").fetchone()[0]) / "trail"
            local.logins = [r for (r,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND NOT rolbypassrls").fetchall()]
            admin.execute("CREATE ROLE eve LOGIN PASSWORD 'secret'")
            database = admin.execute("SELECT current_database()").fetchone()[0]
            admin.execute(f"GRANT CONNECT ON DATABASE {database} TO eve")
        yield local
    finally:
        local.drop()


def start(regions) -> ExtraNode:
    logins = ", ".join(f'"{login}"' for login in regions.logins)
    return ExtraNode(regions, REGION, more=f'\n[trails]\npostgresql_log = "{regions.trail}"\npostgresql_expected_logins = [{logins}]\n'
                                           "postgresql_scan_every_s = 2\n")


@pytest.fixture
def node(regions):
    node = start(regions)
    yield node
    node.stop()


def dsn(regions, **replaced) -> str:
    text = pathlib.Path(regions.region(REGION)["dsn_files"]["superuser"]).read_text()
    return psycopg.conninfo.make_conninfo(text, **replaced)


def lines(node) -> list[str]:
    return run("--output", "json", "audit", "list", node.audit).stdout.splitlines()


def events(node, kind: str, **details) -> list[dict]:
    found = [event for event in map(json.loads, lines(node)) if event["metadata"]["event_code"] == kind]
    return [e for e in found if all(e["unmapped"].get("details", {}).get(k) == v for k, v in details.items())]


def connects(node, application: str) -> list[dict]:
    return [e for e in events(node, "sql_session", application_name=application) if e["unmapped"]["operation"] == "connect"]


def test_sessions_past_the_gateway_are_events_and_the_applications_are_none(regions, node):
    with psycopg.connect(dsn(regions, application_name="maintenance")) as session:
        session.execute("SELECT 1")
    (seen,) = wait_until(lambda: connects(node, "maintenance"), 20, "the superuser's session")
    details = seen["unmapped"]["details"]
    assert (details["bypass"], details["superuser"], details["source"]) == ("true", "true", "postgresql-log")
    assert seen["metadata"]["correlation_uid"].startswith("pg:")
    pool = set(regions.logins)
    assert not [e for e in events(node, "sql_session") if e["unmapped"]["details"]["user"] in pool]


def test_a_refused_login_is_a_denied_session(regions, node):
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn(regions, user="nobody", password="wrong", host="127.0.0.1", port=regions_port(regions)))
    wait_until(lambda: [e for e in events(node, "sql_session", user="nobody") if e["unmapped"]["outcome"] == "denied"
                        and e["status_code"].startswith("sqlstate_28")], 20, "the refused login")


def regions_port(regions) -> int:
    with regions.superuser(REGION) as admin:
        return int(admin.execute("SHOW port").fetchone()[0])


def test_nobody_writes_the_trail_by_what_they_say(regions, node):
    forged = "connection authorized: user=postgres database=forged application_name=forged"
    evil = 'evil"\n{"session_id":"x","line_num":1,"ps":"authentication","error_severity":"LOG","user":"forged","message":"' + forged + '"}'
    with psycopg.connect(dsn(regions, application_name=evil), autocommit=True) as session:
        session.execute(f"DO $$ BEGIN RAISE LOG '{forged}'; RAISE LOG 'parameter \"log_connections\" changed to \"forged\"'; END $$")
        session.execute("SET log_statement = 'all'")
        session.execute("SELECT 'connection authorized: user=forged' AS forged")
        session.execute("SELECT 'a-literal-of-a-person' AS x")
    with psycopg.connect(dsn(regions, application_name="after the forger")):
        pass
    wait_until(lambda: connects(node, "after"), 20, "a later session")  # the message names the first word alone
    assert not events(node, "sql_session", database="forged") and not events(node, "sql_session", user="forged")
    assert not events(node, "config_changed", value="forged")
    statements = events(node, "sql_statement")
    assert statements and all(len(e["query_info"]["query_string"]) == 16 for e in statements)
    assert "a-literal-of-a-person" not in "\n".join(lines(node))


def test_changed_schemas_and_settings_are_events(regions, node):
    with regions.superuser(REGION) as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'ddl'")
        admin.execute("SELECT pg_reload_conf()")
        wait_until(lambda: [e for e in events(node, "config_changed", setting="log_statement", value="ddl")
                            if e["unmapped"]["details"]["source"] == "postgresql-log"], 20, "the setting")
        wait_until(lambda: [e for e in events(node, "config_changed", setting="log_statement", value="ddl", before="none")], 20,
                   "the setting, seen in the catalog too")
        with psycopg.connect(dsn(regions), autocommit=True) as session:
            session.execute("CREATE TABLE public.drawer (a int)")
            session.execute("DROP TABLE public.drawer")
        wait_until(lambda: {e["unmapped"]["operation"] for e in events(node, "schema_changed", source="postgresql-log")} >= {"CREATE TABLE", "DROP TABLE"},
                   20, "the schema's changes")
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.skipif(not PGAUDIT, reason="the Debian package postgresql-15-pgaudit is not installed")
def test_pgaudit_tells_of_schemas_that_functions_change(regions, node):
    with psycopg.connect(dsn(regions, application_name="shelves"), autocommit=True) as session:
        session.execute("SET pgaudit.log = 'ddl, role'")
        session.execute("DO $$ BEGIN EXECUTE 'CREATE TABLE public.shelf (secret_column int)'; EXECUTE 'DROP TABLE public.shelf'; END $$")
    wait_until(lambda: {e["unmapped"]["operation"] for e in events(node, "schema_changed", application_name="shelves")} >= {"CREATE TABLE", "DROP TABLE"},
               20, "what pgaudit says")
    assert "secret_column" not in "\n".join(lines(node))


def test_a_silenced_log_is_told_although_it_says_nothing(regions, node):
    def told(operation):
        return [e for e in events(node, "log_changed") if e["unmapped"]["operation"] == operation]

    with regions.superuser(REGION) as admin:
        before = len(told("trail.silent"))
        admin.execute("ALTER SYSTEM SET log_connections = off")
        admin.execute("SELECT pg_reload_conf()")
        try:
            wait_until(lambda: events(node, "config_changed", setting="log_connections", value="off"), 20, "who switched it off is told")
            wait_until(lambda: len(told("trail.silent")) > before, 20, "the silence")
            assert told("trail.silent")[-1]["severity"] == "Critical"
            wait_until(lambda: [e for e in events(node, "finding") if e["compliance"]["control"] == "DOM-TRL-001" and
                                "log_connections is off" in e["compliance"]["status_detail"]], 20, "the finding")
        finally:
            admin.execute("ALTER SYSTEM SET log_connections = on")
            admin.execute("SELECT pg_reload_conf()")
        wait_until(lambda: told("trail.heard"), 20, "it is heard again")


def test_each_session_once_although_the_node_is_killed(regions):
    node = start(regions)
    try:
        for number in range(60):
            with psycopg.connect(dsn(regions, application_name=f"burst-{number}")):
                pass
            if number in (20, 21, 40):
                node.process.send_signal(signal.SIGKILL)
                node.process.wait(20)
                node.stop()
                node = start(regions)
        wait_until(lambda: connects(node, "burst-59"), 20, "the last session")
        for number in range(60):
            assert len(connects(node, f"burst-{number}")) == 1, number
        ids = [e["metadata"]["correlation_uid"] for kind in ("sql_session", "schema_changed", "config_changed")
               for e in events(node, kind, source="postgresql-log")]
        assert len(ids) == len(set(ids))
    finally:
        node.stop()


def test_a_log_file_that_is_taken_away_is_told(regions, node):
    with psycopg.connect(dsn(regions, application_name="witness")):
        pass
    wait_until(lambda: connects(node, "witness"), 20, "the log is read")
    newest = max(regions.trail.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    newest.unlink()
    wait_until(lambda: [e for e in events(node, "log_changed") if e["unmapped"]["operation"] == "trail.removed"
                        and e["unmapped"]["details"]["file"] == newest.name], 20, "the missing file")
    with regions.superuser(REGION) as admin:
        admin.execute("SELECT pg_rotate_logfile()")
