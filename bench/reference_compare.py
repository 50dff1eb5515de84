#!/usr/bin/python3
"""Comparing a reference table between two servers: Domicile against pg_comparator 2.3.2 (Debian package postgresql-comparator) and
against buckets of sha256 in SQL, on the same rows, with 0 and with 100 differences.

    reference_compare.py [--quick] [--rounds N] [--rows N]... [--check]

Bars: three times as fast as both, no difference overlooked and none raised that is not there, at most 256 MiB of memory on each side.
Goal: within 1.3 of the time that COPY (FORMAT binary) alone takes. --quick: 200,000 rows; the default is 1,000,000.
"""

import pathlib
import statistics
import sys

sys.path.append(sys.path.pop(0))  # this folder last: token.py here must not hide Python's own
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lib import Row, report  # noqa: E402
from libcompare import Ground  # noqa: E402

QUICK = "--quick" in sys.argv
ROOT = pathlib.Path(__file__).resolve().parents[1]


def option(name: str, otherwise: list[int]) -> list[int]:
    return [int(value) for key, value in zip(sys.argv, sys.argv[1:], strict=False) if key == name] or otherwise


def rows_of(ground: Ground, differences: int, rounds: int) -> list[Row]:
    ways = {"domicile": ground.domicile, "pg_comparator": ground.pg_comparator, "sha256 in SQL": ground.sha256_buckets, "COPY alone": ground.copy_alone}
    told = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            told[name].append(ground.measured(ways[name]))
    ours, rows = told["domicile"], []
    label = f"{ground.rows:,} rows, {differences} differences"
    median = {name: {key: statistics.median(one[key] for one in each) for key in ("seconds", "cpu", "across", "found")} for name, each in told.items()}
    for peer, bar, least in (("pg_comparator", 3, True), ("sha256 in SQL", 3, True), ("COPY alone", 1.3, False)):
        ratios = [(b["seconds"] / a["seconds"]) if least else (a["seconds"] / b["seconds"]) for a, b in zip(ours, told[peer], strict=True)]
        mine, theirs = median["domicile"], median[peer]
        ratio = theirs["seconds"] / mine["seconds"] if least else mine["seconds"] / theirs["seconds"]
        note = (f"{theirs['seconds']:.2f} -> {mine['seconds']:.2f} s; database CPU {theirs['cpu']:.2f} -> {mine['cpu']:.2f} s"
                + (f"; across {theirs['across']:,.0f} -> {mine['across']:,.0f} bytes; found {theirs['found']:.0f}" if least else " (goal)"))
        rows.append(Row(f"{label}: {'faster than' if least else 'time of'} {peer}", ratio, min(ratios), max(ratios), bar if least else None, least, note))
    wrong = [abs(one["found"] - differences) for one in ours]
    rows.append(Row(f"{label}: wrong answers", max(wrong), min(wrong), max(wrong), 0))
    memory = [one["memory"] / (256 << 20) for one in ours]
    rows.append(Row(f"{label}: memory, of 256 MiB", max(memory), min(memory), max(memory), 1, note=f"{max(memory) * 256:.0f} MiB"))
    return rows


def main() -> int:
    rounds = option("--rounds", [3 if QUICK else 5])[0]
    rows = []
    for count in option("--rows", [200_000] if QUICK else [1_000_000]):
        ground = Ground(count, ROOT / "build/release/bench_reference_compare")
        try:
            rows += rows_of(ground, 0, rounds)
            ground.plant()
            rows += rows_of(ground, 100, rounds)
        finally:
            ground.drop()
    return report(rows, check="--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
