"""domicile explain --sql-error: what people paste is recognized, and whatever the guard can raise is in the table."""

import json
import re
import sys

import psycopg
import pytest
from support.arena import Arena
from support.domicile import ROOT, domicile

sys.path.insert(0, str(ROOT / "integrations" / "python"))
from domicile import errors  # noqa: E402


def explained(text: str):
    done = domicile("--output", "json", "explain", "--sql-error", "-", stdin=text, check=False)
    return done.returncode, json.loads(done.stdout)


def raised() -> list[tuple[str, str]]:
    """SQLSTATE and message of everything that sql/region and the generated guard raise."""
    found = []
    for path in [*sorted((ROOT / "sql/region").glob("*.sql")), ROOT / "src/store/guard_path.cpp"]:
        for message, rest in re.findall(r"RAISE EXCEPTION '((?:[^']|'')+)'((?:(?!RAISE|END IF|;\n).|\n(?!END))*)", path.read_text()):
            state = re.search(r"ERRCODE = '(\w{5})'", rest)
            found.append((state.group(1) if state else "P0001", message.replace("''", "'")))
    for message in re.findall(r"no_context\('([^']+)'", (ROOT / "sql/region/0004_context.sql").read_text()):
        found.append(("42501", "domicile: " + message))
    return [(state, message) for state, message in found if "%" != message.split(": ", 1)[-1]]


def test_the_list_of_what_the_guard_raises_is_not_empty():
    assert len(raised()) > 20 and any("no organization context" in m for _, m in raised())


@pytest.mark.parametrize("state,message", raised())
def test_every_message_of_the_guard_is_explained_with_a_remedy(state, message):
    code, answer = explained(f"ERROR:  {state}: {message.replace('%', '7')}")
    assert code == 0 and answer["known"] and answer["meaning"] and answer["remedy"], answer


def test_the_integrations_and_the_command_line_use_the_same_codes():
    for state, constraint, part, kind in errors.TABLE:
        _, answer = explained(f"ERROR: {state}: {part or 'domicile: refused'}\nCONSTRAINT: {constraint}")
        assert answer["code"] == kind.code, (state, constraint, part)


@pytest.mark.parametrize("form", [
    "ERROR:  42501: {m}\nHINT:  Call domicile.enter(token)\nLOCATION:  exec_stmt_raise, pl_exec.c:3893",
    "2026-11-22 20:31:05.123 UTC [812] app_pool@learning ERROR:  {m}",
    "psycopg.errors.InsufficientPrivilege: {m}\nHINT:  Call domicile.enter(token)",
    "(psycopg.errors.InsufficientPrivilege) {m}\n[SQL: SELECT 1]",
    "error: {m}\n    at Parser.parseErrorMessage (pg-protocol)\n  code: '42501',\n  severity: 'ERROR'",
    "org.postgresql.util.PSQLException: ERROR: {m} SQLState: 42501",
    "PG::InsufficientPrivilege: ERROR:  {m}",
    "Drizzle: Failed query: select 1\ncause: {m}"])
def test_it_reads_what_people_paste(form):
    code, answer = explained(form.format(m="domicile: the organization context has expired"))
    assert (code, answer["code"], answer["sqlstate"]) == (0, "context_expired", "42501")


@pytest.mark.parametrize("text", ["", "ERROR:  42703: column \"x\" does not exist", "42501", "permission denied for table course",
                                  "\x00\xff" * 50000, "the domicile of the person is not known"], ids=range(6))
def test_other_errors_are_not_claimed(text):
    code, answer = explained(text)
    assert code == 1 and answer["known"] is False


def test_an_organizations_key_that_looks_like_a_sqlstate_misleads_nobody():
    _, answer = explained("ERROR:  23514: domicile: organization 42501 is not writable in this region")
    assert (answer["code"], answer["sqlstate"]) == ("not_writable_here", "23514")


def test_a_missing_file_and_several_questions_are_usage_errors(tmp_path):
    for arguments in (["--sql-error", tmp_path / "none"], [], ["--sql-error", "-", "--path", "/x"],
                      ["--path", "/x"], ["--request-id", "x"]):
        done = domicile("explain", *arguments, check=False, stdin="")
        assert done.returncode != 0 and "domicile: " in done.stderr


def test_real_errors_of_a_real_guard_are_explained():
    arena = Arena("bigint")
    try:
        seen = set()
        with psycopg.connect(arena.dsn("app_pool"), autocommit=True) as db:
            for before, statement in [(None, "SELECT * FROM app.course"), ("forged", "SELECT 1"),
                                      (arena.token(arena.own, seconds=-30), "SELECT 1"), (arena.token(arena.own, epoch=9), "SELECT 1"),
                                      (arena.token(arena.own), f"INSERT INTO app.course VALUES ({arena.other}, 1, 'x')")]:
                with pytest.raises(psycopg.Error) as caught:
                    with db.transaction():
                        if before:
                            db.execute("SELECT domicile.enter(%s)", [before])
                        db.execute(statement)
                code, answer = explained(f"{type(caught.value).__name__}: {caught.value}")
                assert code == 0
                seen.add(answer["code"])
        with psycopg.connect(arena.dsn("postgres", password=arena.cluster.password)) as db:
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                db.execute(f"INSERT INTO app.course VALUES ({arena.absent}, 1, 'x')")
            seen.add(explained(str(caught.value))[1]["code"])
        assert seen >= {"context_missing", "context_invalid", "context_expired", "not_served_here", "not_writable_here"}
    finally:
        arena.drop()
