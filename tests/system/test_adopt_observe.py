"""domicile region observe: real traffic unchanged, and what enforcement would have refused of it."""

import psycopg
import pytest
from psycopg import errors
from support.adoption import Adoption

SECRET = "hunter2"


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Adoption(tmp_path_factory.mktemp("observe"))
    with one.connect() as c:
        c.execute("SET ROLE app_owner")
        c.execute("CREATE TABLE app.loose (id bigserial PRIMARY KEY, org_id bigint, v text)")
        c.execute("CREATE TABLE app.late (id bigint PRIMARY KEY, enrolment_id bigint REFERENCES app.enrolment DEFERRABLE INITIALLY DEFERRED)")
        c.execute("GRANT ALL ON app.loose, app.late, app.country, app.base, app.child TO pool; GRANT ALL ON SEQUENCE app.loose_id_seq TO pool")
        c.execute("GRANT TRUNCATE ON app.loose TO pool; GRANT EXECUTE ON FUNCTION app.stamp() TO pool")
    one.write_catalog(mode="off", tables={**one_tables(), "loose": 'class = "organization"\nkey = "org_id"',
                                          "late": 'class = "organization"\npath = ["enrolment_id -> app.enrolment"]'})
    one.init("--superuser-dsn-file", one.superuser_file())
    one.mode("observe", "--all")
    for key in ("7", "8"):
        one.home(key)
    with one.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, 'p')")
    yield one
    one.drop()


def one_tables():
    from support.adoption import ALL
    return ALL


@pytest.fixture(autouse=True)
def anew(region):
    region.mode("observe", "--all", "--anew")


def test_each_reason_is_counted_by_statements(region):
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.course (org_id, title) SELECT 7, 'x' FROM generate_series(1, 50)")
        c.execute("UPDATE app.course SET title = 'y' WHERE org_id = 7")
        c.execute("DELETE FROM app.course WHERE org_id = 7")
        c.execute("INSERT INTO app.course (org_id, title) VALUES (99, 'x'), (98, 'x')")
        c.execute("INSERT INTO app.loose (org_id) VALUES (NULL), (7)")
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")
        c.execute("INSERT INTO app.country VALUES ('XX', 'x')")
        c.execute("INSERT INTO app.child (org_id) VALUES (99)")
        with c.cursor().copy("/* nightly */ COPY app.loose (org_id) FROM STDIN") as copy:
            copy.write("7\n7\n")
        c.execute("TRUNCATE app.loose")
        with c.transaction():
            c.execute("INSERT INTO app.late VALUES (1, 500)")
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (500, 7, 1)")
    assert region.refusals("app.course") == {("no_context", "INSERT"): 1, ("no_context", "UPDATE"): 1, ("no_context", "DELETE"): 1,
                                             ("foreign_row", "INSERT"): 1}
    assert region.refusals("app.loose") == {("null_key", "INSERT"): 1, ("no_context", "INSERT"): 1, ("copy", "INSERT"): 1, ("truncate", "TRUNCATE"): 1}
    assert region.refusals("app.question") == {("shared_row", "INSERT"): 1}
    assert region.refusals("app.country") == {("reference_data", "INSERT"): 1}
    assert region.refusals("app.base") == {("foreign_row", "INSERT"): 1}
    assert region.refusals("app.late") == {("missing_parent", "INSERT"): 1}
    seen = region.report()["app.course"]
    assert seen["writes"] >= 102 and not seen["ready"]
    assert {o for r in seen["refusals"] if r["reason"] == "foreign_row" for o in r["organizations"]} == {"99"}


def test_an_application_that_enters_is_ready_and_a_wrong_organization_is_told(region):
    with region.connect("pool", autocommit=False) as c:
        for sql in ("INSERT INTO app.course (org_id, title) VALUES (7, 'x'), (7, 'y')", "UPDATE app.course SET title = 'z' WHERE org_id = 7",
                    "INSERT INTO app.enrolment (org_id, person) VALUES (7, 1)"):
            c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
            c.execute(sql)
            c.commit()
        c.execute("SELECT pg_stat_force_next_flush()")
        c.commit()
        report = region.report()
        assert report["app.course"]["ready"] and report["app.enrolment"]["ready"] and not report["app.answer"]["ready"]
        c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
        c.execute("INSERT INTO app.course (org_id, title) VALUES (8, 'x')")
        c.commit()
        with c.cursor() as cursor:
            cursor.execute("SELECT domicile.enter(%s)", (region.token("7"),))
            with cursor.copy("COPY app.course (org_id, title) FROM STDIN") as copy:
                copy.write("7\tx\n")
        c.commit()
        c.execute("SELECT set_config('domicile.entered', '7', false)")
        c.execute("UPDATE app.course SET title = 'forged' WHERE org_id = 7")
        c.commit()
    assert region.refusals("app.course") == {("other_organization", "INSERT"): 1, ("copy", "INSERT"): 1, ("no_context", "UPDATE"): 1}


def test_superusers_and_organizations_own_roles_are_bound_as_enforcement_binds_them(region):
    with region.connect() as c:
        c.execute("ALTER ROLE org_7 LOGIN PASSWORD 'secret'; GRANT app_owner TO org_7")
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
    assert region.refusals("app.course") == {}
    with region.connect("org_7") as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
        c.execute("INSERT INTO app.course (org_id, title) VALUES (8, 'x')")
    region.execute("REVOKE app_owner FROM org_7")
    assert region.refusals("app.course") == {("other_organization", "INSERT"): 1}
    assert [r["role"] for r in region.report()["app.course"]["refusals"]] == ["an organization's role"]


HIDING_PLACES = [
    "INSERT INTO app.loose (org_id, v) VALUES (7, '{s}')",
    "INSERT INTO app.loose (org_id, v) VALUES (7, E'\\'{s}')",
    "INSERT INTO app.loose (org_id, v) VALUES (7, 'it''s {s}')",
    "INSERT INTO app.loose (org_id, v) VALUES (7, '\\'), (7, '{s}')",
    "INSERT INTO app.loose (org_id, v) VALUES (7, U&'\\0068 {s}'), (7, N'{s}')",
    "INSERT INTO app.loose (org_id, v) VALUES (7, $${s}$$)",
    "INSERT INTO app.loose (org_id, v) VALUES (7, $x$ ' {s} $x$)",
    "/* {s} */ INSERT INTO app.loose (org_id) VALUES (7) -- {s}",
    "/* a /* b */ {s} */ INSERT INTO app.loose (org_id) VALUES (7)",
    "INSERT INTO app.loose (org_id, v) VALUES (7, 'a'\n'{s}')",
    "WITH x AS (SELECT 1 AS \"{s} b\") INSERT INTO app.loose (org_id) SELECT 7 FROM x",
    "SET application_name = {s}; INSERT INTO app.loose (org_id) VALUES (7); RESET application_name",
    "SET standard_conforming_strings = off; INSERT INTO app.loose (org_id, v) VALUES (7, '\\'), (7, '{s}')",
    "DO $$ BEGIN INSERT INTO app.loose (org_id, v) VALUES (7, '{s}'); END $$",
    "INSERT INTO app.loose (org_id, v) VALUES (7, '" + "y" * 7000 + " {s}')",
    "INSERT INTO app.loose (org_id, v) VALUES " + ", ".join(["(7, 'é ''{s}')"] * 400),
]


@pytest.mark.parametrize("number", range(len(HIDING_PLACES)))
def test_no_value_of_a_statement_is_kept(region, number):
    with region.connect("pool", application_name=f"batch {SECRET}@example.com 4711") as c:
        c.execute(HIDING_PLACES[number].replace("{s}", SECRET))
    with region.connect() as c:
        kept = c.execute("SELECT o::text FROM domicile_private.observed o").fetchall()
    assert kept and SECRET not in str(kept) and "4711" not in str(kept), kept


def test_results_are_those_of_a_table_that_is_not_observed(region):
    region.execute("""BEGIN; SELECT domicile_private.begin_upgrade(); SET LOCAL client_min_messages = error; CREATE SCHEMA plain AUTHORIZATION app_owner;
        CREATE TABLE plain.loose (LIKE app.loose INCLUDING ALL); ALTER TABLE plain.loose DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
        CREATE SEQUENCE plain.loose_id_seq START 1000; ALTER TABLE plain.loose ALTER id SET DEFAULT nextval('plain.loose_id_seq');
        ALTER TABLE plain.loose OWNER TO app_owner; ALTER SEQUENCE plain.loose_id_seq OWNER TO app_owner; ALTER SEQUENCE app.loose_id_seq RESTART 1000; COMMIT""")
    script = ["INSERT INTO {s}.loose (org_id, v) VALUES (99, 'a'), (NULL, 'b') RETURNING id, org_id", "SELECT lastval()",
              "UPDATE {s}.loose SET v = v || 'x' WHERE org_id IS NULL RETURNING id, v", "INSERT INTO {s}.loose (id, org_id) VALUES (1000, 7)",
              "INSERT INTO {s}.loose (id, org_id) VALUES (1000, 7) ON CONFLICT (id) DO UPDATE SET v = 'up' RETURNING xmax <> 0, v",
              "MERGE INTO {s}.loose t USING (VALUES (1001, 5)) w (id, o) ON t.id = w.id WHEN MATCHED THEN UPDATE SET org_id = w.o",
              "SELECT id, org_id, v FROM {s}.loose ORDER BY id", "DELETE FROM {s}.loose WHERE org_id = 99 RETURNING id", "SELECT lastval()",
              "DO $$ BEGIN INSERT INTO {s}.loose (org_id) VALUES (55); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END $$",
              "SELECT count(*), pg_current_xact_id_if_assigned() IS NULL FROM {s}.loose"]
    results = {}
    for schema in ("plain", "app"):
        results[schema] = []
        with region.connect() as admin, region.connect("installer") as c:
            admin.execute("DELETE FROM app.loose")
            c.execute("SET ROLE app_owner")
            for sql in script:
                try:
                    cursor = c.execute(sql.replace("{s}", schema))
                    results[schema].append((cursor.statusmessage, cursor.fetchall() if cursor.description else None))
                except psycopg.Error as e:
                    results[schema].append(e.sqlstate)
    assert results["app"] == results["plain"]
    region.execute("SET client_min_messages = error; DROP SCHEMA plain CASCADE")


def test_transactions_that_are_recorded_neither_wait_for_nor_abort_each_other(region):
    sessions = [region.connect("pool", autocommit=False) for _ in range(4)]
    try:
        for s in sessions:
            s.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            s.execute("SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '5s'")
            s.execute("INSERT INTO app.loose (org_id) VALUES (99)")
            s.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
        for s in sessions:
            s.execute("INSERT INTO app.answer (enrolment_id, words) SELECT id, 'x' FROM app.enrolment LIMIT 1")
        sessions[0].rollback()
        for s in sessions[1:]:
            s.commit()
    finally:
        for s in sessions:
            s.close()
    assert region.refusals("app.loose") == {("foreign_row", "INSERT"): 3}


def test_what_goes_wrong_while_recording_changes_no_result(region):
    upgrade = "BEGIN; SELECT domicile_private.begin_upgrade(); ALTER TABLE domicile_private.observed {}; COMMIT"
    region.execute(upgrade.format("ADD CONSTRAINT never CHECK (false) NOT VALID"))
    try:
        with region.connect("pool") as c:
            assert c.execute("INSERT INTO app.course (org_id, title) VALUES (99, 'x')").rowcount == 1
            c.execute("SET domicile.no_contextkI12345678 = 'junk|junk|junk'; SET domicile.o_seen = 'junk'")
            for name in c.execute("SELECT name FROM pg_settings WHERE name LIKE 'domicile.%'").fetchall():
                c.execute(f"SET {name[0]} = 'x|y|z'")
            assert c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')").rowcount == 1
    finally:
        region.execute(upgrade.format("DROP CONSTRAINT never"))


def test_records_stay_few_the_count_is_close_and_never_too_high_and_a_rare_statement_is_not_lost(region):
    with region.connect("pool") as c:
        for i in range(5000):
            c.execute("INSERT INTO app.loose (org_id) VALUES (7)", prepare=True)
            if i == 4321:
                c.execute("INSERT INTO app.loose (org_id, v) VALUES (7, 'rare')")
    assert region.one("SELECT count(*) FROM domicile_private.observed") < 200
    found = region.report()["app.loose"]["refusals"]
    total = sum(r["statements"] for r in found)
    assert 0.9 * 5001 <= total <= 5001, total
    assert any("v) VALUES" in r["statement"] for r in found)


def test_past_its_size_the_store_records_nothing_and_refuses_nothing(region):
    region.execute("INSERT INTO domicile_private.observed SELECT now(), 'x', 'x', 'x', NULL, 'x', 'x', repeat('x', 120), 1 FROM generate_series(1, 450000)")
    with region.connect("pool") as c:
        assert c.execute("INSERT INTO app.loose (org_id) VALUES (99)").rowcount == 1
    text = region.run("observe", "--report").stdout
    assert "the store of observations was full" in text
    region.execute("VACUUM domicile_private.observed")
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.loose (org_id) VALUES (99)")
    assert region.refusals("app.loose") == {("foreign_row", "INSERT"): 1}


@pytest.mark.parametrize("user", ["pool", "org_7"])
def test_neither_the_pool_nor_an_organization_reads_observations(region, user):
    region.execute("ALTER ROLE org_7 LOGIN PASSWORD 'secret'")
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.loose (org_id) VALUES (99)")
    with region.connect(user) as c:
        for sql in ("SELECT * FROM domicile_private.observed", "SELECT * FROM domicile.observation", "SELECT domicile.fold_observations()",
                    "SELECT * FROM domicile.observed_tables()", "SELECT domicile_private.fingerprint('x')", "DELETE FROM domicile_private.observed"):
            with pytest.raises(errors.InsufficientPrivilege):
                c.execute(sql)


def test_tables_can_be_attached_copied_and_renamed_while_they_are_observed(region):
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; SET client_min_messages = error")
        c.execute("CREATE TABLE app.event_2028 (LIKE app.event INCLUDING ALL)")
        assert c.execute("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.event_2028'::regclass").fetchone()[0] == 0
        c.execute("ALTER TABLE app.event ATTACH PARTITION app.event_2028 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')")
        c.execute("INSERT INTO app.event VALUES (99, '2028-05-05', 'x')")
        c.execute("ALTER TABLE app.loose RENAME TO looser")
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.looser (org_id) VALUES (99)")
    assert region.refusals("app.event") == {("foreign_row", "INSERT"): 1}
    assert region.report()["app.looser"]["mode"] == "observe" and region.refusals("app.looser") == {("foreign_row", "INSERT"): 1}
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; ALTER TABLE app.looser RENAME TO loose")
        c.execute("ALTER TABLE app.event DETACH PARTITION app.event_2028; DROP TABLE app.event_2028")
    assert region.report()["app.loose"]["mode"] == "observe"


@pytest.mark.parametrize("name, sql", [
    ("made", "CREATE TABLE app.made (org_id bigint)"),
    ("made", "CREATE TABLE app.made AS SELECT * FROM app.course"),
    ("made", "SELECT * INTO app.made FROM app.course"),
    ("made", "CREATE TABLE app.made (LIKE app.course INCLUDING ALL)"),
    ("made", "CREATE TABLE app.made (org_id bigint) PARTITION BY LIST (org_id)"),
    ("made_1", "CREATE TABLE app.made (org_id bigint) PARTITION BY LIST (org_id); CREATE TABLE app.made_1 PARTITION OF app.made FOR VALUES IN (1)"),
    ("made", "CREATE SCHEMA staging; CREATE TABLE staging.made (org_id bigint); ALTER TABLE staging.made SET SCHEMA app; DROP SCHEMA staging"),
    ("made", "CREATE SCHEMA staging CREATE TABLE made (org_id bigint); ALTER TABLE staging.made SET SCHEMA app; DROP SCHEMA staging"),
])
def test_an_unclassified_table_is_born_closed_beside_observed_ones(region, name, sql):
    with region.connect("installer", autocommit=False) as c:
        c.execute("GRANT CREATE ON DATABASE app TO app_owner")
        c.execute("SET ROLE app_owner")
        c.execute(sql)
        c.commit()
    closed = region.one("""SELECT relrowsecurity AND relforcerowsecurity AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)
                           FROM pg_class c WHERE oid = %s::regclass""", f"app.{name}")
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; DROP TABLE app.made CASCADE")
    assert closed


def test_a_table_that_inherits_from_an_observed_one_has_its_class(region):
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; CREATE TABLE app.heir (extra int) INHERITS (app.base); GRANT ALL ON app.heir TO pool")
        assert not c.execute("SELECT relrowsecurity FROM pg_class WHERE oid = 'app.heir'::regclass").fetchone()[0]
    region.mode("observe", "--all")
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.heir (org_id) VALUES (99)")
    assert region.refusals("app.base") == {("foreign_row", "INSERT"): 1}
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner; DROP TABLE app.heir")


def test_a_change_of_mode_waits_for_the_event_log_and_the_same_mode_again_does_not(region):
    region.execute("DELETE FROM domicile_directory.outbox")
    region.mode("off", "--table", "app.loose")
    region.mode("observe", "--table", "app.loose")
    region.mode("observe", "--table", "app.loose")
    with region.connect() as c:
        found = c.execute("SELECT operation, resource, by_operator FROM domicile_directory.outbox ORDER BY id").fetchall()
    assert found == [("region.off", "table:app.loose", "installer"), ("region.observe", "table:app.loose", "installer")]
