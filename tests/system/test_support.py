"""The ground the system tests stand on."""


def test_a_cluster_is_real_and_private(cluster):
    with cluster.connect() as connection:
        version = connection.execute("SELECT current_setting('server_version_num')::int").fetchone()[0]
        user = connection.execute("SELECT current_setting('unix_socket_directories')").fetchone()[0]
    assert version >= 150000
    assert user == str(cluster.folder)
