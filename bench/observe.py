#!/usr/bin/python3
"""What mode observe costs the application: the same requests on observed tables and on tables that are not.

The application is examples/learning/app.py itself, its requests made in this process (a learner takes a course: about
as many requests write as read) against two databases of one server: a database with all of its tables in mode observe, and a copy of it with mode off. Two
situations: the application as it is, entering each request's organization, and one that knows nothing of
Domicile (app.py with the statement that enters left out; every write would have been refused and is counted: the
first day). Sessions are warm, as in a pool; the last row is what a new session pays. Then the hard case, without a bar: bare tables without foreign keys, and every second statement writes.

CPU of the server process per request. Slices of a few requests in turn, and of each side the mean of its quietest
quarter: what else the machine does only ever adds. In brackets the same for each third of the rounds.
`--check` exits 1 when a bar is missed; `--rounds N`, `--quick`.
"""

import contextlib
import importlib.util
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.append(sys.path.pop(0))
import http.server  # noqa: E402, F401  the standard library's, which Flask needs, before bench/http.py hides it

from guard import ROUNDS, Bench  # noqa: E402
from lib import Row, cpu_of, cpu_seconds, report  # noqa: E402
from support.domicile import ROOT, domicile  # noqa: E402

LEARNING = ROOT / "examples" / "learning"
QUICK = "--quick" in sys.argv
SLICES = ROUNDS * (3 if QUICK else 7)
WARM_UP = 60 if QUICK else 150
HOMED, COURSES, LEARNERS, QUESTIONS = 8, 4, 20, 8
FOREIGN = "999"
BARE = {"activity": """(org_id bigint NOT NULL, id bigint NOT NULL, user_id bigint NOT NULL, kind int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), amount numeric(12,2) NOT NULL, note text, PRIMARY KEY (org_id, id))""",
        "course": "(org_id bigint NOT NULL, id bigint NOT NULL, title text NOT NULL, seen bigint NOT NULL DEFAULT 0, PRIMARY KEY (org_id, id))"}


class Observed(Bench):
    """Database arena is observed, database plain is its copy with everything off."""

    ARMED = "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^domicile_observe'"

    def prepare_schema(self, session):
        session.must("GRANT CREATE ON DATABASE arena TO app_owner")
        session.must("SET ROLE app_owner")
        session.must((LEARNING / "schema.sql").read_text())
        session.must("CREATE SCHEMA bare")
        for table, columns in BARE.items():
            session.must(f"CREATE TABLE bare.{table} {columns} WITH (fillfactor = 80)")
        session.must("RESET ROLE; RESET search_path")

    def catalog_text(self):
        text = (LEARNING / "domicile.catalog.toml").read_text().replace('"enforce"', '"observe"')
        if "schemas" not in text:
            text = text.replace("version = 1", 'version = 1\nschemas = ["learning", "bare"]')
        return text + "".join(f'\n[[table]]\nname = "bare.{table}"\nclass = "organization"\nkey = "org_id"\n' for table in BARE)

    def homed_keys(self):
        return [str(org) for org in range(1, HOMED + 1)]

    def fill_rows(self, session):
        session.must("SET search_path = learning; SET session_replication_role = replica")
        orgs = f"generate_series(1, {HOMED}) o"
        for sql in (
                f"INSERT INTO person (id, subject, full_name) SELECT i, 's' || i, 'P' FROM generate_series(1, {HOMED * LEARNERS}) i",
                f"INSERT INTO organization (id, name, kind, country_code) SELECT o, 'O', 'school', 'CA' FROM {orgs}",
                f"INSERT INTO membership (organization_id, person_id, role) SELECT 1 + i % {HOMED}, i, 'learner' FROM person, LATERAL (SELECT id) x (i)",
                f"INSERT INTO course (organization_id, id, code, title, language_code) SELECT o, c, 'c' || c, 'A course', 'eng' FROM {orgs}, generate_series(1, {COURSES}) c",
                f"INSERT INTO lesson (organization_id, id, course_id, position, title) SELECT o, c * 100 + l, c, l, 'A lesson' FROM {orgs}, generate_series(1, {COURSES}) c, generate_series(1, 10) l",
                f"INSERT INTO assessment (organization_id, id, course_id, title) SELECT o, c, c, 'T' FROM {orgs}, generate_series(1, {COURSES}) c",
                "INSERT INTO question (organization_id, id, assessment_id, position, prompt, choices, correct_choice) "
                f"SELECT o, a * 100 + q, a, q, 'P', '{{a,b,c}}', 2 FROM {orgs}, generate_series(1, {COURSES}) a, generate_series(1, {QUESTIONS}) q",
                "INSERT INTO country (code, alpha_3, numeric_code, name) VALUES ('CA', 'CAN', '124', 'Canada'); INSERT INTO language (code, name) VALUES ('eng', 'English')",
                f"INSERT INTO bare.course SELECT o, i, 'a course', 0 FROM {orgs}, generate_series(0, 199) i",
                f"INSERT INTO bare.activity SELECT o, i, i, i % 7, now(), 1, 'note' FROM {orgs}, generate_series(0, 199) i"):
            session.must(sql)
        session.must("RESET session_replication_role")
        for schema in ("learning", "bare"):
            session.must(f"GRANT USAGE ON SCHEMA {schema} TO app_pool; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO app_pool;"
                         f" GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO app_pool")

    def arm(self, catalog):
        """What is done to database arena after it was copied."""

    def copy_with_everything_off(self):
        with self.superuser("postgres") as s:
            s.must("CREATE DATABASE plain TEMPLATE arena")
        with tempfile.TemporaryDirectory() as name:
            catalog = pathlib.Path(name) / "catalog.toml"
            catalog.write_text(self.catalog_text())
            self.arm(catalog)
            domicile("region", "off", "--all", "--catalog", catalog, "--dsn", self.dsn("installer", "plain"))
        for database in ("arena", "plain"):
            done = Application(self, database, True)  # rows for the planner to see
            for number in range(HOMED * LEARNERS):
                done.study(number)
            done.pool.close()
            with self.superuser(database) as s:
                armed = int(s.value(self.ARMED))
                assert (armed == 0) == (database == "plain"), (database, armed)
                s.must("VACUUM ANALYZE")


class Application:
    """examples/learning/app.py on one connection to `database`; with `enters` false it knows nothing of Domicile."""

    def __init__(self, bench, database, enters):
        os.environ["LEARNING_DSN"], os.environ["LEARNING_POOL"] = bench.dsn("app_pool", database), "1"
        sys.path.insert(0, str(LEARNING))
        spec = importlib.util.spec_from_file_location(f"learning_{database}_{enters}", LEARNING / "app.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.bench, self.module, self.requests = bench, module, 0
        self.client = module.app.test_client()
        self.pool = module.pool()
        with self.pool.connection() as connection:
            self.pid = connection.info.backend_pid
        if not enters:
            @contextlib.contextmanager
            def transaction():
                with module.pool().connection() as connection:
                    yield connection
            module.transaction = transaction

    def ask(self, method, path, status, **json):
        answer = self.client.open(f"/api/orgs/{self.org}{path}", method=method, headers=self.headers, **({"json": json} if json else {}))
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        self.requests += 1
        return answer.get_json(silent=True)

    def learner(self, number):
        person = 1 + number % (HOMED * LEARNERS)
        self.org = 1 + person % HOMED
        self.headers = {"Domicile-Subject": f"s{person}", "Domicile-Context": self.bench.token(str(self.org))}

    def study(self, number):
        """A learner takes a course, as its pages ask: 11 requests write, 10 read."""
        self.learner(number)
        course = 1 + number % COURSES
        for page in ("/me", "/courses", f"/courses/{course}"):
            self.ask("GET", page, 200)
        self.ask("POST", f"/courses/{course}/enrolments", 201)
        for lesson in range(1, 5):
            self.ask("GET", f"/lessons/{course * 100 + lesson}", 200)
        self.ask("GET", f"/assessments/{course}", 200)
        attempt = self.ask("POST", f"/assessments/{course}/attempts", 201)["id"]
        for question in range(1, QUESTIONS + 1):
            self.ask("PUT", f"/attempts/{attempt}/answers/{course * 100 + question}", 204, choice=2)
        self.ask("POST", f"/attempts/{attempt}/submission", 200)
        for page in ("/enrolments", f"/courses/{course}"):
            self.ask("GET", page, 200)

    def read(self, number):
        """Only pages."""
        self.learner(number)
        course = 1 + number % COURSES
        for page in ("/me", "/courses", f"/courses/{course}", f"/lessons/{course * 100 + 1}", f"/assessments/{course}", "/enrolments"):
            self.ask("GET", page, 200)

    def answer(self, number):
        """Only writes: an answer given again and again."""
        self.learner(number)
        course = 1 + number % COURSES
        attempt = self.ask("POST", f"/assessments/{course}/attempts", 201)["id"]
        self.requests -= 1
        for _ in range(2):
            for question in range(1, QUESTIONS + 1):
                self.ask("PUT", f"/attempts/{attempt}/answers/{course * 100 + question}", 204, choice=1)

    def cpu(self):
        return cpu_seconds(self.pid)

    def slice(self, what, numbers):
        """Microseconds of the server's CPU for each request."""
        def work():
            before, spent = self.requests, self.cpu()
            for number in numbers:
                what(number)
            return (self.cpu() - spent) * 1e6 / (self.requests - before)
        return work


class BareRequest:
    """BEGIN, two reads, an update, an insert, COMMIT, on tables without foreign keys; `token` makes it enter."""

    sessions = 0

    def __init__(self, bench, database, org, token=None):
        self.session, self.org, self.token = bench.login("app_pool", database), org, token
        BareRequest.sessions += 1
        self.next = BareRequest.sessions * 10**9
        for name, sql in (("read", "SELECT * FROM bare.course WHERE org_id = $1 AND id = $2"),
                          ("list", "SELECT count(*), sum(amount) FROM bare.activity WHERE org_id = $1 AND id < $2"),
                          ("touch", "UPDATE bare.course SET seen = seen + 1 WHERE org_id = $1 AND id = $2"),
                          ("put", "INSERT INTO bare.activity VALUES ($1, $2, 1, 2, now(), 3.5, 'note')"),
                          ("bulk", "INSERT INTO bare.activity SELECT $1::bigint, $2::bigint * 1000 + i, 1, 2, now(), 3.5, 'note' FROM generate_series(1, 500) i"),
                          ("enter", "SELECT domicile.enter($1)")):
            answer = self.session.prepare(name, sql)
            assert not answer.failed, answer

    def run(self, name, *arguments):
        answer = self.session.execute(name, *arguments)
        assert not answer.failed, answer
        self.session.seen.clear()

    def request(self, count):
        for _ in range(count):
            self.next += 1
            self.session.simple("BEGIN")
            if self.token:
                self.run("enter", self.token())
            for name, last in (("read", self.next % 200), ("list", 50), ("touch", self.next % 200), ("put", self.next)):
                self.run(name, self.org, str(last))
            self.session.simple("COMMIT")
        return count

    def close(self):
        self.session.close()

    def bulk(self, count):
        for _ in range(count):
            self.next += 1
            self.run("bulk", self.org, str(self.next))
        return count

    def read(self, count):
        for i in range(count):
            self.run("read", self.org, str(i % 200))
        return count

    def slice(self, what, count):
        return lambda: cpu_of(self.session.pid, lambda: what(count))


def quiet(costs):
    """The mean of the quietest quarter."""
    return statistics.mean(sorted(costs)[:max(1, len(costs) // 4)])


def compare(name, bar, slices):
    """`slices(number)` gives both sides' work of one slice, the peer's first."""
    theirs, ours = [], []
    for number in range(SLICES + 2):
        pair = list(zip(slices(number), (theirs, ours), strict=True))
        for work, costs in pair if number % 2 == 0 else reversed(pair):
            cost = work()
            if number >= 2:
                costs.append(cost)
    third = len(ours) // 3
    parts = [quiet(ours[i:i + third]) / quiet(theirs[i:i + third]) for i in (0, third, 2 * third)]
    return Row(name, quiet(ours) / quiet(theirs), min(parts), max(parts), bar, note=f"{quiet(theirs):.1f} -> {quiet(ours):.1f} us")


def measure(bench):
    rows = []
    for enters, situation in ((True, "entering"), (False, "no context")):
        plain, observed = (Application(bench, database, enters) for database in ("plain", "arena"))
        for side in (plain, observed):  # past the first statements of a session, which are recorded one by one
            for number in range(WARM_UP):
                side.study(number)
        for title, what, size, bar in (("a course", "study", 2, 1.15), ("only writes", "answer", 2, None)):
            rows.append(compare(f"sample application, {situation}: {title}", bar, lambda number, what=what, size=size: [
                side.slice(getattr(side, what), range(number * size, number * size + size)) for side in (plain, observed)]))
        for side in (plain, observed):
            side.pool.close()
    for title, org, token in (("entering", "1", lambda: bench.token("1")), ("no context", "1", None), ("not homed", FOREIGN, None)):
        plain, observed = (BareRequest(bench, database, org, token) for database in ("plain", "arena"))
        for side in (plain, observed):
            side.request(WARM_UP * 10)
        rows.append(compare(f"bare tables, {title}: 2 reads, 2 writes", None, lambda _: [side.slice(side.request, 60) for side in (plain, observed)]))
    rows.append(compare("bare tables: one read", 1.05, lambda _: [side.slice(side.read, 200) for side in (plain, observed)]))
    def first(database):
        def work():
            with contextlib.closing(BareRequest(bench, database, "1")) as side:
                return cpu_of(side.session.pid, lambda: side.request(20))
        return work
    rows.append(compare("bare tables, no context: a session's first 20", None, lambda _: [first("plain"), first("arena")]))
    rows.append(compare("bare tables, not homed: 500 rows inserted", None, lambda _: [side.slice(side.bulk, 2) for side in (plain, observed)]))
    return rows


def main() -> int:
    bench = Observed("bigint", {"shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB", "statement_timeout": "120s",
                                "synchronous_commit": "off"})
    try:
        bench.copy_with_everything_off()
        rows = measure(bench)
        with bench.superuser() as admin:
            kept, size = admin.must("SELECT count(*), pg_size_pretty(pg_relation_size('domicile_private.observed')) FROM domicile_private.observed").rows[0]
        print(f"{kept} records kept, {size}")
        return report(rows, "--check" in sys.argv)
    finally:
        bench.drop()


if __name__ == "__main__":
    sys.exit(main())
