"""Throw-away PostgreSQL clusters for tests: real servers on a free port and a private socket.

PostgreSQL refuses to run as root, so as root the server runs as the `postgres` user; otherwise as
whoever runs the tests. Everything lies under one temporary folder that is removed at the end. fsync is
off unless a test is about durability.
"""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg

BIN = pathlib.Path(os.environ.get("DOMICILE_TEST_PG_BIN", "/usr/lib/postgresql/15/bin"))  # another server for a whole run


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _as_server_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def scratch_folder(prefix: str = "domicile-test-") -> pathlib.Path:
    """A folder that the server's user owns; its path is short enough for a Unix socket."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    folder.chmod(0o755)
    return folder


class Cluster:
    """One PostgreSQL server. `superuser` is the bootstrap user; passwords go by SCRAM over TCP."""

    superuser = "postgres"
    password = "bootstrap"

    def __init__(self, settings: dict[str, str] | None = None, fsync: bool = False, bin: pathlib.Path = BIN):
        self.bin = bin
        self.folder = scratch_folder()
        self.data = self.folder / "data"
        self.port = free_port()
        self.log = self.folder / "log"
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if fsync else "off",
            "shared_buffers": "128MB",
            "max_connections": "200",
            "password_encryption": "scram-sha-256",
            **(settings or {}),
        }
        password_file = self.folder / "pw"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        self._run([self.bin / "initdb", "-D", self.data, "-U", self.superuser, "-A", "scram-sha-256",
                   "--pwfile", password_file, "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        self.start()

    def _run(self, command, check=True):
        return subprocess.run([*_as_server_user(), *map(str, command)], check=check, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start(self):
        options = " ".join(f"-c {k}='{v}'" for k, v in self.settings.items())
        done = self._run([self.bin / "pg_ctl", "-D", self.data, "-l", self.log, "-w", "-o", options, "start"],
                         check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + (self.log.read_text() if self.log.exists() else ""))

    def stop(self, mode: str = "fast"):
        self._run([self.bin / "pg_ctl", "-D", self.data, "-w", "-m", mode, "stop"], check=False)

    def kill(self):
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def drop(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        return (f"host=127.0.0.1 port={self.port} dbname={database} user={user or self.superuser} "
                f"password={password or self.password}")

    def connect(self, database: str = "postgres", user: str | None = None, password: str | None = None,
                **kwargs) -> psycopg.Connection:
        kwargs.setdefault("autocommit", True)
        return psycopg.connect(self.dsn(database, user, password), **kwargs)

    def create_database(self, name: str, owner: str | None = None):
        with self.connect() as connection:
            suffix = f' OWNER "{owner}"' if owner else ""
            connection.execute(f'CREATE DATABASE "{name}"{suffix}')
