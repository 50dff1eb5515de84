"""Ground of the reference sync's benchmark: the same two servers carry Domicile's regions (database app) and, beside them, native
logical replication (database native, no guard). Both are fed the same work and watched by the same client.

What sync can do is measured on a backlog: whoever reads the log and whoever applies are stopped (SIGSTOP, so that nothing is to be
set up again), the work is committed in the master, and the time runs from SIGCONT until the last transaction is visible in the other
region. Nobody has decoded ahead.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import threading
import time

from support.postgres import BIN, Cluster
from support.reference_world import ReferenceWorld, eventually

WIDE = ", ".join(f"c{i} {('text', 'int', 'numeric(12,2)', 'timestamptz')[i % 4]}" for i in range(40))
TABLES = f"""
CREATE TABLE app.small (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE app.wide (id bigint PRIMARY KEY, {WIDE});
CREATE TABLE app.busy (id bigint PRIMARY KEY, n int NOT NULL, words text NOT NULL);
CREATE TABLE app.mark (id bigint PRIMARY KEY);
"""
FILL = "INSERT INTO app.busy SELECT i, 0, md5(i::text) FROM generate_series(1, 10000) i"
NAMES = ["small", "wide", "busy", "mark"]
CATALOG = ('[catalog]\nversion = 1\nkey_type = "bigint"\nschemas = ["app"]\ndefault_mode = "enforce"\n'
           + "".join(f'[[table]]\nname = "app.{name}"\nclass = "reference"\n' for name in sorted(NAMES)))
VALUES = ", ".join(("md5(i::text)", "i::int % 1000", "(i % 10000) / 100.0", "now()")[i % 4] for i in range(40))


class Domicile:
    """The subject: two nodes between the databases."""

    database = "app"

    def __init__(self):
        settings = {"max_wal_size": "4GB", "shared_buffers": "256MB"}
        self.world = ReferenceWorld(schema="CREATE SCHEMA app AUTHORIZATION app_owner; SET ROLE app_owner;" + TABLES + "RESET ROLE;",
                                    catalog_text=CATALOG, content=FILL, tables=NAMES, settings=dict.fromkeys(("ca-central-1", "us-east-1"), settings),
                                    fsync=True)
        self.master, self.replica = self.world.master.cluster, self.world.replica.cluster
        self.world.start()

    def processes(self) -> list[int]:
        return [self.world.publisher.process.pid, self.world.applier.process.pid]

    def check(self):
        self.world.in_step(seconds=120)


class Native:
    """The peer: PostgreSQL's own publication and subscription, on the same two servers."""

    database = "native"

    def __init__(self, master: Cluster, replica: Cluster):
        self.master, self.replica = master, replica
        for cluster in (master, replica):
            cluster.create_database("native")
            with cluster.connect("native") as c:
                c.execute("CREATE SCHEMA app;" + TABLES)
        with master.connect("native") as c:
            c.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        with replica.connect("native") as c:
            c.execute(f"CREATE SUBSCRIPTION native CONNECTION '{master.dsn('native')}' PUBLICATION everything WITH (copy_data = false)")
        with master.connect("native") as c:
            c.execute(FILL)
        eventually(lambda: self._count() == 10_000, 60, lambda: "the native copy is there")

    def _count(self):
        with self.replica.connect("native") as c:
            return c.execute("SELECT count(*) FROM app.busy").fetchone()[0]

    def processes(self) -> list[int]:
        with self.master.connect("native") as a, self.replica.connect("native") as b:
            return [a.execute("SELECT pid FROM pg_stat_replication WHERE application_name = 'native'").fetchone()[0],
                    b.execute("SELECT pid FROM pg_stat_subscription WHERE subname = 'native' AND relid IS NULL").fetchone()[0]]

    @contextlib.contextmanager
    def decoding_alone(self, seconds: list[float]):
        """Adds the time that pg_recvlogical needs to decode, into /dev/null, what is written within."""
        with self.master.connect("native") as c:
            c.execute("SELECT pg_create_logical_replication_slot('alone', 'pgoutput')")
            yield
            end = c.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
            c.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")  # a commit past the end, where it stops
            begin = time.perf_counter()
            subprocess.run([BIN / "pg_recvlogical", "-d", self.master.dsn("native"), "--slot", "alone", "--start", "-f", "/dev/null", "--endpos",
                            end, "-o", "proto_version=1", "-o", "publication_names=everything", "--no-loop"], check=True, capture_output=True)
            seconds.append(time.perf_counter() - begin)
            c.execute("SELECT pg_drop_replication_slot('alone')")

    def check(self):
        for table in NAMES:
            sql = f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM app.{table} t"
            with self.master.connect("native") as a, self.replica.connect("native") as b:
                assert a.execute(sql).fetchone() == b.execute(sql).fetchone(), table


class Work:
    """Statements that make one round's rows; `{n}` is where the round's numbers begin."""

    def __init__(self, name: str, sql: str, rows: int):
        self.name, self.sql, self.rows = name, sql, rows


def works(scale: float) -> list[Work]:
    small, bulk, wide, busy = (int(n * scale) for n in (25_000, 400_000, 50_000, 8_000))
    return [
        Work("small transactions", f"""DO $$ BEGIN FOR i IN 1..{small} LOOP
               INSERT INTO app.small VALUES ({{n}} + i, i, 'row ' || i, now()); COMMIT; END LOOP; END $$""", small),
        Work("bulk transactions", f"INSERT INTO app.small SELECT {{n}} + i, i, 'row ' || i, now() FROM generate_series(1, {bulk}) i", bulk),
        Work("wide rows", f"""DO $$ BEGIN FOR t IN 0..{wide // 100 - 1} LOOP
               INSERT INTO app.wide SELECT {{n}} + t * 100 + i, {VALUES} FROM generate_series(1, 100) i; COMMIT; END LOOP; END $$""", wide // 100 * 100),
        Work("update-heavy", f"""DO $$ BEGIN FOR t IN 1..{busy} LOOP
               UPDATE app.busy SET n = n + 1 WHERE id IN (SELECT 1 + (t::bigint * 7919 + i * 104729) % 10000 FROM generate_series(1, 10) i);
               COMMIT; END LOOP; END $$""", busy * 10),
    ]


class Runner:
    """Feeds one system and watches it."""

    numbers = 0  # never the same key twice, over all runners

    def __init__(self, system):
        self.system = system

    def _next(self) -> int:
        Runner.numbers += 10_000_000
        return Runner.numbers

    def drain(self, work: Work) -> float:
        """Rows a second, from a backlog."""
        n, stopped = self._next(), self.system.processes()
        with self.system.master.connect(self.system.database) as master, self.system.replica.connect(self.system.database) as replica:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                master.execute(work.sql.format(n=n))
                master.execute("INSERT INTO app.mark VALUES (%s)", [n])
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            begin = time.perf_counter()
            while not replica.execute("SELECT FROM app.mark WHERE id = %s", [n]).rowcount:
                assert time.perf_counter() - begin < 300, f"{work.name} does not arrive in {self.system.database}"
                time.sleep(0.002)
            return work.rows / (time.perf_counter() - begin)

    def lags(self, samples: int, beside: str = "") -> list[float]:
        """Milliseconds from a commit's return in the master to its row's visibility in the other region, one every 10 ms;
        `beside`: what another client commits twice a second meanwhile."""
        first, committed, done = self._next(), {}, threading.Event()
        with self.system.master.connect(self.system.database) as master, self.system.replica.connect(self.system.database) as replica, \
                self.system.master.connect(self.system.database) as other:

            def write():
                for i in range(samples):
                    master.execute("INSERT INTO app.mark VALUES (%s)", [first + i])
                    committed[first + i] = time.perf_counter()
                    time.sleep(0.01)
                done.set()

            def disturb():
                while not done.wait(0.5):
                    other.execute(beside.format(n=self._next()))
            threads = [threading.Thread(target=write)] + ([threading.Thread(target=disturb)] if beside else [])
            for each in threads:
                each.start()
            seen, found = first - 1, []
            deadline = time.perf_counter() + 60 + samples * 0.1
            while seen < first + samples - 1:
                assert time.perf_counter() < deadline, f"{first + samples - 1 - seen} rows do not arrive in {self.system.database}"
                newest = replica.execute("SELECT max(id) FROM app.mark").fetchone()[0] or 0
                now = time.perf_counter()
                for number in range(seen + 1, newest + 1):
                    # Visible before the master's client heard of its commit: no lag.
                    found.append(max(0.0, (now - committed.get(number, now)) * 1000))
                seen = max(seen, newest)
                time.sleep(0.0005)
            for each in threads:
                each.join()
        return found


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@contextlib.contextmanager
def both():
    subject = Domicile()
    try:
        yield subject, Native(subject.master, subject.replica)
    finally:
        subject.world.drop()


__all__ = ["Domicile", "Native", "Runner", "Work", "both", "percentile", "statistics", "works"]
