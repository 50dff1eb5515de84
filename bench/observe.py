#!/usr/bin/python3
"""What mode observe costs the application: the same statements on an observed table and on one that is not.

Subject: app.activity and app.course in mode observe. Peer: the same tables, rows and indexes outside of the
catalog's guard (class ignored). CPU of the server process per operation, interleaved rounds. Three
situations: an application that knows nothing of Domicile (every write is recorded: the first day), one whose
transactions enter() already, and rows of an organization that is not homed.

`request` is a request of the sample application: BEGIN, two reads, an update, an insert, COMMIT.
`--check` exits 1 when a bar is missed; `--rounds N`, `--quick`.
"""

import sys

from guard import ORGANIZATIONS, PER_ORGANIZATION, ROUNDS, Bench, Load
from lib import compare, cpu_of, report

QUICK = "--quick" in sys.argv
OPERATIONS = 500 if QUICK else 1500
TABLES = ("activity", "activity_plain", "course", "course_plain")
CATALOG = """
[catalog]
version = 1
key_type = "bigint"
schemas = ["app"]
default_mode = "observe"
""" + "".join(f'[[table]]\nname = "app.{name}"\nclass = "organization"\nkey = "org_id"\n' if "plain" not in name else
              f'[[table]]\nname = "app.{name}"\nclass = "ignored"\nreason = "the peer of the benchmark"\n' for name in TABLES)
COLUMNS = {"activity": """(org_id bigint NOT NULL, id bigint NOT NULL, user_id bigint NOT NULL, kind int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), amount numeric(12,2) NOT NULL, note text, PRIMARY KEY (org_id, id))""",
           "course": "(org_id bigint NOT NULL, id bigint NOT NULL, title text NOT NULL, seen bigint NOT NULL DEFAULT 0, PRIMARY KEY (org_id, id))"}


class Observed(Bench):
    def prepare_schema(self, session):
        session.must("CREATE SCHEMA app AUTHORIZATION app_owner")
        session.must("SET ROLE app_owner")
        for table in TABLES:
            session.must(f"CREATE TABLE app.{table} {COLUMNS[table.split('_')[0]]}")
        session.must("RESET ROLE")

    def catalog_text(self):
        return CATALOG

    def fill_rows(self, session):
        session.must("SET session_replication_role = replica")
        for table in TABLES:
            session.must(f"ALTER TABLE app.{table} DISABLE TRIGGER USER")
            values = "i % 5000, i % 7, now(), 1, 'note'" if "activity" in table else "'a course', 0"
            session.must(f"INSERT INTO app.{table} SELECT 1 + i % {ORGANIZATIONS}, i / {ORGANIZATIONS}, {values} "
                         f"FROM generate_series(0, {ORGANIZATIONS * PER_ORGANIZATION - 1}) i")
        for table in ("activity", "course"):
            for name in session.must(f"SELECT tgname FROM pg_trigger WHERE tgrelid = 'app.{table}'::regclass AND NOT tgisinternal").rows:
                session.must(f"ALTER TABLE app.{table} ENABLE ALWAYS TRIGGER {name[0]}")
        session.must("GRANT USAGE ON SCHEMA app TO app_pool")
        session.must("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO app_pool")
        session.must("VACUUM ANALYZE")
        session.must("CHECKPOINT")


class Request:
    """BEGIN, two reads, an update, an insert, COMMIT; `enter` is a first statement, or None."""

    def __init__(self, session, tail, org, fresh, enter=None):
        self.session, self.org, self.fresh, self.enter = session, org, fresh, enter
        for name, sql in (("read", f"SELECT * FROM app.course{tail} WHERE org_id = $1 AND id = $2"),
                          ("list", f"SELECT count(*), sum(amount) FROM app.activity{tail} WHERE org_id = $1 AND id < $2"),
                          ("touch", f"UPDATE app.course{tail} SET seen = seen + 1 WHERE org_id = $1 AND id = $2"),
                          ("put", f"INSERT INTO app.activity{tail} VALUES ($1, $2, 1, 2, now(), 3.5, 'note')")):
            answer = session.prepare(name, sql)
            assert not answer.failed, answer

    def work(self):
        for _ in range(OPERATIONS):
            self.fresh["id"] += 1
            place = str(self.fresh["id"] % PER_ORGANIZATION)
            self.session.simple("BEGIN")
            if self.enter:
                self.enter(self.session)
            for name, last in (("read", place), ("list", "50"), ("touch", place), ("put", str(self.fresh["id"]))):
                answer = self.session.execute(name, self.org, last)
                assert not answer.failed, answer
            self.session.simple("COMMIT")
            self.session.seen.clear()
        return OPERATIONS

    def __call__(self):
        return cpu_of(self.session.pid, self.work)


def measure(bench):
    fresh = {"id": 1_000_000_000}
    plans = "-c plan_cache_mode=force_generic_plan"
    foreign = str(ORGANIZATIONS + 5)

    def session():
        return bench.login("app_pool", options=plans)

    def enter(target):
        answer = target.execute("enter", bench.token(bench.own))
        assert not answer.failed, answer

    def door():
        made = session()
        assert not made.prepare("enter", "SELECT domicile.enter($1)").failed
        return made

    def new_row(org):
        def arguments(_):
            fresh["id"] += 1
            return org, fresh["id"]
        return arguments

    def existing(r):
        return bench.own, r.randrange(PER_ORGANIZATION)
    put = "INSERT INTO app.activity{} VALUES ($1, $2, 1, 2, now(), 3.5, 'note')"
    touch = "UPDATE app.course{} SET seen = seen + 1 WHERE org_id = $1 AND id = $2"
    read = "SELECT * FROM app.course{} WHERE org_id = $1 AND id = $2"
    bulk = "INSERT INTO app.activity{} SELECT $1::bigint, $2::bigint * 1000 + i, 1, 2, now(), 3.5, 'note' FROM generate_series(1, 500) i"

    def pair(sql, arguments, operations=OPERATIONS):
        return (Load(session(), sql.format("_plain"), arguments, operations=operations),
                Load(session(), sql.format(""), arguments, operations=operations))
    return [
        compare("request, no context (first day)", Request(session(), "_plain", bench.own, fresh),
                Request(session(), "", bench.own, fresh), 1.15, ROUNDS),
        compare("request, entered", Request(door(), "_plain", bench.own, fresh, enter),
                Request(door(), "", bench.own, fresh, enter), 1.15, ROUNDS),
        compare("request, organization not homed", Request(session(), "_plain", foreign, fresh),
                Request(session(), "", foreign, fresh), None, ROUNDS),
        compare("one insert, no context", *pair(put, new_row(bench.own)), None, ROUNDS),
        compare("one update, no context", *pair(touch, existing), None, ROUNDS),
        compare("one insert, organization not homed", *pair(put, new_row(foreign)), None, ROUNDS),
        compare("one read", *pair(read, existing), 1.05, ROUNDS),
        compare("insert of 500 rows, no context", *pair(bulk, new_row(bench.own), 20), None, ROUNDS),
    ]


def main() -> int:
    bench = Observed("bigint", {"shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB", "statement_timeout": "120s",
                                "synchronous_commit": "off"})
    try:
        rows = measure(bench)
        with bench.superuser() as admin:
            kept, size = admin.must("SELECT count(*), pg_size_pretty(pg_relation_size('domicile_private.observed')) FROM domicile_private.observed").rows[0]
        print(f"{kept} records kept, {size}")
        return report(rows, "--check" in sys.argv)
    finally:
        bench.drop()


if __name__ == "__main__":
    sys.exit(main())
