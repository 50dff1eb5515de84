#!/usr/bin/python3
"""The tour: what holds, and what is refused, on two running regions with the learning platform.

  tour.py --domicile PATH [--data DIR] [--summary FILE]

Creates organizations in Canada and the US through the command line, signs people in, works in the
right region through its door, and then tries what must fail: at the door, and in the database itself
with every credential there is, up to the superuser. Every line says what was expected and what
happened. Exits 0 only if every expectation held. Safe to run again.
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import sys
import time

import psycopg

from tour_evidence import evidence
from tour_reference import reference_data
from tour_support import CANADA, US, Client, Domicile, Tour, claims_of, sql_outcome, wait_until

ORGANIZATIONS = {  # key: slug, region, name, country
    "101": ("maple-school", CANADA, "Maple School", "CA"),
    "102": ("birch-college", CANADA, "Birch College", "CA"),
    "201": ("liberty-academy", US, "Liberty Academy", "US"),
}
PEOPLE = {  # login: organization, roles
    "zoe": ("101", "instructor"), "luc": ("101", "learner"), "ana": ("102", "instructor"), "sam": ("201", "instructor"),
}


class Regions:
    """The running regions, with every credential that the tour attacks with."""

    def __init__(self, domicile: Domicile):
        self.domicile = domicile
        self.status = domicile.status()
        if not self.status["running"]:
            raise SystemExit("tour: no regions run; start them: domicile up --config examples/learning/regions.toml --detach")
        self.by_id = {r["id"]: r for r in self.status["regions"]}
        self.data = pathlib.Path(self.status["data"])
        self.http = Client(self.status["ca_file"])
        self.passwords: dict[str, str] = {}
        self.registry = ["--registry-dsn-file", self.dsn_file(CANADA, "registry"), "--ca-file", self.status["ca_file"],
                         "--peer-token-file", self.data / "regions" / CANADA / "node" / "peer.token"]

    def url(self, region: str) -> str:
        return self.by_id[region]["url"]

    def dsn_file(self, region: str, who: str) -> str:
        return self.by_id[region]["dsn_files"][who]

    def sql(self, region: str, who: str) -> psycopg.Connection:
        """As superuser, installer, owner, node; each with its own password file."""
        return psycopg.connect(pathlib.Path(self.dsn_file(region, who)).read_text().strip(), autocommit=True)

    def pool(self, region: str) -> psycopg.Connection:
        """As the application's own pool connects."""
        secret = self.data / "regions" / region / "secrets" / "learning_pool.pgpass"
        port = self.by_id[region]["ports"]["postgresql"]
        return psycopg.connect(f"host=127.0.0.1 port={port} dbname=learning user=learning_pool passfile='{secret}'",
                               autocommit=True)

    def organization_role(self, key: str) -> psycopg.Connection:
        """As an organization's own database login, which SQL tools would use."""
        region = ORGANIZATIONS[key][1]
        if key not in self.passwords:
            self.passwords[key] = secrets.token_urlsafe(18)
            with self.sql(region, "superuser") as db:
                db.execute(f"ALTER ROLE org_{key} PASSWORD '{self.passwords[key]}'")
        port = self.by_id[region]["ports"]["postgresql"]
        return psycopg.connect(host="127.0.0.1", port=port, dbname="learning", user=f"org_{key}",
                               password=self.passwords[key], autocommit=True)

    def context(self, region: str, key: str, *, epoch: int | None = None, seconds: int = 50, forge: bool = False) -> str:
        """A context token, signed with the real key as the door does it; what is wrong is wrong on purpose."""
        with self.sql(region, "node") as db:
            kid, secret, database = db.execute("SELECT kid, key, database_id FROM domicile.context_signing_key()").fetchone()
            now = db.execute("SELECT epoch FROM domicile.organizations() WHERE key = %s", [key]).fetchone()
        epoch = epoch if epoch is not None else (now[0] if now else 1)
        head = f"dc1~{kid}~{key}~{epoch}~{database}~{int(time.time()) + seconds}~{secrets.token_hex(8)}"
        if forge:
            secret = secrets.token_bytes(32)
        return head + "~" + hmac.new(secret, head.encode(), hashlib.sha256).hexdigest()


# ---- chapters -----------------------------------------------------------------------------------

def organizations(tour: Tour, regions: Regions):
    tour.chapter("Organizations get a home", "domicile org create; the home region's node homes them in its database")
    for key, (slug, region, name, _) in ORGANIZATIONS.items():
        regions.domicile.ensure_organization(key, slug, region, regions.registry)
        wait_until(lambda: homed_in(regions, key) == [region], 30, f"{name} is homed in {region}")
        tour.expect(f"{name} (key {key}) is homed in {region} and nowhere else", [region], homed_in(regions, key))
    for door in (CANADA, US):
        answer = wait_until(lambda: (a := regions.http.send("POST", regions.url(door) + "/v1/discovery",
                                                            body={"organization": "liberty-academy"})).status == 200 and a,
                            15, "discovery answers")
        tour.expect(f"asked at {door}: where does liberty-academy sign in?", US, answer.json.get("region"))


def homed_in(regions: Regions, key: str) -> list[str]:
    found = []
    for region in (CANADA, US):
        with regions.sql(region, "node") as db:
            if db.execute("SELECT 1 FROM domicile.organizations() WHERE key = %s AND homed", [key]).fetchone():
                found.append(region)
    return found


def sign_in(regions: Regions, login: str, region: str | None = None):
    key = PEOPLE[login][0]
    return regions.http.send("POST", regions.url(region or ORGANIZATIONS[key][1]) + "/oauth2/token", form={
        "grant_type": "password", "client_id": "learning-web", "organization": ORGANIZATIONS[key][0],
        "username": login, "password": regions.people[login]})


def people(tour: Tour, regions: Regions) -> dict[str, str]:
    tour.chapter("People sign in at home", "each region has its own directory and issuer; no password crosses a border")
    regions.people = {}
    for login, (key, role) in PEOPLE.items():
        regions.people[login] = secrets.token_urlsafe(12)
        directory = regions.dsn_file(ORGANIZATIONS[key][1], "node")
        regions.domicile.ensure_client("learning-web", directory)
        regions.domicile.ensure_user(key, login, role, regions.people[login], directory)
    tokens = {}
    for login, (key, _) in PEOPLE.items():
        answer = sign_in(regions, login)
        tokens[login] = answer.json.get("access_token", "")
        said = claims_of(tokens[login]) if tokens[login] else {}
        tour.expect(f"{login} signs in for {ORGANIZATIONS[key][2]}", f"200, organization {key}, {ORGANIZATIONS[key][1]}",
                    f"{answer.status}, organization {said.get('org')}, {said.get('region')}")
    wrong = sign_in(regions, "sam", CANADA)
    tour.expect("sam of Liberty Academy signs in at the Canadian door", "refused",
                f"{wrong.status} {wrong.json.get('error', '')}", held=wrong.status in (400, 401, 421))
    regions.people["sam"], right = "not the password", regions.people["sam"]
    guess = sign_in(regions, "sam")
    regions.people["sam"] = right
    tour.expect("sam with a wrong password", "400 invalid_grant", f"{guess.status} {guess.json.get('error', '')}")
    return tokens


def work(tour: Tour, regions: Regions, tokens: dict[str, str]) -> dict[str, int]:
    tour.chapter("Work in the right region", "requests go through the door; the application enters the organization in its transaction")
    made = {}
    for login in ("zoe", "ana", "sam"):
        key = PEOPLE[login][0]
        slug, region, name, country = ORGANIZATIONS[key]
        base = f"{regions.url(region)}/api/orgs/{key}"

        def call(method, path, body=None, who=login):
            return regions.http.send(method, base + path, token=tokens[who], body=body)

        wait_until(lambda: call("GET", "/courses").status != 503, 20, "the door knows the organization")
        tour.expect(f"{login} describes {name}", 200, call("PUT", "", {"name": name, "country_code": country}).status)
        course = call("POST", "/courses", {"code": "GEO-" + secrets.token_hex(4), "title": f"Geography, by {name}", "state": "published"})
        made[key] = course.json.get("id")
        tour.expect(f"{login} creates a course", "201", str(course.status))
        tour.expect(f"{login} reads it back", f"Geography, by {name}", call("GET", f"/courses/{made[key]}").json.get("title"))
        if login == "zoe":
            study(tour, call, made[key])
    countries = regions.http.send("GET", regions.url(US) + "/api/reference/countries")
    tour.expect("anybody reads the countries in the US region", "249 countries", f"{len(countries.json.get('items', []))} countries")
    return made


def study(tour: Tour, call, course: int):
    lesson = call("POST", f"/courses/{course}/lessons", {"title": "Provinces", "body": "Ten provinces, three territories."})
    test = call("POST", f"/courses/{course}/assessments", {"title": "Codes", "questions": [
        {"prompt": "What is the code of Ontario?", "choices": ["CA-ON", "CA-QC"], "correct_choice": 1},
        {"prompt": "What is the code of Quebec?", "choices": ["CA-ON", "CA-QC"], "correct_choice": 2}]})
    tour.expect("zoe adds a lesson and an assessment", "201, 201", f"{lesson.status}, {test.status}")
    tour.expect("luc, a learner, may not create courses", "403 missing_permission",
                str(call("POST", "/courses", {"code": "X", "title": "X"}, who="luc")))
    enrolment = call("POST", f"/courses/{course}/enrolments", who="luc")
    started = call("POST", f"/assessments/{test.json['id']}/attempts", who="luc")
    tour.expect("luc enrols and starts an attempt", "201, 201", f"{enrolment.status}, {started.status}"
                + "".join(f"; {a.body.decode()}" for a in (enrolment, started) if a.status != 201))
    attempt = started.json.get("id")
    questions = call("GET", f"/assessments/{test.json['id']}", who="luc").json["questions"]
    for question in questions:
        call("PUT", f"/attempts/{attempt}/answers/{question['id']}", {"choice": 1}, who="luc")
    tour.expect("luc answers and submits", "score 1 of 2",
                "score {score} of {max_score}".format_map({"score": None, "max_score": None,
                                                           **call("POST", f"/attempts/{attempt}/submission", who="luc").json}))
    report = call("PUT", f"/reports/daily/{time.strftime('%Y-%m-%d', time.gmtime())}")
    tour.expect("zoe makes the daily report", 200, report.status)


def at_the_door(tour: Tour, regions: Regions, tokens: dict[str, str], made: dict[str, int]):
    tour.chapter("What must fail at the door")
    send, ca, us = regions.http.send, regions.url(CANADA), regions.url(US)
    wrong = send("GET", f"{us}/api/orgs/101/courses", token=tokens["zoe"])
    tour.expect("zoe's request at the US door (API client)", f"421 wrong_region, home {ca}",
                f"{wrong.status} {wrong.reason}, home {wrong.json.get('home_url')}")
    browser = send("GET", f"{us}/api/orgs/101/courses?page=2", token=tokens["zoe"], headers={"Accept": "text/html"})
    tour.expect("the same by a browser: sent home, without its query", f"307 {ca}/api/orgs/101/courses",
                f"{browser.status} {browser.headers.get('location')}")
    tour.expect("zoe asks for another organization's id, same region", "403 organization_mismatch",
                str(send("GET", f"{ca}/api/orgs/102/courses", token=tokens["zoe"])))
    for path in ("/api/orgs/101/../102/courses", "/api/orgs/101%2f..%2f102/courses", "/api/orgs/%2e%2e/orgs/102/courses"):
        answer = send("GET", ca + path, token=tokens["zoe"])
        tour.expect(f"the same, disguised: {path}", "refused", str(answer), held=answer.status in (400, 403, 404))
    tour.expect("without a token", 401, send("GET", f"{ca}/api/orgs/101/courses").status)
    tampered = tokens["zoe"][:-6] + ("AAAAAA" if not tokens["zoe"].endswith("AAAAAA") else "BBBBBB")
    tour.expect("with a tampered token", 401, send("GET", f"{ca}/api/orgs/101/courses", token=tampered).status)
    tour.expect("a route that the policy does not name", "404 no_route",
                str(send("GET", f"{ca}/api/admin", token=tokens["zoe"])))
    forged = {"Domicile-Organization": "102", "Domicile-Context": regions.context(CANADA, "102")}
    answer = send("GET", f"{ca}/api/orgs/101/courses/{made['101']}", token=tokens["zoe"], headers=forged)
    tour.expect("with forged identity headers, the answer is still organization 101's", "200 Geography, by Maple School",
                f"{answer.status} {answer.json.get('title')}")
    bare = send("GET", f"http://127.0.0.1:{regions.by_id[CANADA]['ports']['application']}/api/orgs/101/courses",
                headers={"Domicile-Organization": "101", "Domicile-Subject": "u_anybody"})
    tour.expect("past the door, straight to the application: the database refuses", "403 refused_by_database", str(bare))


COURSE = ("INSERT INTO learning.course (organization_id, code, title, language_code) VALUES (%s, %s, 'foreign', 'eng')")


def in_the_database(tour: Tour, regions: Regions, made: dict[str, int]):
    tour.chapter("What must fail in the database", "the same rules hold for whoever speaks SQL")

    def course_of(key):
        return COURSE, [key, "X-" + secrets.token_hex(4)]

    def starts(what, expected, got):
        tour.expect(what, expected, got, held=got.startswith(expected))

    maple = regions.organization_role
    tour.expect("as Maple School's own role: only its own courses", "0",
                sql_outcome(maple("101"), "SELECT count(*) FROM learning.course WHERE organization_id <> 101"))
    starts("as Maple School's role: a row for Birch College", "42501", sql_outcome(maple("101"), course_of(102)))
    starts("as Maple School's role: hand its rows to Birch College", "42501",
           sql_outcome(maple("101"), "UPDATE learning.course SET organization_id = 102"))
    # An organization that was never homed in a region has no role there: 42704; one that was: 23514.
    def foreign(what, region, *statements):
        got = sql_outcome(regions.sql(region, "superuser"), *statements)
        tour.expect(what, "23514 or 42704", got, held=got.startswith(("23514", "42704")))

    foreign("as superuser in Canada: a row of Liberty Academy (homed in the US)", CANADA, course_of(201))
    foreign("as superuser in the US: a row of Maple School", US, course_of(101))
    foreign("the same with triggers and foreign keys switched off", US, "SET LOCAL session_replication_role = replica",
            course_of(101))
    starts("as the schema's owner in the US: reference data, which only the master region changes", "23514",
           sql_outcome(regions.sql(US, "owner"), "UPDATE learning.country SET name = 'Elsewhere' WHERE code = 'CA'"))

    enter = "SELECT domicile.enter(%s)"
    count = "SELECT count(*) FROM learning.course"
    pool = lambda *statements: sql_outcome(regions.pool(CANADA), *statements)  # noqa: E731
    context = regions.context(CANADA, "101")
    tour.expect("as the application's pool, inside 101: no course of others", "0",
                pool((enter, [context]), "SELECT count(*) FROM learning.course WHERE organization_id <> 101"))
    starts("as the pool without a context", "42501", pool(count))
    starts("with a forged context", "42501", pool((enter, [regions.context(CANADA, "102", forge=True)]), count))
    starts("with an expired context", "42501", pool((enter, [regions.context(CANADA, "101", seconds=-1)]), count))
    starts("with a context of the US database", "42501", pool((enter, [regions.context(US, "201")]), count))
    starts("with a context of an older epoch", "42501", pool((enter, [regions.context(CANADA, "101", epoch=0)]), count))
    with regions.pool(CANADA) as db:
        with db.transaction():
            db.execute(enter, [context])
        starts("in the next transaction on the same connection, which forgot to enter", "42501", sql_outcome(db, count))
    starts("the plain setting, set by hand", "42501",
           pool("SELECT set_config('domicile.entered', '101', true)", count))

    owner = regions.sql(CANADA, "owner")
    created = sql_outcome(owner, "CREATE TABLE learning.notes (organization_id bigint, body text)")
    read = pool((enter, [context]), "SELECT count(*) FROM learning.notes")
    with contextlib.closing(regions.sql(CANADA, "owner")) as db:
        db.execute("DROP TABLE IF EXISTS learning.notes")
    tour.expect("a new table that the catalog does not know: refused, or closed to the application", "42501",
                f"created: {created}; read: {read}", held="42501" in read or "42P01" in read)
    for region, foreign in ((US, "101, 102"), (CANADA, "201")):
        with regions.sql(region, "superuser") as db:
            rows = sum(db.execute(f"SELECT count(*) FROM learning.{table} WHERE organization_id IN ({foreign})").fetchone()[0]
                       for table in ("course", "lesson", "assessment", "question", "membership", "enrolment", "attempt",
                                     "answer", "daily_report", "course_template"))
        tour.expect(f"rows of the other region's organizations in {region}, all tables", 0, rows)


def epochs(tour: Tour, regions: Regions, tokens: dict[str, str]):
    tour.chapter("A placement changes, and old permissions die", "suspend and resume Birch College: each is a new epoch")
    base = f"{regions.url(CANADA)}/api/orgs/102/courses"
    context = regions.context(CANADA, "102")
    regions.domicile.change_organization("suspend", "102", regions.registry)
    wait_until(lambda: regions.http.send("GET", base, token=tokens["ana"]).status != 200, 30, "the door has heard of it")
    answer = regions.http.send("GET", base, token=tokens["ana"])
    tour.expect("ana, while Birch College is suspended", "403 organization_suspended", str(answer))
    wait_until(lambda: homed_in(regions, "102") == [], 30, "the database has fenced it")
    got = sql_outcome(regions.sql(CANADA, "superuser"), (COURSE, [102, "X-" + secrets.token_hex(4)]))
    tour.expect("a row of it, as superuser", "23514", got, held=got.startswith("23514"))
    regions.domicile.change_organization("resume", "102", regions.registry)
    wait_until(lambda: homed_in(regions, "102") == [CANADA], 30, "it is homed again")
    stale = wait_until(lambda: (a := regions.http.send("GET", base, token=tokens["ana"])).reason != "organization_suspended" and a,
                       30, "the door has heard of it")
    tour.expect("ana's token of the former epoch", "stale_epoch", stale.reason)
    got = sql_outcome(regions.pool(CANADA), ("SELECT domicile.enter(%s)", [context]))
    tour.expect("a context of the former epoch", "42501", got, held=got.startswith("42501"))
    fresh = sign_in(regions, "ana").json.get("access_token", "")
    tour.expect("ana signs in again", 200, regions.http.send("GET", base, token=fresh).status)


def checks_file(regions: Regions, tokens: dict[str, str], made: dict[str, int]) -> pathlib.Path:
    """What domicile up wrote, with a canary in each region and a probe through its door."""
    blocks = (regions.data / "checks.toml").read_text().split("[[region]]")
    for i, (login, key) in enumerate((("zoe", "101"), ("sam", "201"))):
        region = ORGANIZATIONS[key][1]
        canary = f"domicile-canary-{region}"
        with regions.sql(region, "superuser") as db:
            db.execute("INSERT INTO learning.course (organization_id, code, title, language_code) VALUES (%s, 'CANARY', %s, "
                       "'eng') ON CONFLICT (organization_id, code) DO NOTHING", [key, canary])
            db.execute("GRANT SELECT (title) ON learning.course TO domicile_owner")  # where the check looks for canaries
        token = regions.data / f"tour-{login}.token"
        token.write_text(tokens[login])
        token.chmod(0o600)
        blocks[i + 1] = (blocks[i + 1].rstrip() + f'\n[[region.canary]]\ntable = "learning.course"\ncolumn = "title"\n'
                         f'value = "{canary}"\n[[region.probe]]\norganization = "{key}"\n'
                         f'path = "/api/orgs/{key}/courses/{made[key]}"\ntoken_file = "{token.name}"\n\n')
    path = regions.data / "tour-checks.toml"
    path.write_text("[[region]]".join(blocks))
    return path


def run_check(regions: Regions, config: pathlib.Path) -> tuple[int, dict]:
    done = regions.domicile.run("-q", "--output", "json", "check", "--config", config)
    with contextlib.suppress(ValueError):
        return done.returncode, json.loads(done.stdout)
    return done.returncode, {"summary": {}, "results": [], "error": done.stderr}


def checks(tour: Tour, regions: Regions, tokens: dict[str, str], made: dict[str, int]):
    tour.chapter("domicile check", "active validation of both regions; then with a violation planted")
    config = checks_file(regions, tokens, made)
    code, report = run_check(regions, config)
    (regions.data / "check.json").write_text(json.dumps(report, indent=1))
    bad = [f"{r['check']} {r['region']} {r['resource']}: {r['observed']}" for r in report["results"] if r["status"] != "pass"]
    tour.expect("every check passes, none is left out", "exit 0",
                f"exit {code}, {json.dumps(report['summary'])} {report.get('error', '')} {'; '.join(bad)}", held=code == 0)
    with regions.sql(US, "superuser") as db:
        refused = sql_outcome(regions.sql(US, "superuser"), "ALTER TABLE learning.lesson DISABLE ROW LEVEL SECURITY")
        tour.expect("a superuser switches row security off on one table: the DDL assertion", "42501", refused,
                    held=refused.startswith("42501"))
        db.execute("ALTER EVENT TRIGGER domicile_ddl DISABLE")  # which no event trigger can see
        db.execute("ALTER TABLE learning.lesson DISABLE ROW LEVEL SECURITY")
    code, report = run_check(regions, config)
    found = sorted({r["check"] for r in report["results"] if r["status"] == "fail" and "lesson" in r["resource"] + r["observed"]})
    with regions.sql(US, "superuser") as db:
        db.execute("ALTER TABLE learning.lesson ENABLE ROW LEVEL SECURITY")
        db.execute("ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS")
    tour.expect("after the assertion was disarmed too: found, with the table's name", "exit 1, a DOM-RLS finding",
                f"exit {code}, {', '.join(found)}", held=code == 1 and any(f.startswith("DOM-RLS") for f in found))
    code, _ = run_check(regions, config)
    tour.expect("after it is put back", "exit 0", f"exit {code}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domicile", required=True, help="the program")
    parser.add_argument("--data", help="folder of the regions (as given to domicile up)")
    parser.add_argument("--summary", help="where the summary goes (default: tour.md beside the regions' files)")
    options = parser.parse_args()
    tour, regions = Tour(), Regions(Domicile(options.domicile, options.data))
    organizations(tour, regions)
    tokens = people(tour, regions)
    made = work(tour, regions, tokens)
    at_the_door(tour, regions, tokens, made)
    in_the_database(tour, regions, made)
    reference_data(tour, regions)
    epochs(tour, regions, tokens)
    checks(tour, regions, tokens, made)
    evidence(tour, regions, tokens["sam"])
    summary = pathlib.Path(options.summary or regions.data / "tour.md")
    tour.write_summary(summary)
    print(f"\n{tour.bold}{len(tour.lines) - tour.failed} of {len(tour.lines)} expectations held{tour.off} ({summary})")
    sys.exit(1 if tour.failed else 0)


if __name__ == "__main__":
    os.umask(0o077)
    main()
