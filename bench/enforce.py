#!/usr/bin/python3
"""What mode enforce costs the application: the requests of examples/learning/app.py on a database with every table enforced,
against a copy of it with everything off and an application that knows nothing of Domicile. Two ways in: entering the
organization of each request from one pool (the application door), and a connection for each organization, logged in as its
own role. Everything is in the ratio: enter(), row security, CHECKs and triggers.

The rows without a bar say what is the least: the same unguarded application, sending one more statement in each transaction
that does nothing.

CPU of the server processes per request, as in bench/observe.py. `--check` exits 1 when a bar is missed; `--rounds N`, `--quick`.
"""

import contextlib
import sys

import psycopg
from psycopg.rows import dict_row

import observe  # noqa: E402
from lib import cpu_seconds, report  # noqa: E402
from support.arena import PASSWORD  # noqa: E402
from support.domicile import domicile  # noqa: E402


class Enforced(observe.Observed):
    """Database arena is enforced, database plain is its copy with everything off."""

    ARMED = "SELECT count(*) FROM pg_policy WHERE polname ~ '^domicile'"

    def arm(self, catalog):
        enforced = catalog.with_name("enforced.toml")  # the command writes the modes into the file
        enforced.write_text(catalog.read_text())
        domicile("region", "enforce", "--all", "--catalog", enforced, "--dsn", self.dsn("installer", "arena"))


class AsOrganizations(observe.Application):
    """The application with a connection for each organization instead of a context in each transaction."""

    def __init__(self, bench, database):
        super().__init__(bench, database, False)
        self.connections = {}

        @contextlib.contextmanager
        def transaction():
            with self.connection().transaction():
                yield self.connection()
        self.module.transaction = transaction

    def connection(self):
        if self.org not in self.connections:
            self.connections[self.org] = psycopg.connect(
                self.bench.dsn(self.bench.role(str(self.org)), "arena"), row_factory=dict_row, options="-c search_path=learning")
        return self.connections[self.org]

    def cpu(self):
        return sum(cpu_seconds(connection.info.backend_pid) for connection in self.connections.values())


class WithANoop(observe.Application):
    """Unguarded, with one statement more in each transaction."""

    def __init__(self, bench, database):
        super().__init__(bench, database, False)
        plain = self.module.transaction

        @contextlib.contextmanager
        def transaction():
            with plain() as connection:
                connection.execute("SELECT %s::text", [self.headers["Domicile-Context"]])
                yield connection
        self.module.transaction = transaction


def measure(bench):
    plain = observe.Application(bench, "plain", False)
    sides = {"entering": observe.Application(bench, "arena", True), "as its own role": AsOrganizations(bench, "arena"),
             "unguarded, one statement more": WithANoop(bench, "plain")}
    for side in (plain, *sides.values()):
        for number in range(observe.WARM_UP * (observe.HOMED if side is sides["as its own role"] else 1)):
            side.study(number)
    rows = []
    for title, what, bar in (("pages that read", "read", 1.05), ("requests that write", "answer", 1.3), ("a course, 10 read and 11 write", "study", None)):
        for way, side in sides.items():
            rows.append(observe.compare(f"{title}, {way}", None if "unguarded" in way else bar, lambda number, what=what, side=side: [
                each.slice(getattr(each, what), range(number * 2, number * 2 + 2)) for each in (plain, side)]))
    return rows


def main() -> int:
    bench = Enforced("bigint", {"shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB", "statement_timeout": "120s",
                                "synchronous_commit": "off"})
    try:
        bench.copy_with_everything_off()
        with bench.superuser() as admin:
            for key in bench.homed_keys():
                admin.must(f'ALTER ROLE "{bench.role(key)}" PASSWORD \'{PASSWORD}\'')
        return report(measure(bench), "--check" in sys.argv)
    finally:
        bench.drop()


if __name__ == "__main__":
    sys.exit(main())
