#!/usr/bin/python3
"""Residency proof: the loose index scan of `domicile check` against a full scan with GROUP BY, on the same table of the
same server, in alternating rounds. Bar: 20 times faster at 10M rows and 10,000 organizations.

    residency.py [--rows 10000000] [--organizations 10000] [--rounds 5] [--check]

The region is a real one (region init, catalog, guard, row security). The proof is domicile.check_residency(), called as
the checker's login; the full scan is run by the superuser, past row security, which favours it.
"""

import sys

sys.path.pop(0)  # this folder has files with the names of standard modules

import argparse  # noqa: E402
import pathlib  # noqa: E402
import time  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "bench"), str(ROOT / "tests")]

import lib  # noqa: E402
from support.guarded_region import GuardedRegion  # noqa: E402

PROOF = "SELECT method, organizations, strangers FROM domicile.check_residency('app', 'course')"
FULL = ("SELECT count(*), count(*) FILTER (WHERE h.rolname IS NULL) FROM (SELECT org_id FROM app.course GROUP BY org_id) g "
        "LEFT JOIN (SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'domicile_home_')) h "
        "ON h.rolname = ('domicile_home_org_' || g.org_id)::name")


def fill(region: GuardedRegion, rows: int, organizations: int):
    """Without the guard's CHECK while loading (it is put back NOT VALID), because loading is not what is measured."""
    with region.superuser() as c:
        definition = c.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'app.course'::regclass "
                               "AND conname = 'domicile_home'").fetchone()[0].replace(" NOT VALID", "")
        c.execute("ALTER TABLE app.course DROP CONSTRAINT domicile_home, DROP CONSTRAINT course_pkey")
        # An organization's rows lie scattered over the table, as they do when it grew over years.
        c.execute(f"INSERT INTO app.course SELECT 1 + (i::bigint * 7919) % {organizations}, i, 'course ' || i FROM generate_series(1, {rows}) i")
        c.execute("ALTER TABLE app.course ADD PRIMARY KEY (org_id, id)")
        c.execute(f"ALTER TABLE app.course ADD CONSTRAINT domicile_home {definition} NOT VALID")
        c.execute("VACUUM ANALYZE app.course")


def main() -> int:
    parser = argparse.ArgumentParser(description="Residency proof against a full scan")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--organizations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    def measured(connection, sql, expected):
        """Milliseconds of CPU of the server process (steadier than wall time); the wall time is printed."""
        pid = connection.info.backend_pid
        before, begin = lib.cpu_seconds(pid), time.perf_counter()
        answer = connection.execute(sql).fetchone()
        wall_ms, cpu_ms = (time.perf_counter() - begin) * 1000, (lib.cpu_seconds(pid) - before) * 1000
        assert answer == expected, answer
        print(f"# {cpu_ms:9.1f} ms CPU {wall_ms:9.1f} ms wall  {sql[:60]}", flush=True)
        return cpu_ms

    region = GuardedRegion("ca-central-1", [str(i + 1) for i in range(options.organizations)], with_rows=False)
    try:
        begin = time.perf_counter()
        fill(region, options.rows, options.organizations)
        print(f"# {options.rows} rows of {options.organizations} organizations, loaded in {time.perf_counter() - begin:.0f} s", flush=True)
        groups = (options.organizations, 0)
        with region.connect("checker") as checker, region.superuser() as superuser:
            superuser.execute("SET max_parallel_workers_per_gather = 0")  # all of its CPU in one process
            rows = [lib.compare("full scan / loose index scan",
                                lambda: measured(checker, PROOF, ("loose index scan", options.organizations, 0)),
                                lambda: measured(superuser, FULL, groups),
                                bar=20, at_least=True, rounds=options.rounds, unit="ms")]
    finally:
        region.drop()
    return lib.report(rows, options.check)


if __name__ == "__main__":
    sys.exit(main())
