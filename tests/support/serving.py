"""A node of its own for a test, with files that the test may change, in front of an upstream that counts: for tests of
what happens to requests while everything around them changes."""

import pathlib
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from support.door_load import Load
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

    def __init__(self, regions, token, http="loops = 2\n", gateway="", upstreams: list[int] | None = None):
        """`upstreams`: ports beside the own upstream's."""
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
            self.node = ExtraNode(regions, REGION, gateway, http, [self.upstream.port, *(upstreams or [])])
        finally:
            original.write_text(kept)
        self.context = ssl.create_default_context(cafile=str(regions.data / "ca.pem"))
        wait_until(lambda: self.ask("/orgs/7/courses").status == 200, 20, "the token counts")
        self.upstream.heads.clear()

    def connect(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), timeout=20)
        return self.context.wrap_socket(raw, server_hostname="localhost")

    def request(self, path: str, line="GET", fields="", token="") -> bytes:
        return f"{line} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token or self.token}\r\n{fields}\r\n".encode()

    def ask(self, path: str, token: str = ""):
        with self.connect() as connection:
            connection.sendall(self.request(path, token=token))
            return read_answer(connection)

    def load(self, **options) -> Load:
        return Load(self.connect, lambda number: self.request(target(number)), **options)

    def log(self) -> str:
        return pathlib.Path(self.node.log.name).read_text()

    def reloads(self, outcome: str) -> list[str]:
        listed = domicile("--output", "json", "audit", "list", self.node.audit, "--outcome", outcome).stdout.splitlines()
        return [line for line in listed if '.reload"' in line]

    def hang_up(self, text: str):
        """SIGHUP, and wait until the log says `text` once more."""
        before = self.log().count(text)
        self.node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log().count(text) > before, 20, text)

    def stop(self):
        self.node.stop()
        self.upstream.stop()


def create_school(local: LocalRegions, key: str):
    """Until its region serves it."""
    domicile("org", "create", key, "--slug", f"school-{key}", "--region", REGION, "--ca-file", local.data / "ca.pem",
             "--peer-token-file", local.data / "regions/ca-central-1/node/peer.token",
             "--registry-dsn-file", local.region(REGION)["dsn_files"]["registry"])


def one_school() -> LocalRegions:
    """Local regions with organization 7 and a service of it that may read courses."""
    local = LocalRegions()
    try:
        local.up()
        create_school(local, "7")
        domicile("client", "create", "--id", "reader", "--org", "7", "--permission", "courses:read", "--dsn-file",
                 local.region(REGION)["dsn_files"]["node"], "--secret-file", local.folder / "reader.secret")
    except BaseException:
        local.drop()
        raise
    return local


def reader_token(local: LocalRegions) -> str:
    done = domicile("token", "get", "--issuer", local.region(REGION)["url"], "--ca-file", local.data / "ca.pem",
                    "--client", "reader", "--client-secret-file", local.folder / "reader.secret")
    return done.stdout.strip().splitlines()[-1]


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


@pytest.fixture(scope="module")
def regions():
    """For tests to import: regions with one school, of the module's own."""
    local = one_school()
    yield local
    local.drop()


@pytest.fixture(scope="module")
def token(regions):
    return reader_token(regions)
