"""Who has how much: measured on real rows, compared with plain SQL; and the page that is made of it."""

import html.parser
import json
import pathlib
import re

import pytest

from support.domicile import domicile, domicile_json
from support.pgbouncer import PgBouncer

SCHEMAS = pathlib.Path(__file__).resolve().parents[1] / "schemas"
HOSTILE = ['<script>alert(1)</script>', 'a"onload="x', "it's & more", 'back`tick', 'x\u202egnp', ']]>', '${x}{{y}}', 'ü' * 31]


@pytest.fixture(scope="module")
def learning(cluster):
    cluster.create_database("learning")
    with cluster.connect("learning") as connection:
        connection.execute((SCHEMAS / "learning.sql").read_text())
        connection.execute((SCHEMAS / "learning.data.sql").read_text())
        # Some people are members of organizations in several regions.
        connection.execute("INSERT INTO memberships (organization_id, user_id, role) SELECT 1 + (i + 5) % 12, i, 'guest' FROM generate_series(1, 10) i")
        # And two rows are of an organization that is not there.
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO daily_reports VALUES (777, '2026-01-01', 1), (777, '2026-01-02', 1)")
    return cluster.dsn("learning")


@pytest.fixture
def regions(tmp_path):
    file = tmp_path / "regions.csv"
    file.write_text("organization,region\n" + "".join(f"{i},{'ca-central-1' if i <= 7 else 'us-east-1'}\n" for i in range(1, 12)))
    return file


def test_rows_by_organization_are_those_that_sql_counts(cluster, learning, regions, tmp_path):
    found = domicile_json("-q", "catalog", "analyse", "--dsn", learning, "--catalog", scanned(learning, tmp_path),
                          "--regions", regions)
    with cluster.connect("learning") as connection:
        want = dict(connection.execute("""
            SELECT o, sum(n)::int FROM (
              SELECT organization_id::text AS o, count(*) AS n FROM courses GROUP BY 1
              UNION ALL SELECT c.organization_id::text, count(*) FROM lessons l JOIN modules m ON m.id = l.module_id
                JOIN courses c ON c.id = m.course_id GROUP BY 1
              UNION ALL SELECT organization_id::text, count(*) FROM enrolments GROUP BY 1) x GROUP BY 1""").fetchall())
        payload = connection.execute("SELECT sum(pg_column_size(c.*)) FROM courses c").fetchone()[0]
    tables = {t["name"].removeprefix("public."): t for t in found["tables"]}
    assert {o["key"] for o in found["organizations"]} == {str(i) for i in range(1, 13)}
    assert tables["courses"]["rows"] + tables["lessons"]["rows"] + tables["enrolments"]["rows"] == sum(want.values())
    # Bytes are those of the stored values and a row's header: near what PostgreSQL says of whole rows.
    assert 0.6 * payload < tables["courses"]["bytes"] < 1.6 * payload
    assert sum(o["rows"] for o in found["organizations"]) == found["of_organizations"]["rows"]
    assert sum(r["rows"] for r in found["regions"]) == found["of_organizations"]["rows"]
    assert [r["region"] for r in found["regions"]] == ["ca-central-1", "us-east-1", None]
    assert [r["organizations"] for r in found["regions"]] == [7, 4, 1]


def scanned(dsn, tmp_path):
    file = tmp_path / "catalog.toml"
    domicile("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    return file


def test_every_row_is_somewhere(cluster, learning, regions, tmp_path):
    found = domicile_json("-q", "catalog", "analyse", "--dsn", learning, "--catalog", scanned(learning, tmp_path), "--regions", regions)
    with cluster.connect("learning") as connection:
        names = [n for (n,) in connection.execute("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                                                  "AND relkind IN ('r', 'p') AND NOT relispartition")]
        count = sum(connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names)
    kinds = ("of_organizations", "shared", "people", "system", "unassigned")
    assert sum(found[kind]["rows"] for kind in kinds) == count
    tables = {t["name"].removeprefix("public."): t for t in found["tables"]}
    assert tables["daily_reports"]["unassigned"]["rows"] == 2
    assert "not listed" in tables["daily_reports"]["unassigned_why"]
    assert tables["comments"]["unassigned"]["rows"] == 40 and tables["uploads"]["unassigned"]["rows"] == 100
    assert tables["question_banks"]["shared"]["rows"] == 3, "rows without a key of a mixed table are shared"


def test_people_of_several_regions_are_counted(cluster, learning, regions, tmp_path):
    found = domicile_json("-q", "catalog", "analyse", "--dsn", learning, "--catalog", scanned(learning, tmp_path), "--regions", regions)
    with cluster.connect("learning") as connection:
        want = connection.execute("""SELECT count(*) FROM (SELECT user_id FROM memberships WHERE organization_id <> 12 GROUP BY 1
            HAVING count(DISTINCT organization_id <= 7) > 1) x""").fetchone()[0]
    assert want > 0 and found["people_by_regions"]["2"] == want
    assert found["members"] == "public.memberships"


def test_without_a_catalog_file_the_proposal_serves(learning, tmp_path):
    done = domicile("-q", "catalog", "analyse", "--dsn", learning, env={"PWD": str(tmp_path)}, check=False)
    assert done.returncode == 0, done.stderr
    assert "classes are as the scan would propose them" in done.stdout
    assert "What goes where" in done.stdout and "--regions FILE" in done.stdout


def test_large_tables_are_estimated_unless_every_row_is_asked_for(cluster, tmp_path):
    cluster.create_database("wide")
    with cluster.connect("wide") as connection:
        connection.execute("CREATE TABLE organizations (id bigint PRIMARY KEY, slug text); CREATE TABLE files (id bigserial PRIMARY KEY, "
                           "organization_id bigint NOT NULL REFERENCES organizations, body text NOT NULL)")
        connection.execute("INSERT INTO organizations SELECT i, 's' FROM generate_series(1, 4) i")
        connection.execute("ALTER TABLE files ALTER body SET STORAGE PLAIN")
        connection.execute("INSERT INTO files (organization_id, body) SELECT 1 + i % 4, repeat('x', 7000) FROM generate_series(1, 20000) i")
        connection.execute("ANALYZE")
    def files(*arguments):
        found = domicile_json("-q", "catalog", "analyse", "--dsn", cluster.dsn("wide"), *arguments)
        return next(t for t in found["tables"] if t["name"] == "public.files")
    estimated, exact = files(), files("--exact")
    assert estimated["sampled"] and not exact["sampled"]
    assert exact["rows"] == 20000
    assert abs(estimated["rows"] - 20000) < 3000 and abs(estimated["bytes"] - exact["bytes"]) < 0.15 * exact["bytes"]


class Page(html.parser.HTMLParser):
    """What a browser would make of it: elements, attributes, and the text between."""

    def __init__(self):
        super().__init__()
        self.elements, self.attributes, self.text = set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone_and_a_hostile_name_stays_text(cluster, tmp_path):
    cluster.create_database("hostile<b>&")
    with cluster.connect("hostile<b>&") as connection:
        connection.execute("CREATE TABLE organizations (id bigint PRIMARY KEY, slug text)")
        connection.execute("INSERT INTO organizations VALUES (1, 'one')")
        for name in HOSTILE:
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"CREATE TABLE {quoted} (id bigint PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations, {quoted} text)")
            connection.execute(f"COMMENT ON TABLE {quoted} IS '</style><img src=x onerror=alert(1)>'")
    dsn = cluster.dsn("hostile<b>&")
    page_file = tmp_path / "page.html"
    domicile("-q", "catalog", "analyse", "--dsn", dsn, "--html", page_file)
    text = page_file.read_text()
    page = Page()
    page.feed(text)
    assert page.elements <= set("html head meta title style body h1 h2 p b span div table tr th td code svg g text path rect details summary br".split())
    assert page.attributes <= set("lang charset http-equiv content name class role viewbox width height xmlns x y rx d open".split())
    assert not re.search(r"(src|href)=|url\(|@import|<script|<img|\u202e", text.replace("&lt;script", "").replace("img src", ""))
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    for name in HOSTILE:
        assert name.replace("\u202e", "\ufffd") in page.text, name


def test_a_reader_behind_a_pooler_in_transaction_mode_writes_nothing(cluster, learning, tmp_path):
    with cluster.connect("learning") as admin:
        admin.execute("CREATE ROLE analyst LOGIN PASSWORD 'analyst'; GRANT pg_read_all_data TO analyst")
    # It refuses startup options, as PgBouncer does unless told otherwise.
    with PgBouncer(cluster.port, "learning", {"analyst": "analyst"}, settings={"ignore_startup_parameters": "extra_float_digits"}) as bouncer:
        found = domicile_json("-q", "catalog", "analyse", "--dsn", bouncer.dsn("analyst"))
    assert found["of_organizations"]["rows"] > 0


def test_the_session_is_read_only_from_its_start_and_so_is_each_transaction(cluster):
    cluster.create_database("watched")
    with cluster.connect("watched") as connection:
        connection.execute("CREATE TABLE organizations (id bigint PRIMARY KEY, slug text); CREATE TABLE things (id bigint, organization_id bigint NOT NULL REFERENCES organizations)")
        connection.execute("ALTER DATABASE watched SET log_statement = 'all'")
        connection.execute("ALTER DATABASE watched SET log_min_messages = 'log'")
    before = len(cluster.log.read_text())
    domicile("-q", "catalog", "analyse", "--dsn", cluster.dsn("watched"))
    said = re.findall(r"(?:statement|execute <unnamed>):\s+([^\t\n]*)", cluster.log.read_text()[before:])
    begins = [line for line in said if line.startswith("BEGIN")]
    assert len(begins) >= 4 and all("READ ONLY" in line for line in begins)
    assert {line.split()[0].rstrip(";") for line in said} <= {"BEGIN", "SET", "COMMIT", "SELECT", "WITH"}
    assert said[0].startswith("BEGIN"), "nothing is asked outside of a transaction"


def test_what_may_not_be_read_is_said_and_never_counted_as_empty(cluster, learning):
    with cluster.connect("learning") as admin:
        admin.execute("CREATE ROLE half LOGIN PASSWORD 'half'; GRANT SELECT ON organizations, courses TO half")
        with cluster.connect("learning", autocommit=False) as migration:
            migration.execute("LOCK TABLE courses IN ACCESS EXCLUSIVE MODE")
            found = domicile_json("-q", "catalog", "analyse", "--dsn", cluster.dsn("learning", "half", "half"))
            migration.rollback()
    tables = {t["name"].removeprefix("public."): t for t in found["tables"]}
    assert "lock" in tables["courses"]["not_read"]
    assert "permission denied" in tables["memberships"]["not_read"]
    assert "not_read" not in tables["organizations"]


def test_busy_tables_behind_a_path_and_loose_foreign_keys_are_said(cluster, tmp_path):
    cluster.create_database("busy")
    with cluster.connect("busy") as connection:
        connection.execute("""
            CREATE TABLE organizations (id bigint PRIMARY KEY, slug text);
            CREATE TABLE courses (id bigint PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations);
            CREATE TABLE rooms (id bigint PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations);
            CREATE TABLE lessons (id bigserial PRIMARY KEY, course_id bigint NOT NULL REFERENCES courses, room_id bigint REFERENCES rooms);
            INSERT INTO organizations VALUES (1, 'one');
            INSERT INTO courses VALUES (1, 1);
            INSERT INTO lessons (course_id) SELECT 1 FROM generate_series(1, 20000);
            ANALYZE""")
        connection.execute("SELECT pg_stat_force_next_flush()")
    found = domicile_json("-q", "catalog", "scan", "--dsn", cluster.dsn("busy"), "--file", tmp_path / "c.toml")
    findings = {(f["table"].removeprefix("public."), f["kind"]): f for f in found["findings"]}
    assert "20000 rows written" in findings["lessons", "hot_path"]["message"]
    assert "room_id" in findings["lessons", "foreign_key_oracle"]["message"]
    assert ("courses", "hot_path") not in findings
    # The text prints notes on demand.
    done = domicile("-q", "catalog", "scan", "--dsn", cluster.dsn("busy"), "--file", tmp_path / "c.toml", "--all")
    assert "[foreign_key_oracle]" in done.stdout


@pytest.mark.parametrize("arguments, text, message", [
    (["--regions"], "1,ca-central-1\n1,us-east-1\n", ":2: organization 1 stands there twice"),
    (["--regions"], "one;ca-central-1\ntwo;us-east-1\n", ":2: "),
    (["--regions"], "1\n", "with a comma between them"),
    (["--placements"], "{", "not JSON"),
    (["--placements", "--regions"], "1,ca-central-1\n", "keep one"),
    (["--catalog"], "[catalog]\nversion = 2\n", "version"),
], ids=["twice", "no key", "one word", "no json", "both", "catalog"])
def test_bad_input_is_refused_with_its_place(learning, tmp_path, arguments, text, message):
    file = tmp_path / "input"
    file.write_text(text)
    catalog = [] if "--catalog" in arguments else ["--catalog", scanned(learning, tmp_path)]
    named = [part for name in arguments for part in (name, file)]
    done = domicile("-q", "catalog", "analyse", "--dsn", learning, *catalog, *named, "--html", tmp_path / "page.html", check=False)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (tmp_path / "page.html").exists()


def test_placements_are_the_registrys_lists(learning, tmp_path):
    lists = []
    for region, keys in (("ca-central-1", range(1, 8)), ("us-east-1", range(8, 13))):
        lists.append(tmp_path / f"{region}.json")
        lists[-1].write_text(json.dumps({"region": region, "revision": 3, "organizations": [
            {"key": str(k), "epoch": 1, "state": "active"} for k in keys]}))
    found = domicile_json("-q", "catalog", "analyse", "--dsn", learning, "--placements", lists[0], "--placements", lists[1])
    assert {r["region"]: r["organizations"] for r in found["regions"]} == {"ca-central-1": 7, "us-east-1": 5}
