"""An application that kept its one role: it owns the tables, runs the migrations and serves the requests, behind
PgBouncer in either mode. As owner it is confined like everybody."""

import pytest
from support.arena import PASSWORD, Arena
from support.pgbouncer import PgBouncer


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint")
    with built.superuser() as s:
        s.must(f"ALTER ROLE app_owner LOGIN PASSWORD '{PASSWORD}'")
        s.must("GRANT domicile_app TO app_owner")
    yield built
    built.drop()


@pytest.fixture(params=["direct", "session", "transaction"])
def login(arena, request):
    if request.param == "direct":
        yield lambda: arena.login("app_owner")
        return
    with PgBouncer(arena.cluster.port, arena.database, {"app_owner": PASSWORD}, request.param, pool_size=1) as bouncer:
        yield lambda: bouncer.login("app_owner")


def test_the_owner_sees_one_organization_at_a_time(arena, login):
    with login() as session:
        for sql in ("SELECT * FROM app.course", "UPDATE app.course SET title = 'x'", "DELETE FROM app.course"):
            assert session.simple(sql).sqlstate == "42501", sql
        for key in (arena.own, arena.other):
            session.must("BEGIN")
            session.must("SELECT domicile.enter($1)", arena.token(key))
            assert {row[0] for row in session.must("SELECT org_id FROM app.course").rows} == {key}
            other = arena.other if key == arena.own else arena.own
            assert session.simple(f"INSERT INTO app.course VALUES ({other}, 5000, 'x')").sqlstate == "42501"
            session.simple("ROLLBACK")


def test_the_owner_migrates_and_cannot_take_the_guard_off(arena, login):
    with login() as session:
        session.must("ALTER TABLE app.course ADD COLUMN IF NOT EXISTS level int NOT NULL DEFAULT 1")
        session.must("CREATE INDEX IF NOT EXISTS course_level ON app.course (org_id, level)")
        for sql in ("ALTER TABLE app.course DISABLE ROW LEVEL SECURITY", "ALTER TABLE app.course NO FORCE ROW LEVEL SECURITY",
                    "ALTER TABLE app.course DISABLE TRIGGER USER", "DROP POLICY domicile_org ON app.course",
                    "GRANT SELECT ON app.course TO nobody_at_all", "TRUNCATE app.course CASCADE"):
            assert session.simple(sql).sqlstate == "42501", sql


def test_a_backfill_goes_organization_by_organization(arena, login):
    with login() as session:
        session.must("ALTER TABLE app.course ADD COLUMN IF NOT EXISTS slug text")
        touched = 0
        for key in (arena.own, arena.other):
            session.must("BEGIN")
            session.must("SELECT domicile.enter($1)", arena.token(key))
            done = session.must("UPDATE app.course SET slug = lower(title)")
            touched += int(done.tag.split()[-1])
            session.must("COMMIT")
    with arena.superuser() as s:
        assert int(s.value("SELECT count(*) FROM app.course")) == touched
        assert s.value("SELECT count(*) FROM app.course WHERE slug IS NULL AND title IS NOT NULL") == "0"
