"""The door over TLS: versions, ALPN, certificate reload, large bodies, kept connections."""

import shutil
import ssl
import subprocess

import pytest

from support.http_door import Door, read_answer


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", str(folder / "door.key"), "-out", str(folder / "door.pem"), "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)


def trusting(folder) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "door.pem"))


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "first")
    running = Door(folder, "--certificate", str(folder / "door.pem"), "--certificate-key", str(folder / "door.key"))
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_and_large_bodies_pass_over_each_version(door, version):
    context = trusting(door.folder)
    context.minimum_version = context.maximum_version = version
    with door.connect(context) as connection:
        for size in (0, 10, 100_000, 2_000_000):
            body = bytes(i % 251 for i in range(size))
            connection.sendall(door.request("POST /orgs/1/courses", f"Content-Length: {size}\r\n") + body)
            answer = read_answer(connection)
            assert answer.status == 200 and answer.body == b"seen /orgs/1/courses " + body


def test_old_versions_are_refused(door):
    context = trusting(door.folder)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        door.connect(context).close()


def test_alpn_speaks_http_1_1_and_refuses_the_unknown(door):
    context = trusting(door.folder)
    context.set_alpn_protocols(["http/1.1"])
    with door.connect(context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    other = trusting(door.folder)
    other.set_alpn_protocols(["imap"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        door.connect(other).close()


def test_plain_http_on_the_tls_port_gets_no_answer(door):
    with door.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            assert not connection.recv(100).startswith(b"HTTP")
        except ConnectionError:
            pass


def test_a_reloaded_certificate_serves_new_connections_and_old_ones_go_on(door):
    before = trusting(door.folder)
    with door.connect(before) as old:
        shutil.copy(door.folder / "door.pem", door.folder / "old.pem")
        certificate(door.folder, "second")
        door.tell("reload")
        with door.connect(trusting(door.folder)) as new:
            assert dict(x[0] for x in new.getpeercert()["subject"])["commonName"] == "second"
        old.sendall(door.request("GET /orgs/1/courses"))
        assert read_answer(old).status == 200
