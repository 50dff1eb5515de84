"""Runs a Google Benchmark program of this folder (bench_<name>, release build) and returns its times.

DOMICILE_BENCH_DIR names the folder with the programs; else the newest build/*/bench_<name> is taken.
"""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def program(name: str) -> pathlib.Path:
    if "DOMICILE_BENCH_DIR" in os.environ:
        return pathlib.Path(os.environ["DOMICILE_BENCH_DIR"]) / f"bench_{name}"
    built = sorted(ROOT.glob(f"build/*/bench_{name}"), key=lambda path: path.stat().st_mtime)
    if not built:
        raise SystemExit(f"no bench_{name}: cmake --preset release && ninja -C build/release bench_{name}")
    return built[-1]


def run(name: str, repetitions: int = 5) -> dict[str, dict[str, float]]:
    """{benchmark: {"median", "min", "max", further counters}}, in the unit the benchmark prints."""
    done = subprocess.run([program(name), "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
                           "--benchmark_min_time=0.2"], check=True, capture_output=True, text=True)
    rounds: dict[str, list[dict]] = {}
    for entry in json.loads(done.stdout)["benchmarks"]:
        if entry.get("error_occurred"):
            raise SystemExit(f"bench_{name} {entry['name']}: {entry['error_message']}")
        if entry["run_type"] == "iteration":
            rounds.setdefault(entry["run_name"].split("/iterations")[0], []).append(entry)
    out = {}
    for each, entries in rounds.items():
        times = sorted(entry["cpu_time"] for entry in entries)
        out[each] = {"median": times[len(times) // 2], "min": times[0], "max": times[-1]}
        if "bytes_each" in entries[0]:
            out[each]["bytes_each"] = entries[0]["bytes_each"]
    return out
