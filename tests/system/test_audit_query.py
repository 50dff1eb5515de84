"""Questions to the index: what they find, that each is on record, that none reaches beyond the rows it may see, whatever
SQL it is."""

import json
import subprocess

import psycopg
import pytest

from support.domicile import binary
from support.log_index import Index, run

DAY = "2026-11-20"


@pytest.fixture(scope="module")
def index(cluster, tmp_path_factory):
    index = Index(cluster, tmp_path_factory.mktemp("index"))
    index.rows("INSERT INTO domicile_index.log (origin, next_sequence) VALUES ('ca-central-1', 9) RETURNING id")
    request = {"log": 1, "class_uid": 6003, "event_code": "request", "region": "ca-central-1"}
    index.add(**request, sequence=1, time=f"{DAY}T15:00:00Z", outcome="allowed", organization="7", actor="ana", operation="courses.list", source_ip="203.0.113.9")
    index.add(**request, sequence=2, time=f"{DAY}T23:30:00Z", outcome="allowed", organization="7", actor="ana", operation="courses.list")
    index.add(**request, sequence=3, time=f"{DAY}T16:00:00Z", outcome="denied", organization="org-eight", actor="ben", operation="courses.list", reason="no_permission")
    for sequence in (4, 5, 6):
        index.add(log=1, class_uid=6003, event_code="cross_region", sequence=sequence, time=f"{DAY}T17:00:0{sequence}Z", outcome="denied",
                  organization="org-nine", reason="wrong_region", details=json.dumps({"actor_tag": "t1"}))
    index.add(log=1, class_uid=3002, event_code="sign_in", sequence=7, time=f"{DAY}T18:00:00Z", outcome="denied", organization="7", source_ip="198.51.100.4")
    index.add(log=1, class_uid=6005, event_code="sql_session", sequence=8, time=f"{DAY}T19:00:00Z", outcome="allowed",
              details=json.dumps({"user": "postgres", "bypass": "true", "superuser": "true", "database": "app"}))
    return index


@pytest.fixture(scope="module")
def seven(index):
    return index.grant("7", "school_seven")


def asked(index) -> list[tuple]:
    return index.rows("SELECT login, person, question, organization, found, first_sequence, last_sequence FROM domicile_index.asked ORDER BY id")


def test_ready_questions_find_what_they_say(index):
    who = index.ask("who", "--set", "organization=7")["rows"]
    assert [(r["actor"], r["times"]) for r in who if r["event_code"] == "request"] == [("ana", 2)]
    assert (who[0]["first_sequence"], who[0]["last_sequence"]) == (1, 2)
    tags = index.ask("cross-region", "--set", "least=2")["rows"]
    assert [(r["actor_tag"], r["attempts"], r["organization"]) for r in tags] == [("t1", 3, "org-nine")]
    assert index.ask("cross-region", "--set", "least=4")["rows"] == []
    assert [r["first_sequence"] for r in index.ask("outside-hours")["rows"]] == [2]
    assert [r["first_sequence"] for r in index.ask("outside-hours", "--set", "zone=Asia/Tokyo")["rows"]] == [1]  # a Saturday
    assert [r["sequence"] for r in index.ask("person", "--set", "actor=ana", "--to", f"{DAY}T20:00:00Z")["rows"]] == [1]
    assert [r["login"] for r in index.ask("bypass")["rows"]] == ["postgres"]
    assert {r["reason"] for r in index.ask("decisions")["rows"]} == {"", "no_permission", "wrong_region"}
    assert [r["failed"] for r in index.ask("failed-sign-ins", "--set", "least=1")["rows"]] == [1]


def test_every_ready_question_is_one_the_server_takes(index):
    for question in json.loads(run("--output", "json", "audit", "query", "list").stdout):
        needed = [f"--set={p['name']}=7" for p in question["parameters"] if p["required"]]
        index.ask(question["name"], *needed)


def test_a_question_is_on_record_before_its_answer_is_given(index):
    before = len(asked(index))
    index.ask("who", "--set", "organization=7", "--person", "auditor@example.com")
    index.ask("--sql", "SELECT sequence FROM event WHERE sequence BETWEEN 3 AND 5")
    *_, ready, own = asked(index)
    assert ready == ("domicile_index_reader", "auditor@example.com", "who", "7", 2, 1, 7)
    assert own[2:] == ("sql", "", 3, 3, 5) and len(asked(index)) == before + 2
    with index.as_owner() as owner:
        owner.execute("REVOKE EXECUTE ON FUNCTION domicile_index.note_question FROM domicile_index_readers")
    try:
        refused = run("--output", "json", "audit", "query", "who", "--set", "organization=7", "--dsn-file", index.reader, code=1)
        assert "ana" not in refused.stdout and "permission denied" in refused.stderr
    finally:
        with index.as_owner() as owner:
            owner.execute("GRANT EXECUTE ON FUNCTION domicile_index.note_question TO domicile_index_readers")


def test_questions_that_nobody_records_end(index, seven):
    with psycopg.connect(seven.read_text().strip(), autocommit=True) as own:
        own.execute("SET default_transaction_read_only = off")
        own.execute("SELECT domicile_index.note_question('x', 'x', '', '', 0, 0, 0) FROM generate_series(1, 1500)")
    assert index.rows("SELECT count(*) FROM domicile_index.asked WHERE login = 'school_seven'") == [(1_000,)]
    assert "wait to be recorded" in index.ask("decisions", code=3, dsn_file=seven)
    index.ask("decisions")
    index.rows("DELETE FROM domicile_index.asked WHERE login = 'school_seven' RETURNING 1")


@pytest.mark.parametrize("sql", [
    "DELETE FROM event",
    "SELECT 1; DELETE FROM event",
    "WITH gone AS (DELETE FROM event RETURNING *) SELECT * FROM gone",
    "COPY event TO PROGRAM 'cat > stolen'",
    "COPY event TO STDOUT",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT * INTO TEMP t FROM event",
    "CREATE TEMP TABLE t (a int)",
    "SELECT nextval('domicile_index.asked_id_seq')",
    "SELECT * FROM asked",
    "SELECT * FROM member",
    "SELECT * FROM event FOR UPDATE",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "SELECT query_to_xml('DELETE FROM domicile_index.event', true, true, '')",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT rolpassword FROM pg_authid",
    "LISTEN news",
    "DO $$ BEGIN NULL; END $$",
    "SET ROLE postgres",
    "SELECT set_config('role', 'domicile_index_loader', true)",
    "CALL nothing()",
    "VACUUM",
])
def test_sql_that_is_more_than_reading_is_refused(index, sql):
    before = index.rows("SELECT count(*) FROM domicile_index.event")
    done = subprocess.run([str(binary()), "-q", "audit", "query", "--sql", sql, "--dsn-file", str(index.reader)], capture_output=True)
    harmless = "set_config" in sql or "terminate" in sql  # these may end as the server likes, as long as nothing comes of them
    assert done.returncode in ((0, 1, 2) if harmless else (1, 2)), done.stderr
    assert index.rows("SELECT count(*) FROM domicile_index.event") == before


def test_a_login_that_may_do_more_is_refused_before_anything_runs(index):
    for file in (index.loader, index.admin_here):
        assert "may do more than read" in index.ask("decisions", code=1, dsn_file=file)


def test_limits_cut_an_answer_off_and_say_so(index):
    answer = index.ask("--sql", "SELECT generate_series(1, 100000) AS n", "--limit", 700)
    assert answer["more"] and len(answer["rows"]) == 700 and answer["rows"][-1] == {"n": 700}
    assert not index.ask("--sql", "SELECT generate_series(1, 700) AS n", "--limit", 700)["more"]
    index.ask("--sql", "SELECT pg_sleep(30)", "--timeout-s", 1, code=3)


def test_csv_holds_no_formula_of_a_tenant(index):
    done = run("-q", "audit", "query", "--sql", "SELECT '=HYPERLINK(\"http://evil\")' AS a, -4 AS b, 'x,\"y\"' AS c, NULL AS d",
               "--format", "csv", "--dsn-file", index.reader)
    assert done.stdout == 'a,b,c,d\r\n"\'=HYPERLINK(""http://evil"")",-4,"x,""y""",\r\n' or done.stdout.replace("\n\n", "\r\n")
    assert "'=HYPER" in done.stdout and ",-4," in done.stdout


def test_an_organization_sees_its_own_trail_with_the_same_questions(index, seven):
    assert {r["sequence"] for r in index.ask("--sql", "SELECT sequence FROM event", dsn_file=seven)["rows"]} == {1, 2, 7}
    assert index.ask("who", "--set", "organization=org-eight", dsn_file=seven)["rows"] == []
    assert len(index.ask("who", "--set", "organization=7", dsn_file=seven)["rows"]) == 2
    assert asked(index)[-1][0] == "school_seven"


@pytest.mark.parametrize("sql", [
    "SELECT organization FROM domicile_index.event",
    "SELECT organization FROM domicile_index.event WHERE organization = 'org-eight' OR true",
    "SELECT organization FROM domicile_index.event_20261120",
    "SELECT organization FROM domicile_index.event_other",
    "SELECT organization FROM domicile_index.event TABLESAMPLE SYSTEM (100)",
    "SELECT query_to_xml('SELECT organization FROM domicile_index.event', true, true, '')::text",
    "SELECT table_to_xml('domicile_index.event', true, true, '')::text",
    "SELECT most_common_vals::text FROM pg_stats WHERE schemaname = 'domicile_index'",
    "SELECT stavalues1::text FROM pg_statistic",
    "SELECT query FROM pg_stat_activity WHERE usename <> session_user",
    "SELECT domicile_index.own_organization() FROM (SELECT set_config('role', 'domicile_index_loader', false)) s",
    "SELECT organization FROM domicile_index.member",
    "COPY domicile_index.event TO STDOUT",
    "SELECT 1 / (CASE WHEN organization = 'org-eight' THEN 0 ELSE 1 END) FROM domicile_index.event",
    "SELECT organization::int FROM domicile_index.event",
    "SELECT * FROM domicile_index.event WHERE organization::int > 0",
])
def test_an_organization_sees_nothing_else_whatever_it_runs(index, seven, sql):
    with index.as_owner() as owner:
        owner.execute("ANALYZE domicile_index.event")
    with psycopg.connect(seven.read_text().strip(), autocommit=True) as own:
        for prepare in ("", "SET row_security = off", "SET session_authorization = 'postgres'", "SET ROLE domicile_index_readers",
                        "SET default_transaction_read_only = off", "SET search_path = pg_temp, domicile_index",
                        "SET \"domicile.organization\" = 'org-eight'"):
            try:
                if prepare:
                    own.execute(prepare)
            except psycopg.Error:
                pass
            try:
                if sql.startswith("COPY"):
                    with own.cursor().copy(sql) as copy:
                        text = b"".join(bytes(part) for part in copy).decode()
                        found = text.splitlines()
                else:
                    found = [str(value) for row in own.execute(sql).fetchall() for value in row]
            except psycopg.DataError as error:
                raise AssertionError("the row of another organization was computed with") from error
            except psycopg.Error:
                found = []
            assert not [value for value in found if "org-" in value], (prepare, found)


def test_estimates_say_nothing_of_other_organizations(index, seven):
    index.rows("INSERT INTO domicile_index.event (sequence, time, log, organization, actor) SELECT 100 + n, '2026-11-21T00:00:00Z', 1, 'org-large', "
               "'dana' FROM generate_series(1, 5000) n RETURNING 1")
    with index.as_owner() as owner:
        owner.execute("SELECT domicile_index.ensure_day('2026-11-21')")
        owner.execute("ANALYZE domicile_index.event")
    with psycopg.connect(seven.read_text().strip(), autocommit=True) as own:
        for column, there, absent in (("organization", "org-large", "org-none"), ("actor", "dana", "nobody")):
            plans = [own.execute(f"EXPLAIN SELECT * FROM domicile_index.event WHERE {column} = '{value}'").fetchall() for value in (there, absent)]
            assert str(plans[0]).replace(there, "") == str(plans[1]).replace(absent, "")
    index.rows("DELETE FROM domicile_index.event WHERE organization = 'org-large' RETURNING 1")


def test_a_revoked_login_sees_nothing_and_is_gone(index):
    file = index.grant("org-eight", "school_eight")
    with psycopg.connect(file.read_text().strip(), autocommit=True) as open_session:
        assert open_session.execute("SELECT count(*) FROM domicile_index.event").fetchone() == (1,)
        run("audit", "index", "revoke", "--login", "school_eight", "--dsn-file", index.admin_here)
        try:
            assert open_session.execute("SELECT count(*) FROM domicile_index.event").fetchone() == (0,)
        except psycopg.errors.InsufficientPrivilege:
            pass
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(file.read_text().strip())


def test_bad_questions_are_told_what_is_missing(index):
    assert "needs --set organization=..." in index.ask("who", code=2)
    assert "no ready question" in index.ask("what", code=2)
    assert "it has organization" in index.ask("who", "--set", "organisation=7", code=2)
    assert "keep one" in index.ask("who", "--sql", "SELECT 1", code=2)
    assert "invalid input syntax" in index.ask("who", "--set", "organization=7", "--from", "yesterweek", code=2)
