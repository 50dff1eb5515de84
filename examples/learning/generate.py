#!/usr/bin/python3
"""Content for the learning platform.

  generate.py reference --dsn DSN [--master true|false]
      In the master region: countries, subdivisions and languages from Debian's iso-codes, and the course
      library made of them; the other regions receive all that from it. In every region: the shared course
      templates, which stand in a table of organizations and so do not travel. Safe to run again. Runs before
      the region is guarded.

  generate.py plan --orgs N [--first KEY] [--seed S] [--regions a,b]
      The organizations as JSON lines: key, slug, region, name. Nothing is written anywhere.

  generate.py data --dsn DSN --region R --orgs N --users U --rows M [--first KEY] [--seed S] [--jobs J]
      What those organizations own, by COPY: of all N, only those whose home is R. Together, over all
      regions, about M rows and U people. The same seed gives the same rows, whichever region loads
      first. DSN is a role that row security does not bind (the owner before the guard, or the local
      superuser); the guard binds everybody, so the organizations must be homed first.

The DSN may also stand in LEARNING_DSN. Courses teach what the reference data knows, so that content
is real: "Geography of Kenya", "What is the code of ...".
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import sys
import time

import psycopg

ISO = pathlib.Path("/usr/share/iso-codes/json")
LESSONS, ASSESSMENTS, QUESTIONS, REPORT_DAYS = 6, 2, 8, 30
CHUNK = 1 << 18  # bytes handed to COPY at once


def iso(name: str) -> list[dict]:
    path = ISO / f"iso_{name}.json"
    if not path.exists():
        sys.exit(f"generate.py: {path} is not there; on Debian: apt-get install iso-codes")
    return json.loads(path.read_text())[name]


# ---- reference data -----------------------------------------------------------------------------

def known(db, table: str, columns: str, rows: list[tuple]) -> None:
    """Adds those that are not there."""
    db.execute(f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {columns} FROM learning.{table} LIMIT 0")
    with db.cursor().copy(f"COPY incoming ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    added = db.execute(f"INSERT INTO learning.{table} ({columns}) SELECT {columns} FROM incoming ON CONFLICT DO NOTHING").rowcount
    db.execute("DROP TABLE incoming")
    print(f"{table}: {added} rows added, {len(rows)} known")


def load_world(db) -> None:
    countries = [(c["alpha_2"], c["alpha_3"], c["numeric"], c.get("common_name", c["name"])) for c in iso("3166-1")]
    codes = {c[0] for c in countries}
    subdivisions = [(s["code"], s["code"][:2], s["type"], s["name"], s.get("parent"))
                    for s in iso("3166-2") if s["code"][:2] in codes]
    languages = [(x.get("terminology", x["alpha_3"]), x.get("alpha_2"), x["name"])
                 for x in iso("639-2") if len(x["alpha_3"]) == 3]
    known(db, "country", "code, alpha_3, numeric_code, name", countries)
    known(db, "subdivision", "code, country_code, kind, name, parent_code", subdivisions)
    known(db, "language", "code, alpha_2, name", languages)
    load_library(db, countries, subdivisions)


def load_library(db, countries: list[tuple], subdivisions: list[tuple]) -> None:
    """A course for each country; the lessons of large countries are long enough for PostgreSQL to store them apart."""
    inside = {code: sorted((s for s in subdivisions if s[1] == code), key=lambda s: s[3]) for code, *_ in countries}
    known(db, "library_course", "code, title, language_code, price, metadata", [
        (f"GEO-{code}", f"Geography of {name}", "eng", 5 + len(inside[code]) % 20 + 0.99,
         json.dumps({"country": alpha_3, "level": "introduction", "subdivisions": len(inside[code])}))
        for code, alpha_3, _, name in countries])
    number = dict(db.execute("SELECT code, id FROM learning.library_course").fetchall())
    known(db, "library_lesson", "course_id, position, title, body", [
        (number[f"GEO-{code}"], position, title, body) for code, alpha_3, numeric, name in countries for position, (title, body) in enumerate((
            ("Names", f"{name} is {code} and {alpha_3} in ISO 3166-1, and {numeric} where letters will not do."),
            ("Subdivisions", "\n".join(f"{s[3]} ({s[0]}): {s[2]}" for s in inside[code]) or f"{name} is not divided.")), 1)])


def load_reference(dsn: str, master: bool) -> None:
    templates = [(None, code, title, json.dumps(outline)) for code, title, outline in TEMPLATES]
    with psycopg.connect(dsn) as db:
        if master:
            load_world(db)
        known(db, "course_template", "organization_id, code, title, outline", templates)


TEMPLATES = [
    ("onboarding", "Welcome to the platform", ["How courses work", "Your first assessment"]),
    ("geography", "Geography of a country", ["Borders", "Subdivisions", "Languages", "Cities"]),
    ("language-a1", "A language for beginners", ["Sounds", "Greetings", "Numbers", "A short story"]),
    ("safety", "Safety at work", ["Risks", "Signs", "What to do"]),
]


# ---- organizations ------------------------------------------------------------------------------

KINDS = {"school": "School", "university": "University", "company": "Works", "agency": "Agency"}
FIRST = "amber birch cedar delta ember fern glacier harbor iris juniper kestrel lumen maple north ocean prairie".split()
SECOND = "bay bridge creek dale field ford grove hill lake mill point ridge rock shore vale wood".split()


class Organization:
    """Everything about it follows from seed and key, never from the order of generation."""

    def __init__(self, key: int, seed: int, regions: list[str]):
        draw = random.Random(f"{seed}/{key}")
        self.key = key
        self.region = regions[draw.randrange(len(regions))]
        self.kind = draw.choice(list(KINDS))
        self.country = "CA" if self.region.startswith("ca") else "US"
        first, second = draw.choice(FIRST), draw.choice(SECOND)
        self.name = f"{first.title()}{second} {KINDS[self.kind]}"
        self.slug = f"{first}{second}-{key}"
        self.weight = 1.0 / (1 + draw.random() * 30)  # few large ones, many small ones
        self.share = 0.0
        self.first_person = 0

    @property
    def plan(self) -> dict:
        return {"key": str(self.key), "slug": self.slug, "region": self.region, "name": self.name}


def organizations(options) -> list[Organization]:
    regions = options.regions.split(",")
    found = [Organization(options.first + i, options.seed, regions) for i in range(options.orgs)]
    total = sum(o.weight for o in found)
    person = 1_000_000_000 + options.first * 10_000_000  # away from what the application gives out
    for each in found:
        each.share = each.weight / total
        each.first_person = person
        each.people = max(3, round(getattr(options, "users", 0) * each.share))
        person += each.people
    return found


# ---- what an organization owns ------------------------------------------------------------------

def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", " ").replace("\n", " ")


class Content:
    def __init__(self, org: Organization, options, world):
        self.org, self.world = org, world
        self.tag = f"{options.seed}/{org.key}"
        self.draw = random.Random(f"{self.tag}/content")
        rows = round(options.rows * org.share)
        self.courses = max(1, min(400, rows // 1500))
        fixed = 1 + 2 * org.people + self.courses * (1 + LESSONS + ASSESSMENTS * (1 + QUESTIONS) + REPORT_DAYS)
        enrolments = min(org.people * min(3, self.courses), max(org.people, rows // 20))
        self.per_person = max(1, enrolments // org.people)
        self.attempts = max(org.people, (rows - fixed - self.per_person * org.people) // (1 + QUESTIONS))

    def tables(self):
        """(table, columns, lines) in an order that foreign keys accept."""
        o, world = self.org, self.world
        yield "organization", "id, name, kind, country_code", [f"{o.key}\t{o.name}\t{o.kind}\t{o.country}\n"]
        yield "person", "id, subject, email, full_name, language_code", self.people()
        yield "membership", "organization_id, person_id, role", (
            f"{o.key}\t{o.first_person + i}\t{'owner' if i == 0 else 'instructor' if i % 25 == 1 else 'learner'}\n"
            for i in range(o.people))
        subjects = [self.draw.choice(world["countries"]) for _ in range(self.courses)]
        yield "course", "organization_id, id, code, title, summary, language_code, state", (
            f"{o.key}\t{i}\tGEO-{i:03}\tGeography of {name}\tBorders, subdivisions and names of {name}.\teng\tpublished\n"
            for i, (_, name) in enumerate(subjects, 1))
        yield "lesson", "organization_id, id, course_id, position, title, body", (
            f"{o.key}\t{(c - 1) * LESSONS + n}\t{c}\t{n}\tPart {n} of {name}\tWhat to know about {name}, part {n}.\n"
            for c, (_, name) in enumerate(subjects, 1) for n in range(1, LESSONS + 1))
        yield "assessment", "organization_id, id, course_id, title, pass_percent", (
            f"{o.key}\t{(c - 1) * ASSESSMENTS + n}\t{c}\tTest {n} on {name}\t60\n"
            for c, (_, name) in enumerate(subjects, 1) for n in range(1, ASSESSMENTS + 1))
        yield "question", "organization_id, id, assessment_id, position, prompt, choices, correct_choice, points", \
            self.questions()
        yield "enrolment", "organization_id, course_id, person_id, state", (
            f"{o.key}\t{(i * 7 + n) % self.courses + 1}\t{o.first_person + i}\t{'completed' if i % 4 == 0 else 'active'}\n"
            for i in range(o.people) for n in range(min(self.per_person, self.courses)))
        yield "attempt", "organization_id, id, assessment_id, person_id, started_at, submitted_at, score, max_score", \
            self.attempt_lines()
        yield "answer", "organization_id, attempt_id, question_id, choice, correct, answered_at", self.answer_lines()
        yield "daily_report", "organization_id, day, course_id, active_learners, attempts_submitted, average_percent", (
            f"{o.key}\t2026-06-{day:02}\t{c}\t{(c * 7 + day) % 40 + 1}\t{(c * 11 + day) % 90 + 1}\t{(c * 13 + day) % 60 + 40}.25\n"
            for c in range(1, self.courses + 1) for day in range(1, REPORT_DAYS + 1))

    def people(self):
        draw = random.Random(f"{self.tag}/people")
        for i in range(self.org.people):
            name = f"{draw.choice(FIRST).title()} {draw.choice(SECOND).title()}"
            number = self.org.first_person + i
            yield f"{number}\tgenerated-{number}\tp{number}@example.org\t{name}\t{draw.choice(('eng', 'fra', 'spa'))}\n"

    def questions(self):
        draw = random.Random(f"{self.tag}/questions")
        number = 0
        for test in range(1, self.courses * ASSESSMENTS + 1):
            for position in range(1, QUESTIONS + 1):
                number += 1
                choices = draw.sample(self.world["countries"], 4)
                right = draw.randrange(4)
                listed = ",".join(code for code, _ in choices)
                yield (f"{self.org.key}\t{number}\t{test}\t{position}\tWhat is the ISO 3166 code of {choices[right][1]}?"
                       f"\t{{{listed}}}\t{right + 1}\t1\n")

    def attempt_lines(self):
        key, draw = self.org.key, random.Random(f"{self.tag}/attempts")
        tests, first, people, times = self.courses * ASSESSMENTS, self.org.first_person, self.org.people, self.world["times"]
        for i in range(self.attempts):
            mask = draw.getrandbits(QUESTIONS)
            started = times[(i * 31) % len(times)]
            yield (f"{key}\t{i + 1}\t{i * 7919 % tests + 1}\t{first + i % people}\t{started}\t{started}\t"
                   f"{mask.bit_count()}\t{QUESTIONS}\n")

    def answer_lines(self):
        key, draw = self.org.key, random.Random(f"{self.tag}/attempts")
        tests, times = self.courses * ASSESSMENTS, self.world["times"]
        for i in range(self.attempts):
            mask = draw.getrandbits(QUESTIONS)
            question = (i * 7919 % tests) * QUESTIONS
            started = times[(i * 31) % len(times)]
            yield "".join(f"{key}\t{i + 1}\t{question + n + 1}\t{(i + n) % 4 + 1}\t{'t' if mask >> n & 1 else 'f'}\t{started}\n"
                          for n in range(QUESTIONS))


def copy_lines(db, table: str, columns: str, lines) -> int:
    cursor = db.cursor()
    with cursor.copy(f"COPY learning.{table} ({columns}) FROM STDIN") as copy:
        buffer, size = [], 0
        for line in lines:
            buffer.append(line)
            size += len(line)
            if size > CHUNK:
                copy.write("".join(buffer))
                buffer, size = [], 0
        copy.write("".join(buffer))
    return cursor.rowcount


def load_organizations(dsn: str, keys: list[int], options) -> int:
    world = {"countries": [(c["alpha_2"], escape(c.get("common_name", c["name"]))) for c in iso("3166-1")],
             "times": [f"2026-{m:02}-{d:02} {h:02}:{n:02}:00+00" for m in range(1, 7) for d in range(1, 29)
                       for h in range(7, 22) for n in (5, 35)]}
    wanted = set(keys)
    rows = 0
    with psycopg.connect(dsn) as db:
        db.execute("SET search_path = learning")
        if db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()[0]:
            # Foreign keys hold by construction; checking each row would take most of the time. The
            # guard is a CHECK constraint, which nobody can switch off so.
            db.execute("SET session_replication_role = replica")
        db.commit()
        for org in organizations(options):
            if org.key not in wanted:
                continue
            if db.execute("SELECT 1 FROM learning.organization WHERE id = %s", [org.key]).fetchone():
                print(f"organization {org.key}: already there, left as it is", file=sys.stderr)
                db.commit()
                continue
            for table, columns, lines in Content(org, options, world).tables():
                rows += copy_lines(db, table, columns, lines)
            db.commit()  # an interrupted load leaves whole organizations
    return rows


def finish(dsn: str) -> None:
    """Identity sequences go behind what was loaded; planner statistics."""
    with psycopg.connect(dsn, autocommit=True) as db:
        for table in ("course", "lesson", "assessment", "question"):
            db.execute(f"SELECT setval(pg_get_serial_sequence('learning.{table}', 'id'), "
                       f"greatest((SELECT max(id) FROM learning.{table}), "
                       f"nextval(pg_get_serial_sequence('learning.{table}', 'id'))))")
        db.execute("SELECT setval('learning.attempt_id', greatest((SELECT max(id) FROM learning.attempt), "
                   "nextval('learning.attempt_id')))")
        for table in ("organization", "person", "membership", "course", "lesson", "assessment", "question", "enrolment",
                      "attempt", "answer", "daily_report"):
            db.execute(f"ANALYZE learning.{table}")


def load_data(options) -> None:
    here = [o.key for o in organizations(options) if o.region == options.region]
    started = time.monotonic()
    if options.jobs == 1:
        rows = load_organizations(options.dsn, here, options)
    else:
        with concurrent.futures.ProcessPoolExecutor(options.jobs) as workers:
            rows = sum(workers.map(load_organizations, *zip(*[(options.dsn, here[j::options.jobs], options)
                                                              for j in range(options.jobs)])))
    finish(options.dsn)
    seconds = time.monotonic() - started
    print(f"{options.region}: {len(here)} of {options.orgs} organizations, {rows} rows in {seconds:.1f} s "
          f"({rows / max(seconds, 0.001):,.0f} rows/s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("reference", "plan", "data"):
        command = commands.add_parser(name)
        if name != "plan":
            command.add_argument("--dsn", default=os.environ.get("LEARNING_DSN"), help="libpq connection string")
        if name != "reference":
            command.add_argument("--orgs", type=int, required=True)
            command.add_argument("--first", type=int, default=1001, help="key of the first organization")
            command.add_argument("--seed", type=int, default=1)
            command.add_argument("--regions", default="ca-central-1,us-east-1")
        if name == "reference":
            command.add_argument("--master", choices=("true", "false"), default="true", help="does reference data change here?")
        if name == "data":
            command.add_argument("--region", required=True)
            command.add_argument("--users", type=int, required=True)
            command.add_argument("--rows", type=int, required=True)
            command.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for name in ("orgs", "users", "rows", "jobs"):
        if getattr(options, name, 1) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.command == "data" and options.region not in options.regions.split(","):
        parser.error(f"--region must be one of --regions ({options.regions})")
    if options.command == "plan":
        for org in organizations(options):
            print(json.dumps(org.plan))
        return
    if not options.dsn:
        parser.error("give --dsn, or set LEARNING_DSN")
    try:
        load_reference(options.dsn, options.master == "true") if options.command == "reference" else load_data(options)
    except psycopg.Error as error:
        sys.exit(f"generate.py: {str(error).strip()}")


if __name__ == "__main__":
    main()
