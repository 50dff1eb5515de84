#!/usr/bin/python3
"""Guard and row security against the same statement without them.

Subject: app.activity, guarded by `domicile region init`, used by an organization's own role, and through
the application door (BEGIN, enter(), statement, COMMIT). Peer: app.activity_plain, the same rows and
indexes, no guard, no row security, read by a role with BYPASSRLS that writes its own WHERE org_id.

CPU of the server process per operation, interleaved rounds. `--check` exits 1 when a bar is missed;
`--rounds N`, `--quick`.
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lib import compare, cpu_of, report  # noqa: E402
from support.arena import PASSWORD, Arena  # noqa: E402
from support.postgres import BIN  # noqa: E402

QUICK = "--quick" in sys.argv
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5 if QUICK else 9
ORGANIZATIONS = 1000
PER_ORGANIZATION = 50 if QUICK else 200
OPERATIONS = 1000 if QUICK else 3000

CATALOG = """
[catalog]
version = 1
key_type = "bigint"
schemas = ["app"]
default_mode = "enforce"

[[table]]
name = "app.activity"
class = "organization"
key = "org_id"

[[table]]
name = "app.activity_plain"
class = "ignored"
reason = "the peer of the benchmark"
"""

TABLE = """CREATE TABLE app.{} (org_id bigint NOT NULL, id bigint NOT NULL, user_id bigint NOT NULL, kind int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), amount numeric(12,2) NOT NULL, note text, PRIMARY KEY (org_id, id))"""


class Bench(Arena):
    """The arena with the benchmark's own schema."""

    def prepare_schema(self, session):
        session.must("CREATE SCHEMA app AUTHORIZATION app_owner")
        for table in ("activity", "activity_plain"):
            session.must("SET ROLE app_owner")
            session.must(TABLE.format(table))
            session.must("RESET ROLE")

    def catalog_text(self):
        return CATALOG

    def homed_keys(self):
        return [str(org) for org in range(1, ORGANIZATIONS + 1)]

    def fill_rows(self, session):
        for table in ("activity", "activity_plain"):
            session.must(f"""INSERT INTO app.{table} SELECT 1 + i % {ORGANIZATIONS}, i / {ORGANIZATIONS}, i % 5000, i % 7,
                             '2026-01-01'::timestamptz + i * interval '1 s', (i % 10000) / 100.0, 'note ' || i
                             FROM generate_series(0, {ORGANIZATIONS * PER_ORGANIZATION - 1}) i""")
        session.must("CREATE ROLE plain LOGIN BYPASSRLS PASSWORD 'arena'")
        session.must("GRANT USAGE ON SCHEMA app TO plain")
        session.must("GRANT ALL ON app.activity_plain TO plain")
        session.must("VACUUM ANALYZE")
        session.must("CHECKPOINT")


class Load:
    """One session that runs a prepared statement over and over; each round's cost is its backend's CPU."""

    def __init__(self, session, sql, arguments, wrap=None, operations=OPERATIONS):
        self.session, self.arguments, self.wrap, self.operations = session, arguments, wrap, operations
        self.name = f"s{id(self)}"
        if wrap:
            session.must("BEGIN")
            wrap(session)
        answer = session.prepare(self.name, sql)
        assert not answer.failed, answer
        if wrap:
            session.must("COMMIT")
        self.random = random.Random(1)

    def one(self):
        answer = self.session.execute(self.name, *self.arguments(self.random))
        assert not answer.failed, answer
        self.session.seen.clear()

    def work(self):
        for _ in range(self.operations):
            if self.wrap is None:
                self.one()
                continue
            self.session.simple("BEGIN")
            self.wrap(self.session)
            self.one()
            self.session.simple("COMMIT")
        return self.operations

    def __call__(self):
        return cpu_of(self.session.pid, self.work)


class Transactional(Load):
    """The peer of the application door: the same transaction without enter()."""

    def work(self):
        for _ in range(self.operations):
            self.session.simple("BEGIN")
            self.one()
            self.session.simple("COMMIT")
        return self.operations


def copy_rows(bench, user, table, orgs, count):
    """A round of COPY: the loader's CPU per row. The rows are removed again, outside of the measure."""
    session = bench.login(user)
    state = {"base": 10_000_000}

    def run():
        state["base"] += count
        data = "".join(f"{orgs[i % len(orgs)]}\t{state['base'] + i}\t1\t2\t2026-01-01\t3.5\tnote\n" for i in range(count))
        sql = f"COPY app.{table} (org_id, id, user_id, kind, created_at, amount, note) FROM STDIN"

        def work():
            answer = session.simple(sql, data)
            assert not answer.failed, answer
            return count
        cost = cpu_of(session.pid, work)
        session.must(f"DELETE FROM app.{table} WHERE id >= 10000000")
        session.must(f"VACUUM app.{table}")
        return cost
    return run


def insert_select(bench, session, table, org, count):
    """Bulk INSERT of one organization's rows."""
    state = {"base": 20_000_000}

    def run():
        state["base"] += count

        def work():
            session.must(f"INSERT INTO app.{table} SELECT {org}, {state['base']} + i, 1, 2, now(), 3.5, 'note' "
                         f"FROM generate_series(1, {count}) i")
            return count
        cost = cpu_of(session.pid, work)
        with bench.superuser() as admin:
            admin.must(f"DELETE FROM app.{table} WHERE id >= 20000000")
            admin.must(f"VACUUM app.{table}")
        return cost
    return run


def pgbench(bench, user, table, clients, seconds, folder):
    """Transactions per second of a read and an insert by 16 clients."""
    where = f"org_id = {bench.own} AND " if table.endswith("plain") else ""
    script = folder / f"{table}.sql"
    script.write_text(f"\\set id random(0, {PER_ORGANIZATION - 1})\n\\set fresh random(30000000, 2000000000)\n"
                      f"SELECT * FROM app.{table} WHERE {where}id = :id;\n"
                      f"INSERT INTO app.{table} VALUES ({bench.own}, :fresh, 1, 2, now(), 3.5, 'note') ON CONFLICT DO NOTHING;\n")

    def run():
        done = subprocess.run([BIN / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds),
                               "-f", script, "-h", "127.0.0.1", "-p", str(bench.cluster.port), "-U", user, bench.database],
                              env={**os.environ, "PGPASSWORD": PASSWORD}, check=True, capture_output=True, text=True)
        rate = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
        return float(rate.split()[2])
    return run


def measure(bench):
    own = bench.role(bench.own)
    # One plan for all executions: whether PostgreSQL plans each anew is a toss-up that hides the measure.
    plans = "-c plan_cache_mode=force_generic_plan"
    tenant, plain, pool = (lambda: bench.login(own, options=plans)), (lambda: bench.login("plain", options=plans)), (
        lambda: bench.login("app_pool", options=plans))
    token = {"text": "", "until": 0.0}

    def enter(session):
        if time.time() > token["until"]:
            token["text"], token["until"] = bench.token(bench.own), time.time() + 20
        session.execute("enter", token["text"])

    def door():
        session = pool()
        assert not session.prepare("enter", "SELECT domicile.enter($1)").failed
        return session

    def identifier(r):
        return (r.randrange(PER_ORGANIZATION),)

    def keyed(r):
        return bench.own, r.randrange(PER_ORGANIZATION)
    fresh = {"id": 1_000_000_000}

    def new_row(_):
        fresh["id"] += 1
        return (fresh["id"],)
    point = "SELECT * FROM app.activity WHERE id = $1"
    point_plain = "SELECT * FROM app.activity_plain WHERE org_id = $1 AND id = $2"
    spread = "SELECT count(*), sum(amount) FROM app.activity WHERE id BETWEEN $1 AND 100000"
    spread_plain = "SELECT count(*), sum(amount) FROM app.activity_plain WHERE org_id = $1 AND id BETWEEN $2 AND 100000"
    put = "INSERT INTO app.{} VALUES (" + bench.own + ", $1, 1, 2, now(), 3.5, 'note')"
    few = max(OPERATIONS // 3, 300)
    rows = [
        compare("point read, organization role", Load(plain(), point_plain, keyed), Load(tenant(), point, identifier), 1.05, ROUNDS),
        compare("point read with its own WHERE too, organization role", Load(plain(), point_plain, keyed),
                Load(tenant(), point_plain.replace("_plain", ""), keyed), 1.05, ROUNDS),
        compare("range read, organization role", Load(plain(), spread_plain, lambda r: (bench.own, 0), operations=few),
                Load(tenant(), spread, lambda r: (0,), operations=few), 1.05, ROUNDS),
        compare("insert, organization role", Load(plain(), put.format("activity_plain"), new_row),
                Load(tenant(), put.format("activity"), new_row), 1.3, ROUNDS),
        compare("point read in a transaction, application door", Transactional(plain(), point_plain, keyed),
                Load(door(), point, identifier, enter), None, ROUNDS),
        compare("point read after enter(), application door", *entered_reads(bench, plain(), door(), enter, point_plain, point), 1.05, ROUNDS),
        compare("range read in a transaction, application door",
                Transactional(plain(), spread_plain, lambda r: (bench.own, 0), operations=few),
                Load(door(), spread, lambda r: (0,), enter, operations=few), None, ROUNDS),
        compare("insert in a transaction, application door", Transactional(plain(), put.format("activity_plain"), new_row),
                Load(door(), put.format("activity"), new_row, enter), 1.3, ROUNDS),
    ]
    count = 5_000 if QUICK else 20_000
    many = [str(i) for i in range(1, ORGANIZATIONS + 1)]
    rows += [
        compare("bulk INSERT, one organization", insert_select(bench, plain(), "activity_plain", bench.own, count),
                insert_select(bench, tenant(), "activity", bench.own, count), 1.5, ROUNDS),
        compare("COPY, one organization", copy_rows(bench, "postgres", "activity_plain", [bench.own], count),
                copy_rows(bench, "postgres", "activity", [bench.own], count), 1.5, ROUNDS),
        compare("COPY, 1,000 organizations", copy_rows(bench, "postgres", "activity_plain", many, count),
                copy_rows(bench, "postgres", "activity", many, count), 1.5, ROUNDS),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        seconds = 2 if QUICK else 4
        rows.append(compare("16 clients, read and insert, throughput", pgbench(bench, "plain", "activity_plain", 16, seconds, folder),
                            pgbench(bench, own, "activity", 16, seconds, folder), 0.9, 5, at_least=True, unit="tps", warm_up=0))
    return rows


def entered_reads(bench, plain, door, enter, peer_sql, subject_sql):
    """Many statements in one transaction, as an application's request has them: enter() is paid once."""
    peer = Load(plain, peer_sql, lambda r: (bench.own, r.randrange(PER_ORGANIZATION)))
    subject = Load(door, subject_sql, lambda r: (r.randrange(PER_ORGANIZATION),), enter)
    subject.wrap = None

    def entered():
        door.must("BEGIN")
        enter(door)
        cost = cpu_of(door.pid, subject.work)
        door.must("COMMIT")
        return cost

    def bare():
        plain.must("BEGIN")
        cost = cpu_of(plain.pid, peer.work)
        plain.must("COMMIT")
        return cost
    return bare, entered


def main() -> int:
    bench = Bench("bigint", {"shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB", "statement_timeout": "120s",
                             "synchronous_commit": "off"})
    try:
        return report(measure(bench), "--check" in sys.argv)
    finally:
        bench.drop()


if __name__ == "__main__":
    sys.exit(main())
