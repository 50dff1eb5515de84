"""A streaming hot standby of a test's server."""

import shutil
import subprocess
import time

import psycopg
from support.arena import PASSWORD, Arena
from support.postgres import BIN, Cluster, _as_server_user, free_port, scratch_folder
from support.wire import Session


class Standby:
    """The primary needs max_wal_senders above 0."""

    def __init__(self, primary: Cluster):
        self.primary, self.port = primary, free_port()
        self.folder = scratch_folder("domicile-standby-")
        self.data = self.folder / "data"
        self._run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "-d", primary.dsn())
        settings = {**primary.settings, "port": self.port, "unix_socket_directories": self.folder}
        self._options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._control("start")

    def _run(self, program, *arguments):
        subprocess.run([*_as_server_user(), str(BIN / program), *map(str, arguments)], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _control(self, action: str, *arguments):
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", self._options, *arguments, action)

    def dsn(self, database: str = "postgres", user: str = Cluster.superuser, password: str = Cluster.password) -> str:
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} password={password}"

    def catch_up(self):
        with self.primary.connect() as primary, psycopg.connect(self.dsn(), autocommit=True) as here:
            wanted = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
            deadline = time.monotonic() + 30
            while not here.execute("SELECT pg_last_wal_replay_lsn() >= %s", (wanted,)).fetchone()[0]:
                assert time.monotonic() < deadline, "the standby does not catch up"
                time.sleep(0.05)

    def promote(self):
        self._control("promote")

    def restart(self):
        self._control("restart", "-m", "fast")

    def drop(self):
        subprocess.run([*_as_server_user(), str(BIN / "pg_ctl"), "-D", str(self.data), "-m", "immediate", "stop"], check=False,
                       stdout=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(self.folder, ignore_errors=True)


class ArenaStandby(Standby):
    """Of the attack corpus's server."""

    def __init__(self, arena: Arena):
        self.arena = arena
        super().__init__(arena.cluster)

    def login(self, user: str) -> Session:
        password = Cluster.password if user == "postgres" else PASSWORD
        return Session(self.dsn(self.arena.database, user, password))
