"""Ground of the comparison's benchmark: the same rows in two real servers, as a reference table between two regions (database app)
and as a plain table (database plain), for those that Domicile is measured against. What crosses between the two sides is counted.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

from support.postgres import BIN, Cluster
from support.reference_world import ReferenceWorld

TABLE = """CREATE TABLE {schema}.item (id bigint PRIMARY KEY, code text NOT NULL, title text NOT NULL, price numeric(12,2) NOT NULL,
  at timestamptz NOT NULL, note text)"""
FILL = """INSERT INTO {schema}.item SELECT i, md5(i::text), 'Item number ' || i, (i % 100000) / 100.0,
  '2026-01-01'::timestamptz + i * interval '1 s', CASE WHEN i % 3 > 0 THEN 'note ' || i END FROM generate_series(1, {rows}) i"""
# 100 rows: 40 changed, 30 missing, 30 extra; far from each other.
PLANT = ["UPDATE {schema}.item SET title = title || '!' WHERE id IN (SELECT 7 + i * ({rows} / 101) FROM generate_series(1, 40) i)",
         "DELETE FROM {schema}.item WHERE id IN (SELECT 11 + i * ({rows} / 101) FROM generate_series(41, 70) i)",
         "INSERT INTO {schema}.item SELECT {rows} + i, 'x', 'x', 0, now(), NULL FROM generate_series(1, 30) i"]
CATALOG = ('[catalog]\nversion = 1\nkey_type = "bigint"\nschemas = ["app"]\ndefault_mode = "enforce"\n'
           '[[table]]\nname = "app.item"\nclass = "reference"\n')
SETTINGS = {"max_wal_size": "4GB", "shared_buffers": "512MB", "autovacuum": "off", "max_parallel_workers_per_gather": "0"}
BUCKETS = """SELECT id % {buckets}, count(*), sha256(string_agg(sha256(textsend(t::text)), ''::bytea ORDER BY id)) FROM public.item t GROUP BY 1"""
MEMBERS = "SELECT id, sha256(textsend(t::text)) FROM public.item t WHERE id %% {buckets} = ANY (%s)"


def cpu_of_cluster(cluster: Cluster) -> float:
    """User and system seconds of a server: the postmaster's, those of its processes that ended, and of those that live."""
    ticks = os.sysconf("SC_CLK_TCK")
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(stat.parent.name) == postmaster:
                total += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                total += sum(map(int, fields[11:13]))
    return total / ticks


class Counter:
    """A way to a server that counts the bytes of both directions."""

    def __init__(self, port: int):
        self.bytes, self.target = 0, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                self.bytes += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


class Ground:
    """`program`: the built bench_reference_compare."""

    def __init__(self, rows: int, program: pathlib.Path):
        self.rows, self.program = rows, program
        self.world = ReferenceWorld(
            schema="CREATE SCHEMA app AUTHORIZATION app_owner; SET ROLE app_owner;" + TABLE.format(schema="app") + "; RESET ROLE", catalog_text=CATALOG,
            content=FILL.format(schema="app", rows=rows), tables=["item"], settings=dict.fromkeys(("ca-central-1", "us-east-1"), SETTINGS))
        self.master, self.replica = self.world.master.cluster, self.world.replica.cluster
        for node in self.world.nodes.values():
            node.start()
        for cluster in (self.master, self.replica):
            cluster.create_database("plain")
            with cluster.connect("plain") as c:
                c.execute("CREATE EXTENSION pgcmp")
                c.execute(TABLE.format(schema="public"))
                c.execute(FILL.format(schema="public", rows=rows))
                c.execute("VACUUM ANALYZE")
        self.world.caught_up(seconds=600 + rows / 10_000)
        for cluster in (self.master, self.replica):
            with cluster.connect("app") as c:
                c.execute("VACUUM ANALYZE app.item")

    def drop(self):
        self.world.drop()

    def plant(self):
        for sql in PLANT:
            self.world.replica.execute(sql.format(schema="app", rows=self.rows), "applier")
            with self.replica.connect("plain") as c:
                c.execute(sql.format(schema="public", rows=self.rows))

    def measured(self, work) -> dict:
        """Seconds, seconds of CPU of both servers, and what the work itself tells: differences and bytes across."""
        cpu = sum(map(cpu_of_cluster, (self.master, self.replica)))
        begun = time.perf_counter()
        found, across, *more = work()
        seconds = time.perf_counter() - begun
        return {"seconds": seconds, "cpu": sum(map(cpu_of_cluster, (self.master, self.replica))) - cpu, "found": found, "across": across,
                **(more[0] if more else {})}

    @contextlib.contextmanager
    def master_side(self):
        process = subprocess.Popen([self.program, "master", "--dsn", self.world.master.dsn("publisher")], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        try:
            port = int(process.stdout.readline())

            def memory():
                process.stdin.write("memory\n")
                process.stdin.flush()
                return int(process.stdout.readline())
            yield port, memory
        finally:
            process.stdin.close()
            process.wait(60)

    def domicile(self):
        with self.master_side() as (port, memory):
            done = subprocess.run([self.program, "replica", "--dsn", self.world.replica.dsn("applier"), "--url", f"http://127.0.0.1:{port}"],
                                  check=True, capture_output=True, text=True)
            told = json.loads(done.stdout)
            return told["result"]["differences"], told["across_bytes"], {"memory": max(told["peak_memory_bytes"], memory())}

    def pg_comparator(self):
        counter = Counter(self.replica.port)
        where = ["pgsql://postgres:{}@127.0.0.1:{}/plain/public.item?id:code,title,price,at,note".format(Cluster.password, port)
                 for port in (self.master.port, counter.port)]
        done = subprocess.run(["pg_comparator", *where], capture_output=True, text=True)
        found = [line for line in done.stdout.splitlines() if line.split(" ")[0] in ("INSERT", "UPDATE", "DELETE")]
        assert done.returncode == 0, done.stderr
        return len(found), counter.bytes

    def sha256_buckets(self):
        """As one would write it: buckets by key, the sha256 of their rows' sha256, then the rows of buckets that differ."""
        counter = Counter(self.replica.port)
        buckets = max(256, self.rows // 1000)
        dsns = [f"host=127.0.0.1 port={port} dbname=plain user=postgres password={Cluster.password} sslmode=disable" for port in (self.master.port, counter.port)]
        import psycopg
        sides: list[dict] = [{}, {}]

        def ask(side: int, sql: str, arguments=None):
            with psycopg.connect(dsns[side]) as c:
                sides[side] = {row[0]: row[1:] for row in c.execute(sql, arguments, binary=True)}

        def both(sql: str, arguments=None):
            threads = [threading.Thread(target=ask, args=(side, sql, arguments)) for side in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return [key for key in sides[0].keys() | sides[1].keys() if sides[0].get(key) != sides[1].get(key)]
        differing = both(BUCKETS.format(buckets=buckets))
        found = both(MEMBERS.format(buckets=buckets), [differing]) if differing else []
        return len(found), counter.bytes

    def copy_alone(self):
        """The least that reading both sides takes: COPY of the same rows to a client that throws them away."""
        def copy(cluster):
            sql = "COPY app.item TO STDOUT (FORMAT binary)"
            subprocess.run([BIN / "psql", "-q", cluster.dsn("app"), "-c", sql, "-o", "/dev/null"], check=True, capture_output=True)
        threads = [threading.Thread(target=copy, args=(cluster,)) for cluster in (self.master, self.replica)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 0, 0



