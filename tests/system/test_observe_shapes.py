"""Mode observe under everything that applications do, on PostgreSQL 15 to 18: no result changes, and what enforcement
would have refused is counted."""

import threading

import pytest
from psycopg import DatabaseError, errors
from support.adoption import ALL, Adoption
from support.other_postgres import NPM, npm_server
from support.pgbouncer import PgBouncer
from support.postgres import Cluster

OWN = """
SET ROLE app_owner;
CREATE TABLE app.note (org_id bigint NOT NULL, id bigint NOT NULL, body text, PRIMARY KEY (org_id, id));
CREATE TABLE app.part (org_id bigint NOT NULL, n int NOT NULL) PARTITION BY LIST (n);
CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES IN (1);
CREATE TABLE app.part_2 PARTITION OF app.part FOR VALUES IN (2);
CREATE TABLE app.told (org_id bigint NOT NULL, note_id bigint, FOREIGN KEY (org_id, note_id) REFERENCES app.note DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW app.notes AS SELECT org_id, id, body FROM app.note;
CREATE VIEW app.ruled AS SELECT org_id, id FROM app.note;
CREATE RULE put AS ON INSERT TO app.ruled DO INSTEAD INSERT INTO app.note VALUES (NEW.org_id, NEW.id, 'by a rule');
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN IF NEW.body = TG_ARGV[0] THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0042'; END IF; RETURN NEW; END $$;
CREATE TRIGGER a_before BEFORE INSERT ON app.note FOR EACH ROW EXECUTE FUNCTION app.refuse('before');
CREATE TRIGGER z_after AFTER INSERT ON app.note FOR EACH ROW EXECUTE FUNCTION app.refuse('after');
GRANT ALL ON ALL TABLES IN SCHEMA app TO pool; GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO pool;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO pool;
RESET ROLE;
CREATE ROLE past LOGIN BYPASSRLS PASSWORD 'secret'; GRANT pool TO past;
ALTER DEFAULT PRIVILEGES FOR ROLE installer REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""
MORE = {name: 'class = "organization"\nkey = "org_id"' for name in ("note", "part", "told")}


@pytest.fixture(scope="module", params=[15] + [major for major in sorted(NPM) if major > 15])
def region(request, tmp_path_factory):
    cluster = Cluster() if request.param == 15 else Cluster(bin=npm_server(request.param))
    one = Adoption(tmp_path_factory.mktemp("shapes"), cluster)
    one.execute(OWN)
    one.write_catalog(mode="off", tables={**ALL, **MORE})
    one.init("--superuser-dsn-file", one.superuser_file())
    one.mode("observe", *(f"--table=app.{name}" for name in MORE))
    for key in ("7", "8"):
        one.home(key)
    yield one
    one.drop()


@pytest.fixture(autouse=True)
def anew(region):
    region.execute("SET session_replication_role = replica; DELETE FROM app.note; DELETE FROM app.part; DELETE FROM app.told")
    region.mode("observe", "--anew", *(f"--table=app.{name}" for name in MORE))


def kinds(region, table: str = "app.note") -> dict:
    """statement -> (reason, command, statements)"""
    return {r["statement"]: (r["reason"], r["command"], r["statements"]) for r in region.report()[table]["refusals"]}


def test_copy_is_told_with_and_without_a_context(region):
    for enters in (False, True):
        with region.connect("pool", autocommit=False) as c:
            if enters:
                c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
                c.execute("\n INSERT INTO app.note VALUES (7, 3, 'no copy')")
            with c.cursor().copy("-- nightly\n COPY app.note FROM STDIN") as copy:
                copy.write("7\t1\tx\n7\t2\ty\n")
            assert c.execute("SELECT count(*) FROM app.note").fetchone()[0] == 2 + enters
            c.commit()
        region.execute("DELETE FROM app.note")
    assert region.refusals("app.note") == {("copy", "INSERT"): 2}


def test_prepared_statements_count_each_execution(region):
    with region.connect("pool") as c:
        for i in range(30):
            c.execute("INSERT INTO app.note VALUES (%s, %s, 'x')", (7, i), prepare=True)
        c.execute("PREPARE p(int) AS INSERT INTO app.note VALUES (7, $1, 'x')")
        for i in range(30, 50):
            c.execute(f"EXECUTE p({i})")
    assert kinds(region) == {"INSERT INTO app.note VALUES (?, ?, ?)": ("no_context", "INSERT", 30), "EXECUTE p(?)": ("no_context", "INSERT", 20)} or \
        kinds(region) == {"INSERT INTO app.note VALUES (?)": ("no_context", "INSERT", 30), "EXECUTE p(?)": ("no_context", "INSERT", 20)}


def test_one_statement_over_several_partitions_is_one(region):
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.part SELECT 7, 1 + i % 2 FROM generate_series(1, 10) i")
        c.execute("UPDATE app.part SET org_id = org_id")
        c.execute("DELETE FROM app.part")
        c.execute("INSERT INTO app.part_1 VALUES (7, 1)")
    assert region.refusals("app.part") == {("no_context", "INSERT"): 2, ("no_context", "UPDATE"): 1, ("no_context", "DELETE"): 1}


def test_upserts_merges_and_writable_ctes(region):
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.note VALUES (7, 1, 'a')")
        assert c.execute("INSERT INTO app.note VALUES (7, 1, 'b') ON CONFLICT DO NOTHING").rowcount == 0  # touches no row
        assert c.execute("INSERT INTO app.note VALUES (7, 1, 'c'), (7, 2, 'c') ON CONFLICT (org_id, id) DO UPDATE SET body = 'up'").rowcount == 2
        assert c.execute("MERGE INTO app.note t USING (VALUES (7, 2), (7, 3)) w (o, i) ON (t.org_id, t.id) = (w.o, w.i) "
                         "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (w.o, w.i, 'm')").rowcount == 2
        assert c.execute("WITH gone AS (DELETE FROM app.note RETURNING *), more AS (INSERT INTO app.part SELECT org_id, 1 FROM gone RETURNING 1) "
                         "SELECT count(*) FROM more").fetchone() == (2,)
    # The first INSERT, the upsert's two, the MERGE's two, the CTE's.
    assert region.refusals("app.note") == {("no_context", "INSERT"): 3, ("no_context", "UPDATE"): 1, ("no_context", "DELETE"): 2}
    assert region.refusals("app.part") == {("no_context", "INSERT"): 1}


def test_views_and_rules_lead_to_the_table(region):
    with region.connect("pool") as c:
        c.execute("INSERT INTO app.notes VALUES (7, 1, 'x')")
        c.execute("UPDATE app.notes SET body = 'y'")
        c.execute("INSERT INTO app.ruled VALUES (99, 2)")
    assert region.refusals("app.note") == {("no_context", "INSERT"): 1, ("no_context", "UPDATE"): 1, ("foreign_row", "INSERT"): 1}


def test_the_applications_own_errors_come_through_and_what_was_rolled_back_is_said_not_to_count(region):
    with region.connect("pool", autocommit=False) as c:
        for body in ("before", "after"):
            with pytest.raises(DatabaseError) as raised:
                c.execute("INSERT INTO app.note VALUES (7, 1, %s)", (body,))
            assert raised.value.sqlstate == "P0042"
            c.rollback()
        c.execute("INSERT INTO app.note VALUES (7, 1, 'kept')")
        c.execute("SAVEPOINT s")
        c.execute("INSERT INTO app.note VALUES (7, 2, 'lost')")
        c.execute("UPDATE app.note SET body = 'lost'")
        c.execute("ROLLBACK TO s")
        c.execute("UPDATE app.note SET body = 'kept'")
        c.commit()
        c.execute("SELECT pg_stat_force_next_flush()")
        c.commit()
    assert region.refusals("app.note") == {("no_context", "INSERT"): 1, ("no_context", "UPDATE"): 1}
    assert region.report()["app.note"]["rolled_back_transactions"] >= 2
    assert "were rolled back meanwhile: what they did is not counted" in region.run("observe", "--report").stdout


def test_deferred_constraints_hold_and_fail_as_before(region):
    with region.connect("pool", autocommit=False) as c:
        c.execute("INSERT INTO app.told VALUES (7, 5)")
        c.execute("INSERT INTO app.note VALUES (7, 5, 'x')")
        c.commit()
        c.execute("INSERT INTO app.told VALUES (7, 6)")
        with pytest.raises(errors.ForeignKeyViolation):
            c.commit()
    assert region.refusals("app.told") == {("no_context", "INSERT"): 1}


def test_parallel_sessions_are_all_counted(region):
    def work(number):
        with region.connect("pool") as c:
            for i in range(50):
                c.execute("INSERT INTO app.note VALUES (7, %s, 'x')", (number * 100 + i,))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert region.refusals("app.note") == {("no_context", "INSERT"): 300}


def test_statements_of_one_shape_have_one_fingerprint_with_application_and_role(region):
    with region.connect("pool", application_name="web-3") as c:
        for sql in ("INSERT INTO app.note VALUES (7, 1, 'x')", "INSERT INTO  app.note\n VALUES (7,2,  'y')",
                    "/* trace=4711 */ INSERT INTO app.note VALUES (7, 3, E'z')", "INSERT INTO app.note VALUES (7, 4, NULL)"):
            c.execute(sql)
        c.execute("SET application_name = 'job'; INSERT INTO app.note VALUES (7, 5, 'x'), (7, 6, 'x')")
    found = region.report()["app.note"]["refusals"]
    web = {r["statement"]: r["statements"] for r in found if r["application"] == "web-#"}
    assert sorted(web.values()) == [1, 3], found
    assert {r["role"] for r in found} == {"pool"} and {r["application"] for r in found} == {"web-#", "job"}
    assert "not observable before isolation: reads" in region.run("observe", "--report").stdout


def test_a_busy_session_still_tells_a_foreign_row_a_new_statement_and_a_missing_context_at_once(region):
    with region.connect("pool") as c:
        for i in range(300):
            c.execute("INSERT INTO app.note VALUES (%s, %s, 'x')", (7, i), prepare=True)
        c.execute("INSERT INTO app.note VALUES (%s, %s, 'x')", (99, 1), prepare=True)
        c.execute("INSERT INTO app.note SELECT 7, 1000, 'rare'")
        for i in range(301, 340):
            with c.transaction():
                c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
                c.execute("INSERT INTO app.note VALUES (%s, %s, 'x')", (7, i), prepare=True)
        with c.transaction():
            c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
            c.execute("INSERT INTO app.note VALUES (%s, %s, 'x')", (8, 1), prepare=True)
        with c.transaction():
            c.execute("UPDATE app.note SET body = 'y' WHERE id = 300")  # no row
            c.execute("DELETE FROM app.note WHERE id = 301")
    found = region.refusals("app.note")
    assert 271 <= found.pop(("no_context", "INSERT")) <= 301
    assert found == {("foreign_row", "INSERT"): 1, ("other_organization", "INSERT"): 1, ("no_context", "DELETE"): 1}
    assert any("SELECT" in statement for statement in kinds(region))


def test_a_role_past_row_security_is_not_counted_and_a_forged_context_breaks_nothing(region):
    with region.connect("past") as c:
        c.execute("INSERT INTO app.note VALUES (7, 1, 'x')")
        c.execute("INSERT INTO app.note VALUES (99, 1, 'x')")
    with region.connect("pool") as c:
        c.execute("SET domicile.entered = '7'; SET domicile.o_slots = 'x'")
        c.execute("INSERT INTO app.note VALUES (7, 2, 'x')")
    assert region.refusals("app.note") == {("foreign_row", "INSERT"): 1, ("no_context", "INSERT"): 1}


def test_the_key_column_may_be_renamed_and_a_publication_may_have_all_tables(region):
    region.execute("BEGIN; SELECT domicile_private.begin_upgrade(); CREATE PUBLICATION everything FOR ALL TABLES; COMMIT")
    try:
        region.execute("BEGIN; SELECT domicile_private.begin_upgrade(); ALTER TABLE app.note RENAME org_id TO tenant; COMMIT")
        with region.connect("pool") as c:
            c.execute("INSERT INTO app.note (tenant, id) VALUES (7, 1)")
        assert region.refusals("app.note") == {("no_context", "INSERT"): 1}
    finally:
        region.execute("BEGIN; SELECT domicile_private.begin_upgrade(); ALTER TABLE app.note RENAME tenant TO org_id; COMMIT")
        region.execute("DROP PUBLICATION everything")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_behind_pgbouncer(region, mode):
    if region.cluster.bin.parent.name != "15":
        pytest.skip("once is enough")
    bouncer = PgBouncer(region.cluster.port, "app", {"pool": "secret"}, mode, pool_size=2,
                        settings={"server_reset_query": "DISCARD ALL", "admin_users": "pool"})
    try:
        for application in ("web", "job"):
            for number in range(5):
                with bouncer.login("pool") as s:
                    s.must(f"SET application_name = '{application}'")
                    s.must(f"INSERT INTO app.note VALUES (7, {number}, '{application}') ON CONFLICT (org_id, id) DO UPDATE SET body = 'z'")
                    s.must("BEGIN")
                    s.must("SELECT domicile.enter($1)", region.token("7"))
                    s.must("UPDATE app.note SET body = 'in'")
                    s.must("COMMIT")
                    s.must("DELETE FROM app.note WHERE id = 77")  # no row
    finally:
        bouncer.stop()
    assert region.refusals("app.note") == {("no_context", "INSERT"): 5, ("no_context", "UPDATE"): 5}
    assert {r["application"] for r in region.report()["app.note"]["refusals"]} == {"web", "job"}


def test_a_crash_of_the_server_loses_no_count(region):
    with region.connect("pool") as c:
        for i in range(40):
            c.execute("INSERT INTO app.note VALUES (7, %s, 'x')", (i,))
    region.cluster.stop("immediate")
    region.cluster.start()
    assert region.refusals("app.note") == {("no_context", "INSERT"): 40}
