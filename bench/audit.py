#!/usr/bin/python3
"""The audit log beside what it cannot be faster than.

    ./dev bench audit [--folder build/bench-audit] [--seconds 1] [--rounds 5] [--only events,verify,door] [--check]

events: durable, individually acknowledged events per second, with 1, 8, 64 and 1,024 under way, against a bare loop of
        batched write + fdatasync of the same bytes in batches of the same size, on the same disk, alternating. The log is a
        node's: personal fields sealed, tiles and a checkpoint a second. The bar is the bare loop's time times 1.5.
verify: `domicile audit verify` of a log, every byte against the signed root, against `sha256sum` of the same files.
door:   what a request's event costs at the HTTP door: bounded and strict routes against a door that records nothing.
"""

import sys

FOLDER = __file__.rpartition("/")[0] or "."
sys.path[:] = [entry for entry in sys.path if entry not in ("", FOLDER)]  # this folder has files with the names of standard modules

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"bench_{name}"] = module
    spec.loader.exec_module(module)
    return module


lib = load("lib")


def program(name: str) -> pathlib.Path:
    built = [p for p in ROOT.glob(f"build/*/{name}") if p.is_file()]
    if not built:
        sys.exit(f"no {name}: ./dev build release {name}")
    return max(built, key=lambda p: ("release" in str(p), p.stat().st_mtime))


def events(options) -> list:
    rows = []
    for producers in (1, 8, 64, 1024):
        out = subprocess.run([program("bench_audit"), "events", f"{options.folder}/events-{producers}", str(producers), str(int(options.seconds * 1000)),
                              str(options.rounds)], check=True, capture_output=True, text=True).stdout
        rounds = [json.loads(line) for line in out.splitlines()]
        for line in rounds:
            print("#", json.dumps(line), flush=True)
        middle = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
        ratios = [r["bare"] / r["ledger"] for r in rounds]
        rows.append(lib.Row(f"{producers} events under way: time per event", statistics.median(ratios), min(ratios), max(ratios), 1.5,
                            note=f"{middle['ledger']:.0f}/s, batch {middle['batch']:.0f}; bare {middle['bare']:.0f}/s"))
        for which in ("p50", "p99"):
            ratios = [r[f"{which}_us"] / r[f"bare_{which}_us"] for r in rounds]
            rows.append(lib.Row(f"{producers} events under way: {which}", statistics.median(ratios), min(ratios), max(ratios), None,
                                note=f"{middle[f'{which}_us']:.0f} us; a bare batch {middle[f'bare_{which}_us']:.0f} us"))
    return rows


def verify(options) -> list:
    folder = pathlib.Path(options.folder) / "verify"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([program("bench_audit"), "fill", folder, str(options.events)], check=True)
    files = sorted(str(p) for p in (folder / "tile").rglob("*") if p.is_file())
    key = (folder / "verifier-keys").read_text().strip()
    ratios, took = [], []
    for _ in range(options.rounds):
        begun = time.monotonic()
        subprocess.run(["xargs", "-0", "sha256sum"], input="\0".join(files).encode(), check=True, stdout=subprocess.DEVNULL)
        bare = time.monotonic() - begun
        begun = time.monotonic()
        subprocess.run([program("domicile"), "audit", "verify", folder, "--key", key], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        took.append(time.monotonic() - begun)
        ratios.append(took[-1] / bare)
    shutil.rmtree(folder)
    return [lib.Row(f"verify {options.events} events / sha256sum of its files", statistics.median(ratios), min(ratios), max(ratios), None,
                    note=f"{options.events / statistics.median(took):.0f} events/s")]


def door(options) -> list:
    http = load("http")
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = http.Bench(pathlib.Path(folder), options, sys.stderr)
        bench.keys("RS256")
        upstream, bench.upstream_port = http.start_nginx(
            bench.folder, "upstream", "server { listen 127.0.0.1:PORT; location / { return 200 '{\"ok\":true}'; } }")
        doors = {}
        try:
            for audit in ("none", "bounded", "strict"):
                doors[audit] = bench.door(audit, "RS256", 1000, 16384, "--audit", audit)
                while http.load(doors[audit].port, bench.script, 1)[0] < 1500:
                    pass
            for _ in range(options.rounds):
                for peer in doors.values():
                    http.measure(peer, bench.script, options.seconds, sys.stderr)
        finally:
            for peer in doors.values():
                peer.stop()
            upstream.terminate()
            upstream.wait(10)
        for audit in ("bounded", "strict"):
            rows.append(http.row(f"CPU of a request with a {audit} event / without", doors[audit], doors["none"], None))
            ratios = [a / b for a, b in zip(doors["none"].rates, doors[audit].rates, strict=True)]
            rows.append(lib.Row(f"time of a request with a {audit} event / without, 64 connections", statistics.median(ratios), min(ratios),
                                max(ratios), None, note=f"{statistics.median(doors[audit].rates):.0f} requests/s"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="The audit log beside what it cannot be faster than")
    parser.add_argument("--folder", default=str(ROOT / "build" / "bench-audit"))
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=500_000, help="of the log that is verified")
    parser.add_argument("--only", default="events,verify,door")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    pathlib.Path(options.folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for part in options.only.split(","):
        rows += {"events": events, "verify": verify, "door": door}[part](options)
    return lib.report(rows, options.check)


if __name__ == "__main__":
    sys.exit(main())
