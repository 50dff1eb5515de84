"""Interrupts a program at a chosen statement. A relay in front of PostgreSQL counts what the program asks (queries,
and ends of COPY data) over all its connections, and at one of them kills the program, its server process or the
whole server: before the statement has reached the server, or after it was carried out and before the answer has
reached the program. No clock is involved, so each point is the same in every run."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import psycopg
from support.domicile import binary
from support.postgres import Cluster

STARTUP_CANCEL = 80877102


@dataclasses.dataclass
class Point:
    """The `at`-th statement, `lost` is "question" or "answer", `kill` is program, backend, server or nothing."""

    at: int
    lost: str
    kill: str

    def __str__(self):
        return f"statement {self.at}, {self.lost} lost, {self.kill} killed"


class Relay:
    """Listens on a port of its own; `steps` is what was asked, `at` the point's moment."""

    def __init__(self, cluster: Cluster, point: Point | None = None, action=None):
        self.cluster, self.point, self.action = cluster, point, action
        self.steps: list[str] = []
        self.backends: dict[socket.socket, int] = {}
        self.program: subprocess.Popen | None = None
        self.struck = False
        self._turn = threading.Lock()
        self._started = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def run(self, *arguments, env: dict | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
        self.program = subprocess.Popen([str(binary()), *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})})
        self._started.set()
        out, err = self.program.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, self.program.returncode, out, err)

    def close(self):
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._session, args=(client,), daemon=True).start()

    def _session(self, client: socket.socket):
        server = socket.create_connection(("127.0.0.1", self.cluster.port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = threading.Event()  # the answer is not passed on
        try:
            head = _exactly(client, 8)
            rest = _exactly(client, int.from_bytes(head[:4], "big") - 8)
            server.sendall(head + rest)
            threading.Thread(target=self._answers, args=(client, server, held), daemon=True).start()
            while True:
                kind, message = _message(client)
                if kind in b"QPc" and self._is_the_point(kind, message):
                    if self.point.lost == "answer":
                        held.set()
                    else:
                        return self._strike(server)
                server.sendall(message)
        except (OSError, EOFError):
            pass
        finally:
            if not held.is_set():
                _close(server)

    def _answers(self, client: socket.socket, server: socket.socket, held: threading.Event):
        try:
            while True:
                kind, message = _message(server)
                if kind == b"K":
                    self.backends[server] = int.from_bytes(message[5:9], "big")
                if held.is_set():
                    # Ready again, or waiting for COPY data.
                    if kind in b"ZG":
                        return self._strike(server)
                    continue
                client.sendall(message)
        except (OSError, EOFError):
            pass
        finally:
            _close(client)
            _close(server)

    def _is_the_point(self, kind: bytes, message: bytes) -> bool:
        with self._turn:
            text = message[5:] if kind == b"Q" else message[5:].split(b"\0", 1)[1] if kind == b"P" else b"COPY is sent"
            self.steps.append(text.split(b"\0", 1)[0].decode())
            return self.point is not None and not self.struck and len(self.steps) - 1 == self.point.at

    def _strike(self, server: socket.socket):
        self.struck = True
        self._started.wait()
        if self.action:
            self.action()
        if self.point.kill == "program":
            self.program.kill()
            self.program.wait()
        elif self.point.kill == "backend":
            os.kill(self.backends[server], signal.SIGKILL)
        elif self.point.kill == "server":
            kill_whole(self.cluster)
        _close(server)


def kill_whole(cluster: Cluster):
    """Every process of the server at once."""
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    children = [int(pid) for pid in pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    os.kill(postmaster, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    for pid in (postmaster, *children):
        while pathlib.Path(f"/proc/{pid}/stat").exists() and "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]:
            time.sleep(0.005)


def come_back(cluster: Cluster, point: Point):
    """Waits until the server answers again, and until nothing of the interrupted program is left in it."""
    if point.kill == "server":
        # Where nobody collects the dead, the postmaster would still seem to run.
        (cluster.data / "postmaster.pid").unlink()
        (cluster.folder / f".s.PGSQL.{cluster.port}.lock").unlink(missing_ok=True)
        cluster.start()
    deadline = time.monotonic() + 30
    while True:
        try:
            with cluster.connect() as c:
                if c.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('domicile', 'pg_dump')").fetchone()[0] == 0:
                    return
        except psycopg.OperationalError:
            pass
        assert time.monotonic() < deadline, "the server does not come back"
        time.sleep(0.02)


def points(steps: list[str], how_many: int, kills=("program", "backend", "server"), always=()) -> list[Point]:
    """A spread over all statements, with the questions and answers lost in turn. `always`: words of statements whose
    first one is taken in any case, with the answer lost. DOMICILE_TEST_EVERY_POINT=n: every n-th of all there are."""
    if every := int(os.environ.get("DOMICILE_TEST_EVERY_POINT", "0")):
        return [Point(at, lost, kill) for at in range(len(steps)) for lost in ("question", "answer") for kill in kills][every // 2::every]
    chosen = []
    for number in range(how_many):
        at = (2 * number + 1) * len(steps) // (2 * how_many)
        chosen.append(Point(at, ("question", "answer")[number % 2], kills[number % len(kills)]))
    for number, word in enumerate(always):
        at = next(at for at, step in enumerate(steps) if word in step)
        chosen.append(Point(at, "answer", kills[number % len(kills)]))
    return chosen


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(connection, 5)
    return head[:1], head + _exactly(connection, int.from_bytes(head[1:], "big") - 4)


def _close(connection: socket.socket):
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
