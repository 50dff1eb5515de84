"""One region, two nodes, one truth: what one node did, the other knows within a second, also about tokens that it has
verified before, and whatever is rotated under load is never answered wrongly."""

import base64
import collections
import json
import threading
import time
import urllib.parse

import jwt
import pytest
from support.application import APPLICATION, Application
from support.domicile import domicile
from support.extra_node import ExtraNode
from support.identity_world import CANADA, PASSWORD, US, World
from support.local_regions import wait_until


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        made.cli(CANADA, "client", "create", "--id", "app", "--redirect-uri", APPLICATION, "--signed-out-uri", APPLICATION)
        made.service = json.loads(made.cli(CANADA, "client", "create", "--id", "loader", "--org", "101", "--permission",
                                           "courses:read").stdout)
        made.other = ExtraNode(made.local, CANADA)
        try:
            yield made
        finally:
            made.other.stop()
    finally:
        made.local.drop()


def nodes(world) -> list[str]:
    return [world.url(CANADA), world.other.url]


def courses(world, token, node, organization="101", method="GET"):
    status, body, _ = world.send(node, method, f"/api/orgs/{organization}/courses", headers={"Authorization": "Bearer " + token})
    return status, body.get("reason") if isinstance(body, dict) else None


def recorded(world) -> list[dict]:
    done = domicile("--output", "json", "audit", "list", world.other.audit)
    return world.events(CANADA) + [json.loads(line) for line in done.stdout.splitlines()]


def counts_at_both(world, token):
    """And stands in both nodes' caches from now on."""
    for node in nodes(world):
        assert courses(world, token, node)[0] == 200


def refused_at_both(world, token) -> float:
    """Seconds until both refuse it as called back."""
    began = time.monotonic()
    for node in nodes(world):
        wait_until(lambda n=node: courses(world, token, n) == (401, "token_revoked"), 10, f"{node} refuses it")
    return time.monotonic() - began


def basic(world) -> dict:
    return {"Authorization": "Basic " + base64.b64encode(f"loader:{world.service['secret']}".encode()).decode()}


def service_token(world, node=CANADA) -> str:
    status, body, _ = world.token(node, headers=basic(world), grant_type="client_credentials")
    assert status == 200, body
    return body["access_token"]


def test_a_token_of_one_node_counts_at_the_other(world):
    for node in nodes(world):
        counts_at_both(world, world.sign_in(node)[1]["access_token"])
    assert world.jwks() == world.jwks(world.other.url)


def test_an_account_is_locked_at_every_node_and_after_a_restart_whether_it_exists_or_not(world):
    world.add_user(CANADA, "101", "guarded.person", "learner")
    for name in ("guarded.person", "phantom.person"):
        tries = [world.sign_in(nodes(world)[i % 2], username=name, password="wrong horse battery")[0] for i in range(5)]
        assert tries == [400] * 5, name
        for node in nodes(world):
            status, _, headers = world.sign_in(node, username=name)
            assert status == 429 and 1 <= int(headers["retry-after"]) <= 60, (name, node)
    world.other.stop()
    world.other = ExtraNode(world.local, CANADA)
    for name in ("guarded.person", "phantom.person"):
        assert world.sign_in(world.other.url, username=name)[0] == 429
    counts_at_both(world, world.sign_in(world.other.url)[1]["access_token"])  # nobody else is
    with world.local.superuser(CANADA) as db:
        kept = db.execute("SELECT * FROM domicile_directory.failed_sign_in").fetchall()
        assert len(kept) == 2 and "person" not in str(kept) and "maple" not in str(kept)
        db.execute("UPDATE domicile_directory.failed_sign_in SET locked_until = now() - interval '1 second'")
    world.other.stop()  # what it remembers itself is gone
    world.other = ExtraNode(world.local, CANADA)
    assert world.sign_in(world.other.url, username="guarded.person")[0] == 200
    with world.local.superuser(CANADA) as db:  # the success is the end of it
        assert db.execute("SELECT count(*) FROM domicile_directory.failed_sign_in").fetchone()[0] == 1


def test_signing_out_ends_the_access_tokens_of_this_browser_at_both_nodes(world):
    here, elsewhere = Application(world), Application(world)
    first = here.tokens(here.sign_in())["access_token"]
    second = Application(world)  # another application in the same browser
    second.browser = here.browser
    also = second.tokens(second.start(prompt="none"))["access_token"]
    late = second.start(prompt="none")  # a code that is not redeemed before the end
    untouched = elsewhere.tokens(elsewhere.sign_in())["access_token"]
    for token in (first, also, untouched):
        counts_at_both(world, token)
    out = world.url(CANADA) + "/oauth2/logout?client_id=app&post_logout_redirect_uri=" + urllib.parse.quote(APPLICATION)
    assert here.browser.open(out).submit().location == APPLICATION
    assert refused_at_both(world, first) < 2
    assert refused_at_both(world, also) < 1
    with pytest.raises(Exception, match="invalid_grant"):
        second.tokens(late)
    counts_at_both(world, untouched)


def test_a_refresh_token_used_twice_ends_the_thiefs_access_token_at_both_nodes(world):
    stolen = world.sign_in()[1]
    thiefs = world.refresh(stolen["refresh_token"], world.other.url)[1]
    counts_at_both(world, thiefs["access_token"])
    counts_at_both(world, stolen["access_token"])
    assert world.refresh(stolen["refresh_token"])[1]["error"] == "invalid_grant"
    assert refused_at_both(world, thiefs["access_token"]) < 2
    assert refused_at_both(world, stolen["access_token"]) < 1
    for node in nodes(world):
        assert world.refresh(thiefs["refresh_token"], node)[1]["error"] == "invalid_grant"
    counts_at_both(world, world.sign_in()[1]["access_token"])


def test_what_is_called_back_at_one_node_is_refused_by_both_and_inactive_to_whoever_asks(world):
    def active(token) -> list[bool]:
        form = urllib.parse.urlencode({"token": token}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", **basic(world)}
        return [world.send(node, "POST", "/oauth2/introspect", form, headers)[1]["active"] for node in nodes(world)]

    def fresh() -> str:
        token = world.sign_in()[1]["access_token"]
        counts_at_both(world, token)
        assert active(token) == [True, True]
        return token

    for revoke in (lambda t: world.cli(CANADA, "token", "revoke", "--jti", world.believe(t)["jti"]),
                   lambda t: world.send(world.other.url, "POST", "/oauth2/revoke", urllib.parse.urlencode(
                       {"client_id": "web", "token": t}).encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
                   lambda t: world.cli(CANADA, "token", "revoke", "--user", world.ann),
                   lambda t: world.cli(CANADA, "token", "revoke", "--org", "101")):
        token = fresh()
        revoke(token)
        assert refused_at_both(world, token) < 2
        assert active(token) == [False, False]


def test_each_of_several_revocations_in_one_second_counts(world):
    for number in range(6):  # a token that follows one is dated after it, and must not escape the next
        token = world.sign_in()[1]["access_token"]
        counts_at_both(world, token)
        world.cli(CANADA, "token", "revoke", *(["--user", world.ann] if number % 2 else ["--org", "101"]))
        assert refused_at_both(world, token) < 2


def test_a_person_of_one_organization_acts_in_another_as_far_as_the_grant_goes(world):
    ann = ["--org", "101", "--login", "ann"]
    made = json.loads(world.cli(CANADA, "grant", "create", *ann, "--target", "102", "--permission", "courses:read", "--ticket",
                                "OPS-31", "--for", "1h").stdout)
    tokens = world.sign_in()[1]
    for node in nodes(world):
        assert courses(world, tokens["access_token"], node, "102")[0] == 200
        assert courses(world, tokens["access_token"], node, "102", "POST") == (403, "missing_permission")
        assert courses(world, tokens["access_token"], node, "101")[0] == 200
        assert courses(world, tokens["access_token"], node, "201")[1] in ("cross_region_token", "wrong_region", "organization_mismatch")

    def acts():
        return [e for e in recorded(world) if e["metadata"]["event_code"] == "request" and e["metadata"].get("tenant_uid") == "102"]
    for event in wait_until(lambda: len(acts()) >= 4 and acts(), 10, "the acts are on record"):
        assert event["actor"]["user"]["org"] == {"uid": "101"}, event  # of which organization
        assert event["actor"]["user"]["uid"].startswith("sha256:"), event  # and who, which is sealed
        if event["action"] == "Allowed":
            assert event["unmapped"]["details"]["grant"] == made["id"], event
    world.cli(CANADA, "grant", "revoke", made["id"])
    assert refused_at_both(world, tokens["access_token"]) < 2  # with what carries it
    again = world.refresh(tokens["refresh_token"])[1]["access_token"]
    for node in nodes(world):
        assert courses(world, again, node, "102")[0] == 403
        assert courses(world, again, node, "101")[0] == 200


def test_a_grant_ends_with_its_time_also_in_a_token_that_outlives_it(world):
    world.cli(CANADA, "grant", "create", "--org", "101", "--login", "ann", "--target", "102", "--permission", "courses:read",
              "--ticket", "OPS-32", "--for", "4s")
    token = world.sign_in()[1]["access_token"]
    if courses(world, token, CANADA, "102")[0] == 200:  # unless the machine was slower than the grant
        wait_until(lambda: courses(world, token, CANADA, "102") == (403, "grant_expired"), 10, "the grant has ended")
    assert courses(world, token, world.other.url, "102")[0] == 403
    assert courses(world, token, CANADA, "101")[0] == 200


class Rotation:
    """Clients that ask both nodes without a pause, with the newest token and with older ones; each answer is kept with
    the token's key and the times of question and answer."""

    def __init__(self, world):
        self.world = world
        self.tokens: list[tuple[str, str]] = []  # kid, token
        self.answers: list[tuple[str, float, float, int]] = []
        self.ending = threading.Event()
        self.failed: list[BaseException] = []
        self._mint()
        self.threads = [threading.Thread(target=self._run, args=(f,), daemon=True)
                        for f in (self._minting, *[lambda n=n: self._asking(n) for n in (0, 1, 0, 1)])]
        for thread in self.threads:
            thread.start()

    def _run(self, body):
        try:
            while not self.ending.is_set():
                body()
        except BaseException as error:
            self.failed.append(error)

    def _mint(self, node=CANADA):
        token = service_token(self.world, node)
        self.tokens.append((jwt.get_unverified_header(token)["kid"], token))

    def _minting(self):
        self._mint(nodes(self.world)[len(self.tokens) % 2])
        self.ending.wait(0.05)

    def _asking(self, node: int):
        for kid, token in (self.tokens[-1], self.tokens[len(self.answers) % len(self.tokens)]):
            begun = time.time()
            status, _ = courses(self.world, token, nodes(self.world)[node])
            self.answers.append((kid, begun, time.time(), status))

    def wait_for(self, more: int):
        wanted = len(self.answers) + more
        wait_until(lambda: self.failed or len(self.answers) >= wanted, 60, f"{more} more answers")
        assert not self.failed, self.failed

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failed, self.failed


def test_keys_change_under_load_without_a_wrong_answer(world):
    running = Rotation(world)
    running.wait_for(100)
    first = {kid for kid, _ in running.tokens}
    assert len(first) == 1
    with world.local.superuser(CANADA) as db:  # the schedule's end comes now, and the former keys stay published
        db.execute("UPDATE domicile_directory.signing_key SET retires_at = date_trunc('second', now()) + interval '4 seconds'")
    wait_until(lambda: running.tokens[-1][0] not in first, 20, "the next key signs")
    second = {kid for kid, _ in running.tokens} - first
    running.wait_for(200)
    assert {status for *_, status in running.answers} == {200}  # first and second, at both nodes
    answer = json.loads(world.cli(CANADA, "key", "rotate", "--revoke").stdout)
    takes_over = time.mktime(time.strptime(answer["signs_from"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    wait_until(lambda: running.tokens[-1][0] not in first | second, 20, "the third key signs")
    wait_until(lambda: time.time() > takes_over + 3, 10, "the former keys are gone everywhere")
    running.wait_for(200)
    running.end()
    counted = collections.Counter()
    for kid, begun, ended, status in running.answers:
        if kid not in first | second or ended < takes_over:
            expected = {200}
        elif begun > takes_over + 2:  # a second until the key is unpublished, half of one until the nodes look
            expected = {401}
        else:
            expected = {200, 401}
        counted[(status, "right" if status in expected else "wrong")] += 1
    assert not [k for k in counted if k[1] == "wrong"], counted
    assert counted[(200, "right")] > 500 and counted[(401, "right")] > 20, counted
    assert {k["kid"] for k in world.jwks()["keys"]}.isdisjoint(first | second)
    wait_until(lambda: any("key.rotate" in json.dumps(e) for e in recorded(world)), 10, "the act is on record")


def test_a_rotation_gives_everybody_time_to_learn_the_next_keys(world):
    for arguments in (["--in", "10s"], ["--in", "25h"], ["--in", "2s", "--revoke"], ["--in", "soon"]):
        done = world.cli(CANADA, "key", "rotate", *arguments, check=False)
        assert done.returncode == 2 and done.stderr, arguments
    before = json.loads(world.cli(CANADA, "key", "list").stdout)
    world.cli(CANADA, "key", "rotate", "--in", "5m", "--dry-run")
    assert json.loads(world.cli(CANADA, "key", "list").stdout) == before
    world.cli(CANADA, "key", "rotate", "--in", "5m")

    def published():
        return len(world.jwks()["keys"])
    assert wait_until(lambda: published() == 4, 5, "the next keys are published")
    assert all("private" not in k and set(k) == {"kid", "algorithm", "created_at", "signs_from", "signs_until", "published_until"}
               for k in json.loads(world.cli(CANADA, "key", "list").stdout))


def test_the_other_region_still_tells_whose_a_new_key_is(world):
    token = service_token(world)  # maybe of a key that this region's door has not seen yet
    status = wait_until(lambda: (a := courses(world, token, US))[0] == 421 and a, 90, "the other region knows the key")
    assert status == (421, "wrong_region")
    assert PASSWORD not in json.dumps(world.events(US))
