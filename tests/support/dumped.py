"""A region with rows of every class, and another server for what `domicile dump` takes of it."""

from support.postgres import Cluster

LOGINS = (("installer", "CREATEROLE CREATEDB"), ("pool", ""), ("node", ""))
TABLES = ("course", "enrolment", "answer", "question", "country", "person", "event", "event_2026", "version")


def fill(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, E'Ada\\tLovelace\\n\\\\.'), (2, NULL)")
        for org in (7, 8):
            for number in range(org):
                c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, %s)", (org, f"title {number}"))
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (%s, %s, %s)", (org, org, org - 6))
            c.execute("INSERT INTO app.answer (enrolment_id, words) VALUES (%s, 'words')", (org,))
            c.execute("INSERT INTO app.question (org_id, prompt) VALUES (%s, 'own')", (org,))
            c.execute("INSERT INTO app.event VALUES (%s, '2026-05-05', 'x')", (org,))
            c.execute("INSERT INTO domicile_directory.user_account (id, organization, login, password_hash) "
                      "VALUES (%s, %s, 'ada', '$argon2id$x')", ("u_" + f"{org:022d}", org))
        c.execute("INSERT INTO app.question (org_id, prompt) VALUES (NULL, 'shared')")
        c.execute("INSERT INTO app.country VALUES ('CA', 'Canada')")
        c.execute("INSERT INTO app.version VALUES (1)")
        c.execute("SET ROLE app_owner")
        c.execute("CREATE VIEW app.titles WITH (security_invoker = true) AS SELECT title FROM app.course")
        c.execute("CREATE INDEX course_title ON app.course (org_id, title)")
        c.execute("CREATE FUNCTION app.words(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.answer; SELECT 1::bigint;'")


def another_server() -> Cluster:
    """With the application's roles and without a database of it."""
    cluster = Cluster()
    with cluster.connect() as c:
        c.execute("CREATE ROLE app_owner NOLOGIN")
        for login, attributes in LOGINS:
            c.execute(f"CREATE ROLE {login} LOGIN {attributes} PASSWORD 'secret'")
        c.execute("GRANT app_owner TO installer")
    return cluster


def dsn(cluster: Cluster, user: str = "installer", port: int = 0) -> str:
    return f"host=127.0.0.1 port={port or cluster.port} dbname=app user={user} password=secret"


def rows(connect) -> dict:
    found = {}
    with connect() as c:
        for table in TABLES:
            found[table] = c.execute(f"SELECT t::text FROM app.{table} t ORDER BY 1").fetchall()
        found["users"] = c.execute("SELECT id, organization, login FROM domicile_directory.user_account ORDER BY 1").fetchall()
        found["next"] = c.execute("SELECT last_value, is_called FROM app.course_id_seq").fetchall()
    return found
