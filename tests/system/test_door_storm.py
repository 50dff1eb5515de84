"""Everything at once at one node, for a bounded time: load, slow clients of every kind, an application that is killed and
comes back, the registry away, certificates and signing keys changing, floods of tokens with keys that nobody has. Counted:
no wrong answer, no lost or doubled request, the memory of the node bounded."""

import base64
import collections
import contextlib
import json
import pathlib
import socket
import threading
import time

import pytest
from support.domicile import domicile
from support.door_load import Load, seen
from support.http_door import Upstream, read_answer
from support.local_regions import wait_until
from support.serving import REGION, Serving, create_school, new_certificate, one_school, reader_token

ROUNDS, ROUND_S = 6, 4  # of killing, reloading and rotating
HEAD_MS, BODY_IDLE_MS = 2000, 2000


@pytest.fixture(scope="module")
def regions():
    local = one_school()
    yield local
    local.drop()


def resident_kib(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


class Slow:
    """Clients that never get done: each opens again what the node closes. Their answers are counted, not wanted."""

    def __init__(self, door, kinds: dict[str, int]):
        self.door, self.ending = door, threading.Event()
        self.opened, self.answers = collections.Counter(), collections.Counter()
        self.threads = [threading.Thread(target=self._run, args=(kind,), daemon=True) for kind, count in kinds.items() for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, kind: str):
        while not self.ending.is_set():
            with contextlib.suppress(OSError), self.door.connect() as connection:
                self.opened[kind] += 1
                connection.settimeout(0.3)
                getattr(self, kind)(connection)

    def _drip(self, connection, rest: bytes):
        raw = b""
        for byte in rest:
            if self.ending.is_set():
                return
            connection.sendall(bytes([byte]))
            try:
                raw = connection.recv(65536)
            except TimeoutError:
                continue
            break
        self.answers[raw.split(b" ")[1].decode() if raw.count(b" ") else "closed"] += 1

    def head(self, connection):
        self._drip(connection, b"GET /orgs/7/courses HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 500)

    def body(self, connection):
        connection.sendall(self.door.request("/orgs/7/courses?slow", "POST", "Content-Length: 100000\r\n"))
        self._drip(connection, b"x" * 500)

    def reader(self, connection):
        """Asks for two megabytes and takes none of them."""
        connection.sendall(self.door.request("/orgs/7/courses?slow", "POST", "Content-Length: 2000000\r\n"))
        with contextlib.suppress(TimeoutError):
            connection.sendall(b"x" * 2_000_000)
        self.ending.wait(8)

    def idle(self, _):
        self.ending.wait(8)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


class Flood:
    """Tokens of the region's own issuer and of the other region's whose key nobody has."""

    def __init__(self, door, issuers: list[str]):
        self.door, self.ending, self.statuses = door, threading.Event(), collections.Counter()
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
        self.tokens = [part({"alg": "ES256", "kid": f"nobodys-{n}", "typ": "at+jwt"}) + "." + part({"iss": issuer, "sub": "x"}) + "." + "A" * 86
                       for n in range(500) for issuer in issuers]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.ending.is_set():
            with contextlib.suppress(OSError), self.door.connect() as connection:
                while not self.ending.is_set():
                    number += 1
                    connection.sendall(f"GET /orgs/7/courses HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                                       f"{self.tokens[number % len(self.tokens)]}\r\n\r\n".encode())
                    answer = read_answer(connection)
                    self.statuses[answer.status] += 1
                    if answer.fields.get("connection") == "close":
                        break
                    self.ending.wait(0.002)

    def end(self):
        self.ending.set()
        self.thread.join(30)


class Tokens:
    """A fresh one every second, so that those of each signing key are in use."""

    def __init__(self, regions, door):
        self.regions, self.door, self.ending, self.kids = regions, door, threading.Event(), set()
        self.failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.ending.wait(1):
                token = reader_token(self.regions)
                header = token.split(".")[0]
                self.kids.add(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])
                self.door.token = token
        except BaseException as error:
            self.failed.append(error)

    def end(self):
        self.ending.set()
        self.thread.join(30)
        assert not self.failed, self.failed


def target(number: int) -> str:
    return f"/orgs/7/courses?n={number}"


def registry_answers(regions, allowed: bool):
    """Takes the registry's database away, or gives it back."""
    with regions.superuser(REGION, "postgres") as db:
        name = db.execute("SELECT datname FROM pg_database WHERE datname LIKE '%registry%'").fetchone()[0]
        db.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {"true" if allowed else "false"}')
        if not allowed:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def service_of(regions, key: str) -> str:
    """A token of a new service of the organization."""
    secret = regions.folder / f"service-{key}.secret"
    domicile("client", "create", "--id", f"service-{key}", "--org", key, "--permission", "courses:read", "--dsn-file",
             regions.region(REGION)["dsn_files"]["node"], "--secret-file", secret)
    return domicile("token", "get", "--issuer", regions.region(REGION)["url"], "--ca-file", regions.data / "ca.pem", "--client",
                    f"service-{key}", "--client-secret-file", secret).stdout.strip()


def rotate_keys(regions):
    """As at the end of a key's time: the successor takes over, the former one stays published."""
    with regions.superuser(REGION) as db:
        db.execute("UPDATE domicile_directory.signing_key SET retires_at = date_trunc('second', now()) + interval '2 seconds'"
                   " WHERE activates_at < now() AND retires_at > now() + interval '3 seconds'")


def test_a_storm_of_everything_loses_nothing_and_doubles_nothing(regions):
    begun = time.monotonic()
    other = Upstream()
    door = Serving(regions, reader_token(regions), http=f"loops = 2\nhead_ms = {HEAD_MS}\nbody_idle_ms = {BODY_IDLE_MS}\n",
                   upstreams=[other.port])
    door.context.check_hostname = False
    door.context.verify_mode = 0
    killed = [other]
    load = Load(door.connect, lambda number: door.request(target(number), "POST", "Content-Length: 2\r\n") + b"ab", clients=6)
    load.wait_for(300)
    calm = resident_kib(door.node.process.pid)
    issuers = [r["url"] for r in regions.status()["regions"]]
    slow = Slow(door, {"head": 40, "body": 20, "reader": 8, "idle": 40})
    flood, tokens = Flood(door, issuers), Tokens(regions, door)
    highest = calm
    try:
        registry_answers(regions, False)
        for number in range(ROUNDS):
            over = time.monotonic() + ROUND_S
            other.stop()
            new_certificate(door, f"storm-{number}")
            door.hang_up("operation.pem: read again and in force")
            rotate_keys(regions)
            load.wait_for(150)
            highest = max(highest, resident_kib(door.node.process.pid))
            other = Upstream(other.port)
            killed.append(other)
            while time.monotonic() < over:
                load.wait_for(50)
                highest = max(highest, resident_kib(door.node.process.pid))
            assert door.ask("/orgs/8/courses").status == 403  # a stranger to the snapshot, and refused
        registry_answers(regions, True)
        create_school(regions, "8")
        newcomer = service_of(regions, "8")
        wait_until(lambda: door.ask("/orgs/8/courses", newcomer).status == 200, 20, "the registry is followed again, without a restart")
        load.wait_for(150)
    finally:
        for each in (flood, tokens, slow):
            each.end()
        load.end()
    highest = max(highest, resident_kib(door.node.process.pid))
    counts = sum((seen(one) for one in (door.upstream, *killed)), collections.Counter())
    statuses = load.statuses()
    report = {"answers": dict(statuses), "slow": dict(slow.answers), "opened": dict(slow.opened), "flood": dict(flood.statuses),
              "keys": len(tokens.kids), "memory_kib": [calm, highest], "seconds": time.monotonic() - begun}
    print(report)
    assert load.unanswered == [], report
    assert set(statuses) <= {200, 502}, report
    assert statuses[502] <= 2 * 6 * ROUNDS, report  # only what was under way at an application that was killed
    for number, (status, body) in load.answers.items():
        if status == 200:
            assert body == b"seen " + target(number).encode() + b" ab", number
            assert counts[number] == 1, number
        else:
            assert counts[number] <= 1, number
    assert set(counts) <= set(load.answers)
    assert set(flood.statuses) == {401} and flood.statuses[401] > 500, report
    assert len(tokens.kids) >= 3, report
    assert slow.answers["408"] > 40 and set(slow.answers) <= {"408", "closed", "502", "200"}, report
    assert highest - calm < 96 * 1024, report
    assert door.node.process.poll() is None
    assert report["seconds"] < 60, report
    door.stop()
    for each in killed:
        each.stop()
