#!/usr/bin/python3
"""Reference sync against native logical replication between the same two servers, and against pg_recvlogical, which only
decodes: rows applied a second from a backlog, and the lag from commit to visibility.

    reference.py [--quick] [--rounds N] [--check]

Bars: at least native's rate, p99 of the lag at most twice native's. Goals: 0.9 of what decoding alone gives, p99 no more than
native's.
"""

import pathlib
import statistics
import sys

sys.path.append(sys.path.pop(0))  # this folder last: token.py here must not hide Python's own
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lib import Row, compare, report  # noqa: E402
from libreference import Runner, both, percentile, works  # noqa: E402

QUICK = "--quick" in sys.argv
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
LAG_SAMPLES = 200 if QUICK else 500
BULK = "INSERT INTO app.small SELECT {n} + i, i, 'row ' || i, now() FROM generate_series(1, 5000) i"


def rates(subject, peer) -> list[Row]:
    rows = []
    for work in works(0.2 if QUICK else 1):
        ours, alone = [], []

        def native(work=work, alone=alone):
            seconds = []
            with peer.decoding_alone(seconds):
                rate = Runner(peer).drain(work)
            alone.append(work.rows / seconds[0])
            return rate

        def domicile(work=work, ours=ours):
            ours.append(Runner(subject).drain(work))
            return ours[-1]
        rows.append(compare(f"{work.name}, rows applied a second", native, domicile, 1.0, ROUNDS, at_least=True, unit="rows/s"))
        decode, subject_rate = statistics.median(alone[1:]), statistics.median(ours[1:])
        parts = [a / b for a, b in zip(ours[1:], alone[1:], strict=True)]
        rows.append(Row(f"{work.name}, against decoding alone", subject_rate / decode, min(parts), max(parts), at_least=True,
                        note=f"{decode:.1f} -> {subject_rate:.1f} rows/s (goal 0.9)"))
    return rows


def lags(subject, peer) -> list[Row]:
    rows = []
    for name, beside in (("alone", ""), ("beside bulk transactions", BULK)):
        measured = {id(subject): [], id(peer): []}
        for number in range(max(ROUNDS, 5)):
            for system in (peer, subject) if number % 2 == 0 else (subject, peer):
                measured[id(system)].append(Runner(system).lags(LAG_SAMPLES // 5 if QUICK else LAG_SAMPLES, beside))
        for label, part, bar in (("p50", 0.5, None), ("p99", 0.99, 2.0)):
            ours = [percentile(values, part) for values in measured[id(subject)]]
            theirs = [percentile(values, part) for values in measured[id(peer)]]
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            rows.append(Row(f"lag {label}, small transactions {name}", statistics.median(ours) / statistics.median(theirs), min(ratios), max(ratios), bar,
                            note=f"{statistics.median(theirs):.2f} -> {statistics.median(ours):.2f} ms"))
    return rows


def main() -> int:
    with both() as (subject, peer):
        rows = rates(subject, peer) + lags(subject, peer)
        subject.check()  # a fast applier that loses rows would be no good
        peer.check()
    return report(rows, check="--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
