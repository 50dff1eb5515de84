"""A real PgBouncer in front of a throw-away cluster.

It refuses to run as root, so it runs as the clusters' user. The server_reset_query is empty unless a test
sets one: what Domicile promises has to hold without it.
"""

import pathlib
import shutil
import subprocess
import time

from support.postgres import _as_server_user, free_port, scratch_folder
from support.wire import Session, WireError

BINARY = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


class PgBouncer:
    def __init__(self, server_port: int, database: str, users: dict[str, str], mode: str = "transaction",
                 pool_size: int = 4, settings: dict[str, str] | None = None):
        self.port = free_port()
        self.database = database
        self.users = users
        self.folder: pathlib.Path = scratch_folder("domicile-bouncer-")
        self.log = self.folder / "log"
        (self.folder / "users.txt").write_text("".join(f'"{u}" "{p}"\n' for u, p in users.items()))
        values = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "''",
            "auth_type": "plain", "auth_file": self.folder / "users.txt", "pool_mode": mode,
            "default_pool_size": pool_size, "max_client_conn": 1000, "server_reset_query": "''",
            "ignore_startup_parameters": "extra_float_digits,options", "query_wait_timeout": 30,
            "server_idle_timeout": 600, "logfile": self.log, "admin_users": "app_pool", **(settings or {}),
        }
        text = f"[databases]\n{database} = host=127.0.0.1 port={server_port} dbname={database}\n[pgbouncer]\n"
        text += "".join(f"{k} = {v}\n" for k, v in values.items()).replace("''", "")
        (self.folder / "pgbouncer.ini").write_text(text)
        self.process = subprocess.Popen([*_as_server_user(), BINARY, "-q", str(self.folder / "pgbouncer.ini")],
                                        cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self):
        user = next(iter(self.users))
        deadline = time.monotonic() + 15
        while True:
            try:
                self.login(user).close()
                return
            except WireError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(self.log.read_text() if self.log.exists() else "pgbouncer did not start")
                time.sleep(0.05)

    def dsn(self, user: str) -> str:
        return f"host=127.0.0.1 port={self.port} dbname={self.database} user={user} password={self.users[user]}"

    def login(self, user: str) -> Session:
        return Session(self.dsn(user))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
