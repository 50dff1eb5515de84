"""The migrations of tests/migrations/cases.toml, and the rows that they meet."""

import tomllib

from support.domicile import ROOT
from support.region import TABLES

CASES = tomllib.loads((ROOT / "tests" / "migrations" / "cases.toml").read_text())["case"]
PLANNED = {**TABLES, "planned": 'class = "organization"\nkey = "org_id"\nplanned = true',
           "job_queue": 'class = "system"\nplanned = true'}


def fill(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, 'Ada'), (2, 'Bob')")
        for org in (7, 8):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, %s)", (org, f"title {org}"))
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (%s, %s, %s)", (org, org, org - 6))
            c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'words')", (org,))
            c.execute("INSERT INTO app.question (org_id, prompt) VALUES (%s, 'own')", (org,))
            c.execute("INSERT INTO app.event VALUES (%s, '2026-05-05', 'x')", (org,))
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")
        c.execute("INSERT INTO app.version VALUES (1)")


def execute(connection, case):
    if case.get("as") != "superuser":
        connection.execute("SET ROLE app_owner")
    for statement in case["sql"]:
        if statement.startswith("COPY"):
            with connection.cursor().copy(statement) as copy:
                copy.write("7\tx\n")
        else:
            connection.execute(statement)
