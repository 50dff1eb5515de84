"""What a tenant, the application's pool and a stranger can reach of Domicile's own objects, counted out
rather than tried: a privilege that is not in these lists is a finding. And a walk of random statements.
"""

import os
import random
import re

import pytest
from support.arena import Arena
from support.wire import Session

# What everybody's statements need: the expressions of policies, CHECKs and triggers run as the caller.
FOR_EVERYBODY = {
    "current_org", "homed", "role_of", "on_timeline", "refuse", "region_open", "region_master", "person_writable",
    "reference_writable", "reference_writer", "observed", "observed_reference", "observed_truncate", "observed_nothing", "remember_new", "refuse_change", "on_ddl", "check_ddl", "is_classified", "writable", "follow_rename",
    "reference_release", "in_release", "release_required", "release_asks", "capture_change", "part_open", "part_policy", "is_part", "close_part", "org_in_window",
}
FOR_THE_APPLICATION = {"enter"}


@pytest.fixture(scope="module", params=["bigint", "text"])
def arena(request):
    built = Arena(request.param)
    yield built
    built.drop()


def executable(session: Session, role: str) -> set[str]:
    return {row[0] for row in session.must(
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname ~ '^domicile' "
        f"AND has_function_privilege('{role}', p.oid, 'EXECUTE') AND has_schema_privilege('{role}', n.oid, 'USAGE')").rows}


def test_functions_open_to_a_tenant_are_the_expected_ones(arena):
    with arena.superuser() as admin:
        for role in (arena.role(arena.own), "nobody_at_all"):
            extra = executable(admin, role) - FOR_EVERYBODY - {n for n in executable(admin, role) if n.startswith("home_")
                                                               and n != "home_organization"}
            assert not extra, f"{role} may call {sorted(extra)}"


def test_functions_open_to_the_application_are_the_expected_ones(arena):
    with arena.superuser() as admin:
        extra = executable(admin, "app_pool") - executable(admin, "nobody_at_all") - FOR_THE_APPLICATION
        assert not extra, f"app_pool may call {sorted(extra)}"


@pytest.mark.parametrize("role", ["own", "app_pool", "nobody_at_all", "etl_7", "creator"])
def test_no_table_of_domicile_is_readable_or_writable(arena, role):
    name = arena.role(arena.own) if role == "own" else role
    with arena.superuser() as admin:
        found = admin.must(
            "SELECT c.oid::regclass, p FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
            "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p "
            f"WHERE n.nspname ~ '^domicile' AND c.relkind IN ('r', 'v', 'p', 'm') AND has_table_privilege('{name}', c.oid, p) "
            f"AND has_schema_privilege('{name}', n.oid, 'USAGE')").rows
        assert not found, found
        found = admin.must(
            "SELECT c.oid::regclass, p FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
            "unnest(ARRAY['SELECT', 'UPDATE', 'USAGE']) p WHERE n.nspname ~ '^domicile' AND c.relkind = 'S' "
            f"AND has_sequence_privilege('{name}', c.oid, p)").rows
        assert not found, found


def test_a_tenant_has_nothing_but_rows(arena):
    """On the application's tables: SELECT, INSERT, UPDATE, DELETE and no more."""
    with arena.superuser() as admin:
        for role in (arena.role(arena.own), "app_pool"):
            found = admin.must(
                "SELECT c.oid::regclass, p FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
                "unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) p WHERE n.nspname IN ('app', 'public') AND c.relkind IN ('r', 'p') "
                f"AND has_table_privilege('{role}', c.oid, p)").rows
            assert not found, (role, found)
            found = admin.must("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_temp|^pg_toast_temp' "
                               f"AND has_schema_privilege('{role}', oid, 'CREATE')").rows
            assert not found, (role, found)


def test_the_node_is_no_administrator(arena):
    with arena.superuser() as admin:
        row = admin.must("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles "
                         "WHERE rolname = 'node_login'").rows[0]
        assert set(row) == {"f"}
        found = admin.must("SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace IN ('app'::regnamespace, 'domicile'::regnamespace, "
                           "'domicile_private'::regnamespace) AND c.relkind IN ('r', 'p') "
                           "AND has_table_privilege('node_login', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')").rows
        own = {row[0] for row in found}
        assert not {t for t in own if t.startswith(("app.", "domicile_private."))}, own
        assert not own & {"domicile.region", "domicile.organization", "domicile.catalog_table", "domicile.known_violation"}


def strip(source: str) -> str:
    source = re.sub(r"--[^\n]*", "", source)
    source = re.sub(r"\$\$.*?\$\$|'(?:[^']|'')*'", "''", source, flags=re.S)
    source = re.sub(r"\bRAISE\b[^;]*;", ";", source)
    return source.replace(":=", " ; ").replace("=>", " ; ")


def test_functions_without_a_pinned_path_qualify_everything(arena):
    """A function that sets no search_path is at the mercy of pg_temp: every type, operator and function in
    it must be named with its schema."""
    with arena.superuser() as admin:
        rows = admin.must(
            "SELECT p.oid::regprocedure, p.prosrc FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^domicile' "
            "AND (p.proconfig IS NULL OR NOT EXISTS (SELECT FROM unnest(p.proconfig) c "
            "WHERE c LIKE 'search_path=pg_catalog%pg_temp'))").rows
    assert rows
    problems = []
    builtin = {"coalesce", "nullif", "greatest", "least", "exists", "in", "and", "or", "not", "if", "then", "values", "select", "operator",
               "insert", "into", "elsif", "when", "using", "where", "from", "row", "any", "all", "loop", "as", "on", "is", "case", "return"}
    for name, source in rows:
        text = strip(source)
        for cast in re.findall(r"::\s*([a-z_\"][\w\".]*)", text):
            if not cast.startswith(("pg_catalog.", "domicile")):
                problems.append(f"{name}: cast to {cast}")
        declared = re.search(r"DECLARE(.*?)BEGIN", text, re.S | re.I)
        for kind in re.findall(r"^\s*\w+\s+([a-z_][\w.]*)", declared.group(1) if declared else "", re.M):
            if not kind.startswith(("pg_catalog.", "domicile")) and kind not in ("record", "CONSTANT", "bigint", "boolean", "int"):
                problems.append(f"{name}: variable of type {kind}")
        bare = re.sub(r"OPERATOR\s*\(\s*pg_catalog\.[^)]*\)", " ", text)
        for operator in re.findall(r"(?<![<>=!|:])(\|\||<>|<=|>=|=|<|>|~)(?![<>=|])", bare):
            problems.append(f"{name}: bare operator {operator}")
        for call in re.findall(r"(?<![\w.\"])([a-z_]\w*)\s*\(", bare, re.I):
            if call.lower() not in builtin:
                problems.append(f"{name}: bare call {call}()")
    assert not problems, "\n".join(problems)


FRAGMENTS = (
    "BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT", "ROLLBACK", "COMMIT; BEGIN", "COMMIT AND CHAIN", "SAVEPOINT s", "ROLLBACK TO s",
    "RELEASE s", "DISCARD ALL", "DISCARD SEQUENCES", "DISCARD PLANS", "RESET ALL", "RESET ROLE", "SET ROLE NONE",
    "SET SESSION AUTHORIZATION DEFAULT", "SET search_path = pg_temp, app, domicile, pg_catalog", "SET row_security = off", "SET row_security = on",
    "SET force_parallel_mode = on", "SET plan_cache_mode = force_generic_plan", "SET plan_cache_mode = force_custom_plan",
    "SELECT set_config('domicile.entered', '{other_key}', false)", "SELECT set_config('domicile.entered', '{own_key}', true)",
    "SELECT set_config('domicile.entered', '', false)", "SET ROLE domicile_tenant", "SET ROLE domicile_app", "SET ROLE \"{other_role}\"",
    "PREPARE q AS SELECT * FROM app.course", "EXECUTE q", "DEALLOCATE ALL", "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM app.lesson",
    "DECLARE d SCROLL CURSOR FOR SELECT * FROM app.course", "FETCH ALL FROM c", "FETCH ALL FROM d", "MOVE BACKWARD ALL IN d", "CLOSE ALL",
    "SELECT domicile.enter('{token}')", "SELECT domicile.enter('{forged_token}')", "SELECT domicile.enter('{expired_token}')",
    "SELECT * FROM app.course", "SELECT * FROM app.lesson", "SELECT * FROM app.answer", "SELECT * FROM app.activity", "SELECT * FROM app.question",
    "SELECT * FROM app.course_titles", "SELECT * FROM app.all_titles()", "TABLE public.report", "SELECT * FROM app.course WHERE org_id = {other}",
    "UPDATE app.course SET code = code + 1 RETURNING *", "UPDATE app.course SET org_id = {other} RETURNING *", "DELETE FROM app.draft",
    "INSERT INTO app.draft VALUES ({other}, 1)", "INSERT INTO app.draft VALUES ({absent}, 1)", "COPY app.course TO STDOUT", "SELECT 1/0",
    "DO $$ BEGIN PERFORM * FROM app.course; COMMIT; PERFORM * FROM app.course; END $$", "SELECT pg_current_xact_id()",
    "SELECT currval('domicile_private.slot_low')", "SELECT setval('domicile_private.slot_low', {other}::text::bigint)", "LISTEN x", "UNLISTEN *",
    "SELECT query_to_xml('SELECT * FROM app.course', true, true, '')", "EXPLAIN ANALYZE SELECT * FROM app.course",
    "CREATE TEMP TABLE IF NOT EXISTS course AS SELECT * FROM app.course", "SELECT * FROM course", "ALTER ROLE CURRENT_USER SET row_security = on",
    "LOCK TABLE app.draft IN SHARE MODE", "SELECT pg_export_snapshot()", "WITH x AS (UPDATE app.course SET code = 0 RETURNING *) SELECT * FROM x",
)
WALKS = int(os.environ.get("DOMICILE_ATTACK_WALKS", "60"))


@pytest.mark.parametrize("actor", ["org", "app_bare"])
def test_random_walks_never_meet_the_other_organization(arena, actor):
    from support.attack_case import Case
    from support.attack_driver import MARK, Bout
    case = Case("walk", "walk", actor, arena.key_type, [], False, "", "", False, "")
    bout = Bout(arena, case, arena.database)
    before = arena.fingerprint(bout.admin)
    for seed in range(WALKS):
        rng = random.Random(f"{actor}{seed}")
        steps = [rng.choice(FRAGMENTS) for _ in range(14)]
        with arena.actor(actor) as session:
            if rng.random() < 0.6:
                session.simple("BEGIN")
                session.bind("SELECT domicile.enter($1)", arena.token(arena.own))
            for step in steps:
                answer = session.simple(bout.fill(step).replace("''::text::bigint", "1"))
                assert answer.sqlstate not in ("XX000", "08006"), (seed, steps, answer)
                seen = [text for text in session.seen if MARK in text and "invalid input syntax" not in text]
                assert not seen, f"walk {seed}: {steps} came upon {seen[:2]} at {step}"
    assert arena.fingerprint(bout.admin) == before
    assert not arena.foreign_rows(bout.admin)
    bout.close()


def test_a_home_of_a_name_that_is_no_organizations_serves_nobody(arena):
    """etl_7 may read the tables and is no organization; whoever may create roles gives it a home."""
    with arena.superuser() as admin:
        admin.must("CREATE ROLE domicile_home_etl_7 NOLOGIN")
        try:
            with arena.login("etl_7") as session:
                for sql in ("SELECT org_id FROM app.course", "SELECT domicile.current_org()"):
                    assert session.simple(sql).sqlstate == "42501", sql
        finally:
            admin.must("DROP ROLE domicile_home_etl_7")
