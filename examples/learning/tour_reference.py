"""The tour's chapter on reference data: one region masters the course library, the others follow it and nobody else."""

import json
import secrets
import time

import psycopg

from tour_support import CANADA, US, Tour, sql_outcome, wait_until


def reference_data(tour: Tour, regions):
    tour.chapter("Reference data has one master", "the course library is edited in Canada; the other regions follow")
    course = "/api/reference/library/GEO-CA"

    def seen(region):
        return regions.http.send("GET", regions.url(region) + course).json.get("title", "")

    title = f"Geography of Canada, edition {secrets.token_hex(4)}"
    with regions.sql(CANADA, "owner") as db:
        db.execute("UPDATE learning.library_course SET title = %s, price = price + 0.01, updated_at = now() WHERE code = 'GEO-CA'", [title])
        begin = time.monotonic()
    wait_until(lambda: seen(US) == title, 30, "the change is seen in the US")
    took = (time.monotonic() - begin) * 1000
    tour.expect("a course is changed in Canada, and read at the US door", "within 2 s", f"after {took:.0f} ms", held=took < 2000)
    for who, called in (("owner", "the tables' owner"), ("superuser", "superuser")):
        got = sql_outcome(regions.sql(US, who), "UPDATE learning.library_course SET title = 'Elsewhere' WHERE code = 'GEO-CA'")
        tour.expect(f"a write to it in the US, as {called}", "23514", got, held=got.startswith("23514"))
    drift(tour, regions)
    release(tour, regions, course)
    with regions.sql(US, "node") as db:
        state, last, p50, p99 = db.execute("SELECT state, lag_ms_last, lag_ms_p50, lag_ms_p99 FROM domicile.reference_status").fetchone()
    tour.expect("how far the US is behind, by heartbeat", "streaming, p99 below 2000 ms", f"{state}, last {last} ms, p50 {p50} ms, p99 {p99} ms",
                held=state == "streaming" and p99 is not None and p99 < 2000)


def drift(tour: Tour, regions):
    """Somebody has the applier's own credentials, which nothing in the database can tell from the applier."""
    login = "dbname=learning user=learning_applier passfile='{}' host=127.0.0.1 port={}".format(
        regions.data / "regions" / US / "secrets" / "learning_applier.pgpass", regions.by_id[US]["ports"]["postgresql"])
    with psycopg.connect(login, autocommit=True) as db:
        db.execute("UPDATE learning.library_course SET price = price * 10 WHERE code = 'GEO-FR'")
        db.execute("DELETE FROM learning.library_lesson WHERE position = 1 AND course_id = (SELECT id FROM learning.library_course WHERE code = 'GEO-FR')")
    node = ["--dsn-file", regions.dsn_file(US, "node")]

    def compare(*more):
        done = regions.domicile.run("-q", "--output", "json", "reference", "compare", *node, *more)
        found = json.loads(done.stdout) if done.stdout else {}
        tables = [f"{t['table']} {t['outcome']}" for t in found.get("tables", []) if t["outcome"] != "equal"]
        return f"exit {done.returncode}, {', '.join(tables) or 'all equal'}, {found.get('bytes')} bytes crossed {done.stderr.strip()}"

    changed = "learning.library_course {0}, learning.library_lesson {0}"
    for what, more, expected in (("two rows drift in the US: compared", [], "exit 1, " + changed.format("different")),
                                 ("compared and repaired", ["--repair"], "exit 0, " + changed.format("repaired")),
                                 ("compared again", [], "exit 0, all equal")):
        got = compare(*more)
        tour.expect(what, expected, got, held=got.startswith(expected))


def editor(regions, name: str) -> str:
    """A person who may edit the library in the master region: the file with their connection string."""
    password = secrets.token_urlsafe(18)
    with regions.sql(CANADA, "superuser") as db:
        if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            db.execute(f"CREATE ROLE {name} LOGIN; GRANT domicile_editor TO {name}; GRANT CONNECT ON DATABASE learning TO {name}")
        db.execute(f"ALTER ROLE {name} PASSWORD '{password}'")
    file = regions.data / f"tour-{name}.dsn"
    file.write_text(f"host=127.0.0.1 port={regions.by_id[CANADA]['ports']['postgresql']} dbname=learning user={name} password={password}\n")
    return str(file)


def release(tour: Tour, regions, course: str):
    name = f"edition-{secrets.token_hex(4)}"
    ann, bob = editor(regions, "library_ann"), editor(regions, "library_bob")

    def step(who, verb, *more):
        done = regions.domicile.run("-q", "reference", "release", verb, name, "--dsn-file", who, *more)
        return f"exit {done.returncode} {done.stderr.strip()}".strip()

    sql = (f"UPDATE learning.library_course SET title = 'Geography of Canada, {name}' WHERE code = 'GEO-CA'; "
           f"UPDATE learning.library_course SET title = 'Geography of the United States, {name}' WHERE code = 'GEO-US'")
    done = [step(ann, "create"), step(ann, "add", "--sql", sql), step(ann, "submit")]
    tour.expect("Ann groups two changes in a release and hands it in", "exit 0, three times", ", ".join(done), held=done == ["exit 0"] * 3)
    own = step(ann, "approve")
    tour.expect("she approves it herself", "refused: a second person decides", own, held="second person" in own)
    done = [step(bob, "approve"), step(ann, "publish")]
    published = time.monotonic()
    tour.expect("Bob approves it, and it is published", "exit 0, twice", ", ".join(done), held=done == ["exit 0"] * 2)

    wait_until(lambda: name in regions.http.send("GET", regions.url(US) + course).json.get("title", ""), 30, "the release is seen in the US")
    took = (time.monotonic() - published) * 1000
    tour.expect("the release is read at the US door", "within 2 s", f"after {took:.0f} ms", held=took < 2000)
    for region in (CANADA, US):
        with regions.sql(region, "superuser") as db:
            said, whole = db.execute("SELECT (domicile.reference_release()).name, bool_and(title LIKE %s) FROM learning.library_course "
                                     "WHERE code IN ('GEO-CA', 'GEO-US')", [f"%{name}"]).fetchone()
        tour.expect(f"{region} says which release it holds, and holds all of it", f"{name}, whole", f"{said}, {'whole' if whole else 'in part'}")
