#!/usr/bin/python3
"""What mode enforce costs the application: the requests of examples/learning/app.py on a database with every table enforced,
entering the organization of each request, against a copy of it with everything off and an application that knows nothing
of Domicile. Everything is in the ratio: enter(), row security, CHECKs and triggers.

CPU of the server process per request, as in bench/observe.py. `--check` exits 1 when a bar is missed; `--rounds N`, `--quick`.
"""

import sys

import observe  # noqa: E402
from lib import report  # noqa: E402
from support.domicile import domicile  # noqa: E402


class Enforced(observe.Observed):
    """Database arena is enforced, database plain is its copy with everything off."""

    ARMED = "SELECT count(*) FROM pg_policy WHERE polname ~ '^domicile'"

    def arm(self, catalog):
        enforced = catalog.with_name("enforced.toml")  # the command writes the modes into the file
        enforced.write_text(catalog.read_text())
        domicile("region", "enforce", "--all", "--catalog", enforced, "--dsn", self.dsn("installer", "arena"))


def measure(bench):
    plain, enforced = observe.Application(bench, "plain", False), observe.Application(bench, "arena", True)
    for side in (plain, enforced):
        for number in range(observe.WARM_UP):
            side.study(number)
    rows = []
    for title, what, bar in (("pages that read", "read", 1.05), ("requests that write", "answer", 1.3), ("a course, 10 read and 11 write", "study", None)):
        rows.append(observe.compare(f"sample application: {title}", bar, lambda number, what=what: [
            side.slice(getattr(side, what), range(number * 2, number * 2 + 2)) for side in (plain, enforced)]))
    return rows


def main() -> int:
    bench = Enforced("bigint", {"shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB", "statement_timeout": "120s",
                                "synchronous_commit": "off"})
    try:
        bench.copy_with_everything_off()
        return report(measure(bench), "--check" in sys.argv)
    finally:
        bench.drop()


if __name__ == "__main__":
    sys.exit(main())
