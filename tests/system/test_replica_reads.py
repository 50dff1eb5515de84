"""Read replicas: an organization's own role reads its own rows of every class on a hot standby, what the primary
fences is fenced there too, and nothing else opens."""

import pytest
from support.arena import Arena
from support.domicile import domicile, domicile_json
from support.standby import ArenaStandby


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint", {"max_wal_senders": "4", "hot_standby_feedback": "on"})
    yield built
    built.drop()


@pytest.fixture(scope="module")
def standby(arena):
    built = ArenaStandby(arena)
    built.catch_up()
    yield built
    built.drop()


def keys(session, sql):
    return {row[0] for row in session.must(sql).rows}


def test_own_rows_of_every_class(arena, standby):
    with standby.login(arena.role(arena.own)) as session:
        for table in ("course", "lesson", "enrolment", "activity", "member"):
            assert keys(session, f"SELECT org_id FROM app.{table}") == {arena.own}, table
        assert keys(session, "SELECT coalesce(org_id::text, 'shared') FROM app.question") == {arena.own, "shared"}
        assert int(session.value("SELECT count(*) FROM app.country")) > 0
        answers = int(session.value("SELECT count(*) FROM app.answer"))
    with arena.login(arena.role(arena.own)) as session:
        assert int(session.value("SELECT count(*) FROM app.answer")) == answers > 0
    with standby.login("postgres") as session:
        assert int(session.value("SELECT count(*) FROM app.answer")) > answers


def test_enter_is_refused_with_its_hint(arena, standby):
    with standby.login("app_pool") as session:
        session.must("BEGIN")
        refused = session.bind("SELECT domicile.enter($1)", arena.token(arena.own))
        assert refused.sqlstate == "25006" and "use the organization's own role" in refused.message
        session.simple("ROLLBACK")


def test_a_partition_made_on_the_primary_is_read_through_its_root_alone(arena, standby):
    with arena.actor("owner") as owner:
        owner.must("CREATE TABLE app.activity_2031 PARTITION OF app.activity FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')")
    with arena.superuser() as s:
        for key in (arena.own, arena.other):
            s.must(f"INSERT INTO app.activity (org_id, happened, what) VALUES ({key}, '2031-05-05', 'later')")
    standby.catch_up()
    with standby.login(arena.role(arena.own)) as session:
        assert keys(session, "SELECT org_id FROM app.activity WHERE happened >= '2031-01-01'") == {arena.own}
        assert session.simple("SELECT * FROM app.activity_2031").sqlstate == "42501"


def test_a_dump_from_a_standby_needs_a_superuser_and_counts_the_same(arena, standby, tmp_path):
    address = f"host=127.0.0.1 port={standby.port} dbname={arena.database}"
    done = domicile("-q", "dump", tmp_path / "a", "--dsn", f"{address} user=installer password=arena", "--dry-run", check=False)
    assert done.returncode == 2 and "a standby" in done.stderr
    there = domicile_json("-q", "dump", tmp_path / "b", "--dsn", f"{address} user=postgres password={arena.cluster.password}")
    here = domicile_json("-q", "dump", tmp_path / "c", "--dsn", arena.dsn("installer"))
    assert {t["table"]: t["rows"] for t in there["tables"]} == {t["table"]: t["rows"] for t in here["tables"]}


def test_a_fence_on_the_primary_reaches_sessions_on_the_standby(arena, standby):
    role = arena.role(arena.other)
    with standby.login(role) as session:
        assert keys(session, "SELECT org_id FROM app.course") == {arena.other}
        with arena.superuser() as s:
            arena.fence(s, arena.other, 2)
        standby.catch_up()
        assert session.simple("SELECT org_id FROM app.course").sqlstate == "42501"
    with pytest.raises(Exception, match="not permitted to log in"):
        standby.login(role)
