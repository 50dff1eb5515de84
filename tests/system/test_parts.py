"""A partition or an inheriting table of a guarded table, by its own name: what would be silently empty for its owner,
and for pg_dump and backfills with it, is refused aloud, and passes in the maintenance window that allows it."""

import os
import subprocess

import pytest
from psycopg import errors
from support.adoption import Adoption
from support.domicile import domicile
from support.postgres import BIN

PARTITIONED = """
SET ROLE app_owner;
CREATE TABLE app.log (org_id bigint NOT NULL, n int) PARTITION BY LIST (org_id);
CREATE TABLE app.log_7 PARTITION OF app.log FOR VALUES IN (7);
CREATE TABLE app.log_8 PARTITION OF app.log FOR VALUES IN (8) PARTITION BY RANGE (n);
CREATE TABLE app.log_8_low PARTITION OF app.log_8 FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE TABLE app.hits (org_id bigint NOT NULL, n int) PARTITION BY HASH (org_id);
CREATE TABLE app.hits_0 PARTITION OF app.hits FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.hits_1 PARTITION OF app.hits FOR VALUES WITH (MODULUS 2, REMAINDER 1);
RESET ROLE;
"""
PARTS = {"event_2026": 7, "log_7": 7, "log_8": 8, "log_8_low": 8, "child": 7}
GUARDED = ("course", "event", "log", "hits", "base", "question")


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Adoption(tmp_path_factory.mktemp("parts"))
    with one.connect() as c:
        c.execute(PARTITIONED)
    text = one.catalog_file.read_text()
    for name in ("hits", "log"):
        text += f'\n[[table]]\nname = "app.{name}"\nclass = "organization"\nkey = "org_id"\n'
    one.catalog_file.write_text(text)
    one.init("--superuser-dsn-file", one.superuser_file())
    one.home("7")
    one.home("8")
    with one.connect() as c:
        c.execute("INSERT INTO app.log SELECT 7 + i % 2, i FROM generate_series(1, 10) i; INSERT INTO app.hits SELECT 7 + i % 2, i FROM generate_series(1, 10) i")
        c.execute("INSERT INTO app.event SELECT 7 + i % 2, '2026-05-05', 'x' FROM generate_series(1, 10) i; INSERT INTO app.child VALUES (7, 'v', 'w'), (8, 'v', 'w')")
        c.execute("ANALYZE")
    one.mode("enforce", "--anyway", *[word for name in GUARDED for word in ("--table", f"app.{name}")])
    yield one
    one.drop()


class Window:
    def __init__(self, region, *allow, role="app_owner"):
        self.region, self.arguments = region, ("--ticket", "T", "--for", "1h", "--role", role, *[w for a in allow for w in ("--allow", a)])

    def __enter__(self):
        domicile("-q", "region", "maintenance", "begin", "--dsn", self.region.dsn(), *self.arguments)

    def __exit__(self, *_):
        domicile("-q", "region", "maintenance", "end", "--dsn", self.region.dsn())


@pytest.fixture
def owner(region):
    with region.connect("installer") as c:
        c.execute("SET ROLE app_owner")
        yield c


def dump(region, *tables):
    return subprocess.run([BIN / "pg_dump", "--data-only", "--enable-row-security", *[w for t in tables for w in ("-t", t)], "-h", "127.0.0.1",
                           "-p", str(region.cluster.port), "-U", "installer", "app"], env={**os.environ, "PGPASSWORD": "secret"}, capture_output=True, text=True)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("sql", ["SELECT count(*) FROM app.{}", "COPY app.{} TO STDOUT", "UPDATE app.{} SET org_id = org_id", "DELETE FROM app.{}",
                                 "DELETE FROM app.{} WHERE org_id = {}", "INSERT INTO app.{} (org_id) VALUES ({})"])
def test_its_owner_is_told_and_not_shown_an_empty_table(owner, part, sql):
    if part == "log_8" and sql.startswith("COPY"):
        sql = "COPY (SELECT * FROM app.{}) TO STDOUT"  # it is partitioned itself
    if part == "log_8" and sql.startswith("INSERT"):
        sql = "INSERT INTO app.{} VALUES ({}, 1)"
    with pytest.raises(errors.InsufficientPrivilege, match="a part of a guarded table|row-level security"):
        if sql.startswith("COPY"):
            with owner.cursor().copy(sql.format(part)) as copy:
                list(copy)
        else:
            owner.execute(sql.format(part, PARTS[part]))


def test_pg_dump_of_a_partition_fails_outside_of_a_window_and_has_every_row_within(region):
    done = dump(region, "app.event_2026")
    assert done.returncode != 0 and "reached through its root" in done.stderr and "--allow dump --role installer" in done.stderr
    with Window(region, "dump", role="installer"):
        done = dump(region, *[f"app.{name}" for name in (*PARTS, "hits_0", "hits_1", "course", "base")])
    assert done.returncode == 0, done.stderr
    rows = {name: done.stdout.split(f"COPY app.{name} ")[1].split("\\.")[0].count("\n") - 1 for name in ("event_2026", "log_7", "log_8_low", "hits_0", "hits_1", "child")}
    assert rows["event_2026"] == 10 and rows["log_7"] == 5 and rows["log_8_low"] == 5 and rows["hits_0"] + rows["hits_1"] == 10 and rows["child"] == 2


COUNTS = {"app.log": 10, "app.hits": 10, "app.event": 10, "app.base": 2, "app.log_8": 5, "app.event_2026": 10}


@pytest.mark.parametrize("setting", ["plan_cache_mode = auto", "plan_cache_mode = force_generic_plan", "enable_partition_pruning = off"])
def test_a_window_reads_and_writes_every_partition(region, owner, setting):
    with Window(region, "backfill"):
        owner.execute(f"SET {setting}")
        for table, rows in COUNTS.items():
            assert owner.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == rows, table
            assert owner.execute(f"UPDATE {table} SET org_id = org_id").rowcount == rows, table
        assert owner.execute("SELECT count(*) FROM app.log WHERE org_id = 8").fetchone()[0] == 5
        assert owner.execute("SELECT count(*) FROM app.log l JOIN app.hits h USING (org_id)").fetchone()[0] == 50
        assert owner.execute("DELETE FROM app.hits WHERE n = 3").rowcount == 1
        owner.execute("INSERT INTO app.hits VALUES (8, 3)")
        with pytest.raises(errors.CheckViolation, match="organization 99"):
            owner.execute("UPDATE app.hits SET org_id = 99 WHERE n = 3")


def test_a_window_for_reading_writes_nothing_and_says_so(region, owner):
    with Window(region, "dump"):
        for table, rows in COUNTS.items():
            assert owner.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == rows, table
            for sql in ("UPDATE {} SET org_id = org_id", "UPDATE {} SET org_id = 8 WHERE org_id = 8", "DELETE FROM {}", "DELETE FROM {} WHERE org_id = 8"):
                with pytest.raises(errors.InsufficientPrivilege):
                    owner.execute(sql.format(table))


def test_a_member_without_a_window_and_in_a_context_is_anybody(region):
    """One role for everything, which was lent the window's role and not taken back."""
    region.execute("GRANT domicile_maintenance, domicile_app TO app_owner")
    try:
        with region.connect("installer") as c:
            c.execute("SET ROLE app_owner")
            with c.transaction():
                c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
                assert c.execute("SELECT count(*), min(org_id) FROM app.log").fetchone() == (5, 7)
                assert c.execute("UPDATE app.hits SET n = n").rowcount == 5
            for sql in ("SELECT count(*) FROM app.log", "SELECT count(*) FROM app.hits WHERE org_id = 7", "UPDATE app.hits SET n = n", "SELECT * FROM app.event_2026"):
                with pytest.raises(errors.InsufficientPrivilege), c.transaction():
                    c.execute(sql)
    finally:
        region.execute("REVOKE domicile_maintenance, domicile_app FROM app_owner")


def test_pruning_still_serves_an_organizations_context(region):
    with region.connect("pool", autocommit=False) as c:
        c.execute("SELECT domicile.enter(%s)", (region.token("7"),))
        plan = "\n".join(row[0] for row in c.execute("EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT * FROM app.log").fetchall())
        assert "never executed" in plan or "Subplans Removed" in plan, plan


def test_a_new_partition_and_a_detached_one_are_closed_aloud(region, owner):
    notices = []
    owner.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    owner.execute("CREATE TABLE app.log_9 PARTITION OF app.log FOR VALUES IN (9)")
    assert not notices
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM domicile.violations() WHERE severity = 'refuse' AND NOT known").fetchone()[0] == 0
    with region.connect() as c:
        c.execute("SELECT domicile.home_organization('9', 1)")
        c.execute("INSERT INTO app.log VALUES (9, 1)")
    with pytest.raises(errors.InsufficientPrivilege, match="reached through its root"):
        owner.execute("SELECT * FROM app.log_9")
    owner.execute("ALTER TABLE app.log DETACH PARTITION app.log_9")
    with pytest.raises(errors.InsufficientPrivilege, match="reached through its root"):
        owner.execute("SELECT * FROM app.log_9")
    kinds = region.one("SELECT array_agg(kind || severity) FROM domicile.violations() WHERE object = 'app.log_9'")
    assert kinds == ["unclassifiedreport"]
    owner.execute("DROP TABLE app.log_9")


@pytest.mark.parametrize("sql", ["ALTER POLICY domicile_part_read ON app.log_7 USING (true)", "ALTER POLICY domicile_part ON app.log_7 WITH CHECK (true)",
                                 "CREATE POLICY domicile_part_more ON app.log_7 USING (true)", "CREATE POLICY mine ON app.log_7 FOR SELECT USING (true)",
                                 "ALTER POLICY domicile_part ON app.log_7 USING ((SELECT domicile.part_open(current_user, 'read')))"])
def test_the_partitions_policies_cannot_be_opened(owner, sql):
    with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
        owner.execute(sql)


@pytest.mark.parametrize("statements", [
    ["ALTER TABLE app.log DETACH PARTITION app.log_7", "ALTER TABLE app.log_7 NO FORCE ROW LEVEL SECURITY"],
    ["ALTER TABLE app.log DETACH PARTITION app.log_7", "CREATE POLICY mine ON app.log_7 USING (true)"],
    ["ALTER TABLE app.log DETACH PARTITION app.log_7", "GRANT ALL ON app.log_7 TO pool", "ALTER POLICY domicile_part_read ON app.log_7 USING (true)"],
    ["SAVEPOINT s", "ALTER TABLE app.course RENAME TO subject", "ALTER TABLE app.subject NO FORCE ROW LEVEL SECURITY"],
    ["ALTER TABLE app.course RENAME TO subject", "ALTER POLICY domicile_org ON app.subject USING (true)"],
    ["GRANT SELECT (tableoid) ON app.course TO pool", "ALTER TABLE app.course DISABLE ROW LEVEL SECURITY"],
])
def test_what_was_there_does_not_open_within_a_transaction_that_is_rolled_back(region, statements):
    with region.connect("installer", autocommit=False) as c:
        c.execute("SET ROLE app_owner")
        with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
            for sql in statements:
                c.execute(sql)
        c.rollback()


def test_a_new_partition_is_made_and_filled_in_one_transaction(region):
    with region.connect("installer", autocommit=False) as c:
        c.execute("SET ROLE app_owner")
        c.execute("SAVEPOINT s")  # made by a subtransaction
        c.execute("CREATE TABLE app.log_10 PARTITION OF app.log FOR VALUES IN (10)")
        c.execute("RELEASE s")
        c.execute("CREATE TABLE app.unlisted (a int)")
        c.execute("CREATE INDEX ON app.log_10 (n)")
        c.execute("DROP TABLE app.unlisted")
        c.commit()
    assert region.one("SELECT count(*) FROM domicile.violations() WHERE severity = 'refuse' AND NOT known") == 0
    region.execute("DROP TABLE app.log_10")
