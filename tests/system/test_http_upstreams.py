"""The corpus through the door, with nginx and HAProxy as its upstreams and without either: what the application got is
what the door decided about, request by request and byte by byte; of what the door refused nothing arrived."""

import contextlib
import socket
import urllib.parse

import pytest
from support.http_door import Door, corpus, read_answer
from support.recorder import Recorder, Seen
from support.understood import UPSTREAMS

# Public, so that the corpus needs no tokens: what is in question here is how a request is read.
ROUTES = """version = 1
[defaults]
audit = "bounded"
""" + "".join(f"""
[[route]]
name = "any.{method.lower()}{number}"
methods = ["{method}"]
path = "{path}"
public = true
""" for number, path in enumerate(("/", "/{rest...}")) for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))
VOUCHED = {"domicile-request-id", "x-forwarded-for", "x-forwarded-proto"}


class Chain:
    def __init__(self, folder, kind: str):
        (folder / "routes.toml").write_text(ROUTES)
        self.kind = kind
        self.recorder = Recorder()
        self.upstream = UPSTREAMS[kind](folder, self.recorder.port) if kind in UPSTREAMS else None
        port = self.upstream.port if self.upstream else self.recorder.port
        self.door = Door(folder, "--routes", str(folder / "routes.toml"), "--head-ms", "1500", "--body-ms", "1500", upstream=port)
        self.probes = 0

    def send(self, raw: bytes) -> list:
        """All answers but 1xx."""
        answers = []
        with self.door.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while (answer := read_answer(connection, head_only=raw.startswith(b"HEAD "))).status:
                if answer.status >= 200:
                    answers.append(answer)
        return answers

    def probe(self):
        """Whatever was left on a connection to the upstream would show now."""
        self.probes += 1
        before = len(self.recorder.seen)
        with self.door.connect() as connection:
            connection.sendall(f"GET /probe?{self.probes} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            assert read_answer(connection).status == 200
        (seen,) = self.recorder.seen[before:]
        assert (seen.method, seen.target, seen.body) == ("GET", f"/probe?{self.probes}", b"")

    def through(self, raw: bytes):
        before = len(self.recorder.seen)
        answers = self.send(raw)
        arrived = self.recorder.seen[before:]
        self.probe()
        assert not self.recorder.garbage
        return answers, arrived

    def agrees(self, seen, method: str, path: str, query: str | None, body: bytes | None):
        target = path + ("" if query is None else "?" + query)
        assert (seen.method, seen.target) == (method, target)
        if body is not None:
            assert seen.body == body
        if self.upstream:
            assert (seen.one("x-seen-method"), seen.one("x-seen-target")) == (method, target)
            assert urllib.parse.unquote(path).encode() == seen.one("x-seen-path").encode("latin-1")
            assert (seen.one("x-seen-query") or "") == (query or "")

    def stop(self):
        if self.upstream:
            self.upstream.stop()
        self.recorder.stop()
        return self.door.stop()


@pytest.fixture(scope="module", params=["itself", *UPSTREAMS])
def chain(request, tmp_path_factory):
    built = Chain(tmp_path_factory.mktemp(request.param), request.param)
    yield built
    assert built.stop() == 0


def named(case):
    return case if isinstance(case, str) else ""


def body_for(head: bytes) -> tuple[bytes, bytes]:
    """A body as the head announces it, on the wire and as a payload."""
    fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line]
    if [b"transfer-encoding", b"chunked"] in [[name, value.strip()] for name, value in fields]:
        return b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-T: u\r\n\r\n", b"hello"
    for name, value in fields:
        if name == b"content-length":
            return b"hello"[:int(value)], b"hello"[:int(value)]
    return b"", b""


@pytest.mark.parametrize("title,expected,raw", corpus("requests.tsv"), ids=named)
def test_a_request_is_understood_alike_on_both_sides_or_does_not_arrive(chain, title, expected, raw):
    wire, body = body_for(raw) if expected == "ok" else (b"", b"")
    answers, arrived = chain.through(raw + wire)
    if expected != "ok":
        assert not arrived and len(answers) == 1 and answers[0].json()["reason"] == expected
        return
    (answer,) = answers
    line, *lines = raw.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, version = line.split(" ")
    if answer.status != 200:  # read, and then refused: nothing of it may arrive
        assert not arrived and (answer.status, answer.json()["reason"]) in (
            (405, "method_not_allowed"), (400, "missing_host")), answer.body
        return
    (seen,) = arrived
    target = target.removeprefix("http://")
    target = target[target.index("/"):]
    path, mark, query = target.partition("?")
    chain.agrees(seen, method, path, query if mark else None, body)
    if method == "HEAD":
        assert answer.body == b""
    # Field by field: what the client sent and the door lets pass, once each, and what the door adds.
    sent = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    assert seen.all("host") == [value for name, value in sent if name == "host"][:1] or chain.kind == "nginx"
    own = {name for name in seen.names() if not name.startswith("x-seen-")}
    allowed = {name for name, _ in sent if all(c.isalnum() or c == "-" for c in name)}
    assert own <= allowed | VOUCHED | {"host", "connection", "content-length", "transfer-encoding"}, own
    assert VOUCHED <= own
    for name in ("upgrade", "http2-settings", "te", "trailer", "expect", "proxy-connection", "keep-alive"):
        assert name not in own, name
    assert (seen.one("connection") or "").lower() in ("", "keep-alive", "close")


@pytest.mark.parametrize("title,expected,raw", corpus("paths.tsv"), ids=named)
def test_a_path_is_understood_alike_on_both_sides_or_does_not_arrive(chain, title, expected, raw):
    for query in (None, "a=/../b&c=%2e%2e"):
        mark = b"" if query is None else b"?" + query.encode()
        answers, arrived = chain.through(b"GET " + raw + mark + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
        (answer,) = answers
        if not expected.startswith("ok:"):
            assert not arrived and answer.json()["reason"] == expected
        elif answer.status == 404:  # a slash at the end is on no route
            assert not arrived and expected.endswith("/")
        else:
            (seen,) = arrived
            chain.agrees(seen, "GET", expected[3:], query, b"")


@pytest.mark.parametrize("title,expected,raw", corpus("chunked.tsv"), ids=named)
def test_a_chunked_body_is_understood_alike_on_both_sides_or_is_no_request(chain, title, expected, raw):
    head = b"POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers, arrived = chain.through(head + raw)
    if expected.startswith("ok:"):
        (seen,) = arrived
        assert answers[0].status == 200
        chain.agrees(seen, "POST", "/x", None, expected[3:].encode())
        assert not seen.names() & {"x-a", "authorization", "domicile-organization"}
    else:
        assert not arrived
        assert expected == "more" or answers[0].json()["reason"] == expected


@pytest.mark.parametrize("title,expected,raw", corpus("smuggling.tsv"), ids=named)
def test_a_connection_carries_the_requests_that_the_door_sees_and_no_other(chain, title, expected, raw):
    answers, arrived = chain.through(raw)
    wanted = [step.replace("\\r", "\r").replace("\\n", "\n") for step in expected.split(" | ")]
    assert len(answers) == len(wanted), [answer.body for answer in answers]
    for step, answer in zip(wanted, answers):
        if " " not in step:
            assert answer.json()["reason"] == step
            continue
        method, path, body = (step.split(" ", 2) + [""])[:3]
        assert answer.status == 200
        seen = arrived.pop(0)
        chain.agrees(seen, method, path, None, body.encode())
    assert not arrived, arrived


def test_bytes_that_come_in_pieces_are_understood_as_when_they_come_at_once(chain):
    for title, expected, raw in corpus("smuggling.tsv"):
        if len(raw) > 400:
            continue
        whole, _ = chain.through(raw)
        before = len(chain.recorder.seen)
        with chain.door.connect() as connection, contextlib.suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(raw), 7):
                connection.sendall(raw[at:at + 7])
            connection.shutdown(socket.SHUT_WR)
            statuses = []
            while (answer := read_answer(connection)).status:
                statuses.append(answer.status)
        assert [s for s in statuses if s >= 200] == [answer.status for answer in whole], title
        assert len(chain.recorder.seen) - before == sum(answer.status == 200 for answer in whole), title
        chain.probe()


class Careless(Recorder):
    """Leaves bodies unread and takes what follows the head for the next request; its answers name their request."""

    copies = 1

    def _request(self, reader, connection, number) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return False
            head += line
        method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
        with self.lock:
            self.seen.append(Seen(number, method, target, [], b""))
        connection.sendall((b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target.encode()) * self.copies)
        return True


class Twice(Careless):
    """Answers every question twice."""

    copies = 2


@pytest.mark.parametrize("kind", [Careless, Twice])
def test_an_upstream_that_loses_count_never_answers_one_with_what_was_anothers(kind, tmp_path):
    (tmp_path / "routes.toml").write_text(ROUTES)
    upstream = kind()
    door = Door(tmp_path, "--routes", str(tmp_path / "routes.toml"), upstream=upstream.port)
    hidden = b"GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
    try:
        for number in range(40):
            method = (b"GET", b"HEAD", b"DELETE", b"OPTIONS")[number % 4]
            with door.connect() as attacker, door.connect() as victim:
                attacker.sendall(method + b" /attack HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden)
                assert read_answer(attacker, head_only=method == b"HEAD").status == 200
                victim.sendall(f"GET /victim{number} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
                assert read_answer(victim).body == f"/victim{number}".encode()
        seen = {one.target: one.connection for one in upstream.seen}
        assert "/hidden" in seen or kind is Twice  # the upstream did lose count, on a connection that nobody else had
        assert [one.target for one in upstream.seen if one.connection == seen.get("/hidden")][-2:] in (["/attack", "/hidden"], [])
    finally:
        upstream.stop()
        assert door.stop() == 0


def test_an_answer_before_the_bodys_end_costs_both_connections(tmp_path):
    (tmp_path / "routes.toml").write_text(ROUTES)
    upstream = Careless()
    door = Door(tmp_path, "--routes", str(tmp_path / "routes.toml"), upstream=upstream.port)
    try:
        with door.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"POST /early HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 100)
            answer = read_answer(connection)
            assert (answer.status, answer.body, answer.fields["connection"]) == (200, b"/early", "close")
        with door.connect() as connection:
            connection.sendall(b"GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n")
            assert read_answer(connection).body == b"/next"
        assert [one.target for one in upstream.seen] == ["/early", "/next"]
        assert upstream.seen[0].connection != upstream.seen[1].connection
    finally:
        upstream.stop()
        assert door.stop() == 0
