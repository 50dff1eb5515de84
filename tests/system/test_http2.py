"""The door over HTTP/2, asked by other people's clients (curl, nghttp, h2load) and by hand-made frames."""

import collections
import json
import pathlib
import re
import ssl
import subprocess

import pytest
from support.door_load import seen
from support.http2 import HEADERS, RST_STREAM, Http2Socket, block, frame
from support.http_door import Door, corpus

DONE = re.compile(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored")


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    running = Door(tmp_path_factory.mktemp("h2c"), tokens=4)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h2")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", str(folder / "door.key"), "-out", str(folder / "door.pem"), "-days", "2", "-subj",
                    "/CN=door", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    running = Door(folder, "--certificate", str(folder / "door.pem"), "--certificate-key", str(folder / "door.key"))
    yield running
    assert running.stop() == 0


def run(*words, **options):
    return subprocess.run([str(w) for w in words], capture_output=True, timeout=120, **options)


def curl(door, path, *words, scheme="http", org="1"):
    """(HTTP version, status, body)"""
    ca = ("--cacert", door.folder / "door.pem") if scheme == "https" else ()
    done = run("curl", "-sS", "-m", "60", "-o", "-", "-w", r"\n%{http_version} %{http_code}", *ca, "-H",
               f"Authorization: Bearer {door.tokens[org]}", *words, f"{scheme}://localhost:{door.port}{path}")
    assert done.returncode == 0, done.stderr
    body, _, last = done.stdout.rpartition(b"\n")
    version, status = last.decode().split()
    return version, int(status), body


def bearer(door, org="1") -> str:
    return f"authorization: Bearer {door.tokens[org]}"


@pytest.mark.parametrize("words,version", [(["--http2-prior-knowledge"], "2"), (["--http1.1"], "1.1"),
                                           (["--http2"], "1.1")])  # an Upgrade to h2c is not followed
def test_a_plain_listener_speaks_both(door, words, version):
    assert curl(door, "/orgs/1/courses", *words) == (version, 200, b"seen /orgs/1/courses ")
    assert curl(door, "/orgs/2/courses", *words)[:2] == (version, 403)
    assert json.loads(curl(door, "/orgs/2/courses", *words)[2])["reason"] == "organization_mismatch"
    assert curl(door, "/v1/echo", *words, "-d", "hello") == (version, 200, b"hello")


@pytest.mark.parametrize("words,version", [(["--http2"], "2"), (["--http1.1"], "1.1"), (["--tls-max", "1.2"], "2")])
def test_over_tls_alpn_decides(tls, words, version):
    assert curl(tls, "/orgs/1/courses", *words, scheme="https") == (version, 200, b"seen /orgs/1/courses ")


def test_alpn_prefers_http2_and_refuses_strangers(tls):
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
        context = ssl.create_default_context(cafile=str(tls.folder / "door.pem"))
        if offered:
            context.set_alpn_protocols(offered)
        with tls.connect(context) as connection:
            assert connection.selected_alpn_protocol() == chosen
    context.set_alpn_protocols(["h2c"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls.connect(context).close()


@pytest.mark.parametrize("secure", [False, True])
def test_large_bodies_pass_both_ways(door, tls, tmp_path, secure):
    used, scheme = (tls, "https") if secure else (door, "http")
    words = ["--http2"] if secure else ["--http2-prior-knowledge"]
    content = bytes(i * 7 % 251 for i in range(1 << 20)) * 12
    (tmp_path / "body").write_bytes(content)
    version, status, body = curl(used, "/orgs/1/courses", *words, "--data-binary", f"@{tmp_path / 'body'}",
                                 scheme=scheme)
    assert (version, status) == ("2", 200)
    assert body == b"seen /orgs/1/courses " + content


def test_nghttp_gets_an_answer_on_each_of_its_streams(door):
    urls = [f"http://127.0.0.1:{door.port}/orgs/1/courses?n={7_000_000 + i}" for i in range(40)]
    done = run("nghttp", "-v", "-H", bearer(door), *urls, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(":status: 200") == 40
    assert sum(7_000_000 <= n < 7_000_040 and count == 1 for n, count in seen(door.upstream).items()) == 40


def load(door, folder: pathlib.Path, first: int, count: int, scheme="http", org="1", streams=50):
    """One client that asks for `count` targets, each with a number of its own."""
    targets = folder / f"targets-{first}"
    targets.write_text("".join(f"{scheme}://localhost:{door.port}/orgs/{org}/courses?n={n}\n"
                               for n in range(first, first + count)))
    return subprocess.Popen(["h2load", "-n", str(count), "-c", "1", "-m", str(streams), "-H", bearer(door, org), "-i",
                             str(targets)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("secure", [False, True])
def test_every_request_of_many_streams_is_answered_and_done_once(door, tls, tmp_path, secure):
    used, scheme = (tls, "https") if secure else (door, "http")
    used.upstream.heads.clear()
    clients = [load(used, tmp_path, first, 1000, scheme) for first in (1_000_000, 2_000_000, 3_000_000)]
    for client in clients:
        out, _ = client.communicate(timeout=100)
        counts = [int(x) for x in DONE.search(out).groups()]
        assert counts == [1000, 1000, 1000, 1000, 0, 0], out
        assert "1000 2xx" in out
    counted = seen(used.upstream)
    assert counted == collections.Counter({n: 1 for first in (1, 2, 3)
                                           for n in range(first * 1_000_000, first * 1_000_000 + 1000)})


@pytest.mark.parametrize("title,expected,raw", corpus("paths.tsv"), ids=lambda v: v if isinstance(v, str) else "")
def test_a_path_is_read_as_over_http1(door, title, expected, raw):
    before = len(door.upstream.heads)
    with door.connect() as connection:
        client = Http2Socket(connection)
        status, body = client.answer(client.request(b"/orgs/1" + raw, door.tokens["1"]))
    if expected.startswith("ok:"):
        assert status == 404  # read, and no route
    else:
        assert status == 400 and json.loads(body)["reason"] == expected
    assert len(door.upstream.heads) == before


def test_nothing_smuggled_in_a_field_reaches_the_upstream(door):
    before = len(door.upstream.heads)
    hidden = b"x\r\n\r\nGET /orgs/2/courses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + door.tokens["2"].encode()
    with door.connect() as connection:
        client = Http2Socket(connection)
        for more in ([(b"x-a", hidden)], [(hidden, b"1")], [(b"cookie", hidden)], [(b"transfer-encoding", b"chunked")],
                     [(b"content-length", b"0"), (b"content-length", b"400")], [(b"host", b"b.test")]):
            stream = client.request(b"/orgs/1/courses", door.tokens["1"], b"POST", more, ends=False)
            client.send(frame(0, 1, stream, hidden))
            _, body = client.answer(stream)
            assert json.loads(body)["status"] in (400, 421), more
        for name, value in ((b":path", b"/orgs/1/courses HTTP/1.1\r\nX: y"), (b":method", b"GET / HTTP/1.1\r\nX:")):
            fields = {b":method": b"GET", b":scheme": b"http", b":authority": b"a", b":path": b"/"} | {name: value}
            client.stream += 2
            client.send(frame(HEADERS, 5, client.stream, block(fields.items())))
            assert json.loads(client.answer(client.stream)[1])["status"] == 400
    assert len(door.upstream.heads) == before


def resident(pid: int) -> int:
    line = next(x for x in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1])


def test_a_client_that_resets_all_it_begins_is_sent_away_and_others_are_served(door):
    before = resident(door.process.pid)
    door.upstream.heads.clear()
    for _ in range(20):
        with door.connect() as connection:
            client = Http2Socket(connection)
            head = block([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"),
                          (b":path", b"/orgs/1/courses"), (b"authorization", b"Bearer " + door.tokens["1"].encode())])
            try:
                for stream in range(1, 4001, 2):
                    client.send(frame(HEADERS, 5, stream, head), frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
            except OSError:
                pass  # cut off already
            while client.next() is not None:
                pass
    assert curl(door, "/orgs/1/courses", "--http2-prior-knowledge")[1] == 200
    assert resident(door.process.pid) - before < 20_000  # KiB
    # Of the 2,000 requests of each connection no more than the budget's were begun.
    assert len(door.upstream.heads) < 20 * 400
