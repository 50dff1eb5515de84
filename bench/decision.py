#!/usr/bin/python3
"""ns per authorize() + route() with 1 million organizations. The peer is the bar itself: 500 ns."""

import sys

sys.path.append(sys.path.pop(0))  # this folder last: token.py here must not hide Python's own

from lib import Row, report  # noqa: E402
from micro import run  # noqa: E402

BAR_NS = 500
GOAL_NS = 150


def main() -> int:
    rows = []
    for name, times in run("decision").items():
        median = times["median"]
        rows.append(Row(f"decision, {name.split('/')[-1].replace('_', ' ')}", median / BAR_NS, times["min"] / BAR_NS,
                        times["max"] / BAR_NS, 1.0, note=f"{median:.0f} ns (bar {BAR_NS}, goal {GOAL_NS})"))
    return report(rows, check="--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
