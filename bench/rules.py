#!/usr/bin/python3
"""What the rules cost an event of the log: the built-in ones, and 20 and 200 more that look at every request, beside
parsing the event's JSON alone. One thread; a node follows its log with one."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import micro  # noqa: E402
from lib import Row, report  # noqa: E402

times = micro.run("rules")
base = times["json_alone"]["median"]
rows = []
for name, title, bar in (("rules/0", "built-in rules, beside the JSON alone", 3.0), ("rules/20", "and 20 of one's own", None),
                         ("rules/200", "and 200 of one's own", None)):
    t = times[name]
    rows.append(Row(title, t["median"] / base, t["min"] / base, t["max"] / base, bar, False,
                    f"{base:.0f} -> {t['median']:.0f} ns, {1e9 / t['median']:,.0f} events/s"))
raise SystemExit(report(rows, check="--check" in sys.argv))
