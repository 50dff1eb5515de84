"""The ground the system tests stand on."""

import psycopg
import pytest
from support.link import Link
from support.pg_fault_proxy import PgFaultProxy


def test_a_cluster_is_real_and_private(cluster):
    with cluster.connect() as connection:
        version = connection.execute("SELECT current_setting('server_version_num')::int").fetchone()[0]
        user = connection.execute("SELECT current_setting('unix_socket_directories')").fetchone()[0]
    assert version >= 150000
    assert user == str(cluster.folder)


def test_the_fault_proxy_breaks_before_a_statement_or_after_it_was_done(cluster):
    proxy = PgFaultProxy(cluster.port)
    dsn = cluster.dsn().replace(f"port={cluster.port}", f"port={proxy.port}")
    try:
        with psycopg.connect(dsn, autocommit=True) as c:
            c.execute("CREATE TABLE broken (n int)")
        for when, rows in (("before", 0), ("after", 1)):
            done = []
            with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as c:
                proxy.arm(2, when, lambda done=done: done.append(1))
                c.execute("SELECT 1")
                c.execute("INSERT INTO broken VALUES (1)")
            assert proxy.fired.wait(20), "the proxy tells after the client was told"
            assert done == [1] and not proxy.disarm()
            with cluster.connect() as c:
                assert c.execute("SELECT count(*) FROM broken").fetchone() == (rows,)
    finally:
        proxy.stop()


def test_the_link_is_silent_when_cut_and_hands_over_what_it_held(cluster):
    with Link(cluster.port) as link:
        dsn = cluster.dsn().replace(f"port={cluster.port}", f"port={link.port}")
        with psycopg.connect(dsn, autocommit=True) as c:
            assert c.execute("SELECT 1").fetchone() == (1,)
            link.cut()
            c.pgconn.send_query(b"SELECT 2")
            c.pgconn.flush()
            with cluster.connect() as other:
                assert other.execute("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 2'").fetchone() == (0,)
            link.heal()
            assert c.pgconn.get_result().get_value(0, 0) == b"2"
            while c.pgconn.get_result():
                pass
            link.reset()
            with pytest.raises(psycopg.OperationalError):
                c.execute("SELECT 3")
