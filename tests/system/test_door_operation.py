"""A serving node is reloaded and drained while clients ask: nothing lost, nothing wrong, nothing done twice."""

import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
from support.door_load import Load, assert_exact, seen
from support.domicile import domicile
from support.extra_node import ExtraNode
from support.http_door import Upstream, read_answer
from support.local_regions import LocalRegions, wait_until

REGION = "ca-central-1"
ROUTES = """version = 1
[defaults]
audit = "bounded"
[[route]]
name = "courses.list"
methods = ["GET", "POST"]
activity = "read"
path = "/orgs/{org}/courses"
organization = "path:org"
permission = "courses:read"
"""
MORE = ROUTES + """
[[route]]
name = "news.list"
methods = ["GET"]
path = "/orgs/{org}/news"
organization = "path:org"
permission = "courses:read"
"""


def target(number: int) -> str:
    return f"/orgs/7/courses?n={number}"


class Serving:
    """An extra node with files of its own, in front of an upstream that keeps what it saw."""

    def __init__(self, regions, token, http="loops = 2\n", gateway=""):
        self.regions, self.token = regions, token
        self.upstream = Upstream()
        folder = pathlib.Path(regions.region(REGION)["node_config"]).parent
        self.routes = folder / "operation-routes.toml"
        self.routes.write_text(ROUTES)
        self.certificate, self.key = folder / "operation.pem", folder / "operation.key"
        shutil.copy(folder / "door.pem", self.certificate)
        shutil.copy(folder / "door.key", self.key)
        http += 'certificate = "operation.pem"\nkey = "operation.key"\n'
        original = pathlib.Path(regions.region(REGION)["node_config"])
        kept = original.read_text()
        try:  # the extra node's text is made from this one
            original.write_text(kept.replace('certificate = "door.pem"\nkey = "door.key"\n', "")
                                .replace('routes = "../../../routes.toml"', 'routes = "operation-routes.toml"'))
            self.node = ExtraNode(regions, REGION, gateway, http, self.upstream.port)
        finally:
            original.write_text(kept)
        self.context = ssl.create_default_context(cafile=str(regions.data / "ca.pem"))
        wait_until(lambda: self.ask("/orgs/7/courses").status == 200, 20, "the token counts")
        self.upstream.heads.clear()

    def connect(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), timeout=20)
        return self.context.wrap_socket(raw, server_hostname="localhost")

    def request(self, path: str, line="GET", fields="") -> bytes:
        return f"{line} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n{fields}\r\n".encode()

    def ask(self, path: str):
        with self.connect() as connection:
            connection.sendall(self.request(path))
            return read_answer(connection)

    def load(self, **options) -> Load:
        return Load(self.connect, lambda number: self.request(target(number)), **options)

    def log(self) -> str:
        return pathlib.Path(self.node.log.name).read_text()

    def reloads(self, outcome: str) -> list[str]:
        return domicile("--output", "json", "audit", "list", self.node.audit, "--kind", "policy_changed", "--outcome",
                        outcome).stdout.splitlines()

    def hang_up(self, text: str):
        """SIGHUP, and wait until the log says `text` once more."""
        before = self.log().count(text)
        self.node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log().count(text) > before, 20, text)

    def stop(self):
        self.node.stop()
        self.upstream.stop()


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.up()
        domicile("org", "create", "7", "--slug", "school-7", "--region", REGION, "--ca-file", local.data / "ca.pem",
                 "--peer-token-file", local.data / "regions/ca-central-1/node/peer.token",
                 "--registry-dsn-file", local.region(REGION)["dsn_files"]["registry"])
        domicile("client", "create", "--id", "reader", "--org", "7", "--permission", "courses:read", "--dsn-file",
                 local.region(REGION)["dsn_files"]["node"], "--secret-file", local.folder / "reader.secret")
        yield local
    finally:
        local.drop()


@pytest.fixture(scope="module")
def token(regions):
    done = domicile("token", "get", "--issuer", regions.region(REGION)["url"], "--ca-file", regions.data / "ca.pem",
                    "--client", "reader", "--client-secret-file", regions.folder / "reader.secret")
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def serving(regions, token):
    made = []

    def make(**options):
        made.append(Serving(regions, token, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def test_a_drain_under_load_loses_nothing_and_exits_0(serving):
    door = serving()
    load = door.load(clients=6)
    load.wait_for(200)
    slow = door.connect()  # in the middle of its request when the signal comes
    slow.sendall(door.request("/orgs/7/courses?n=1000001", "POST", "Content-Length: 4\r\n") + b"ab")
    kept = door.connect()  # idle, and its next request comes after the signal
    kept.sendall(door.request("/orgs/7/courses?n=1000002"))
    assert read_answer(kept).status == 200
    door.node.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping:" in door.log(), 10, "it says that it stops")
    kept.sendall(door.request("/readyz"))
    answer = read_answer(kept)
    assert (answer.status, answer.body, answer.fields["connection"]) == (503, b"draining\n", "close")
    load.join()  # each client was told to close, and then found nobody
    assert load.refused == 6
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", door.node.port), timeout=5)
    assert door.node.process.poll() is None  # a request is under way
    slow.sendall(b"cd")
    answer = read_answer(slow)
    assert answer.status == 200 and answer.body.endswith(b" abcd") and answer.fields["connection"] == "close"
    assert door.node.process.wait(10) == 0
    assert load.statuses() == {200: len(load.answers)}
    assert seen(door.upstream)[1000001] == 1
    door.upstream.heads = [h for h in door.upstream.heads if "n=10000" not in h]
    assert_exact(load, door.upstream, target)


def test_a_drain_under_http2_load_answers_all_it_began_and_exits_0(serving):
    door = serving()
    clients = []
    for first in (10_000_000, 20_000_000, 30_000_000):
        targets = door.routes.parent / f"targets-{first}"
        targets.write_text("".join(f"https://localhost:{door.node.port}{target(first + i)}\n" for i in range(20_000)))
        clients.append(subprocess.Popen(
            ["h2load", "-n", "20000", "-c", "1", "-m", "20", "-H", f"authorization: Bearer {door.token}", "-i",
             str(targets)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    wait_until(lambda: len(door.upstream.heads) > 600, 30, "the load runs")
    door.node.process.send_signal(signal.SIGTERM)
    assert door.node.process.wait(30) == 0
    succeeded = 0
    for client in clients:
        out, _ = client.communicate(timeout=60)
        answers = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
        assert [int(x) for x in answers.groups()[1:]] == [0, 0, 0], out
        succeeded += int(answers.group(1))
    counts = seen(door.upstream)
    assert set(counts.values()) == {1}  # nothing done twice
    assert len(counts) == succeeded > 600  # whatever was done was answered
    assert succeeded < 60_000  # and the drain came in the middle of it


def test_what_outlives_the_deadline_is_cut_and_the_exit_code_says_so(serving):
    door = serving(http="loops = 1\ndrain_ms = 700\n")
    with door.connect() as stuck:
        stuck.sendall(door.request("/orgs/7/courses", "POST", "Content-Length: 4\r\n") + b"ab")
        door.node.process.send_signal(signal.SIGTERM)
        assert door.node.process.wait(10) == 3
    assert "1 connections were cut after 700 ms" in door.log()


def test_readiness_can_say_no_before_the_door_closes(serving):
    door = serving(http="loops = 1\ndrain_notice_ms = 1500\n")
    door.node.process.send_signal(signal.SIGTERM)
    wait_until(lambda: door.ask("/readyz").status == 503, 1.4, "a new connection hears that it drains")
    assert door.ask("/orgs/7/courses").status == 200
    assert door.node.process.wait(10) == 0


def new_certificate(door, name: str):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    str(door.key), "-out", str(door.certificate), "-days", "2", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    door.key.chmod(0o600)


def served_name(door) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", door.node.port), timeout=20)
    with context.wrap_socket(raw) as connection:
        pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))
    return subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, text=True, capture_output=True).stdout


def test_routes_and_certificates_reload_under_load_without_a_dropped_request(serving):
    door = serving()
    load = door.load(clients=4)
    for number in range(4):
        load.wait_for(50)
        door.routes.write_text(MORE if number % 2 == 0 else ROUTES)
        new_certificate(door, f"generation-{number}")
        door.context.check_hostname, door.context.verify_mode = False, ssl.CERT_NONE
        door.hang_up("operation-routes.toml: read again and in force")
        assert f"generation-{number}" in served_name(door)
        wait_until(lambda expected=200 if number % 2 == 0 else 404: door.ask("/orgs/7/news").status == expected, 5,
                   "every loop follows the new routes")
    load.wait_for(50)
    load.end()
    assert load.statuses() == {200: len(load.answers)}
    assert_exact(load, door.upstream, target)
    recorded = [e for e in door.reloads("allowed") if "operation-routes.toml" in e]
    assert len(recorded) == 4 and all(re.search("[0-9a-f]{64}", e) for e in recorded)


def test_a_bad_new_file_changes_nothing_and_is_said_and_recorded(serving):
    door = serving()
    before = served_name(door)
    with door.connect() as kept:
        for spoil, part, reason in (
                (lambda: door.routes.write_text(ROUTES + 'colour = "red"\n'), "routes", "colour"),
                (lambda: door.routes.unlink(), "routes", "operation-routes.toml"),
                (lambda: door.certificate.write_text("no certificate"), "certificate", "not a PEM certificate chain"),
                (lambda: subprocess.run(["openssl", "genrsa", "-out", str(door.key), "2048"], check=True,
                                        capture_output=True), "certificate", "operation.key: not")):
            saved = {p: p.read_bytes() for p in (door.routes, door.certificate, door.key)}
            spoil()
            door.hang_up(f"{part} stays as it was")
            assert reason in door.log()
            assert served_name(door) == before
            kept.sendall(door.request("/orgs/7/courses"))
            assert read_answer(kept).status == 200
            for path, content in saved.items():
                path.write_bytes(content)
    failed = [e for e in door.reloads("failed") if "not_usable" in e]
    assert len(failed) == 4
    assert sum("operation-routes.toml" in e for e in failed) == 2 and sum("operation.pem" in e for e in failed) == 2
    assert any("colour" in e for e in failed)


def test_each_phase_of_a_request_has_its_configured_deadline(serving):
    door = serving(http="loops = 1\nhead_ms = 300\nbody_idle_ms = 300\n",
                   gateway="response_ms = 400\nresponse_idle_ms = 400\ntotal_ms = 900\n")
    for sent, reason in ((b"GET /orgs", "head_timeout"),
                         (door.request("/orgs/7/courses", "POST", "Content-Length: 4\r\n") + b"a", "body_timeout")):
        begun = time.monotonic()
        with door.connect() as connection:
            connection.sendall(sent)
            answer = read_answer(connection)
        assert answer.status == 408 and answer.json()["reason"] == reason
        assert 0.25 < time.monotonic() - begun < 3
    with door.connect() as connection:  # bytes come in time, and still it is too long
        connection.sendall(door.request("/orgs/7/courses", "POST", "Content-Length: 100000\r\n"))
        begun = time.monotonic()
        connection.settimeout(0.1)
        raw = b""
        while not raw and time.monotonic() - begun < 5:
            connection.sendall(b"a" * 200)
            try:
                raw = connection.recv(65536)
            except TimeoutError:
                pass
    assert re.match(rb"HTTP/1.1 504 .*request_timeout", raw, re.S), raw
