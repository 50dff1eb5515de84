"""integrations/python against real psycopg 3, a real guarded region and real PgBouncers: every transaction
enters the organization of the request it belongs to, and no other."""

import asyncio
import os
import pathlib
import random
import subprocess
import sys
import threading

import psycopg
import psycopg_pool
import pytest
from support.arena import PASSWORD, Arena
from support.domicile import ROOT
from support.packages import python_packages
from support.pgbouncer import PgBouncer

sys.path.insert(0, str(ROOT / "integrations" / "python"))
import domicile as dom  # noqa: E402
from domicile import psycopg as dpg  # noqa: E402

TRANSACTIONS = 600 if "DOMICILE_NEWEST" in os.environ else 3000
THREADS = 12


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint")
    yield built
    built.drop()


@pytest.fixture(scope="module")
def bouncer(arena):
    with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, "transaction", pool_size=4) as running:
        yield running


def context(arena, key, **changes):
    return dom.Context(organization=key, epoch=1, token=arena.token(key, **changes))


def connect(arena, **kwargs):
    return dpg.Connection.connect(arena.dsn("app_pool"), prepare_threshold=None, **kwargs)


def orgs(connection):
    return {str(row[0]) for row in connection.execute("SELECT org_id FROM app.course").fetchall()}


@pytest.fixture
def own(arena):
    with dom.use(context(arena, arena.own)), connect(arena) as connection:
        yield connection
        connection.rollback()


def test_each_transaction_enters_by_itself(arena, own):
    for end in (own.commit, own.rollback, own.commit):
        assert orgs(own) == {arena.own}
        end()


def test_without_a_context_nothing_is_sent(arena):
    with connect(arena) as connection:
        with pytest.raises(dom.ContextMissing, match="ContextMiddleware"):
            connection.execute("SELECT * FROM app.course")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_unscoped_reads_reference_data_and_nothing_of_an_organization(arena):
    with dom.unscoped(), connect(arena) as connection:
        assert connection.execute("SELECT count(*) FROM app.country").fetchone()[0] > 0
        with pytest.raises(dom.ContextMissing):
            connection.execute("SELECT * FROM app.course")


def test_autocommit_is_refused_outside_of_a_transaction_and_works_inside(arena):
    with dom.use(context(arena, arena.own)), connect(arena, autocommit=True) as connection:
        with pytest.raises(dom.AutocommitRefused, match="transaction"):
            connection.execute("SELECT 1")
        for _ in range(2):
            with connection.transaction():
                assert orgs(connection) == {arena.own}


def test_a_transaction_does_not_change_its_organization(arena, own):
    assert orgs(own) == {arena.own}
    with dom.use(context(arena, arena.other)):
        with pytest.raises(dom.WrongOrganization):
            own.execute("SELECT 1")
        own.rollback()
        assert orgs(own) == {arena.other}
    own.rollback()


def test_savepoints_keep_the_context_also_when_they_come_first(arena, own):
    with own.transaction():
        with pytest.raises(ZeroDivisionError):
            with own.transaction():
                assert orgs(own) == {arena.own}
                raise ZeroDivisionError
        assert orgs(own) == {arena.own}
    own.execute("SAVEPOINT s")
    with pytest.raises(psycopg.errors.DivisionByZero):
        own.execute("SELECT 1/0")
    own.execute("ROLLBACK TO s")
    assert orgs(own) == {arena.own}


@pytest.mark.parametrize("change,error", [
    ({"seconds": -20}, dom.ContextExpired), ({"seconds": 600}, dom.ContextExpired),
    ({"secret": b"x" * 32}, dom.ContextInvalid), ({"epoch": 2}, dom.NotServedHere),
    ({"database_id": "ab"}, dom.NotServedHere), ({"kid": "k99"}, dom.ContextInvalid)])
def test_a_context_that_does_not_count_says_why(arena, change, error):
    with dom.use(context(arena, arena.own, **change)), connect(arena) as connection:
        with pytest.raises(error) as caught:
            connection.execute("SELECT 1")
        assert caught.value.remedy and caught.value.sqlstate == "42501"
        assert isinstance(caught.value.__cause__, psycopg.Error)


def test_an_organization_of_another_region_is_not_served(arena):
    with dom.use(context(arena, arena.absent)), connect(arena) as connection:
        with pytest.raises(dom.NotServedHere):
            connection.execute("SELECT 1")


def test_a_context_that_ends_within_a_transaction_can_be_renewed(arena):
    tokens = iter([arena.token(arena.own, seconds=-3), arena.token(arena.own)])  # within the clocks' tolerance
    first = dom.Context(arena.own, 1, arena.token(arena.own, seconds=1))

    def fresh():
        return dom.Context(arena.own, 1, next(tokens), refresh=fresh)

    with dom.use(first), connect(arena) as connection:
        assert orgs(connection) == {arena.own}
        connection.execute("SELECT pg_sleep(1.2)")
        with pytest.raises(dom.ContextExpired):
            connection.execute("SELECT * FROM app.course")
        connection.rollback()
    next(tokens)
    tokens = iter([arena.token(arena.own, seconds=1), arena.token(arena.own)])
    with dom.use(dom.Context(arena.own, 1, "", refresh=fresh)), connect(arena) as connection:
        assert orgs(connection) == {arena.own}
        connection.execute("SELECT pg_sleep(1.2)")
        connection.renew()
        assert orgs(connection) == {arena.own}
        connection.rollback()


@pytest.mark.parametrize("statement", ["INSERT INTO app.course VALUES (%s, 991, 'x')",
                                       "UPDATE app.course SET org_id = %s"])
def test_a_row_of_another_organization_is_named_so(arena, own, statement):
    with pytest.raises(dom.DomicileError) as caught:
        own.execute(statement, [arena.other])
    assert caught.value.code in ("wrong_organization", "refused_by_guard"), caught.value
    own.rollback()


def test_other_errors_stay_what_they_are(arena, own):
    with pytest.raises(psycopg.errors.UndefinedTable):
        own.execute("SELECT * FROM app.nothing")


def test_cursors_of_every_kind_enter(arena, own):
    with own.cursor(name="named") as cursor:
        cursor.execute("SELECT org_id FROM app.course")
        assert {str(row[0]) for row in cursor} == {arena.own}
    own.rollback()
    assert {str(row[0]) for row in own.cursor().stream("SELECT org_id FROM app.course")} == {arena.own}
    own.rollback()
    with own.cursor().copy("COPY (SELECT org_id FROM app.course) TO STDOUT") as copy:
        assert {row[0] for row in copy.rows()} == {arena.own}
    own.rollback()
    own.cursor().executemany("UPDATE app.course SET title = title WHERE id = %s", [[1], [2]])
    own.rollback()
    with own.pipeline():
        first, second = own.execute("SELECT org_id FROM app.course"), own.execute("SELECT 1")
        assert {str(row[0]) for row in first.fetchall()} == {arena.own} and second.fetchone() == (1,)
    own.rollback()


def test_prepared_statements_follow_the_transaction_not_the_organization_that_prepared_them(arena):
    with dpg.Connection.connect(arena.dsn("app_pool"), prepare_threshold=0) as connection:
        for key in (arena.own, arena.other) * 4:
            with dom.use(context(arena, key)):
                assert orgs(connection) == {key}
                connection.commit()


def test_a_lost_connection_is_replaced_and_enters_again(arena):
    with psycopg_pool.ConnectionPool(arena.dsn("app_pool"), connection_class=dpg.Connection, min_size=1, max_size=1) as pool:
        with dom.use(context(arena, arena.own)):
            with pytest.raises(psycopg.OperationalError):
                with pool.connection() as connection:
                    orgs(connection)
                    with arena.superuser() as s:
                        s.must(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
                    connection.execute("SELECT 1")
            with pool.connection() as connection:
                assert orgs(connection) == {arena.own}


@pytest.mark.parametrize("way", ["direct", "pgbouncer"])
def test_two_organizations_over_one_pool_never_see_each_other(arena, bouncer, way):
    dsn = arena.dsn("app_pool") if way == "direct" else bouncer.dsn("app_pool")
    wrong, count = [], [0]
    with psycopg_pool.ConnectionPool(dsn, connection_class=dpg.Connection, min_size=4, max_size=4, timeout=30,
                                     kwargs={"prepare_threshold": None}) as pool:
        pool.wait()

        def work(seed):
            chance = random.Random(seed)
            contexts = {}
            for number in range(TRANSACTIONS // THREADS):
                key = chance.choice([arena.own, arena.other])
                if number % 100 == 0 or key not in contexts:
                    contexts[key] = context(arena, key)
                try:
                    with dom.use(contexts[key]), pool.connection() as connection:
                        seen = orgs(connection)
                        if chance.random() < 0.1:
                            connection.rollback()
                            seen |= orgs(connection)
                        if chance.random() < 0.1:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
                except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
                    wrong.append(repr(error))
                    return
                if seen != {key}:
                    wrong.append((key, seen))
                count[0] += 1

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]
    assert count[0] == TRANSACTIONS


def test_tasks_of_two_organizations_over_one_asynchronous_pool_never_see_each_other(arena, bouncer):
    async def main():
        pool = psycopg_pool.AsyncConnectionPool(bouncer.dsn("app_pool"), connection_class=dpg.AsyncConnection, min_size=4,
                                                max_size=4, open=False, timeout=30, kwargs={"prepare_threshold": None})
        await pool.open()

        async def request(key):
            with dom.use(context(arena, key)):
                async with pool.connection() as connection:
                    async with connection.transaction():
                        await asyncio.sleep(0)
                        rows = await (await connection.execute("SELECT org_id FROM app.course")).fetchall()
            return {str(row[0]) for row in rows} == {key}

        found = await asyncio.gather(*(request(key) for key in (arena.own, arena.other) * 500))
        with dom.use(context(arena, arena.own)):
            async with pool.connection() as connection:
                with pytest.raises(dom.WrongOrganization):
                    await connection.execute("INSERT INTO app.course VALUES (%s, 992, 'x')", [arena.other])
        await pool.close()
        return found
    assert all(asyncio.run(main()))


def test_the_newest_psycopg_holds_the_same():
    if "DOMICILE_NEWEST" in os.environ:
        pytest.skip("this is the inner run")
    folder = python_packages("psycopg[binary]==3.2.*", "psycopg-pool==3.2.*", "typing-extensions")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", __file__], text=True,
                          capture_output=True, timeout=120, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(folder), "DOMICILE_NEWEST": "1"})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert pathlib.Path(folder, "psycopg").is_dir()
