"""`domicile reference compare` between two real regions: nothing is overlooked, nothing is raised that is not there, and what
differs is made equal."""

import json
import signal
import subprocess
import threading

import psycopg
import pytest
from support import compare_corpus as corpus
from support.domicile import binary, domicile
from support.reference_world import ReferenceWorld, eventually

CONTENT = """
INSERT INTO app.parent SELECT i, 'p' || i, CASE WHEN i > 1 THEN i / 2 END FROM generate_series(1, 40) i;
INSERT INTO app.child SELECT i, 1 + i % 40 FROM generate_series(1, 80) i;
INSERT INTO app.parted SELECT i, '2025-12-01'::date + i, 'v' || i FROM generate_series(1, 60) i;
INSERT INTO app.keyed VALUES ('a', 'bc', 1), ('x', '', 2), ('', 'x', 3), ('k', 'k', 4);
INSERT INTO app.scaled VALUES (1.0, 1), (2, 2);
INSERT INTO app.loose VALUES ('straße', 1), ('cote', 2);
INSERT INTO app.busy SELECT i, 0, md5(i::text) FROM generate_series(1, 20000) i;
"""


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld(schema=corpus.SCHEMA, catalog_text=corpus.CATALOG, content=CONTENT + corpus.master_rows(), tables=corpus.REFERENCE) as made:
        made.start()
        made.in_step()
        yield made


def run(world, *arguments, check=False):
    return domicile("--output", "json", "reference", "compare", "--dsn", world.replica.dsn("node"), *arguments, check=check, timeout=60)


def compare(world, *arguments, code: int) -> dict:
    done = run(world, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr, world.applier.text()[-2000:])
    result = json.loads(done.stdout)
    return result | {t["table"].removeprefix("app."): t for t in result["tables"]}


def plant(world, sql: str):
    """As somebody who has the applier's login would."""
    world.replica.execute(sql, "applier")


def kinds(table: dict) -> tuple[int, int, int]:
    return table["missing"], table["extra"], table["changed"]


def repaired(world):
    compare(world, "--repair", code=0)
    world.in_step()
    assert compare(world, code=0)["equal"]


def test_what_is_equal_is_told_in_a_few_bytes(world):
    result = compare(world, code=0)
    assert result["equal"] and result["differences"] == 0 and len(result["tables"]) == len(corpus.REFERENCE)
    assert result["busy"]["master_rows"] == result["busy"]["replica_rows"] == 20000
    assert result["busy"]["bytes"] < 1500


def test_nothing_of_the_hostile_corpus_is_overlooked(world):
    plant(world, corpus.planted_rows())
    result = compare(world, "--dry-run", code=1)
    assert kinds(result["corpus"]) == (0, 0, len(corpus.DIFFERENT) + len(corpus.SHIFTED))
    assert result["differences"] == result["corpus"]["changed"], "something else differs"
    assert len(result["corpus"]["keys_hashed"]) == 20 and all(len(key) == 32 for key in result["corpus"]["keys_hashed"])
    # Each alone: one that hides another is one too many.
    repaired(world)
    for i, (column, _, value) in list(enumerate(corpus.DIFFERENT, 1))[::30]:
        plant(world, f"UPDATE app.corpus SET {column} = {value} WHERE id = {i}")
        assert kinds(compare(world, "--table", "app.corpus", code=1)["corpus"]) == (0, 0, 1), (column, value)
        repaired(world)


def test_rows_of_equal_32_bit_hashes_are_told_apart(world):
    same = "SELECT min(i), max(i) FROM (SELECT i, hashtext(i::text) h FROM generate_series(1, 400000) i) x GROUP BY h HAVING count(*) > 1 LIMIT 1"
    one, other = world.master.one(same)
    world.master.execute(f"INSERT INTO app.corpus (id, w) VALUES (3000, '{one}'), (3001, '{one}'), (3002, '{other}')")
    world.in_step()
    plant(world, f"UPDATE app.corpus SET w = '{other}' WHERE id = 3000; UPDATE app.corpus SET w = '{other}' WHERE id = 3001; "
                 f"UPDATE app.corpus SET w = '{one}' WHERE id = 3002")
    assert kinds(compare(world, code=1)["corpus"]) == (0, 0, 3)
    repaired(world)


def test_keys_are_compared_as_they_are_written(world):
    plant(world, "DELETE FROM app.keyed WHERE a = 'a'; INSERT INTO app.keyed VALUES ('ab', 'c', 1); UPDATE app.keyed SET a = '', b = 'xx' WHERE b = 'x'")
    plant(world, "UPDATE app.scaled SET k = 1.00 WHERE k = 1; UPDATE app.loose SET k = 'STRASSE' WHERE v = 1")
    result = compare(world, code=1)
    assert kinds(result["keyed"]) == (2, 2, 0) and kinds(result["scaled"]) == (1, 1, 0) and kinds(result["loose"]) == (1, 1, 0)
    repaired(world)
    assert world.replica.query("SELECT k::text FROM app.scaled ORDER BY 1") == [("1.0",), ("2",)]


def test_missing_extra_and_changed_rows_are_repaired_in_the_order_of_their_references(world):
    plant(world, """DELETE FROM app.child; DELETE FROM app.parent WHERE id > 5;
                    INSERT INTO app.parent VALUES (900, 'p7', 1), (901, 'q', 900); INSERT INTO app.child VALUES (1000, 901), (5, 900);
                    UPDATE app.parted SET day = '2026-06-06' WHERE id = 3; DELETE FROM app.parted WHERE id = 60; UPDATE app.parted SET v = NULL WHERE id = 4""")
    result = compare(world, "--repair", code=0)
    assert kinds(result["parent"]) == (35, 2, 0) and kinds(result["child"]) == (79, 1, 1) and kinds(result["parted"]) == (2, 1, 1)
    assert result["repaired"] == result["differences"] and {t["outcome"] for t in result["tables"]} == {"equal", "repaired"}
    world.in_step()
    assert compare(world, code=0)["equal"]
    lines = domicile("--output", "json", "audit", "list", world.applier.audit, "--kind", "drift_repaired").stdout
    assert "reference.repair" in lines and '"table":"app.parent"' in lines, lines[-2000:]
    assert '"p7"' not in lines and "p37" not in lines


def test_a_dry_run_changes_nothing(world):
    plant(world, "UPDATE app.parted SET v = 'other' WHERE id = 9")
    before = world.replica.query("SELECT id, v, xmin::text FROM app.parted ORDER BY 1")
    assert kinds(compare(world, "--repair", "--dry-run", code=1)["parted"]) == (0, 0, 1)
    assert world.replica.query("SELECT id, v, xmin::text FROM app.parted ORDER BY 1") == before
    repaired(world)


def test_what_an_organization_still_uses_is_a_finding_and_the_rest_is_repaired(world):
    plant(world, "INSERT INTO app.parent VALUES (950, 'used', NULL), (951, 'unused', NULL)")
    with world.replica.connect() as c:
        c.execute("SELECT domicile.home_organization('7', 1)")
        c.execute("INSERT INTO app.enrolment VALUES (7, 1, 950)")
    result = compare(world, "--repair", code=1)
    assert result["parent"]["outcome"] == "different" and result["parent"]["blocked"] == 1 and result["parent"]["repaired"] == 1
    assert "enrolment" in result["parent"]["reason"]
    world.finding("repair_blocked")
    world.replica.execute("DELETE FROM app.enrolment")
    repaired(world)
    assert ("repair_blocked", "app.parent") not in world.replica.findings()


def test_a_table_that_drifts_again_and_again_is_a_finding(world):
    for n in range(3):
        assert ("drifts_again", "app.scaled") not in world.replica.findings()
        plant(world, f"UPDATE app.scaled SET v = {50 + n} WHERE k = 2")
        compare(world, "--table", "app.scaled", "--repair", code=0)
    world.finding("drifts_again")
    compare(world, "--table", "app.scaled", code=0)
    assert ("drifts_again", "app.scaled") not in world.replica.findings()


class Writers:
    """Sessions that change app.busy in the master region all the time: short transactions, some that take a while, some that fail."""

    STATEMENTS = ["UPDATE app.busy SET n = n + 1 WHERE id = 1 + floor(random() * 20000)", "DELETE FROM app.busy WHERE id = 1 + floor(random() * 20000)",
                  "INSERT INTO app.busy SELECT 1 + floor(random() * 20000), 7, 'again' ON CONFLICT DO NOTHING",
                  "INSERT INTO app.busy SELECT 1 + floor(random() * 20000), 7, 'again' ON CONFLICT (id) DO UPDATE SET words = md5(random()::text)",
                  "BEGIN; UPDATE app.busy SET n = n - 1 WHERE id % 500 = 3; SELECT pg_sleep(0.02); COMMIT",
                  "BEGIN; DELETE FROM app.busy WHERE id % 1000 = 5; ROLLBACK"]

    def __init__(self, world):
        self.world, self.done, self.count = world, threading.Event(), 0
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(3)]

    def work(self, n: int):
        with self.world.master.connect() as c:
            while not self.done.is_set():
                try:
                    c.execute(self.STATEMENTS[(self.count + n) % len(self.STATEMENTS)])
                except psycopg.errors.DeadlockDetected:
                    c.execute("ROLLBACK")
                self.count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()


def test_nothing_is_raised_and_nothing_overlooked_while_rows_change(world):
    with Writers(world) as writers:
        seen = 0
        for _ in range(6):
            result = compare(world, code=0)
            assert result["equal"], result
            seen += result["busy"]["changed_meanwhile"]
        plant(world, "UPDATE app.parted SET v = 'drift' WHERE id = 11; DELETE FROM app.child WHERE id = 3; INSERT INTO app.keyed VALUES ('new', '', 1)")
        result = compare(world, code=1)
        assert (kinds(result["parted"]), kinds(result["child"]), kinds(result["keyed"])) == ((0, 0, 1), (1, 0, 0), (0, 1, 0))
        assert result["differences"] == 3
    assert writers.count > 100 and seen > 0, "no row changed between the two snapshots: nothing was shown"
    repaired(world)


def test_a_repair_never_puts_back_what_the_stream_has_changed(world):
    with Writers(world):
        for _ in range(4):
            plant(world, "UPDATE app.busy SET words = 'drift' WHERE id % 7 = 1; DELETE FROM app.busy WHERE id % 7 = 2; "
                         "INSERT INTO app.busy SELECT 1000000 + i, 1, 'extra' FROM generate_series(1, 300) i ON CONFLICT DO NOTHING")
            result = compare(world, "--repair", "--table", "app.busy", code=0)
            assert result["repaired"] > 0
    world.in_step()
    assert compare(world, code=0)["equal"]


def test_many_differences_are_found_as_well(world):
    plant(world, "UPDATE app.busy SET n = -1")
    rows = world.master.one("SELECT count(*) FROM app.busy")[0]
    result = compare(world, "--repair", code=0)
    assert kinds(result["busy"]) == (0, 0, rows) and result["busy"]["repaired"] == rows
    world.in_step()


def test_a_killed_node_takes_its_job_up_again(world):
    plant(world, "UPDATE app.parted SET v = 'while it was away' WHERE id = 20")
    (job,) = world.replica.one("""INSERT INTO domicile.reference_job (kind, options) VALUES ('compare', '{"repair": true, "max_rate": 2000}') RETURNING id""")

    def state():
        return world.replica.one("SELECT state, progress->>'phase' FROM domicile.reference_job WHERE id = %s", [job])
    eventually(lambda: state() == ("running", "reading"), 20, state)
    world.applier.kill()
    world.applier.start()
    eventually(lambda: state()[0] == "done", 90, state)
    world.in_step()


def test_an_interrupted_command_cancels_its_job(world):
    process = subprocess.Popen([str(binary()), "reference", "compare", "--dsn", world.replica.dsn("node"), "--max-rate", "500"], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def running():
        return world.replica.one("SELECT id FROM domicile.reference_job WHERE state = 'running' ORDER BY id DESC LIMIT 1")
    (job,) = eventually(running, 20, lambda: "no job runs")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3 and "cancelled" in said, said
    assert world.replica.one("SELECT state FROM domicile.reference_job WHERE id = %s", [job]) == ("cancelled",)
    assert compare(world, code=0)["equal"]


def test_what_cannot_be_compared_says_why(world):
    done = run(world, "--table", "app.enrolment")
    assert done.returncode == 3 and "app.enrolment is no reference table" in done.stderr
    done = domicile("reference", "compare", "--dsn", world.master.dsn("node"), check=False)
    assert done.returncode == 2 and "this is the master region" in done.stderr
    with world.replica.connect() as c, pytest.raises(psycopg.Error, match="permission denied"):
        c.execute("SET ROLE pool; INSERT INTO domicile.reference_job (kind) VALUES ('compare')")


def test_the_daily_comparison_repairs_and_comes_once_a_day(world):
    plant(world, "UPDATE app.parted SET v = 'overnight' WHERE id = 30")
    world.applier.stop()
    world.applier.write(compare_at="00:00").start()

    def daily():
        return world.replica.query("SELECT state FROM domicile.reference_job WHERE scheduled IS NOT NULL AND requested_by = 'schedule'")
    eventually(lambda: ("done",) in daily(), 60, daily)
    world.in_step()
    compare(world, code=0)
    world.applier.stop()
    world.applier.start()
    compare(world, code=0)
    assert len(daily()) == world.replica.one("SELECT count(DISTINCT scheduled) FROM domicile.reference_job")[0]


def test_a_peer_without_a_certificate_learns_nothing(world):
    url = f"{world.publisher.url}/v1/reference/compare/open"
    said = subprocess.run(["curl", "-sS", "--cacert", str(world.authority.path), "-X", "POST", "-d", '{"tables":[],"rows_per_second":0}', "-H",
                           f"Authorization: Bearer {world.token}", "-H", "Domicile-Region: us-east-1", "-w", "\n%{http_code}", url],
                          capture_output=True, text=True).stdout
    assert said.endswith("403") and "peer_certificate_required" in said, said


def test_a_table_of_another_shape_is_not_compared(world):
    world.replica.execute("ALTER TABLE app.scaled ALTER COLUMN v TYPE bigint")
    try:
        result = compare(world, code=1)
        assert result["scaled"]["outcome"] == "failed" and "column v is bigint here, integer there" in result["scaled"]["reason"]
        assert result["busy"]["outcome"] == "equal"
        world.finding("compare_failed")
    finally:
        world.replica.execute("ALTER TABLE app.scaled ALTER COLUMN v TYPE int")
    compare(world, code=0)
    assert ("compare_failed", "app.scaled") not in world.replica.findings()
