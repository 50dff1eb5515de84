#!/usr/bin/python3
"""1 million organizations: look-ups, bytes each, start from the snapshot file. Ratios are to the bars."""

import sys

sys.path.append(sys.path.pop(0))  # this folder last: token.py here must not hide Python's own

from lib import Row, report  # noqa: E402
from micro import run  # noqa: E402

LOOKUP_BAR_NS = 500
START_BAR_MS = 2000
BYTES_BAR = 150


def main() -> int:
    rows = []
    for name, times in run("registry").items():
        what = name.replace("/", " ").replace("_", " ")
        starts = "start" in name
        bar = START_BAR_MS if starts else LOOKUP_BAR_NS
        unit = "ms" if starts else "ns"
        rows.append(Row(f"registry, {what}", times["median"] / bar, times["min"] / bar, times["max"] / bar, 1.0,
                        note=f"{times['median']:.0f} {unit} (bar {bar})"))
        if "bytes_each" in times:
            ratio = times["bytes_each"] / BYTES_BAR
            rows.append(Row(f"registry, bytes each, {what}", ratio, ratio, ratio, 1.0,
                            note=f"{times['bytes_each']:.1f} B (bar {BYTES_BAR})"))
    return report(rows, check="--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
