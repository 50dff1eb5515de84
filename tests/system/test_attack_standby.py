"""A hot standby of a region, and what happens when somebody promotes it: readers stay confined, and the
promoted server is closed until it is reconciled.
"""

import pytest
from support.arena import Arena
from support.standby import ArenaStandby


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint", {"max_wal_senders": "4"})
    yield built
    built.drop()


@pytest.fixture(scope="module")
def standby(arena):
    built = ArenaStandby(arena)
    built.catch_up()
    yield built
    built.drop()


def test_an_organization_reads_its_own_rows_on_a_standby(arena, standby):
    with standby.login(arena.role(arena.own)) as session:
        rows = session.must("SELECT org_id FROM app.course").rows
        assert rows and {row[0] for row in rows} == {arena.own}
        assert session.simple(f"INSERT INTO app.course VALUES ({arena.own}, 1000, 'x')").sqlstate == "25006"


def test_the_application_door_is_shut_on_a_standby(arena, standby):
    with standby.login("app_pool") as session:
        session.must("BEGIN")
        assert session.bind("SELECT domicile.enter($1)", arena.token(arena.own)).sqlstate == "25006"
        session.simple("ROLLBACK")
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"


def test_a_promoted_standby_is_closed_for_every_writer(arena, standby):
    with standby.login(arena.role(arena.own)) as early:  # logged in before the promotion
        early.must("SELECT count(*) FROM app.course")
        standby.promote()
        insert = f"INSERT INTO app.course (org_id, id, title) VALUES ({arena.own}, 1001, 'revived')"
        assert early.simple(insert).sqlstate == "23514"
    for user in (arena.role(arena.own), "postgres"):
        with standby.login(user) as session:
            if user == "postgres":
                session.must("SET session_replication_role = replica")
            assert session.simple(insert).sqlstate == "23514"
            assert session.simple(f"DELETE FROM app.activity WHERE org_id = {arena.own}").sqlstate == "23514"
    with standby.login("app_pool") as session:
        session.must("BEGIN")
        assert session.bind("SELECT domicile.enter($1)", arena.token(arena.own)).sqlstate == "42501"
    with arena.superuser() as primary:  # the former primary keeps serving: two servers never both may
        primary.must("BEGIN")
        primary.must(insert)
        primary.must("ROLLBACK")


def test_a_promoted_standby_does_not_open_by_homing(arena, standby):
    with standby.login("postgres") as session:
        session.simple("SELECT domicile.home_organization($$" + arena.own + "$$, 50)")
        assert session.simple(f"INSERT INTO app.course (org_id, id, title) VALUES ({arena.own}, 1002, 'x')").sqlstate == "23514"
