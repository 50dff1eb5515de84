"""Nobody's name leaves the region: people of two regions sign in, fail, browse, knock at the wrong door and are looked for;
then every file of the other region (its database, its event log, its program logs) is searched for them."""

import json
import pathlib
import socket
import urllib.parse
import urllib.request

import pytest
from support.application import APPLICATION, Application
from support.http_door import Answer
from support.identity_world import CANADA, PASSWORD, US, World

# Words that stand nowhere unless somebody put them there.
LOGINS = {CANADA: "zoe.quill.7319", US: "ivo.thistle.8846"}
HOMES = {CANADA: ("101", "maple"), US: ("201", "liberty")}
PLANTED = {part: f"planted-{part}-5521" for part in ("query", "header", "cookie", "body", "path", "agent", "referer", "form")}


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        for region in (CANADA, US):
            made.cli(region, "client", "create", "--id", "app", "--redirect-uri", APPLICATION, "--signed-out-uri", APPLICATION)
        yield made
    finally:
        made.local.drop()


def other(region: str) -> str:
    return US if region == CANADA else CANADA


def searched(world, region: str, words: list[str]) -> dict[str, list[str]]:
    """Which files of a region hold which words: the whole of it, checkpointed first."""
    with world.local.superuser(region) as db:
        db.execute("CHECKPOINT")
    files = [p for p in (world.local.data / "regions" / region).rglob("*") if p.is_file()]
    files += [p for p in (world.local.data / "log").glob(f"{region}*")]
    assert len(files) > 500 and any("audit" in p.parts for p in files) and any(p.suffix == ".log" for p in files)
    found: dict[str, list[str]] = {}
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            continue  # a socket, or gone meanwhile
        for word in words:
            if word.encode() in content:
                found.setdefault(word, []).append(str(path.relative_to(world.local.data)))
    return found


def sign_everything_in(world, region: str) -> list[str]:
    """What a person does in a day; what of it must not be found elsewhere."""
    key, slug = HOMES[region]
    login = LOGINS[region]
    user = json.loads(world.add_user(region, key, login, "instructor").stdout)["id"]
    tokens = world.sign_in(region, slug, login)[1]
    claims = world.believe(tokens["access_token"], region)
    world.sign_in(region, slug, login, "wrong horse battery")
    app = Application(world, other(region))  # begins at the other region, and is led home before anybody types a name
    at_home = app.tokens(app.sign_in(slug, login), region)
    world.sign_in(other(region), slug, login)  # the wrong region's token endpoint
    world.sign_in(other(region), slug, login, "wrong horse battery")
    for target in (f"/api/orgs/{key}/courses", f"/api/orgs/{key}/me"):
        world.send(region, "GET", target, headers={"Authorization": "Bearer " + at_home["access_token"]})
    world.refresh(tokens["refresh_token"], other(region))
    return [login, user, claims["jti"], claims["sid"], tokens["access_token"][-40:], tokens["refresh_token"]]


@pytest.mark.parametrize("region", [CANADA, US])
def test_nothing_of_a_person_is_in_the_other_region(world, region):
    words = sign_everything_in(world, region)
    at_home = searched(world, region, words)
    assert LOGINS[region] in at_home and words[1] in at_home  # the search finds what is there
    assert words[4] not in at_home and words[5] not in at_home  # and no token is stored at all
    assert searched(world, other(region), words) == {}


def raw(world, region: str, request: bytes) -> Answer:
    """The answer, also when the body that was announced never comes."""
    parts = urllib.parse.urlsplit(world.url(region))
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    with world.tls.wrap_socket(connection, server_hostname="localhost") as tls:
        tls.sendall(request)
        answer = b""
        while piece := tls.recv(65536):
            answer += piece
    return Answer(answer)


def test_a_request_in_the_wrong_region_leaves_the_organization_a_reason_and_a_number(world):
    token = world.sign_in()[1]["access_token"]
    claims = world.believe(token)
    before = len(world.events(US))
    fields = (f"Host: localhost\r\nAuthorization: Bearer {token}\r\nCookie: c={PLANTED['cookie']}\r\nX-Name: {PLANTED['header']}\r\n"
              f"User-Agent: {PLANTED['agent']}\r\nReferer: https://x.example/{PLANTED['referer']}\r\n")
    answers = [
        raw(world, US, f"GET /api/orgs/101/courses/{PLANTED['path']}?q={PLANTED['query']} HTTP/1.1\r\n{fields}\r\n".encode()),
        # The body is announced and does not come, but for a part of it: the answer does not wait for it.
        raw(world, US, (f"POST /api/orgs/101/courses?q={PLANTED['query']} HTTP/1.1\r\n{fields}Content-Type: text/plain\r\n"
                        f"Content-Length: 1000000\r\n\r\n{PLANTED['body']}").encode()),
        raw(world, US, (f"POST /api/orgs/101/courses HTTP/1.1\r\n{fields}Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n").encode()),
        raw(world, US, (f"GET /api/orgs/101/courses?q={PLANTED['query']} HTTP/1.1\r\n{fields}Accept: text/html\r\n"
                        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n").encode())]
    assert [a.status for a in answers[:3]] == [421, 421, 421]
    for answer in answers[1:3]:
        assert answer.fields["connection"] == "close" and answer.json()["home_url"] == world.url(CANADA)
    assert answers[3].status in (307, 421)
    for answer in answers:
        text = answer.body.decode() + json.dumps(answer.fields)
        assert not [word for word in PLANTED.values() if word in text], text
        assert answer.fields.get("location", "").find("?") == -1
    form = urllib.parse.urlencode({"grant_type": "password", "client_id": "web", "organization": "maple", "username": PLANTED["form"],
                                   "password": PASSWORD}).encode()
    assert world.send(US, "POST", "/oauth2/token", form, {"Content-Type": "application/x-www-form-urlencoded",
                                                         "User-Agent": PLANTED["agent"]})[0] == 421
    events = [e for e in world.events(US)[before:] if e["metadata"]["event_code"] not in ("grant_changed", "policy_changed")]
    assert len(events) >= 5
    for event in events:
        assert event["metadata"]["tenant_uid"] == "101", event
        # An attempt with a token of elsewhere is two records: the refusal and the finding.
        assert event.get("status_code") in ("wrong_region", "cross_region_token") or event["class_uid"] == 2004, event
        assert event["metadata"]["correlation_uid"]
        text = json.dumps(event)
        for word in (claims["sub"], claims["jti"], claims["sid"], "127.0.0.1", "courses/", "web", *PLANTED.values()):
            assert word not in text, (word, event)
    assert searched(world, US, [*PLANTED.values(), claims["sub"], claims["jti"], claims["sid"], token[-40:], PASSWORD]) == {}


def test_the_program_logs_name_nobody_at_home_either(world):
    for region, login in LOGINS.items():
        for path in (world.local.data / "log").glob(f"{region}-node*"):
            text = pathlib.Path(path).read_text(errors="replace")
            assert login not in text and PASSWORD not in text and "eyJ" not in text
