"""An index of an event folder, made by the real program in a PostgreSQL of the test's own."""

import json
import pathlib
import subprocess

import psycopg

from support.domicile import binary

ORIGIN = "domicile/ca-central-1"


def run(*arguments, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=180)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def secret_file(path: pathlib.Path, text: str) -> pathlib.Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


class Index:
    def __init__(self, cluster, folder: pathlib.Path, database: str = "domicile_index"):
        self.cluster, self.folder, self.database = cluster, folder, database
        self.admin = secret_file(folder / "admin.dsn", cluster.dsn())
        self.admin_here = secret_file(folder / "admin-index.dsn", cluster.dsn(database))
        self.loader, self.reader = folder / "loader.dsn", folder / "reader.dsn"
        run("audit", "index", "create", "--dsn-file", self.admin, "--database", database, "--loader-dsn-file", self.loader,
            "--reader-dsn-file", self.reader)

    def rebuild(self, log: pathlib.Path) -> int:
        return json.loads(run("-q", "--output", "json", "audit", "index", "rebuild", log, "--dsn-file", self.loader,
                              "--origin", ORIGIN).stdout)["rows"]

    def status(self, code: int = 0) -> dict:
        return json.loads(run("--output", "json", "audit", "index", "status", "--dsn-file", self.loader, "--origin", ORIGIN,
                              code=code).stdout)

    def ask(self, *arguments, code: int = 0, dsn_file=None):
        done = run("-q", "--output", "json", "audit", "query", *arguments, "--dsn-file", dsn_file or self.reader, code=code)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def grant(self, organization: str, login: str) -> pathlib.Path:
        file = self.folder / f"{login}.dsn"
        run("audit", "index", "grant", "--organization", organization, "--login", login, "--to-file", file, "--dsn-file",
            self.admin_here)
        return file

    def as_owner(self):
        return psycopg.connect(self.loader.read_text().strip(), autocommit=True)

    def rows(self, sql: str, *values) -> list[tuple]:
        with self.as_owner() as connection:
            return connection.execute(sql, values).fetchall()

    def add(self, **columns):
        """A row that no log has: for what is asked of the tables alone."""
        names = ", ".join(f'"{name}"' for name in columns)
        with self.as_owner() as connection:
            connection.execute(f"INSERT INTO domicile_index.event ({names}) VALUES ({', '.join(['%s'] * len(columns))})",
                               list(columns.values()))
