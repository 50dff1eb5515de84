"""The application door behind a real PgBouncer: a context belongs to one transaction, so it can neither
reach the next client of the same server connection nor get lost within its own transaction.
"""

import random
import threading

import pytest
from support.arena import PASSWORD, Arena
from support.pgbouncer import PgBouncer

CLIENTS = 200
TRANSACTIONS = 6


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint")
    yield built
    built.drop()


@pytest.fixture(params=["transaction", "session"])
def single(arena, request):
    """One server connection, so that every client surely follows another on it."""
    with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, request.param, pool_size=1) as bouncer:
        yield bouncer


def enter(session, arena, key):
    session.must("SELECT domicile.enter($1)", arena.token(key))


def rows(session, sql="SELECT org_id FROM app.course"):
    return {row[0] for row in session.must(sql).rows}


def use_and_leave(bouncer, arena, key, end="COMMIT"):
    with bouncer.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, key)
        assert rows(session) == {key}
        session.must(end)
        return session.pid


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_the_next_client_of_the_connection_has_no_context(arena, single, end):
    use_and_leave(single, arena, arena.other, end)
    with single.login("app_pool") as session:
        for statement in ("SELECT * FROM app.course", "UPDATE app.course SET title = 'x'", "DELETE FROM app.lesson",
                          f"INSERT INTO app.course VALUES ({arena.own}, 970, 'x')"):
            assert session.simple(statement).sqlstate == "42501", statement
        assert not any("bravo" in text for text in session.seen)


def test_the_next_client_enters_its_own_organization(arena, single):
    use_and_leave(single, arena, arena.other)
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.own)
        assert rows(session) == {arena.own}
        session.must("COMMIT")
        assert not any("bravo" in text for text in session.seen)


def test_commit_begin_in_one_message_leaves_no_context(arena, single):
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.own)
        assert session.simple("COMMIT; BEGIN; SELECT * FROM app.course").sqlstate == "42501"
        session.simple("ROLLBACK")
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"


def test_enter_and_query_in_one_message(arena, single):
    with single.login("app_pool") as session:
        answer = session.simple(f"SELECT domicile.enter('{arena.token(arena.own)}'); SELECT org_id FROM app.course")
        assert {row[0] for row in answer.rows} == {arena.own}
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"


def test_an_error_in_the_transaction_leaves_no_context(arena, single):
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.other)
        assert session.simple("SELECT 1/0").sqlstate == "22012"
        assert session.simple("SELECT * FROM app.course").sqlstate == "25P02"
        session.must("ROLLBACK")
    with single.login("app_pool") as session:
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"


def test_a_client_that_disappears_in_its_transaction_leaves_no_context(arena, single):
    session = single.login("app_pool")
    session.must("BEGIN")
    enter(session, arena, arena.other)
    session.must("SELECT count(*) FROM app.course")
    session.close()
    with single.login("app_pool") as session:
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"


def test_a_statement_prepared_by_one_client_shows_another_only_its_own(arena, single):
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.other)
        session.must("PREPARE q AS SELECT org_id FROM app.course")
        assert rows(session, "EXECUTE q") == {arena.other}
        session.must("COMMIT")
    with single.login("app_pool") as session:
        assert session.simple("EXECUTE q").sqlstate == "42501"
        session.must("BEGIN")
        enter(session, arena, arena.own)
        assert rows(session, "EXECUTE q") == {arena.own}
        session.must("COMMIT")
        session.must("DEALLOCATE q")


def test_protocol_level_prepared_statements_within_a_transaction(arena, single):
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.own)
        assert not session.prepare("named", "SELECT org_id FROM app.course WHERE id < $1").failed
        assert {row[0] for row in session.execute("named", 5).rows} == {arena.own}
        session.must("DEALLOCATE named")
        session.must("COMMIT")


def test_settings_left_behind_open_nothing(arena, single):
    with single.login("app_pool") as session:
        session.must(f"SET domicile.entered = '{arena.other}'")
        session.must("SET search_path = pg_temp, app")
    with single.login("app_pool") as session:
        assert session.simple("SELECT * FROM app.course").sqlstate == "42501"
        session.must("BEGIN")
        enter(session, arena, arena.own)
        assert rows(session) == {arena.own}
        session.must("COMMIT")
        session.must("RESET ALL")


def test_savepoints_keep_the_context(arena, single):
    with single.login("app_pool") as session:
        session.must("BEGIN")
        enter(session, arena, arena.own)
        session.must("SAVEPOINT a")
        assert session.simple("SELECT 1/0").failed
        session.must("ROLLBACK TO a")
        assert rows(session) == {arena.own}
        session.must("COMMIT")


class Client(threading.Thread):
    """One client of one organization: it enters, reads, writes, forgets to enter, fails, rolls back."""

    def __init__(self, bouncer, arena, key, number):
        super().__init__(daemon=True)
        self.bouncer, self.arena, self.key, self.number = bouncer, arena, key, number
        self.random = random.Random(number)
        self.foreign: list[str] = []
        self.unrefused = 0
        self.transactions = 0
        self.failure = ""

    def run(self):
        try:
            with self.bouncer.login("app_pool") as session:
                for turn in range(TRANSACTIONS):
                    self._transaction(session, turn)
                    self.transactions += 1
        except Exception as error:  # noqa: BLE001 - reported by the test
            self.failure = repr(error)

    def _transaction(self, session, turn):
        kind = self.random.choice(("read", "write", "rollback", "error", "forgotten", "chain"))
        session.must("BEGIN")
        if kind == "forgotten":
            self.unrefused += session.simple("SELECT * FROM app.course").sqlstate != "42501"
            session.must("ROLLBACK")
            return
        enter(session, self.arena, self.key)
        found = session.must("SELECT org_id, title FROM app.course UNION ALL SELECT org_id, body FROM app.lesson").rows
        self.foreign += [row for row in found if row[0] != self.key]
        if kind in ("write", "rollback"):
            number = 10_000_000 + self.number * 1000 + turn
            word = "alpha" if self.key == self.arena.own else "bravo"
            session.must(f"INSERT INTO app.course VALUES ({self.key}, {number}, '{word} pooled')")
        if kind == "error":
            session.simple("SELECT 1/0")
        if kind == "chain":
            self.unrefused += session.simple("COMMIT; BEGIN; SELECT * FROM app.course").sqlstate != "42501"
        session.must("COMMIT" if kind == "write" else "ROLLBACK")
        self.unrefused += session.simple("SELECT * FROM app.course").sqlstate != "42501"


def test_hundreds_of_interleaved_clients_never_see_a_foreign_row(arena):
    with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, "transaction", pool_size=5) as bouncer:
        clients = [Client(bouncer, arena, (arena.own, arena.other)[i % 2], i) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(120)
        with arena.superuser() as admin:
            backends = int(admin.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app_pool'"))
            mixed = admin.must("SELECT org_id, title FROM app.course WHERE id >= 10000000").rows
    assert not [c.failure for c in clients if c.failure]
    assert sum(c.transactions for c in clients) == CLIENTS * TRANSACTIONS
    assert not [row for c in clients for row in c.foreign]
    assert sum(c.unrefused for c in clients) == 0
    assert 1 <= backends <= 5, "the clients did not share server connections"
    for org, title in mixed:
        assert title.startswith("alpha") == (org == arena.own), (org, title)


def test_organization_roles_share_no_server_connection(arena):
    """A pool per user: PgBouncer never gives one organization's connection to another's client."""
    users = {arena.role(key): PASSWORD for key in (arena.own, arena.other)}
    with PgBouncer(arena.cluster.port, arena.database, users, "transaction", pool_size=1) as bouncer:
        pids = {}
        for _ in range(3):
            for key in (arena.own, arena.other):
                with bouncer.login(arena.role(key)) as session:
                    assert rows(session) == {key}
                    pids.setdefault(key, set()).add(session.value("SELECT pg_backend_pid()"))
        assert not pids[arena.own] & pids[arena.other]
