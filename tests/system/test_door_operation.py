"""A serving node is reloaded and drained while clients ask: nothing lost, nothing wrong, nothing done twice."""

import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from support.door_load import assert_exact, seen
from support.http_door import read_answer
from support.local_regions import wait_until
from support.serving import MORE, ROUTES, Serving, new_certificate, regions, served_name, target, token  # noqa: F401 (fixtures)


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

    def told():  # it says so before its loops know
        kept.sendall(door.request("/readyz"))
        answer = read_answer(kept)
        return answer if "connection" in answer.fields else None
    answer = wait_until(told, 10, "the kept connection is told to close")
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
