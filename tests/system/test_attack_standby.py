"""A hot standby of a region, and what happens when somebody promotes it: readers stay confined, and the
promoted server is closed until it is reconciled.
"""

import shutil
import subprocess
import time

import pytest
from support.arena import PASSWORD, Arena
from support.postgres import BIN, _as_server_user, free_port, scratch_folder
from support.wire import Session


class Standby:
    """A streaming standby of the arena's server."""

    def __init__(self, arena: Arena):
        self.arena, self.port = arena, free_port()
        self.folder = scratch_folder("domicile-standby-")
        self.data = self.folder / "data"
        self._run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "-d",
                  f"host=127.0.0.1 port={arena.cluster.port} user=postgres password={arena.cluster.password}")
        settings = {**arena.cluster.settings, "port": self.port, "unix_socket_directories": self.folder}
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o",
                  " ".join(f"-c {name}='{value}'" for name, value in settings.items()), "start")

    def _run(self, program, *arguments):
        subprocess.run([*_as_server_user(), str(BIN / program), *map(str, arguments)], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def login(self, user: str) -> Session:
        password = self.arena.cluster.password if user == "postgres" else PASSWORD
        return Session(f"host=127.0.0.1 port={self.port} dbname={self.arena.database} user={user} password={password}")

    def catch_up(self):
        with self.arena.superuser() as primary, self.login("postgres") as here:
            wanted = primary.value("SELECT pg_current_wal_insert_lsn()")
            deadline = time.monotonic() + 30
            while here.value(f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'") != "t":
                assert time.monotonic() < deadline, "the standby does not catch up"
                time.sleep(0.05)

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def drop(self):
        subprocess.run([*_as_server_user(), str(BIN / "pg_ctl"), "-D", str(self.data), "-m", "immediate", "stop"], check=False,
                       stdout=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint", {"max_wal_senders": "4"})
    yield built
    built.drop()


@pytest.fixture(scope="module")
def standby(arena):
    built = Standby(arena)
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
