"""The application is killed and comes back, and a tenant asks too much, under running load; everything is counted."""

import collections
import time

from support.door_load import Load, seen
from support.http_door import Door, Upstream, read_answer
from support.local_regions import wait_until


def post(door, number: int, org: str = "1") -> bytes:
    return door.request(f"POST /orgs/{org}/courses?n={number}", "Content-Length: 2\r\n", org) + b"ab"


def test_an_application_that_is_killed_costs_only_what_it_was_doing(tmp_path):
    other = Upstream()
    door = Door(tmp_path, "--upstream", f"http://127.0.0.1:{other.port}", "--loops", "2")
    try:
        load = Load(door.connect, lambda number: post(door, number), clients=6)
        load.wait_for(200)
        assert min(len(door.upstream.heads), len(other.heads)) > 50  # they share the work
        other.stop()
        load.wait_for(200)
        assert load.statuses()[502] <= 2 * 6  # a POST that was under way is not tried again
        before = load.statuses()[502]
        load.wait_for(200)
        assert load.statuses()[502] - before <= 6  # and its kept connections are gone at once
        back = Upstream(other.port)
        wait_until(lambda: len(back.heads) > 20, 10, "the application is used again")
        load.end()
        counts = sum((seen(one) for one in (door.upstream, other, back)), collections.Counter())
        assert load.unanswered == []
        assert set(load.statuses()) <= {200, 502}
        for number, (status, body) in load.answers.items():
            if status == 200:
                assert body == b"seen /orgs/1/courses?n=%d ab" % number
                assert counts[number] == 1
            else:
                assert counts[number] <= 1
        back.stop()
    finally:
        other.stop()
        assert door.stop() == 0


def test_an_application_that_is_away_is_answered_for_at_once_and_used_again_when_it_is_back(tmp_path):
    door = Door(tmp_path)
    try:
        port = door.upstream.port
        door.upstream.stop()
        reasons = []
        with door.connect() as connection:
            for number in range(20):
                connection.sendall(door.request(f"GET /orgs/1/courses?n={number}"))
                answer = read_answer(connection)
                reasons.append((answer.status, answer.json()["reason"]))
            assert reasons[:3] == [(502, "upstream_unreachable")] * 3
            assert reasons[-1] == (503, "upstream_unavailable") and answer.fields["retry-after"] == "1"
            back = Upstream(port)

            def answered():
                connection.sendall(door.request("GET /orgs/1/courses?n=21"))
                return read_answer(connection).status == 200
            wait_until(answered, 8, "the application is used again")
            back.stop()
    finally:
        door.stop()


def test_a_tenant_over_its_limit_is_told_so_and_its_neighbour_feels_nothing(tmp_path):
    door = Door(tmp_path, "--organization-rate", "50", "--organization-burst", "50", "--loops", "2", "--audit", "strict")
    try:
        begun = time.monotonic()
        loud = Load(door.connect, lambda number: post(door, number), clients=4, pause=0)
        quiet = Load(door.connect, lambda number: post(door, number, "2"), clients=1, pause=0.05)
        wait_until(lambda: loud.statuses()[429] > 200, 30, "the loud one is refused")
        quiet.wait_for(20)
        loud.end()
        quiet.end()
        seconds = time.monotonic() - begun
        assert loud.unanswered == quiet.unanswered == []
        assert set(loud.statuses()) == {200, 429}
        assert loud.statuses()[200] <= 50 + 50 * seconds + 1
        assert quiet.statuses() == {200: len(quiet.answers)}
        assert sum(seen(door.upstream).values()) == loud.statuses()[200] + quiet.statuses()[200]
    finally:
        door.stop()
    log = b"".join(p.read_bytes() for p in (tmp_path / "audit").iterdir() if p.is_file())
    recorded = log.count(b"organization_rate_limited")
    assert 1 <= recorded <= seconds + 2  # once a second, with the number of refusals in it
