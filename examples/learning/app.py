"""The learning platform: courses, lessons, assessments, and what people do in them. A JSON API.

It runs behind the region's Domicile door, which has authenticated and authorized every request and
says in headers who asks and about which organization. What makes it safe is not that the application
believes those headers: each request is one transaction, and its first statement hands the signed
context to the database,

    SELECT domicile.enter($1)

which verifies it and confines the rest of the transaction to that organization by row security. A
query that forgets its WHERE sees one organization; a request that did not come through the door sees
an error.

Configuration: LEARNING_DSN, a libpq connection string; LEARNING_POOL, connections per worker.
"""

import contextlib
import datetime
import os

from flask import Flask, jsonify, request
from flask.json.provider import DefaultJSONProvider
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from answers import Problem, answers, body, one


class Json(DefaultJSONProvider):
    sort_keys = False

    @staticmethod
    def default(value):
        return value.isoformat() if isinstance(value, datetime.date) else DefaultJSONProvider.default(value)


app = Flask(__name__)
app.json = Json(app)
app.register_blueprint(answers)
ORG = "/api/orgs/<int(signed=True):org>"

_pool = None


def pool() -> ConnectionPool:
    """Opened by the first request of each worker: a pool must not cross a fork."""
    global _pool
    if _pool is None:
        _pool = ConnectionPool(os.environ["LEARNING_DSN"], min_size=1,
                               max_size=int(os.environ.get("LEARNING_POOL", "4")), timeout=5,
                               kwargs={"row_factory": dict_row, "options": "-c search_path=learning"})
    return _pool


@contextlib.contextmanager
def transaction():
    """One transaction, inside the organization that the door vouches for."""
    with pool().connection() as connection:
        connection.execute("SELECT domicile.enter(%s)", [request.headers.get("Domicile-Context", "")])
        yield connection


def page(sql: str, parameters: list, org: int):
    """A list by ascending id: ?after=<id>&limit=<n>."""
    after = request.args.get("after", 0, type=int)
    limit = max(1, min(request.args.get("limit", 50, type=int), 500))
    with transaction() as db:
        rows = db.execute(sql + " AND id > %s ORDER BY id LIMIT %s", [org, *parameters, after, limit]).fetchall()
    return jsonify(items=rows, next=rows[-1]["id"] if len(rows) == limit else None)


# ---- people -------------------------------------------------------------------------------------

def me(db, org: int) -> int:
    """The person who asks. The region's issuer knows them; at their first request they are entered here."""
    subject = request.headers.get("Domicile-Subject", "")
    if not subject:
        raise Problem(403, "nobody", "the request names no person")
    known = ("SELECT m.person_id FROM membership m JOIN person p ON p.id = m.person_id "
             "WHERE m.organization_id = %s AND p.subject = %s", [org, subject])
    row = db.execute(*known).fetchone()
    if row:
        return row["person_id"]
    # Their row is visible to the organization once they are its member, so the key comes first: no
    # RETURNING. Two first requests at once wait for each other.
    db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [subject])
    row = db.execute(*known).fetchone()
    if row:
        return row["person_id"]
    person = db.execute("SELECT nextval(pg_get_serial_sequence('person', 'id')) AS id").fetchone()["id"]
    db.execute("INSERT INTO person (id, subject, full_name) VALUES (%s, %s, 'New here')", [person, subject])
    teaches = "courses:write" in request.headers.get("Domicile-Permissions", "").split()
    db.execute("INSERT INTO membership (organization_id, person_id, role) VALUES (%s, %s, %s)",
               [org, person, "instructor" if teaches else "learner"])
    return person


@app.get(ORG + "/me")
def who_am_i(org):
    with transaction() as db:
        person = me(db, org)
        row = db.execute("SELECT p.id, p.full_name, p.email, p.language_code, m.role FROM person p JOIN "
                         "membership m ON m.person_id = p.id WHERE m.organization_id = %s AND p.id = %s",
                         [org, person]).fetchone()
    return jsonify(row)


@app.patch(ORG + "/me")
def describe_me(org):
    given = body(full_name=str, email=(str, None), language_code=(str, None))
    with transaction() as db:
        person = me(db, org)
        db.execute("UPDATE person SET full_name = %s, email = %s, language_code = %s WHERE id = %s",
                   [*given.values(), person])
    return jsonify(id=person, **given)


@app.get(ORG)
def organization(org):
    with transaction() as db:
        found = one(db.execute("SELECT id, name, kind, country_code, subdivision_code FROM organization "
                               "WHERE id = %s", [org]), "organization")
        found["courses"] = db.execute("SELECT count(*) AS n FROM course WHERE organization_id = %s",
                                      [org]).fetchone()["n"]
        found["members"] = db.execute("SELECT count(*) AS n FROM membership WHERE organization_id = %s",
                                      [org]).fetchone()["n"]
    return jsonify(found)


@app.put(ORG)
def describe_organization(org):
    given = body(name=str, kind=(str, "school"), country_code=str, subdivision_code=(str, None))
    with transaction() as db:
        db.execute("INSERT INTO organization (id, name, kind, country_code, subdivision_code) "
                   "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, "
                   "kind = EXCLUDED.kind, country_code = EXCLUDED.country_code, "
                   "subdivision_code = EXCLUDED.subdivision_code", [org, *given.values()])
    return jsonify(id=org, **given)


# ---- courses ------------------------------------------------------------------------------------

@app.get(ORG + "/courses")
def courses(org):
    return page("SELECT id, code, title, language_code, state FROM course WHERE organization_id = %s", [], org)


@app.post(ORG + "/courses")
def create_course(org):
    given = body(code=str, title=str, summary=(str, ""), language_code=(str, "eng"), state=(str, "draft"))
    with transaction() as db:
        row = db.execute("INSERT INTO course (organization_id, code, title, summary, language_code, state) "
                         "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id", [org, *given.values()]).fetchone()
    return jsonify(id=row["id"], **given), 201


@app.get(ORG + "/courses/<int:course>")
def course(org, course):
    with transaction() as db:
        found = one(db.execute("SELECT id, code, title, summary, language_code, state FROM course "
                               "WHERE organization_id = %s AND id = %s", [org, course]), "course")
        found["lessons"] = db.execute("SELECT id, position, title FROM lesson WHERE organization_id = %s "
                                      "AND course_id = %s ORDER BY position", [org, course]).fetchall()
        found["assessments"] = db.execute("SELECT id, title, pass_percent FROM assessment WHERE "
                                          "organization_id = %s AND course_id = %s ORDER BY id",
                                          [org, course]).fetchall()
    return jsonify(found)


@app.patch(ORG + "/courses/<int:course>")
def change_course(org, course):
    given = body(title=(str, None), summary=(str, None), state=(str, None))
    with transaction() as db:
        row = one(db.execute("UPDATE course SET title = coalesce(%s, title), summary = coalesce(%s, summary), "
                             "state = coalesce(%s, state) WHERE organization_id = %s AND id = %s "
                             "RETURNING id, code, title, summary, state", [*given.values(), org, course]), "course")
    return jsonify(row)


@app.delete(ORG + "/courses/<int:course>")
def delete_course(org, course):
    with transaction() as db:
        one(db.execute("DELETE FROM course WHERE organization_id = %s AND id = %s RETURNING id",
                       [org, course]), "course")
    return "", 204


@app.post(ORG + "/courses/<int:course>/lessons")
def create_lesson(org, course):
    given = body(title=str, body=(str, ""))
    with transaction() as db:
        one(db.execute("SELECT id FROM course WHERE organization_id = %s AND id = %s FOR UPDATE",
                       [org, course]), "course")
        row = db.execute("INSERT INTO lesson (organization_id, course_id, position, title, body) "
                         "SELECT %s, %s, coalesce(max(position), 0) + 1, %s, %s FROM lesson "
                         "WHERE organization_id = %s AND course_id = %s RETURNING id, position",
                         [org, course, *given.values(), org, course]).fetchone()
    return jsonify(**row, **given), 201


@app.get(ORG + "/lessons/<int:lesson>")
def lesson(org, lesson):
    with transaction() as db:
        found = one(db.execute("SELECT id, course_id, position, title, body FROM lesson "
                               "WHERE organization_id = %s AND id = %s", [org, lesson]), "lesson")
    return jsonify(found)


@app.get(ORG + "/templates")
def templates(org):
    """Shared templates and the organization's own."""
    with transaction() as db:
        rows = db.execute("SELECT id, code, title, outline, organization_id IS NULL AS shared "
                          "FROM course_template ORDER BY code").fetchall()
    return jsonify(items=rows)


# ---- assessments, enrolments, attempts ----------------------------------------------------------

@app.post(ORG + "/courses/<int:course>/assessments")
def create_assessment(org, course):
    given = body(title=str, pass_percent=(int, 50), questions=list)
    with transaction() as db:
        row = db.execute("INSERT INTO assessment (organization_id, course_id, title, pass_percent) "
                         "VALUES (%s, %s, %s, %s) RETURNING id",
                         [org, course, given["title"], given["pass_percent"]]).fetchone()
        for position, question in enumerate(given["questions"], 1):
            if not isinstance(question, dict) or not {"prompt", "choices", "correct_choice"} <= set(question):
                raise Problem(422, "bad_field", "a question needs prompt, choices and correct_choice")
            db.execute("INSERT INTO question (organization_id, assessment_id, position, prompt, choices, "
                       "correct_choice, points) VALUES (%s, %s, %s, %s, %s::text[], %s, %s)",
                       [org, row["id"], position, question["prompt"], question["choices"],
                        question["correct_choice"], question.get("points", 1)])
    return jsonify(id=row["id"], title=given["title"], questions=len(given["questions"])), 201


@app.get(ORG + "/assessments/<int:assessment>")
def assessment(org, assessment):
    with transaction() as db:
        found = one(db.execute("SELECT id, course_id, title, pass_percent FROM assessment "
                               "WHERE organization_id = %s AND id = %s", [org, assessment]), "assessment")
        found["questions"] = db.execute("SELECT id, position, prompt, choices, points FROM question WHERE "
                                        "organization_id = %s AND assessment_id = %s ORDER BY position",
                                        [org, assessment]).fetchall()
    return jsonify(found)


@app.post(ORG + "/courses/<int:course>/enrolments")
def enrol(org, course):
    with transaction() as db:
        person = me(db, org)
        row = db.execute("INSERT INTO enrolment (organization_id, course_id, person_id) VALUES (%s, %s, %s) "
                         "ON CONFLICT (organization_id, course_id, person_id) DO UPDATE SET state = 'active' "
                         "RETURNING course_id, person_id, state, enrolled_at", [org, course, person]).fetchone()
    return jsonify(row), 201


@app.get(ORG + "/enrolments")
def enrolments(org):
    with transaction() as db:
        rows = db.execute("SELECT e.course_id, c.title, e.person_id, e.state, e.enrolled_at FROM enrolment e "
                          "JOIN course c ON c.organization_id = e.organization_id AND c.id = e.course_id "
                          "WHERE e.organization_id = %s ORDER BY e.enrolled_at DESC LIMIT 200", [org]).fetchall()
    return jsonify(items=rows)


@app.post(ORG + "/assessments/<int:assessment>/attempts")
def start_attempt(org, assessment):
    with transaction() as db:
        person = me(db, org)
        found = one(db.execute("SELECT a.id FROM assessment a JOIN enrolment e ON e.organization_id = "
                               "a.organization_id AND e.course_id = a.course_id WHERE a.organization_id = %s "
                               "AND a.id = %s AND e.person_id = %s AND e.state = 'active'",
                               [org, assessment, person]), "assessment that you are enrolled for")
        row = db.execute("INSERT INTO attempt (organization_id, assessment_id, person_id) VALUES (%s, %s, %s) "
                         "RETURNING id, started_at", [org, found["id"], person]).fetchone()
    return jsonify(row), 201


def own_attempt(db, org: int, attempt: int) -> dict:
    found = one(db.execute("SELECT id, assessment_id, submitted_at FROM attempt WHERE organization_id = %s "
                           "AND id = %s AND person_id = %s FOR UPDATE", [org, attempt, me(db, org)]), "attempt of yours")
    if found["submitted_at"] is not None:
        raise Problem(409, "already_submitted", "this attempt is submitted")
    return found


@app.put(ORG + "/attempts/<int:attempt>/answers/<int:question>")
def give_answer(org, attempt, question):
    given = body(choice=int)
    with transaction() as db:
        found = own_attempt(db, org, attempt)
        right = one(db.execute("SELECT correct_choice FROM question WHERE organization_id = %s AND id = %s "
                               "AND assessment_id = %s", [org, question, found["assessment_id"]]), "question")
        db.execute("INSERT INTO answer (organization_id, attempt_id, question_id, choice, correct) "
                   "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (organization_id, attempt_id, question_id) "
                   "DO UPDATE SET choice = EXCLUDED.choice, correct = EXCLUDED.correct, answered_at = now()",
                   [org, attempt, question, given["choice"], given["choice"] == right["correct_choice"]])
    return "", 204


@app.post(ORG + "/attempts/<int:attempt>/submission")
def submit(org, attempt):
    with transaction() as db:
        found = own_attempt(db, org, attempt)
        row = db.execute("UPDATE attempt SET submitted_at = now(), (score, max_score) = (SELECT "
                         "coalesce(sum(q.points) FILTER (WHERE w.correct), 0), sum(q.points) FROM question q "
                         "LEFT JOIN answer w ON w.organization_id = q.organization_id AND w.question_id = q.id "
                         "AND w.attempt_id = %s WHERE q.organization_id = %s AND q.assessment_id = %s) "
                         "WHERE organization_id = %s AND id = %s RETURNING id, score, max_score, submitted_at",
                         [attempt, org, found["assessment_id"], org, attempt]).fetchone()
    return jsonify(row)


# ---- reports ------------------------------------------------------------------------------------

@app.get(ORG + "/reports/daily")
def daily_reports(org):
    with transaction() as db:
        rows = db.execute("SELECT day::text, course_id, active_learners, attempts_submitted, "
                          "average_percent::float FROM daily_report WHERE organization_id = %s "
                          "ORDER BY day DESC, course_id LIMIT 366", [org]).fetchall()
    return jsonify(items=rows)


@app.put(ORG + "/reports/daily/<day>")
def make_report(org, day):
    try:
        start = datetime.date.fromisoformat(day)
    except ValueError:
        raise Problem(422, "bad_field", "the day must be written YYYY-MM-DD") from None
    with transaction() as db:
        made = db.execute("INSERT INTO daily_report (organization_id, day, course_id, active_learners, "
                          "attempts_submitted, average_percent) SELECT a.organization_id, %(day)s, s.course_id, "
                          "count(DISTINCT a.person_id), count(*), avg(100.0 * a.score / nullif(a.max_score, 0)) "
                          "FROM attempt a JOIN assessment s ON s.organization_id = a.organization_id AND "
                          "s.id = a.assessment_id WHERE a.organization_id = %(org)s AND a.submitted_at >= %(day)s "
                          "AND a.submitted_at < %(day)s + 1 GROUP BY a.organization_id, s.course_id "
                          "ON CONFLICT (organization_id, day, course_id) DO UPDATE SET active_learners = "
                          "EXCLUDED.active_learners, attempts_submitted = EXCLUDED.attempts_submitted, "
                          "average_percent = EXCLUDED.average_percent", {"org": org, "day": start}).rowcount
    return jsonify(day=day, courses=made)


# ---- what needs no organization -----------------------------------------------------------------

@app.get("/healthz")
def healthz():
    with pool().connection() as connection:
        connection.execute("SELECT 1")
    return jsonify(status="ok")


@app.get("/api/reference/countries")
def countries():
    with pool().connection() as connection:
        rows = connection.execute("SELECT code, alpha_3, name FROM country ORDER BY name").fetchall()
    return jsonify(items=rows)


@app.get("/api/reference/countries/<code>/subdivisions")
def subdivisions(code):
    with pool().connection() as connection:
        rows = connection.execute("SELECT code, kind, name FROM subdivision WHERE country_code = %s "
                                  "ORDER BY name", [code.upper()]).fetchall()
    return jsonify(items=rows)


@app.get("/api/reference/languages")
def languages():
    with pool().connection() as connection:
        rows = connection.execute("SELECT code, alpha_2, name FROM language ORDER BY name").fetchall()
    return jsonify(items=rows)


@app.get("/api/reference/library")
def library():
    with pool().connection() as connection:
        rows = connection.execute("SELECT code, title, language_code, price FROM library_course ORDER BY code").fetchall()
    return jsonify(items=rows)


@app.get("/api/reference/library/<code>")
def library_course(code):
    with pool().connection() as connection:
        row = connection.execute("SELECT id, code, title, language_code, price, metadata FROM library_course WHERE code = %s",
                                 [code]).fetchone()
        if row is None:
            raise Problem(404, "not_found", "the library has no such course")
        row["lessons"] = connection.execute("SELECT position, title, body FROM library_lesson WHERE course_id = %s ORDER BY position",
                                            [row["id"]]).fetchall()
    return jsonify(row)
