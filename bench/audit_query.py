#!/usr/bin/python3
"""The index of the log: how fast it is loaded, beside COPY of the same rows alone, and how long the ready questions take.

    ./dev bench audit_query [--events N] [--rounds N] [--check]

Rows come from the real encoder through the real loader. COPY's peer gets rows that were made beforehand, into the same
tables. Events are spread over 30 days and 500 organizations. Prints one line a question: seconds, rows.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.domicile import binary  # noqa: E402
from support.log_index import Index  # noqa: E402
from support.postgres import Cluster  # noqa: E402

PROGRAM = ROOT / "build/release/bench_audit_query"
QUESTIONS = [("who", "--set", "organization=7"), ("person", "--set", "actor=user-7-7"), ("cross-region",), ("outside-hours", "--set", "organization=7"),
             ("decisions", "--from", "2026-11-30", "--to", "2026-12-01"), ("decisions",), ("failed-sign-ins",), ("changes",), ("bypass",),
             ("findings",), ("exports",), ("hourly", "--from", "2026-11-29", "--to", "2026-12-01"), ("hourly",), ("outside-hours",)]


def fill(mode: str, index: Index, first: int, count: int, days: int) -> float:
    done = subprocess.run([PROGRAM, mode, index.loader.read_text().strip(), str(first), str(count), str(days)], text=True, capture_output=True, check=True)
    return json.loads(done.stdout)["seconds"]


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    cluster = Cluster({"shared_buffers": "1GB", "max_wal_size": "8GB", "synchronous_commit": "on"}, fsync=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            ratios = []
            for number in range(given.rounds):  # each round in databases of its own
                rates = {}
                for mode in ("copy", "load") if number % 2 else ("load", "copy"):
                    place = pathlib.Path(folder) / f"{mode}{number}"
                    place.mkdir()
                    index = Index(cluster, place, f"bench_{mode}_{number}")
                    rates[mode] = 200_000 / fill(mode, index, 1, 200_000, 2)
                    with cluster.connect() as admin:
                        admin.execute(f"DROP DATABASE {index.database}")
                ratios.append((rates["load"] / rates["copy"], rates))
            ratio = statistics.median(r for r, _ in ratios)
            load, copy = (statistics.median(r[1][mode] for r in ratios) for mode in ("load", "copy"))
            print(f"load                 {load:10.0f} events/s  COPY alone {copy:10.0f}/s  ratio {ratio:.3f} ({min(r for r, _ in ratios):.3f}-{max(r for r, _ in ratios):.3f})")
            place = pathlib.Path(folder) / "large"
            place.mkdir()
            index = Index(cluster, place, "bench_large")
            seconds = fill("load", index, 1, given.events, 30)
            with index.as_owner() as owner:
                owner.execute("VACUUM ANALYZE domicile_index.event")
                size = owner.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()[0]
            print(f"{given.events} events loaded in {seconds:.0f} s, {given.events / seconds:.0f} events/s; the database has {size}")
            slow = 0
            for question in QUESTIONS:
                times = []
                for _ in range(3):
                    begun = time.monotonic()
                    done = subprocess.run([binary(), "-q", "--output", "json", "audit", "query", *question, "--dsn-file", str(index.reader), "--timeout-s", "600"],
                                          text=True, capture_output=True, check=True)
                    times.append(time.monotonic() - begun)
                slow += statistics.median(times) > 10
                print(f"{' '.join(question):<60} {statistics.median(times):7.2f} s  {len(json.loads(done.stdout)['rows'])} rows")
            return 1 if given.check and (slow or ratio < 0.5) else 0
    finally:
        cluster.drop()


if __name__ == "__main__":
    raise SystemExit(main())
