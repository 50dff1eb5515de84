"""`domicile up` in a throw-away folder: real regions, real PostgreSQL, the sample application."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

from support.domicile import ROOT, binary, domicile
from support.postgres import free_port

LEARNING = ROOT / "examples" / "learning" / "regions.toml"


def wait_until(condition, seconds: float = 30, what: str = ""):
    """The condition's first true value. Polls, because what it waits for is in another process."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class LocalRegions:
    def __init__(self, config: pathlib.Path = LEARNING):
        self.config = config
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="domicile-up-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"

    def command(self, *arguments) -> list[str]:
        return [str(binary()), *map(str, arguments), "--data", str(self.data)]

    def up(self, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess:
        return domicile("up", "--config", self.config, "--data", self.data, "--detach", check=check, timeout=timeout)

    def start_in_foreground(self) -> subprocess.Popen:
        return subprocess.Popen(self.command("up", "--config", self.config), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def down(self) -> subprocess.CompletedProcess:
        return domicile("down", "--data", self.data)

    def status(self) -> dict:
        return json.loads(domicile("--output", "json", "status", "--data", self.data).stdout)

    def region(self, region_id: str) -> dict:
        return next(r for r in self.status()["regions"] if r["id"] == region_id)

    def pid(self, service: str) -> int:
        """Of "ca-central-1-node", say."""
        return int((self.data / "run" / f"{service}.pid").read_text().split()[0])

    def services(self) -> list[str]:
        return sorted(p.stem for p in (self.data / "run").glob("*.pid"))

    def supervisor(self) -> int:
        return self.status()["supervisor_pid"]

    def superuser(self, region_id: str, database: str = "") -> psycopg.Connection:
        dsn = pathlib.Path(self.region(region_id)["dsn_files"]["superuser"]).read_text()
        if database:
            dsn = dsn.replace("dbname=learning", f"dbname={database}")
        def connected():
            with contextlib.suppress(psycopg.OperationalError):  # after a kill it replays its log first
                return psycopg.connect(dsn, autocommit=True)

        return wait_until(connected, 30, f"{region_id}'s database answers")

    def get(self, url: str, *options: str) -> tuple[int, str]:
        """Status and body, by curl with the local authority; 0 when nobody answers."""
        done = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", str(self.data / "ca.pem"),
                               "-w", "\n%{http_code}", *options, url], text=True, capture_output=True)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def drop(self):
        pid = None
        with contextlib.suppress(Exception):
            pid = self.supervisor()
            self.down()
        if pid and alive(pid):
            os.kill(pid, signal.SIGKILL)
        for run_file in (self.data / "run").glob("*.pid"):  # of a supervisor that was killed
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(run_file.read_text().split()[0]), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


__all__ = ["LEARNING", "LocalRegions", "alive", "free_port", "wait_until"]
