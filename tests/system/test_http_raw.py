"""Raw bytes against a running door: every case of the corpus, smuggling through to the upstream, slow
clients, half-closed clients, floods of pipelined requests."""

import socket
import time

import pytest

from support.http_door import Door, corpus, read_all, read_answer


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    running = Door(tmp_path_factory.mktemp("door"), "--head-ms", "400", "--body-ms", "400")
    yield running
    assert running.stop() == 0


def refusals(name):
    return [(title, expected, raw) for title, expected, raw in corpus(name)
            if expected not in ("ok", "more") and not expected.startswith("ok:")]


@pytest.mark.parametrize("title,expected,raw", refusals("requests.tsv"), ids=lambda v: v if isinstance(v, str) else "")
def test_a_malformed_request_is_refused_by_name_and_the_connection_closes(door, title, expected, raw):
    before = len(door.upstream.heads)
    with door.connect() as connection:
        connection.sendall(raw)
        everything = read_all(connection)
    assert f'"reason":"{expected}"'.encode() in everything, title
    assert everything.count(b"HTTP/1.1 ") == 1, title
    assert len(door.upstream.heads) == before


@pytest.mark.parametrize("title,expected,raw", corpus("paths.tsv"), ids=lambda v: v if isinstance(v, str) else "")
def test_a_path_is_read_in_one_way_or_not_at_all(door, title, expected, raw):
    before = len(door.upstream.heads)
    with door.connect() as connection:
        connection.sendall(door.request("GET PATH").replace(b"PATH", b"/orgs/1" + raw))
        answer = read_answer(connection)
    if expected.startswith("ok:"):
        assert answer.status == 404  # read, and no route: nothing but the routes is forwarded
    else:
        assert answer.status == 400 and answer.json()["reason"] == expected
    assert len(door.upstream.heads) == before


@pytest.mark.parametrize("title,expected,raw", corpus("chunked.tsv"), ids=lambda v: v if isinstance(v, str) else "")
def test_a_chunked_body_is_forwarded_whole_or_refused(door, title, expected, raw):
    with door.connect() as connection:
        connection.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
        answer = read_answer(connection)
    if expected.startswith("ok:"):
        assert answer.status == 200 and answer.body.decode() == expected[3:]
    elif expected == "more":
        assert answer.status == 408 and answer.json()["reason"] == "body_timeout"
    else:
        assert answer.json()["reason"] == expected


def test_no_smuggled_request_reaches_the_upstream(door):
    hidden = "GET /orgs/2/courses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n".format(door.tokens["2"])
    for framing in ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                    "Content-Length: 0\r\nContent-Length: 400\r\n",
                    "Content-Length: 0, 400\r\n", "Transfer-Encoding : chunked\r\n",
                    "Transfer-Encoding:\x0bchunked\r\n", "X: y\rContent-Length: 400\r\n"):
        before = len(door.upstream.heads)
        with door.connect() as connection:
            connection.sendall(door.request("POST /orgs/1/courses", framing) + b"0\r\n\r\n" + hidden.encode())
            everything = read_all(connection)
        assert everything.startswith(b"HTTP/1.1 4") or everything.startswith(b"HTTP/1.1 5"), framing
        assert everything.count(b"HTTP/1.1 ") == 1, framing
        assert len(door.upstream.heads) == before, framing


def test_pipelined_requests_are_answered_in_order_whole_or_in_pieces(door):
    burst = b"".join(door.request("GET /orgs/1/courses") + door.request("GET /orgs/2/courses", org="2")
                     for _ in range(20))
    for step in (len(burst), 777):
        with door.connect() as connection:
            for at in range(0, len(burst), step):
                connection.sendall(burst[at:at + step])
            for number in range(40):
                assert read_answer(connection).body == b"seen /orgs/%d/courses " % (number % 2 + 1)


def test_a_slow_head_runs_out_of_time_however_it_trickles(door):
    with door.connect() as connection:
        begun = time.monotonic()
        for byte in b"GET /orgs/1/courses HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.02)
            if time.monotonic() - begun > 5:
                break
        assert time.monotonic() - begun < 5


def test_a_client_that_closed_its_half_gets_its_answer(door):
    with door.connect() as connection:
        connection.sendall(door.request("GET /orgs/1/courses"))
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection).status == 200
        assert connection.recv(1) == b""


def test_a_wrong_region_hears_of_the_home_before_its_body_is_read(tmp_path):
    door = Door(tmp_path, "--organizations", "1001", tokens=1)
    try:
        line = door.request("POST /orgs/1/courses", "Content-Length: 5000000\r\n").replace(b"/orgs/1/", b"/orgs/1001/")
        with door.connect() as connection:
            connection.sendall(line)
            answer = read_answer(connection)
            # Another organization's key tells nothing: not even that it lives elsewhere.
            assert answer.status == 403 and answer.json()["reason"] == "organization_mismatch"
            assert answer.fields["connection"] == "close"
    finally:
        door.stop()


def test_events_of_all_this_are_on_disk(door):
    before = sum(p.read_bytes().count(b"courses.read") for p in (door.folder / "audit").iterdir() if p.is_file())
    with door.connect() as connection:
        for _ in range(10):
            connection.sendall(door.request("GET /orgs/1/courses"))
            assert read_answer(connection).status == 200
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        now = sum(p.read_bytes().count(b"courses.read") for p in (door.folder / "audit").iterdir() if p.is_file())
        if now >= before + 10:
            return
        time.sleep(0.05)
    raise AssertionError("the events of ten requests are not in the log")
