"""`domicile catalog check` and `show` with a real database: what a migration changed is found and named."""

import json

import pytest

from support.domicile import domicile, domicile_json

SCHEMA = """
CREATE TABLE organizations (id bigserial PRIMARY KEY, slug text NOT NULL UNIQUE);
CREATE TABLE courses (id bigserial PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations, teacher_email text);
CREATE INDEX ON courses (organization_id);
CREATE TABLE lessons (id bigserial PRIMARY KEY, course_id bigint NOT NULL REFERENCES courses);
CREATE TABLE events (id bigint, organization_id bigint NOT NULL REFERENCES organizations, at date NOT NULL) PARTITION BY RANGE (at);
CREATE INDEX ON events (organization_id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE countries (code char(2) PRIMARY KEY, name text NOT NULL);
CREATE VIEW all_courses AS SELECT * FROM courses;
"""


@pytest.fixture
def database(cluster, tmp_path, request):
    name = request.node.name.split("[")[0][:50]
    cluster.create_database(name)
    with cluster.connect(name) as connection:
        connection.execute(SCHEMA)
        file = tmp_path / "c.toml"
        domicile("-q", "catalog", "scan", "--dsn", cluster.dsn(name), "--file", file)
        yield connection, cluster.dsn(name), file


def check(dsn, file):
    done = domicile("--output", "json", "catalog", "check", "--dsn", dsn, "--file", file, check=False)
    return done.returncode, {(d["table"].removeprefix("public."), d["kind"]): d["severity"] for d in json.loads(done.stdout)["differences"]}


def test_what_was_just_scanned_agrees(database):
    _, dsn, file = database
    assert check(dsn, file) == (0, {})
    assert "ok: 5 tables" in domicile("catalog", "check", "--dsn", dsn, "--file", file).stdout


def test_every_change_of_a_migration_is_found(database):
    connection, dsn, file = database
    for change, undo, expected in [
        ("CREATE TABLE payments (id int)", "DROP TABLE payments", {("payments", "unclassified_table"): "error"}),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a", "DROP MATERIALIZED VIEW m", {("m", "unclassified_table"): "error"}),
        ("ALTER TABLE lessons RENAME TO lectures", "ALTER TABLE lectures RENAME TO lessons",
         {("lectures", "unclassified_table"): "error", ("lessons", "missing_table"): "error"}),
        ("ALTER TABLE lessons RENAME course_id TO c", "ALTER TABLE lessons RENAME c TO course_id", {("lessons", "path_broken"): "error"}),
        ("ALTER TABLE lessons DROP CONSTRAINT lessons_course_id_fkey", "ALTER TABLE lessons ADD FOREIGN KEY (course_id) REFERENCES courses",
         {("lessons", "path_undeclared"): "warning"}),
        ("ALTER TABLE courses RENAME organization_id TO org", "ALTER TABLE courses RENAME org TO organization_id", {("courses", "key_column_missing"): "error"}),
        ("ALTER TABLE courses ALTER organization_id DROP NOT NULL", "ALTER TABLE courses ALTER organization_id SET NOT NULL",
         {("courses", "nullable_key"): "warning"}),
        ("DROP INDEX courses_organization_id_idx", "CREATE INDEX ON courses (organization_id)", {("courses", "key_without_index"): "warning"}),
        ("ALTER TABLE courses DROP COLUMN teacher_email CASCADE", "ALTER TABLE courses ADD COLUMN teacher_email text", {("courses", "personal_column_missing"): "error"}),
        ("ALTER TABLE countries ADD made_in bigint REFERENCES organizations", "ALTER TABLE countries DROP COLUMN made_in",
         {("countries", "link_without_rule"): "warning"}),
        ("CREATE SCHEMA attic; CREATE TABLE attic.old (id int)", "DROP SCHEMA attic CASCADE", {("attic.*", "uncovered_schema"): "warning"}),
    ]:
        connection.execute(change)
        code, found = check(dsn, file)
        connection.execute(undo)
        assert found == expected, change
        assert code == (1 if "error" in expected.values() else 0), change
    assert check(dsn, file) == (0, {})


def test_warnings_fail_only_where_asked(database):
    connection, dsn, file = database
    connection.execute("DROP INDEX courses_organization_id_idx")
    assert domicile("catalog", "check", "--dsn", dsn, "--file", file).returncode == 0
    assert domicile("catalog", "check", "--dsn", dsn, "--file", file, "--strict", check=False).returncode == 1


def test_a_scan_after_a_migration_mends_the_file(database):
    connection, dsn, file = database
    connection.execute("CREATE TABLE quizzes (id bigserial PRIMARY KEY, lesson_id bigint NOT NULL REFERENCES lessons); DROP TABLE countries")
    assert check(dsn, file)[0] == 1
    out = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    assert {(c["table"], c["change"]) for c in out["changes"]} == {("public.quizzes", "added"), ("public.countries", "removed")}
    assert check(dsn, file)[0] == 0


def test_exit_codes_tell_no_from_wrong_from_unreachable(database, tmp_path):
    _, dsn, file = database
    missing = domicile("catalog", "check", "--dsn", dsn, "--file", tmp_path / "none.toml", check=False)
    assert missing.returncode == 2 and "there is no catalog file" in missing.stderr
    broken = tmp_path / "broken.toml"
    broken.write_text('[catalog]\nversion = 1\nkey_type = "bigint"\n[[table]]\nname = "a.b"\nclass = "organisation"\n[[table]]\nclass = "system"\nkey = 7\n')
    wrong = domicile("catalog", "check", "--dsn", dsn, "--file", broken, check=False)
    assert wrong.returncode == 2
    assert f"{broken}:6:" in wrong.stderr and "name is missing" in wrong.stderr and "key must be a string" in wrong.stderr
    assert domicile("catalog", "check", "--dsn", "host=127.0.0.1 port=1 dbname=x", "--file", file, check=False).returncode == 3


def test_show_answers_for_one_table_one_class_or_all(database):
    _, _, file = database
    assert "course_id -> public.courses" in domicile("catalog", "show", "--file", file).stdout
    assert "public.countries" not in domicile("catalog", "show", "--file", file, "--class", "organization").stdout
    assert 'key = "organization_id"' in domicile("catalog", "show", "--file", file, "public.courses").stdout
    assert domicile_json("catalog", "show", "--file", file, "courses")["class"] == "organization"
    assert domicile("catalog", "show", "--file", file, "public.nobody", check=False).returncode == 1
    assert domicile("catalog", "show", "--file", file, "--class", "tenant", check=False).returncode == 2


def test_accepting_makes_a_proposal_a_decision(database):
    _, dsn, file = database
    refused = domicile("catalog", "accept", "--file", file, check=False)
    assert refused.returncode == 2 and "--confidence" in refused.stderr
    assert domicile("catalog", "accept", "--file", file, "public.nobody", check=False).returncode == 2
    before = file.read_text()
    domicile("catalog", "accept", "--file", file, "public.courses", "--dry-run")
    assert file.read_text() == before
    domicile("catalog", "accept", "--file", file, "public.courses")
    assert domicile_json("catalog", "show", "--file", file, "public.courses")["decided_by"] == "person"
    assert domicile_json("catalog", "show", "--file", file, "public.lessons")["decided_by"] == "proposed"
    accepted = domicile_json("catalog", "accept", "--file", file, "--confidence", "likely")["accepted"]
    assert "public.lessons" in accepted and "public.courses" not in accepted
    after = file.read_text()
    assert "proposed" not in after.split("[catalog]")[1]
    domicile("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    assert file.read_text() == after
