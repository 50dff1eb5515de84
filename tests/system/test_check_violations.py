"""`domicile check` on real regions: a clean pair passes, and a planted violation of each kind is found under its
id. Every plant is undone, and the pair is clean again at the end: a check that cried wolf would show."""

import json
import re
import subprocess

import pytest

from support.domicile import binary
from support.guarded_region import GuardedRegion
from support.relay import outside_address, relay

CANARY = "domicile-canary-4b1f0c2d9e"
DOORS = ["DOM-RTE"]  # the routing checks have a module of their own


@pytest.fixture(scope="module")
def regions():
    made = []
    try:
        made.append(GuardedRegion("ca-central-1", ["7", "8"]))
        made.append(GuardedRegion("us-east-1", ["20", "21"], event_triggers=True))
        for region in made:
            for column in ("title",):
                region.execute(f"GRANT SELECT ({column}) ON app.course TO domicile_owner")
        made[0].execute(f"INSERT INTO app.course VALUES (7, 99, '{CANARY}')")
        yield made
    finally:
        for region in made:
            region.drop()


def canary(value: str = CANARY) -> str:
    return f'[[region.canary]]\ntable = "app.course"\ncolumn = "title"\nvalue = "{value}"\n'


# A table that others reach by a path is referenced by its id alone, so that key is unique across tenants.
KNOWN = '[[accept]]\ncheck = "DOM-RLS-004"\nresource = "app.enrolment_pkey"\nreason = "ids are random"\nuntil = 2999-01-01\n'


def config(ca, us, ca_values: dict | None = None, us_values: dict | None = None, head: str = "", tail: str = "") -> str:
    return (f"exclude = {json.dumps(DOORS)}\n{head}\n" + ca.toml(**{"tables": canary(), **(ca_values or {})}) +
            us.toml(**(us_values or {})) + KNOWN + tail)


def run(ca, text: str, *arguments):
    path = ca.file("checks.toml", text)
    done = subprocess.run([str(binary()), "-q", "--output", "json", "check", "--config", str(path), *arguments], text=True,
                          capture_output=True, timeout=180)
    report = json.loads(done.stdout) if done.stdout.startswith("{") else None
    return done, report


def bad(report, status=("fail",)):
    return [r for r in report["results"] if r["status"] in status]


def show(results):
    return "\n".join(f"{r['region']} {r['check']} {r['status']} {r['resource']}: {r['observed']}" for r in results)


def test_a_clean_pair_passes_everything(regions):
    done, report = run(regions[0], config(*regions))
    assert done.returncode == 0, show(bad(report, ("fail", "error", "not run"))) if report else done.stderr
    ids = {r["check"] for r in report["results"]}
    listed = subprocess.run([str(binary()), "--output", "json", "check", "--list"], text=True, capture_output=True, check=True)
    every = {json.loads(line)["check"] for line in listed.stdout.splitlines()}
    assert ids == {i for i in every if not i.startswith("DOM-RTE")}
    assert {r["region"] for r in report["results"]} == {"ca-central-1", "us-east-1"}
    residency = {r["resource"]: r["observed"] for r in report["results"]
                 if r["check"] == "DOM-RES-001" and r["region"] == "ca-central-1"}
    assert "2 organizations" in residency["app.course"] and "loose index scan" in residency["app.course"]
    assert "2 organizations" in residency["app.activity"]
    assert "app.enrolment" in residency["app.answer"]


# id, what is planted, how it is undone, what the result must name. `us:` plants in the other region.
SAVE = "CREATE TABLE IF NOT EXISTS public.saved AS SELECT pg_get_functiondef('{0}'::regprocedure) AS body;"
PEER = "(region, slot, state, reason, detail, contact_at) VALUES ('eu-west-1', 'domicile_eu_west_1',"
PLANTS = [
    ("DOM-CAT-001", "CREATE TABLE app.loose (x int)", "DROP TABLE app.loose", "app.loose"),
    ("DOM-CAT-002", "ALTER TABLE app.draft RENAME TO draft_gone", "ALTER TABLE app.draft_gone RENAME TO draft", "app.draft"),
    ("DOM-CAT-003", "INSERT INTO domicile.catalog_table (schema_name, table_name, class, mode) VALUES ('app', 'later', 'organization', 'enforce');"
     "CREATE TABLE app.later (org_id bigint)",
     "DROP TABLE app.later; DELETE FROM domicile.catalog_table WHERE table_name = 'later'", "app.later"),
    ("DOM-CAT-004", "UPDATE domicile.catalog_table SET mode = 'off' WHERE table_name = 'draft'",
     "UPDATE domicile.catalog_table SET mode = 'enforce' WHERE table_name = 'draft'", "app.draft"),
    ("DOM-EP-004", "SELECT domicile.close_region('a test closed it')", "reconcile", ""),
    ("DOM-GRD-001", "ALTER TABLE app.draft DISABLE TRIGGER domicile_delete", "ALTER TABLE app.draft ENABLE ALWAYS TRIGGER domicile_delete", "app.draft"),
    ("DOM-GRD-002", "UPDATE pg_constraint SET convalidated = false WHERE conrelid = 'app.draft'::regclass AND conname = 'domicile_home'",
     "UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'app.draft'::regclass AND conname = 'domicile_home'", "app.draft"),
    ("DOM-GRD-003", "CREATE RULE also AS ON INSERT TO app.draft DO ALSO SELECT 1", "DROP RULE also ON app.draft", "app.draft"),
    ("DOM-GRD-004", "ALTER TABLE app.draft OWNER TO postgres", "ALTER TABLE app.draft OWNER TO app_owner", "app.draft"),
    ("DOM-GRD-005", "CREATE FUNCTION domicile.stranger() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION domicile.stranger()", "stranger"),
    ("DOM-GRD-006", "GRANT SELECT ON domicile.organization TO app_pool", "REVOKE SELECT ON domicile.organization FROM app_pool", "domicile.organization"),
    ("DOM-GRD-007", "us: ALTER EVENT TRIGGER domicile_ddl DISABLE", "us: ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS", "domicile_ddl"),
    ("DOM-GRD-008", "ALTER TABLE domicile_private.ddl_check DISABLE TRIGGER domicile_commit",
     "ALTER TABLE domicile_private.ddl_check ENABLE ALWAYS TRIGGER domicile_commit", "ddl_check"),
    ("DOM-GRD-009", "UPDATE domicile.catalog_table SET mode = 'observe' WHERE table_name = 'draft'; ALTER TABLE app.draft DISABLE TRIGGER domicile_delete",
     "ALTER TABLE app.draft ENABLE ALWAYS TRIGGER domicile_delete; UPDATE domicile.catalog_table SET mode = 'enforce' WHERE table_name = 'draft'", "app.draft"),
    ("DOM-GRD-010", SAVE.format("domicile.homed(bigint)") +
     "CREATE OR REPLACE FUNCTION domicile.homed(o bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN true; END $$", "restore", ""),
    ("DOM-GRD-999", SAVE.format("domicile.violations()") +
     "CREATE OR REPLACE FUNCTION domicile.violations() RETURNS TABLE (kind text, object text, detail text, severity text, known boolean)"
     " LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT 'comet', 'app.draft', 'unheard of', 'refuse', false $$",
     "restore", "app.draft"),
    ("DOM-PUB-001", "CREATE PUBLICATION leak", "DROP PUBLICATION leak", "leak"),
    ("DOM-PUB-002", "CREATE SUBSCRIPTION leak CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)", "DROP SUBSCRIPTION leak", "leak"),
    ("DOM-PUB-003", "SELECT pg_create_logical_replication_slot('reader', 'pgoutput')", "SELECT pg_drop_replication_slot('reader')", "reader"),
    ("DOM-PUB-004", "CREATE FOREIGN DATA WRAPPER away; CREATE SERVER abroad FOREIGN DATA WRAPPER away", "DROP FOREIGN DATA WRAPPER away CASCADE", "abroad"),
    ("DOM-PUB-004", "CREATE FOREIGN DATA WRAPPER away; CREATE SERVER abroad FOREIGN DATA WRAPPER away; CREATE USER MAPPING FOR app_pool SERVER abroad",
     "DROP FOREIGN DATA WRAPPER away CASCADE", "abroad for app_pool"),
    ("DOM-PUB-005", "CREATE FOREIGN DATA WRAPPER away", "DROP FOREIGN DATA WRAPPER away", "away"),
    ("DOM-PUB-006", "CREATE EXTENSION dblink", "DROP EXTENSION dblink", "dblink"),
    ("DOM-PUB-007", "SELECT pg_create_physical_replication_slot('standby')", "SELECT pg_drop_replication_slot('standby')", "standby"),
    ("DOM-REF-001", "ALTER PUBLICATION domicile_reference DROP TABLE app.country", "ALTER PUBLICATION domicile_reference ADD TABLE app.country", "app.country"),
    ("DOM-REF-001", "ALTER PUBLICATION domicile_reference SET (publish = 'insert')",
     "ALTER PUBLICATION domicile_reference SET (publish = 'insert, update, delete, truncate')", "domicile_reference"),
    ("DOM-PUB-001", "ALTER PUBLICATION domicile_reference ADD TABLE app.draft", "ALTER PUBLICATION domicile_reference DROP TABLE app.draft", "domicile_reference"),
    ("DOM-REF-002", "ALTER TABLE app.country ENABLE TRIGGER domicile_write", "ALTER TABLE app.country ENABLE ALWAYS TRIGGER domicile_write", "app.country"),
    ("DOM-REF-002", "UPDATE domicile.catalog_table SET mode = 'observe' WHERE table_name = 'country'",
     "UPDATE domicile.catalog_table SET mode = 'enforce' WHERE table_name = 'country'", "app.country"),
    ("DOM-REF-003", f"INSERT INTO domicile.reference_peer {PEER} 'stopped', 'drift', '', now())", "DELETE FROM domicile.reference_peer", "eu-west-1"),
    ("DOM-REF-003", f"INSERT INTO domicile.reference_peer {PEER} 'streaming', '', '', now() - interval '1 hour')", "DELETE FROM domicile.reference_peer", "eu-west-1"),
    ("DOM-REF-003", "us: UPDATE domicile.region SET master = false", "us: UPDATE domicile.region SET master = true", "us-east-1"),
    ("DOM-REF-004", "us: UPDATE domicile.region SET master = false", "us: UPDATE domicile.region SET master = true", ""),
    ("DOM-REF-004", "us: UPDATE domicile.region SET master = false; UPDATE domicile.reference_source SET contact_at = now(), state = 'streaming'",
     "us: UPDATE domicile.region SET master = true; UPDATE domicile.reference_source SET contact_at = NULL, state = 'starting'", "app.country"),
    ("DOM-REF-005", "INSERT INTO domicile.reference_finding (kind, object, detail) VALUES ('drifts_again', 'app.country', 'a test')",
     "DELETE FROM domicile.reference_finding", "app.country"),
    ("DOM-RES-001", "SELECT domicile.home_organization('99', 1); INSERT INTO app.draft VALUES (99, 1); SELECT domicile.fence_organization('99', 2)",
     "SELECT domicile.home_organization('99', 3); DELETE FROM app.draft; SELECT domicile.fence_organization('99', 4)", "app.draft"),
    ("DOM-RES-002", "ALTER TABLE app.note DROP CONSTRAINT domicile_home; INSERT INTO app.note VALUES (NULL, 1)",
     "DELETE FROM app.note; ALTER TABLE app.note ADD CONSTRAINT domicile_home CHECK (domicile.homed(org_id))", "app.note"),
    ("DOM-RLS-001", "ALTER TABLE app.draft NO FORCE ROW LEVEL SECURITY", "ALTER TABLE app.draft FORCE ROW LEVEL SECURITY", "app.draft"),
    ("DOM-RLS-002", "CREATE POLICY open ON app.draft USING (true)", "DROP POLICY open ON app.draft", "app.draft"),
    ("DOM-RLS-003", "GRANT SELECT ON app.draft TO node_login", "REVOKE SELECT ON app.draft FROM node_login", "app.draft"),
    ("DOM-RLS-004", "CREATE UNIQUE INDEX draft_id ON app.draft (id)", "DROP INDEX app.draft_id", "draft_id"),
    ("DOM-RLS-005", "ALTER TABLE app.draft ADD CONSTRAINT draft_course FOREIGN KEY (id) REFERENCES app.enrolment (id)",
     "ALTER TABLE app.draft DROP CONSTRAINT draft_course", "app.draft"),
    ("DOM-ROL-001", "CREATE ROLE boss SUPERUSER", "DROP ROLE boss", "boss"),
    ("DOM-ROL-001", "CREATE ROLE boss BYPASSRLS", "DROP ROLE boss", "boss"),
    ("DOM-ROL-001", "CREATE ROLE boss REPLICATION", "DROP ROLE boss", "boss"),
    ("DOM-ROL-001", "CREATE ROLE boss CREATEROLE", "DROP ROLE boss", "boss"),
    ("DOM-ROL-002", "ALTER ROLE org_7 CREATEDB", "ALTER ROLE org_7 NOCREATEDB", "org_7"),
    ("DOM-ROL-003", "GRANT org_8 TO org_7", "REVOKE org_8 FROM org_7", "org_7"),
    ("DOM-ROL-004", "CREATE ROLE domicile_home_org_66", "DROP ROLE domicile_home_org_66", "org_66"),
    ("DOM-ROL-004", "ALTER ROLE domicile_home_org_7 RENAME TO gone_7", "ALTER ROLE gone_7 RENAME TO domicile_home_org_7", "7"),
    ("DOM-ROL-003", "GRANT domicile_home_org_7 TO app_pool", "REVOKE domicile_home_org_7 FROM app_pool", "app_pool"),
    ("DOM-ROL-005", "SELECT domicile.home_organization('77', 1)", "SELECT domicile.fence_organization('77', 2)", "77"),
    ("DOM-ROL-006", "GRANT domicile_owner TO app_pool", "REVOKE domicile_owner FROM app_pool", "app_pool"),
    ("DOM-ROL-007", "GRANT pg_read_all_data TO app_pool", "REVOKE pg_read_all_data FROM app_pool", "app_pool"),
    ("DOM-SET-001", "ALTER ROLE app_pool SET search_path = app", "ALTER ROLE app_pool RESET search_path", "app_pool"),
    ("DOM-SET-001", "ALTER DATABASE region SET work_mem = '8MB'", "ALTER DATABASE region RESET work_mem", "region"),
    ("DOM-SET-002", "ALTER SYSTEM SET log_parameter_max_length_on_error = -1; SELECT pg_reload_conf(); SELECT pg_sleep(0.5)",
     "ALTER SYSTEM RESET log_parameter_max_length_on_error; SELECT pg_reload_conf(); SELECT pg_sleep(0.5)", "server log"),
    ("DOM-SET-004", "SELECT lo_create(4711)", "SELECT lo_unlink(4711)", "postgres"),
    ("DOM-SET-005", "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO app_pool",
     "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM app_pool", "app"),
    ("DOM-SET-006", "CREATE FUNCTION app.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.course'", "DROP FUNCTION app.peek()", "peek"),
    ("DOM-SET-008", "GRANT CREATE ON SCHEMA app TO PUBLIC", "REVOKE CREATE ON SCHEMA app FROM PUBLIC", "app"),
    ("DOM-SET-009", "CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
     "CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION public.on_ddl()", "DROP EVENT TRIGGER spy; DROP FUNCTION public.on_ddl()", "spy"),
    ("DOM-CAN-001", "SELECT domicile.home_organization('20', 1); INSERT INTO app.draft VALUES (20, 1)",
     "DELETE FROM app.draft; SELECT domicile.fence_organization('20', 2)", "app.draft"),
    ("DOM-CAN-002", f"us: INSERT INTO app.course VALUES (20, 99, '{CANARY}')", "us: DELETE FROM app.course WHERE id = 99", "app.course.title"),
]


def apply(regions, sql: str):
    region = regions[1] if sql.startswith("us: ") else regions[0]
    sql = sql.removeprefix("us: ")
    if sql == "reconcile":
        region.reconcile()
    elif sql == "restore":
        body = region.one("SELECT body FROM public.saved")[0]
        region.execute("DROP TABLE public.saved")
        region.execute(body)
    else:
        with region.superuser() as connection:
            for statement in re.split(r";\s*(?=(?:CREATE|INSERT|ALTER|SELECT|DELETE|UPDATE|DROP) )", sql):
                connection.execute(statement)


@pytest.mark.parametrize("check,plant,undo,named", PLANTS, ids=[f"{p[0]}-{n}" for n, p in enumerate(PLANTS)])
def test_a_planted_violation_is_found(regions, check, plant, undo, named):
    apply(regions, plant)
    try:
        done, report = run(regions[0], config(*regions))
    finally:
        apply(regions, undo)
    assert report is not None, done.stderr
    hits = [r for r in bad(report) if r["check"] == check]
    assert any(named in r["resource"] for r in hits), show(bad(report, ("fail", "error", "not run")))
    assert all(r["remedy"] for r in hits)
    assert done.returncode == 1


def test_wrong_expectations_of_the_endpoint_are_found(regions):
    ca, us = regions
    for values, check in (({"database_id": "0" * 32}, "DOM-EP-001"), ({"system_identifier": "1"}, "DOM-EP-001"),
                          ({"name": "eu-west-1", "placements": None}, "DOM-EP-002")):
        done, report = run(ca, config(ca, us, values))
        assert done.returncode == 1 and check in {r["check"] for r in bad(report)}, values
    done, report = run(ca, config(ca, us, None, {"dsn_file": str(ca.dsn_file)}))
    assert {"DOM-EP-001", "DOM-EP-002", "DOM-EP-003"} <= {r["check"] for r in bad(report)}


def test_a_connection_from_elsewhere_without_tls_is_found(regions):
    address = outside_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    ca, us = regions
    hba = us.cluster.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(before + f"host all all {address}/32 scram-sha-256\n")
    loaded = us.one("SELECT pg_conf_load_time()")
    us.execute("SELECT pg_reload_conf()")
    try:
        while us.one("SELECT pg_conf_load_time()") == loaded:  # each asks in a new session
            pass
        with relay(us.cluster.port, address) as port:
            far = us.file("far.dsn", us.dsn("checker").replace(f"port={us.cluster.port}", f"port={port}"), 0o600)
            done, report = run(ca, config(ca, us, None, {"dsn_file": str(far)}))
    finally:
        hba.write_text(before)
        us.execute("SELECT pg_reload_conf()")
    assert [(r["check"], r["region"]) for r in bad(report)] == [("DOM-CON-001", "us-east-1")], show(bad(report))
    assert address in bad(report)[0]["observed"]


def test_a_canary_that_is_not_at_home_proves_nothing(regions):
    done, report = run(regions[0], config(*regions, ca_values={"tables": canary("domicile-canary-neverplanted")}))
    assert [(r["check"], r["region"]) for r in bad(report)] == [("DOM-CAN-002", "ca-central-1")]


def test_what_cannot_run_is_no_evidence(regions):
    ca, us = regions
    gone = us.file("gone.dsn", us.dsn("checker").replace(f"port={us.cluster.port}", "port=1"), 0o600)
    done, report = run(ca, config(ca, us, None, {"dsn_file": str(gone)}))
    assert done.returncode == 3, show(bad(report))
    of_us = [r for r in report["results"] if r["region"] == "us-east-1"]
    assert of_us and {r["status"] for r in of_us} == {"not run"}
    # A role without the right to ask gets errors, not passes.
    other = us.file("other.dsn", us.dsn("app_pool"), 0o600)
    done, report = run(ca, config(ca, us, None, {"dsn_file": str(other)}))
    assert done.returncode == 3, show(bad(report))
    assert not [r for r in report["results"] if r["region"] == "us-east-1" and r["status"] == "pass" and not r["check"].startswith("DOM-EP-003")]
    done, report = run(ca, config(ca, us, {"database_id": None}))
    assert done.returncode == 3
    assert "DOM-EP-001" in {r["check"] for r in bad(report, ("not run",))}


def test_hidden_rows_are_an_error_and_never_a_pass(regions):
    ca = regions[0]
    ca.execute("REVOKE SELECT (org_id) ON app.draft FROM domicile_owner")
    try:
        done, report = run(ca, config(*regions))
    finally:
        ca.execute("GRANT SELECT (org_id) ON app.draft TO domicile_owner")
    assert ("DOM-RES-001", "app.draft") in {(r["check"], r["resource"]) for r in bad(report, ("error",))}
    assert done.returncode in (1, 3)


def test_an_acceptance_ends(regions):
    ca = regions[0]
    ca.execute("CREATE UNIQUE INDEX draft_id ON app.draft (id)")
    try:
        tail = '[[accept]]\ncheck = "DOM-RLS-004"\nreason = "drafts are numbered for all"\nuntil = {}\n'
        done, report = run(ca, config(*regions, tail=tail.format("2999-01-01")))
        assert done.returncode == 0, show(bad(report, ("fail", "error", "not run")))
        assert "app.draft_id" in {r["resource"] for r in bad(report, ("accepted",))}
        done, report = run(ca, config(*regions, tail=tail.format("2020-01-01")))
        assert done.returncode == 1
    finally:
        ca.execute("DROP INDEX app.draft_id")


def test_declared_archives_and_logs_pass_and_restarts_keep_the_region_open(regions):
    ca, us = regions
    us.cluster.settings |= {"archive_mode": "on", "archive_command": "/bin/true", "max_prepared_transactions": "5",
                            "log_min_error_statement": "error"}
    us.cluster.stop()
    us.cluster.start()
    try:
        us.execute("BEGIN; SELECT 1; PREPARE TRANSACTION 'forgotten'")
        done, report = run(ca, config(ca, us))
        found = {r["check"] for r in bad(report)}
        assert {"DOM-PUB-008", "DOM-SET-002", "DOM-SET-003"} <= found, show(bad(report))
        us.execute("ROLLBACK PREPARED 'forgotten'")
        declared = {"wal_archive": "in us-east-1", "server_log": "on the database's host"}
        done, report = run(ca, config(ca, us, None, declared))
        assert {r["check"] for r in bad(report)} == {"DOM-SET-003"}, show(bad(report))
    finally:
        for name in ("archive_mode", "archive_command", "max_prepared_transactions"):
            us.cluster.settings.pop(name)
        us.cluster.settings["log_min_error_statement"] = "fatal"
        us.cluster.stop()
        us.cluster.start()


def test_results_are_recorded_as_findings_and_written_for_ci(regions):
    from support import ocsf_schema
    ca, us = regions
    events = ca.folder / "findings"
    done, report = run(ca, config(ca, us, {"event_directory": str(events)}), "--junit", str(ca.folder / "junit.xml"))
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([str(binary()), "--output", "json", "audit", "list", str(events), "--kind", "finding"], text=True,
                            capture_output=True, check=True)
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(lines) == len([r for r in report["results"] if r["region"] == "ca-central-1"])
    assert {line["class_uid"] for line in lines} == {2003}
    subprocess.run([str(binary()), "audit", "verify", str(events)], check=True, capture_output=True)
    if (folder := ocsf_schema.vectors()) is not None:
        schemas = ocsf_schema.Schemas(folder)
        assert not [problem for line in lines for problem in schemas.problems(line)]
    import xml.etree.ElementTree as xml
    suite = xml.parse(ca.folder / "junit.xml").getroot()
    assert int(suite.get("failures")) == 0 and int(suite.get("tests")) > 80


def test_the_pair_is_clean_again_after_all_of_this(regions):
    done, report = run(regions[0], config(*regions))
    assert done.returncode == 0, show(bad(report, ("fail", "error", "not run")))
