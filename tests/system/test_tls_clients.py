"""Certificates of the door's clients: who is let in, what the application hears, what is recorded; with revocation lists,
and with reloads under kept connections."""

import contextlib
import json
import socket
import ssl
import subprocess
import time

import pytest
from support.authority import Authority
from support.http2 import GOAWAY, HEADERS, Http2Socket
from support.http_door import Door, read_answer
from support.recorder import Recorder

FORGED = "Domicile-Client-Certificate: " + "0" * 64 + "\r\nClient-Cert: :AAAA:\r\nX-SSL-Client-Verify: SUCCESS\r\n"


class World:
    def __init__(self, folder, *flags):
        self.folder = folder
        self.servers, self.clients, self.strangers = (Authority(folder, name) for name in ("servers", "clients", "strangers"))
        self.server = self.servers.issue("door", "server")
        self.good = self.clients.issue("good")
        self.application = Recorder()
        self.door = Door(folder, "--certificate", str(self.server.path), "--certificate-key", str(self.server.key_path), "--client-ca",
                         str(self.clients.path), *flags, upstream=self.application.port)

    def tls(self, shown=None, version=None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.servers.path))
        if shown is not None:
            context.load_cert_chain(shown.path, shown.key_path)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def get(self, shown=None, version=None):
        """The answer, or the name of the alert."""
        try:
            with self.door.connect(self.tls(shown, version)) as connection:
                with contextlib.suppress(ConnectionError):  # TLS 1.3: what is wrong with the certificate comes after the handshake
                    connection.sendall(self.door.request("GET /orgs/1/courses", FORGED))
                return read_answer(connection)
        except ssl.SSLError as error:
            return error.reason

    def events(self, reason: str, count: int = 1) -> list[dict]:
        deadline = time.monotonic() + 10
        while True:
            text = b"".join(p.read_bytes() for p in sorted((self.folder / "audit").iterdir()) if p.is_file()).decode("latin-1")
            found = [line for line in text.split("\n") if reason in line]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"no event with {reason}"
            time.sleep(0.05)

    def stop(self):
        self.application.stop()
        return self.door.stop()


@pytest.fixture(params=["optional", "required"])
def world(request, tmp_path):
    built = World(tmp_path, *(["--client-required"] if request.param == "required" else []))
    built.mode = request.param
    yield built
    assert built.stop() == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_by_the_right_authority_counts_and_its_fingerprint_arrives(world, version):
    assert world.get(world.good, version).status == 200
    seen = world.application.seen[-1]
    assert seen.one("domicile-client-certificate") == world.good.fingerprint
    assert not seen.all("client-cert") and not seen.all("x-ssl-client-verify")
    (line,) = world.events('"client_certificate":"sha256:')[-1:]  # who it was is sealed beside it
    assert "courses.read" in line and "CN=" not in line and world.good.fingerprint not in line


def test_without_a_certificate_only_the_optional_door_answers(world):
    answer = world.get()
    if world.mode == "optional":
        assert answer.status == 200
        assert not world.application.seen[-1].all("domicile-client-certificate")
    else:
        assert answer == "TLSV13_ALERT_CERTIFICATE_REQUIRED" and not world.application.seen
        world.events("client_certificate_missing")
        assert world.get(version=ssl.TLSVersion.TLSv1_2) == "SSLV3_ALERT_HANDSHAKE_FAILURE"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_wrong_certificate_is_refused_in_the_handshake_and_recorded(world, version):
    expired = world.clients.issue("expired", days=(-10, -1))
    early = world.clients.issue("early", days=(1, 10))
    foreign = world.strangers.issue("foreign")
    server_only = world.clients.issue("server-only", "server")
    namesake = Authority(world.folder, "clients").issue("namesake")  # an authority of the same name with another key
    for shown, reason in ((expired, "client_certificate_expired"), (early, "client_certificate_untrusted"),
                          (foreign, "client_certificate_untrusted"), (server_only, "client_certificate_untrusted"),
                          (namesake, "client_certificate_untrusted")):
        answer = world.get(shown, version)
        assert isinstance(answer, str) and "ALERT" in answer, (shown.path, answer)
    assert not world.application.seen
    world.events("client_certificate_expired")
    world.events("tls.handshake")


def test_curl_and_openssl_are_told_why(world):
    expired = world.clients.issue("expired", days=(-10, -1))
    url = f"https://localhost:{world.door.port}/orgs/1/courses"
    said = subprocess.run(["curl", "-sS", "--cacert", world.servers.path, "--cert", expired.path, "--key", expired.key_path, url],
                          capture_output=True, text=True, timeout=20)
    assert said.returncode != 0 and "certificate expired" in said.stderr
    said = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{world.door.port}", "-CAfile", world.servers.path, "-cert",
                           world.good.path, "-key", world.good.key_path, "-tls1_3"], input="", capture_output=True, text=True, timeout=20)
    assert "Verify return code: 0 (ok)" in said.stdout and "CN = clients" in said.stdout  # the door says whose it takes


def test_a_session_is_never_resumed_without_a_new_look_at_the_certificate(world):
    context = world.tls(world.good)
    sessions = []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", world.door.port), timeout=20) as plain, \
                context.wrap_socket(plain, server_hostname="localhost", session=sessions[-1] if sessions else None) as connection:
            connection.sendall(world.door.request("GET /orgs/1/courses"))
            assert read_answer(connection).status == 200
            assert not connection.session_reused
            if connection.session is not None and connection.session.has_ticket:
                sessions.append(connection.session)


def test_revoked_ones_are_refused_and_a_reload_ends_the_connections_that_they_have(tmp_path):
    world_folder = tmp_path
    clients_first = Authority(world_folder, "clients")  # only so that the list's file exists before the door
    crl = clients_first.revocations()
    world = World(world_folder, "--client-crl", str(crl))
    try:
        assert isinstance(world.get(world.good), str)  # the list is of another key: no list of this authority, no entry
        world.clients.revocations()
        world.door.tell("reload")
        assert world.get(world.good).status == 200
        other = world.clients.issue("other")
        with world.door.connect(world.tls(world.good)) as kept, world.door.connect(world.tls(other)) as innocent, \
                world.door.connect(world.tls()) as anonymous:
            for connection in (kept, innocent, anonymous):
                connection.sendall(world.door.request("GET /orgs/1/courses"))
                assert read_answer(connection).status == 200
            world.clients.revocations(world.good)
            world.door.tell("reload")
            for connection in (innocent, anonymous):
                connection.sendall(world.door.request("GET /orgs/1/courses"))
                assert read_answer(connection).status == 200
            before = len(world.application.seen)
            try:
                kept.sendall(world.door.request("GET /orgs/1/courses"))
                assert kept.recv(1) == b""
            except (ConnectionError, ssl.SSLError):
                pass
            assert len(world.application.seen) == before
        assert "REVOKED" in world.get(world.good)
        world.events("client_certificate_revoked")
        assert world.get(other).status == 200
        # A list that nobody renewed says nothing any more.
        world.clients.revocations(days=(-10, -1))
        world.door.tell("reload")
        assert isinstance(world.get(other), str)
    finally:
        assert world.stop() == 0


def curl_http2(world, *options):
    """Three requests over one HTTP/2 connection, or what curl says."""
    url = f"https://localhost:{world.door.port}/orgs/1/courses"
    done = subprocess.run(["curl", "-sS", "--http2", "--max-time", "20", "--cacert", world.servers.path, "-H",
                           f"Authorization: Bearer {world.door.tokens['1']}", "-H", FORGED.split("\r\n")[0], "-w", "%{http_version} %{http_code}\n",
                           "-o", "/dev/null", *options, url, "-o", "/dev/null", url], capture_output=True, text=True, timeout=30)
    return done.stdout.split("\n")[:-1], done.stderr


def test_over_http2_it_is_the_same(world):
    said, _ = curl_http2(world, "--cert", world.good.path, "--key", world.good.key_path)
    assert said == ["2 200", "2 200"]
    assert [one.one("domicile-client-certificate") for one in world.application.seen[-2:]] == [world.good.fingerprint] * 2
    before = len(world.application.seen)
    foreign = world.strangers.issue("foreign")
    said, error = curl_http2(world, "--cert", foreign.path, "--key", foreign.key_path)
    assert "unknown ca" in error and len(world.application.seen) == before
    said, error = curl_http2(world)
    if world.mode == "optional":
        assert said == ["2 200", "2 200"]
        assert not any(one.all("domicile-client-certificate") for one in world.application.seen[before:])
    else:
        assert "certificate required" in error and len(world.application.seen) == before


def test_over_http2_a_reload_ends_the_connection_of_a_revoked_one(tmp_path):
    world = World(tmp_path, "--client-crl", str(Authority(tmp_path, "clients").revocations()))
    try:
        world.clients.revocations()
        world.door.tell("reload")
        context = world.tls(world.good)
        context.set_alpn_protocols(["h2"])
        with world.door.connect(context) as connection:
            http2 = Http2Socket(connection)
            assert http2.answer(http2.request(b"/orgs/1/courses", world.door.tokens["1"]))[0] == 200
            world.door.tell("reload")
            assert http2.answer(http2.request(b"/orgs/1/courses", world.door.tokens["1"]))[0] == 200
            world.clients.revocations(world.good)
            world.door.tell("reload")
            before = len(world.application.seen)
            with contextlib.suppress(OSError):
                http2.request(b"/orgs/1/courses", world.door.tokens["1"])
            kinds = []
            while (got := http2.next()) is not None:
                kinds.append(got[0])
            assert GOAWAY in kinds and HEADERS not in kinds
            assert len(world.application.seen) == before
    finally:
        assert world.stop() == 0


def test_a_file_that_does_not_count_leaves_the_old_in_force(world):
    good = world.clients.path.read_bytes()
    for damaged in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good + b"-----BEGIN CERTIFICATE-----\nAA",
                    world.good.path.read_bytes()):
        world.clients.path.write_bytes(damaged)
        world.door.process.stdin.write("reload\n")
        world.door.process.stdin.flush()
        said = world.door.process.stdout.readline()
        assert str(world.clients.path) in said, said
        assert world.get(world.good).status == 200
    world.clients.path.write_bytes(world.strangers.path.read_bytes())
    world.door.tell("reload")
    assert isinstance(world.get(world.good), str)
    assert world.get(world.strangers.issue("theirs")).status == 200


def test_a_reload_between_connecting_and_the_handshake_harms_nobody(world):
    waiting = [socket.create_connection(("127.0.0.1", world.door.port), timeout=20) for _ in range(20)]
    for _ in range(3):
        world.door.tell("reload")
    for plain in waiting:
        context = world.tls(world.good)
        context.set_alpn_protocols(["http/1.1"])
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(world.door.request("GET /orgs/1/courses"))
            assert read_answer(connection).status == 200


def test_a_certificate_that_ends_ends_its_kept_connection(tmp_path):
    world = World(tmp_path)
    try:
        short = world.clients.issue("short", days=(-1, 4 / 86400))
        with world.door.connect(world.tls(short)) as connection:
            connection.sendall(world.door.request("GET /orgs/1/courses"))
            assert read_answer(connection).status == 200
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                connection.sendall(world.door.request("GET /orgs/1/courses"))
                answer = read_answer(connection)
                if answer.status != 200:
                    break
                time.sleep(0.2)
            assert (answer.status, answer.json()["reason"]) == (403, "client_certificate_expired")
            assert answer.fields["connection"] == "close"
    finally:
        assert world.stop() == 0


def test_events_of_handshakes_are_few_however_many_fail(world):
    foreign = world.strangers.issue("foreign")
    begun = time.monotonic()
    for _ in range(60):
        world.get(foreign)
    seconds = time.monotonic() - begun
    lines = world.events("client_certificate_untrusted")
    assert 1 <= len(lines) <= seconds + 2
    assert json.dumps("refused") in lines[0] or "refused" in lines[0]
