#!/usr/bin/python3
"""The event log: durable, individually acknowledged events per second against a bare loop of batched write + fdatasync of
the same bytes in batches of the same size, on the same disk, alternating, with 1, 8, 64 and 1,024 events under way.

    ledger.py [--folder build/bench-ledger] [--seconds 1] [--rounds 5] [--check]

The bar is the time of the bare loop times 1.5.
"""

import sys

sys.path.pop(0)  # this folder has files with the names of standard modules

import argparse  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "bench")]

import lib  # noqa: E402


def program() -> pathlib.Path:
    built = [p for p in ROOT.glob("build/*/bench_ledger") if p.is_file()]
    if not built:
        sys.exit("no bench_ledger: ninja -C build/release bench_ledger")
    return max(built, key=lambda p: p.stat().st_mtime)


def main() -> int:
    parser = argparse.ArgumentParser(description="The event log against a bare loop")
    parser.add_argument("--folder", default=str(ROOT / "build" / "bench-ledger"))
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rows = []
    for producers in (1, 8, 64, 1024):
        out = subprocess.run([program(), options.folder, str(producers), str(int(options.seconds * 1000)), str(options.rounds)],
                             check=True, capture_output=True, text=True).stdout
        rounds = [json.loads(line) for line in out.splitlines()]
        for line in rounds:
            print("#", json.dumps(line), flush=True)
        ratios = [r["bare"] / r["ledger"] for r in rounds]  # time per event, ledger / bare loop
        middle = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
        rows.append(lib.Row(f"{producers} events under way: time per event", statistics.median(ratios), min(ratios), max(ratios), 1.5,
                            note=f"{middle['ledger']:.0f}/s, p50 {middle['p50_us']:.0f} us, p99 {middle['p99_us']:.0f} us, "
                                 f"batch {middle['batch']:.0f}; bare {middle['bare']:.0f}/s"))
    return lib.report(rows, options.check)


if __name__ == "__main__":
    sys.exit(main())
