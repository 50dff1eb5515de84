#!/usr/bin/python3
"""`domicile catalog scan` on a database of 600 tables and 1,000 foreign keys with rows (2.3 million, 20 tables of 100,000):
first scan (bar 60 s), scan again with the file there (bar 10 s), analysis. Beside them what a database administrator
would run without a second thought: `pg_dump --schema-only` and `ANALYZE`.

    scan.py [--rounds 5] [--check]
"""

import sys

sys.path.pop(0)  # this folder has files with the names of standard modules

import argparse  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "bench"), str(ROOT / "tests")]

import lib  # noqa: E402
from support.domicile import domicile  # noqa: E402
from support.large_schema import fill_large, large_schema  # noqa: E402
from support.postgres import BIN, Cluster  # noqa: E402

SCAN_BAR_S = 60
RESCAN_BAR_S = 10


def seconds(work) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def main() -> int:
    parser = argparse.ArgumentParser(description="The scan of a large database")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    cluster = Cluster()
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        cluster.create_database("large")
        with cluster.connect("large") as connection:
            connection.execute("; ".join(large_schema()[0]))
            fill_large(connection)
        dsn = cluster.dsn("large")
        (folder / "dsn").write_text(dsn)
        (folder / "dsn").chmod(0o600)
        environment = {**os.environ, "PGPASSWORD": cluster.password}

        def peer():
            subprocess.run([BIN / "pg_dump", "--schema-only", "-h", "127.0.0.1", "-p", str(cluster.port), "-U",
                            cluster.superuser, "large", "-f", folder / "dump"], check=True, env=environment)
            with cluster.connect("large") as connection:
                connection.execute("ANALYZE")

        def scan(file):
            return domicile("-q", "catalog", "scan", "--dsn-file", folder / "dsn", "--file", file)

        def analyse():
            domicile("-q", "catalog", "analyse", "--dsn-file", folder / "dsn", "--file", folder / "kept", "--html",
                     folder / "page.html")

        scan(folder / "kept")
        first, again, analysis, theirs = [], [], [], []
        for number in range(max(options.rounds, 5)):
            theirs.append(seconds(peer))
            first.append(seconds(lambda: scan(folder / f"new{number}")))
            again.append(seconds(lambda: scan(folder / "kept")))
            analysis.append(seconds(analyse))
    finally:
        cluster.drop()

    def row(name, ours, bar_s):
        median = sorted(ours)[len(ours) // 2]
        beside = sorted(theirs)[len(theirs) // 2]
        note = f"{median:.2f} s; {median / beside:.2f} of pg_dump --schema-only and ANALYZE ({beside:.2f} s)"
        bar = bar_s or beside
        return lib.Row(name, median / bar, min(ours) / bar, max(ours) / bar, 1.0 if bar_s else None, note=note)

    return lib.report([row("first scan, of 60 s", first, SCAN_BAR_S), row("scan again, of 10 s", again, RESCAN_BAR_S),
                       row("analysis and page", analysis, None)], check=options.check)


if __name__ == "__main__":
    raise SystemExit(main())
