#!/usr/bin/python3
"""Believing a token, beside OpenSSL's bare signature check on the same machine.

The whole of TokenVerifier (base64, strict JSON, key, signature, claims) against `openssl speed`'s verification
alone, in interleaved rounds; and the cache's hit against the cold check.
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import Row, report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = {"RS256": "rsa2048", "ES256": "ecdsap256", "EdDSA": "ed25519"}
BARS = {"RS256": 1.6, "ES256": 1.2, "EdDSA": 1.2}
ROUNDS = 5


def program() -> pathlib.Path:
    built = [p for p in ROOT.glob("build/*/bench_token") if p.is_file()]
    if not built:
        raise SystemExit("token: no bench_token; build it: ninja -C build/release bench_token")
    release = [p for p in built if "release" in str(p)]
    return max(release or built, key=lambda p: p.stat().st_mtime)


def ours(binary: pathlib.Path, which: str) -> dict[str, dict]:
    done = subprocess.run([binary, f"--benchmark_filter={which}", "--benchmark_format=json", "--benchmark_min_time=0.3"],
                          capture_output=True, text=True, check=True)
    return {b["name"]: b for b in json.loads(done.stdout)["benchmarks"]}


def peer_ns(algorithm: str) -> float:
    done = subprocess.run(["openssl", "speed", "-seconds", "1", algorithm], capture_output=True, text=True, check=True)
    # The last column of the table: verifications a second (of process time).
    line = [x for x in done.stdout.splitlines() if re.search(r"\d+\.\d+s\s", x)][-1]
    return 1e9 / float(line.split()[-1])


def main() -> int:
    binary = program()
    rows = []
    for name, algorithm in PEERS.items():
        pairs = [(peer_ns(algorithm), ours(binary, f"verify/{name}")[f"verify/{name}"]["cpu_time"]) for _ in range(ROUNDS)]
        ratios = [mine / theirs for theirs, mine in pairs]
        theirs, mine = (statistics.median(x) for x in zip(*pairs, strict=True))
        rows.append(Row(f"{name} token / bare OpenSSL verify", mine / theirs, min(ratios), max(ratios), BARS[name],
                        note=f"{theirs / 1000:.1f} -> {mine / 1000:.1f} us"))
    cold = ours(binary, "verify/ES256")["verify/ES256"]["cpu_time"]
    for hits in (1, 10000):
        times = [ours(binary, f"cache_hit/{hits}$")[f"cache_hit/{hits}"] for _ in range(ROUNDS)]
        ratios = [t["cpu_time"] / cold for t in times]
        rate = min(t["hit_rate"] for t in times)
        rows.append(Row(f"cache hit among {hits} / cold ES256", statistics.median(ratios), min(ratios), max(ratios), 0.02,
                        note=f"{statistics.median([t['cpu_time'] for t in times]):.0f} ns, hit rate {rate:.3f}"))
    context = [ours(binary, "^context$")["context"]["cpu_time"] for _ in range(ROUNDS)]
    rows.append(Row("context token / cold ES256", statistics.median(context) / cold, min(context) / cold, max(context) / cold, 0.05,
                    note=f"{statistics.median(context) / 1000:.2f} us"))
    return report(rows, "--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
