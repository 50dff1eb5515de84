"""The fence at its edges: sessions that are just logging in, prepared transactions, long transactions,
logical replication, a fence that gives up.
"""

import threading
import time

import pytest
from support.arena import PASSWORD, Arena
from support.domicile import domicile
from support.wire import Session, WireError


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint", {"max_prepared_transactions": "5", "max_replication_slots": "5"})
    yield built
    built.drop()


@pytest.fixture
def placement(arena):
    """The raced organization's epochs, homed again at the end whatever the test did."""

    class Placement:
        def __init__(self):
            self.admin = arena.superuser()
            self.epoch = self._epoch()

        def _epoch(self):
            return int(self.admin.value("SELECT epoch FROM domicile.organization WHERE key = $1", arena.own))

        def fence(self, *options, seconds=10):
            self.epoch = self._epoch() + 1
            return domicile("region", "fence", "--dsn", arena.dsn("node_login"), "--org", arena.own, "--epoch", self.epoch,
                            "--deadline-ms", seconds * 1000, *options, check=False)

        def home(self):
            self.admin.must("SELECT domicile.home_organization($1, $2)", arena.own, self._epoch() + 1)

        def count(self):
            return int(self.admin.value("SELECT count(*) FROM app.course WHERE org_id = $1", arena.own))

    made = Placement()
    yield made
    for (gid,) in made.admin.must("SELECT gid FROM pg_prepared_xacts").rows:
        made.admin.must(f"ROLLBACK PREPARED '{gid}'")
    made.home()
    made.admin.close()


def insert(key, number):
    return f"INSERT INTO app.course (org_id, id, title) VALUES ({key}, {number}, 'alpha edge')"


def in_background(work):
    box = {}

    def run():
        try:
            box["result"] = work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            box["result"] = error
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, box


def test_it_waits_for_a_transaction_in_flight(arena, placement):
    with arena.login(arena.role(arena.own)) as writer:
        writer.must("BEGIN")
        writer.must(insert(arena.own, 500))
        thread, box = in_background(placement.fence)
        time.sleep(0.5)
        assert thread.is_alive(), f"the fence held while a writer was in flight: {box}"
        writer.must("COMMIT")
        thread.join(15)
        assert box["result"].returncode == 0, box["result"].stderr
        before = placement.count()
        assert writer.simple(insert(arena.own, 501)).sqlstate in ("23514", "42501")
        assert placement.count() == before


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_it_waits_for_a_snapshot_that_has_not_written_yet(arena, placement, level):
    with arena.superuser() as writer:
        writer.must(f"BEGIN ISOLATION LEVEL {level}")
        writer.must("SELECT count(*) FROM app.course")
        thread, box = in_background(placement.fence)
        time.sleep(0.4)
        assert thread.is_alive(), f"the fence held while a snapshot was open: {box}"
        answer = writer.simple(insert(arena.own, 510))  # refused or stored: the fence does not hold yet
        writer.simple("COMMIT" if not answer.failed else "ROLLBACK")
        thread.join(15)
        assert box["result"].returncode == 0, box["result"].stderr
        before = placement.count()
        assert writer.simple(insert(arena.own, 511)).sqlstate == "23514"
        assert placement.count() == before


def test_an_organization_cannot_hold_its_own_fence_up(arena, placement):
    """A session that changed its own role keeps the role's row locked until its transaction ends."""
    with arena.login(arena.role(arena.own)) as writer:
        writer.must("BEGIN")
        writer.must(f"ALTER ROLE CURRENT_USER PASSWORD '{PASSWORD}'")
        done = placement.fence("--terminate", seconds=2)
        assert done.returncode == 0, done.stderr
    before = placement.count()
    with arena.superuser() as other:
        assert other.simple(insert(arena.own, 515)).sqlstate == "23514"
    assert placement.count() == before
    assert any(line[0] == "fenced_login" for line in placement.admin.must("SELECT kind, object FROM domicile.violations()").rows)


def test_past_its_deadline_it_undoes_itself(arena, placement):
    with arena.login(arena.role(arena.own)) as writer:
        writer.must("BEGIN")
        writer.must(insert(arena.own, 520))
        done = placement.fence(seconds=1)
        assert done.returncode not in (0, 2), done.stdout
        assert str(writer.pid) in done.stderr + done.stdout, "it does not say who kept it waiting"
        writer.must(insert(arena.own, 521))
        writer.must("COMMIT")
        writer.must(insert(arena.own, 522))
    state = placement.admin.must("SELECT state, epoch FROM domicile.organization WHERE key = $1", arena.own).rows[0]
    assert state == ("active", str(placement.epoch - 1))


def test_a_prepared_transaction_makes_it_undo_itself(arena, placement):
    with arena.superuser() as writer:
        writer.must("BEGIN")
        writer.must(insert(arena.own, 530))
        writer.must("PREPARE TRANSACTION 'held'")
        assert placement.fence(seconds=1).returncode not in (0, 2)
        writer.must("COMMIT PREPARED 'held'")
        assert placement.fence().returncode == 0
        before = placement.count()
        assert writer.simple(insert(arena.own, 531)).sqlstate == "23514"
        assert placement.count() == before


def test_a_session_held_in_its_login_does_not_slip_through(arena, placement):
    """post_auth_delay keeps a client out of pg_stat_activity until it has logged in."""

    def log_in_and_write():
        try:
            with arena.login(arena.role(arena.own), options="-c post_auth_delay=2") as session:
                return session.simple(insert(arena.own, 540)).sqlstate
        except WireError as error:
            return str(error)

    thread, box = in_background(log_in_and_write)
    deadline = time.monotonic() + 5
    while placement.admin.value("SELECT count(*) FROM domicile.open_transactions()") == "0":
        assert time.monotonic() < deadline, "the session in its login is not seen among the open transactions"
    assert placement.fence().returncode == 0
    before = placement.count()
    thread.join(15)
    assert placement.count() == before, "a row came in after the fence held"
    assert box["result"], "the session that was logging in wrote"


def test_sessions_opened_before_and_after_are_refused_alike(arena, placement):
    with arena.login(arena.role(arena.own)) as before, arena.superuser() as admin:
        before.must("SELECT count(*) FROM app.course")
        before.prepare("w", "INSERT INTO app.course (org_id, id, title) VALUES ($1, $2, 'alpha')")
        before.execute("w", arena.own, 550)
        assert placement.fence().returncode == 0
        assert before.execute("w", arena.own, 551).sqlstate in ("23514", "42501")
        before.must("BEGIN")
        before.must("SAVEPOINT a")
        assert before.simple(insert(arena.own, 552)).failed
        before.must("ROLLBACK TO a")
        assert before.simple(insert(arena.own, 553)).failed
        before.simple("ROLLBACK")
        for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            for statement in (insert(arena.own, 554), f"UPDATE app.course SET code = 1 WHERE org_id = {arena.own}",
                              f"DELETE FROM app.lesson WHERE org_id = {arena.own}"):
                admin.must(f"BEGIN ISOLATION LEVEL {level}")
                assert admin.simple(statement).sqlstate == "23514", (level, statement)
                admin.must("ROLLBACK")
    with pytest.raises(WireError):
        arena.login(arena.role(arena.own)).close()


def test_a_context_of_the_door_ends_with_the_fence(arena, placement):
    token = arena.token(arena.own, epoch=placement.epoch)
    assert placement.fence().returncode == 0
    with arena.login("app_pool") as session:
        session.must("BEGIN")
        assert session.bind("SELECT domicile.enter($1)", token).sqlstate == "42501"
    placement.home()
    with arena.login("app_pool") as session:
        session.must("BEGIN")
        assert session.bind("SELECT domicile.enter($1)", token).sqlstate == "42501", "a token of the former epoch entered"


def test_an_older_epoch_does_not_fence(arena, placement):
    epoch = placement._epoch()
    done = domicile("region", "fence", "--dsn", arena.dsn("node_login"), "--org", arena.own, "--epoch", epoch - 1, check=False)
    assert done.returncode not in (0, 2)
    with arena.login(arena.role(arena.own)) as session:
        assert not session.simple(insert(arena.own, 560)).failed


def test_logical_apply_of_a_foreign_row_is_refused(arena):
    """The apply worker writes as the subscription's owner, under the replica role: the CHECK still asks."""
    with arena.superuser("postgres") as server:
        server.must("CREATE DATABASE elsewhere")
        server.must("CREATE DATABASE apply_copy TEMPLATE arena")
    try:
        with arena.superuser("elsewhere") as source, arena.superuser("apply_copy") as target:
            source.must("CREATE SCHEMA app")
            source.must("CREATE TABLE app.course (org_id bigint, id bigint, title text, code int DEFAULT 0, PRIMARY KEY (org_id, id))")
            source.must("CREATE PUBLICATION p FOR TABLE app.course")
            source.must("SELECT pg_create_logical_replication_slot('apply_slot', 'pgoutput')")
            for (name,) in target.must("SELECT quote_ident(evtname) FROM pg_event_trigger").rows:
                target.must(f"ALTER EVENT TRIGGER {name} DISABLE")
            target.must(f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={arena.cluster.port} dbname=elsewhere "
                        "user=postgres password=bootstrap' PUBLICATION p "
                        "WITH (create_slot = false, slot_name = 'apply_slot', copy_data = false)")
            source.must(insert(arena.own, 600))
            _until(target, "SELECT count(*) FROM app.course WHERE id = 600", "1")
            source.must(insert(arena.absent, 601))
            _until(target, "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats", "t")
            assert target.value("SELECT count(*) FROM app.course WHERE id = 601") == "0"
            target.must("ALTER SUBSCRIPTION s DISABLE")
            target.must("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
            target.must("DROP SUBSCRIPTION s")
    finally:
        with arena.superuser("postgres") as server:
            server.simple("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
            server.simple("DROP DATABASE apply_copy WITH (FORCE)")
            deadline = time.monotonic() + 10
            while server.simple("SELECT pg_drop_replication_slot('apply_slot')").failed and time.monotonic() < deadline:
                time.sleep(0.1)
            server.simple("DROP DATABASE elsewhere WITH (FORCE)")


def _until(session: Session, sql: str, wanted: str, seconds: float = 20):
    deadline = time.monotonic() + seconds
    while session.value(sql) != wanted:
        assert time.monotonic() < deadline, f"{sql} did not become {wanted}"
        time.sleep(0.05)
